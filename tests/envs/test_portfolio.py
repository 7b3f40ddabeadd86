"""Behaviour of the portfolio env, with numbers that can be worked out by hand."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from random_markets import PLAIN, build_market, free_instruments, random_features, random_panel, with_parts

from data.schema import Panel
from envs.barriers import BarrierConfig
from envs.episodes import RandomisationConfig, Window
from envs.market import Market
from envs.portfolio import PortfolioEnv, PortfolioVectorEnv
from envs.recording import Recorder

SHORT, FLAT, LONG = 0, 1, 2


def hand_panel(bars, session=None, volume=1e6, tradable=None):
    """One asset from a list of (open, high, low, close)."""
    prices = np.array(bars, dtype=np.float64)
    length = len(prices)
    shape = (length, 1)
    return Panel(
        symbols=("X",),
        bar_utc=np.datetime64("2021-03-01", "ns") + np.arange(length) * np.timedelta64(1800, "s"),
        open=prices[:, :1], high=prices[:, 1:2], low=prices[:, 2:3], close=prices[:, 3:],
        volume=np.broadcast_to(np.asarray(volume, dtype=np.float64).reshape(-1, 1), shape).copy(),
        tradable=np.ones(shape, bool) if tradable is None else np.array(tradable, bool).reshape(shape),
        session=np.zeros(length, np.int32) if session is None else np.array(session, np.int32),
        calendar="24/7", bar_seconds=1800, exogenous={},
    )  # fmt: skip


def play(panel, actions, config=PLAIN, start=3):
    """Run a whole window from bar `start` on, return its recording. Equity starts at 10,000."""
    market = Market.build(panel, random_features(panel), free_instruments(panel))
    windows = [Window(start_bar=start, stop_bar=panel.num_bars)]
    env = PortfolioVectorEnv(market, config, num_envs=1, windows=windows, seed=0)
    recorder = Recorder(env)
    env.reset()
    for action in actions:
        env.step(np.array([[action]]))
    return recorder.recordings()[0]


FULL_SIZE = with_parts(PLAIN, sizing={"fraction": 1.0})
FLAT_BAR = (100.0, 100.0, 100.0, 100.0)


def test_a_decision_at_close_t_is_filled_at_the_next_open_and_marked_at_its_close():
    # 10,000 at 100 = 100 units, filled at 101, marked at 103: +200. Then 100 units x (104 - 103) = +100.
    panel = hand_panel([FLAT_BAR] * 3 + [(101, 103, 101, 103), (103, 104, 103, 104)])
    recording = play(panel, [LONG, LONG], FULL_SIZE)
    np.testing.assert_allclose(recording.equity, [10_000, 10_200, 10_300])
    assert recording.bar.tolist() == [3, 4]
    assert recording.fills.decided_bar.tolist() == [2, 3]
    assert recording.fills.filled_bar.tolist() == [3, 4]
    assert recording.fills.reason.tolist() == ["signal", "window_end"]
    assert (recording.fills.price[0], recording.fills.units[0]) == (101.0, 100.0)


def test_spread_and_fee_are_charged_on_each_side_and_booked_apart():
    # Entry at 100: 100 units, notional 10,000: fee 5 bps = 5, half spread 2 bps = 2; the same at the final close.
    config = with_parts(FULL_SIZE, costs={"fee_bps": 5.0, "half_spread_bps": 2.0})
    recording = play(hand_panel([FLAT_BAR] * 5), [LONG, LONG], config)
    np.testing.assert_allclose(recording.costs.sum(axis=0), [10.0, 4.0, 0, 0, 0, 0])
    np.testing.assert_allclose(recording.equity[-1], 10_000 - 14)
    assert recording.trades.exit_reason.tolist() == ["window_end"]
    np.testing.assert_allclose(recording.trades.pnl, [-14.0])


def test_a_kept_direction_keeps_its_units_and_pays_nothing():
    panel = hand_panel([FLAT_BAR] * 4 + [(100, 120, 100, 120)] * 3)
    recording = play(panel, [LONG] * 4, with_parts(FULL_SIZE, costs={"fee_bps": 5.0}))
    assert len(recording.fills) == 2
    np.testing.assert_allclose(recording.units[:, 0], [100, 100, 100, 0])


def test_the_gross_cap_scales_entries():
    recording = play(
        hand_panel([FLAT_BAR] * 5), [LONG] * 2, with_parts(FULL_SIZE, risk={"max_gross_exposure": 0.5})
    )
    np.testing.assert_allclose(recording.units[0], [50.0])


def test_where_a_kept_position_fills_the_gross_cap_rounding_leaves_no_room_for_another():
    one = hand_panel([FLAT_BAR] * 7)
    for price in np.linspace(0.37, 91.0, 60):
        two = {name: np.full((7, 2), price) for name in ("open", "high", "low", "close")}
        panel = replace(
            one, symbols=("X", "Y"), volume=np.full((7, 2), 1e6), tradable=np.ones((7, 2), bool), **two
        )
        recording = play(panel, [[LONG, FLAT], [LONG, LONG], [LONG, LONG]], FULL_SIZE)
        np.testing.assert_allclose(recording.units[-1], [10_000 / price, 0.0], rtol=1e-12)
        assert len(recording.fills.units) == 1


def test_an_untradable_bar_freezes_the_order_until_the_next_open():
    # Decided at close 2; bar 3 cannot be traded, bar 4 fills at its open of 110.
    panel = hand_panel([FLAT_BAR] * 4 + [(110, 110, 110, 110), FLAT_BAR], tradable=[1, 1, 1, 0, 1, 1])
    recording = play(panel, [LONG, FLAT, LONG], FULL_SIZE)
    assert recording.fills.filled_bar.tolist()[0] == 4
    assert recording.fills.decided_bar.tolist()[0] == 2
    assert recording.fills.price[0] == 110.0


def test_a_participation_cap_fills_in_parts_and_carries_on():
    # 10 % of 300 units a bar: 30, 30, 30, 10.
    config = with_parts(FULL_SIZE, costs={"max_participation": 0.1})
    recording = play(hand_panel([FLAT_BAR] * 9, volume=300.0), [LONG] * 6, config)
    np.testing.assert_allclose(recording.units[:5, 0], [30, 60, 90, 100, 100])
    dropped = with_parts(config, costs={"remainder": "drop"})
    recording = play(hand_panel([FLAT_BAR] * 9, volume=300.0), [LONG] * 6, dropped)
    np.testing.assert_allclose(recording.units[:5, 0], [30, 30, 30, 30, 30])


def test_latency_delays_the_fill_by_its_bars():
    panel = hand_panel([FLAT_BAR] * 4 + [(107, 107, 107, 107)] * 3)
    recording = play(panel, [LONG] * 4, with_parts(FULL_SIZE, costs={"latency_bars": 1}))
    assert recording.fills.filled_bar[0] == 4
    assert recording.fills.decided_bar[0] == 2
    assert recording.fills.price[0] == 107.0


TARGET_AND_STOP = BarrierConfig(
    unit="percent", profit_target=5.0, stop_loss=5.0, trailing_stop=None, time_limit_bars=None
)


@pytest.mark.parametrize(
    ("bar", "price", "reason"),
    [
        ((100, 106, 94, 100), 95.0, "stop_loss"),  # both touched: the stop counts
        ((100, 106, 99, 100), 105.0, "profit_target"),
        ((90, 92, 89, 91), 90.0, "stop_loss"),  # a gap fills at the open
        ((110, 111, 109, 110), 110.0, "profit_target"),
    ],
)
def test_barriers_are_checked_inside_the_bar(bar, price, reason):
    panel = hand_panel([FLAT_BAR] * 4 + [bar, FLAT_BAR])
    recording = play(panel, [LONG, LONG, FLAT], with_parts(FULL_SIZE, barriers=TARGET_AND_STOP))
    assert recording.fills.price[1] == price
    assert recording.fills.reason[1] == reason
    assert recording.trades.exit_reason.tolist()[0] == reason


def test_a_trailing_stop_follows_the_high_of_earlier_bars():
    # High 120 in bar 4 lifts the stop to 120 - 5 % of 100 = 115, touched in bar 5.
    trailing = BarrierConfig(
        unit="percent", profit_target=None, stop_loss=None, trailing_stop=5.0, time_limit_bars=None
    )
    panel = hand_panel([FLAT_BAR] * 4 + [(100, 120, 100, 118), (118, 119, 114, 116), FLAT_BAR])
    recording = play(panel, [LONG, LONG, LONG, FLAT], with_parts(FULL_SIZE, barriers=trailing))
    assert recording.fills.price[1] == 115.0
    assert recording.fills.reason[1] == "trailing_stop"


def test_flat_at_session_end_is_filled_at_the_open_of_the_last_bar():
    # Session 0 is bars 0 to 5: the order to be flat is decided at close 4 and filled at the open of bar 5.
    panel = hand_panel([FLAT_BAR] * 10, session=[0] * 6 + [1] * 4)
    config = with_parts(FULL_SIZE, risk={"flat_at_session_end": "last_open"})
    recording = play(panel, [LONG] * 7, config)
    np.testing.assert_allclose(recording.units[:, 0], [100, 100, 0, 100, 100, 100, 0])
    assert (recording.fills.filled_bar[1], recording.fills.reason[1]) == (5, "session_end")


def test_a_daily_loss_flattens_at_the_next_open_and_halts_until_the_next_session():
    panel = hand_panel(
        [FLAT_BAR] * 3 + [(100, 100, 90, 90)] + [(90, 90, 90, 90)] * 6, session=[0] * 6 + [1] * 4
    )
    config = with_parts(FULL_SIZE, risk={"max_daily_loss": 0.05})
    recording = play(panel, [LONG] * 7, config)
    np.testing.assert_allclose(recording.units[:, 0] > 0, [1, 0, 0, 1, 1, 1, 0])
    assert recording.fills.reason[1] == "daily_loss"


def test_margin_liquidation_happens_inside_the_bar_at_the_maintenance_level():
    # 200 units at 100 on 10,000: cash -10,000. Maintenance 50 %: 200 P - 10,000 = 100 P gives P = 100 at once, so
    # take 25 %: 200 P - 10,000 = 50 P gives P = 66.67.
    panel = hand_panel([FLAT_BAR] * 4 + [(100, 100, 60, 65)] + [FLAT_BAR] * 2)
    spot = free_instruments(panel)["X"]
    instrument = replace(spot, initial_margin_fraction=0.5, maintenance_margin_fraction=0.25)
    market = Market.build(panel, random_features(panel), {"X": instrument})
    config = with_parts(PLAIN, sizing={"fraction": 2.0}, risk={"max_gross_exposure": 2.0, "margin": True})
    env = PortfolioVectorEnv(market, config, num_envs=1, windows=[Window(start_bar=3, stop_bar=7)], seed=0)
    recorder = Recorder(env)
    env.reset()
    for action in (LONG, LONG, FLAT, FLAT):
        env.step(np.array([[action]]))
    fills = recorder.recordings()[0].fills
    assert fills.reason.tolist() == ["signal", "liquidation"]
    np.testing.assert_allclose(fills.price[1], 200 / 3)


def test_ruin_terminates_and_the_window_end_truncates():
    panel = hand_panel([FLAT_BAR] * 4 + [(100, 100, 5, 5), FLAT_BAR])
    market = Market.build(panel, random_features(panel), free_instruments(panel))
    env = PortfolioEnv(market, FULL_SIZE, windows=[Window(start_bar=3, stop_bar=6)], seed=0)
    env.reset(seed=0)
    assert env.step(np.array([LONG]))[2:4] == (False, False)
    assert env.step(np.array([LONG]))[2:4] == (True, False)
    env.reset(seed=0)
    ends = [env.step(np.array([FLAT]))[2:4] for _ in range(3)]
    assert ends == [(False, False), (False, False), (False, True)]


def test_delisting_closes_at_the_last_price():
    panel = hand_panel([FLAT_BAR] * 4 + [(100, 104, 100, 104)] + [FLAT_BAR] * 3, tradable=[1] * 5 + [0] * 3)
    gone = str(panel.bar_utc[6])
    instrument = replace(free_instruments(panel)["X"], delisted_utc=gone)
    market = Market.build(panel, random_features(panel), {"X": instrument})
    env = PortfolioVectorEnv(market, FULL_SIZE, num_envs=1, windows=[Window(start_bar=3, stop_bar=8)], seed=0)
    recorder = Recorder(env)
    env.reset()
    for _ in range(5):
        env.step(np.array([[LONG]]))
    fills = recorder.recordings()[0].fills
    assert fills.reason.tolist() == ["signal", "delisting"]
    assert fills.filled_bar.tolist() == [3, 6]


def test_the_cost_scale_multiplies_all_costs_and_travels_with_the_state():
    panel = hand_panel([FLAT_BAR] * 5)
    market = Market.build(panel, random_features(panel), free_instruments(panel))
    config = with_parts(FULL_SIZE, costs={"fee_bps": 10.0})
    env = PortfolioVectorEnv(market, config, num_envs=1, windows=[Window(start_bar=3, stop_bar=5)], seed=0)
    env.set_cost_scale(0.5)
    env.reset()
    env.step(np.array([[LONG]]))
    # 10,000 x 10 bps x 0.5 = 5.
    np.testing.assert_allclose(env.rows.flow[0, 1], 5.0)
    other = PortfolioVectorEnv(market, config, num_envs=1, windows=[Window(start_bar=3, stop_bar=5)], seed=0)
    other.set_state(env.get_state())
    assert other.cost_scale == 0.5


def test_warm_up_bars_are_observed_but_not_traded():
    panel = random_panel(1, holes=0.0, exogenous=False)
    market = build_market(panel)
    config = with_parts(PLAIN, episode={"warmup_bars": 5})
    windows = [Window(start_bar=20, stop_bar=30)]
    env = PortfolioVectorEnv(market, config, num_envs=1, windows=windows, seed=0)
    recorder = Recorder(env)
    env.reset()
    assert env.current_bar.tolist() == [14]
    for _ in range(5):
        env.step(np.array([[LONG, LONG]]))
        assert not env.rows.position[0, :, 0].any()
    for _ in range(10):
        env.step(np.array([[LONG, LONG]]))
    recording = recorder.recordings()[0]
    assert recording.bar.tolist() == list(range(20, 30))
    assert recording.complete


def test_the_single_env_passes_gymnasiums_checker():
    market = build_market(random_panel(2))
    for scheme in ("direction", "orders", "direction_size", "weights"):
        config = with_parts(PLAIN, action={"scheme": scheme}, episode={"kind": "random", "bars": 20})
        env = PortfolioEnv(market, config, windows=[Window(start_bar=10, stop_bar=80)], seed=0)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_env(env, skip_render_check=True)


RANDOM = with_parts(
    PLAIN,
    costs={"fee_bps": 5.0},
    episode={
        "kind": "random", "bars": 12, "num_assets": 2,
        "randomisation": RandomisationConfig(
            tickers=True, cost_low=0.5, cost_high=2.0, max_extra_latency_bars=2
        ),
    },
)  # fmt: skip


def rollout(num_envs, threads=1, first_stream=0, steps=40):
    market = build_market(random_panel(4, num_assets=4))
    windows = [Window(start_bar=10, stop_bar=40), Window(start_bar=45, stop_bar=80)]
    env = PortfolioVectorEnv(
        market, RANDOM, num_envs=num_envs, windows=windows, seed=9, num_threads=threads,
        first_stream=first_stream,
    )  # fmt: skip
    observation, _ = env.reset()
    seen = [observation.copy()]
    for step in range(steps):
        stream = first_stream + np.arange(num_envs)
        actions = (step // 3 + stream[:, None] + np.arange(2)) % 3
        observation, reward, *_ = env.step(actions)
        seen.append(np.concatenate([observation, reward[:, None].astype(np.float32)], axis=1))
    return seen


def test_trajectories_are_the_same_bits_for_any_number_of_envs_order_and_threads():
    reference = rollout(256)
    for num_envs, threads, first in ((1, 1, 0), (7, 1, 0), (256, 2, 0), (7, 2, 100)):
        for one, two in zip(rollout(num_envs, threads, first), reference, strict=True):
            np.testing.assert_array_equal(one, two[first : first + num_envs])


def test_tickers_windows_costs_and_latency_are_drawn_per_episode():
    market = build_market(random_panel(4, num_assets=4))
    windows = [Window(start_bar=10, stop_bar=40), Window(start_bar=45, stop_bar=80)]
    env = PortfolioVectorEnv(market, RANDOM, num_envs=200, windows=windows, seed=9)
    env.reset()
    symbols = env.rows.slot[:, :, 1]
    assert (symbols[:, 0] < symbols[:, 1]).all()
    assert len(np.unique(symbols, axis=0)) == 6  # 4 choose 2
    factor = env.rows.account[:, 4]
    assert 0.5 <= factor.min() < 0.7
    assert 1.8 < factor.max() <= 2.0
    starts = env.rows.counter[:, 1]
    assert set(np.unique(starts)) <= set(range(10, 29)) | set(range(45, 69))
    assert len(np.unique(env.rows.counter[:, 8])) == 3


def test_same_step_autoreset_gives_final_observations_and_next_step_resets_one_step_later():
    market = build_market(random_panel(4))
    config = with_parts(PLAIN, episode={"kind": "random", "bars": 5})
    windows = [Window(start_bar=10, stop_bar=80)]
    flat = np.ones((3, 2), dtype=int)
    env = PortfolioVectorEnv(market, config, num_envs=3, windows=windows, seed=0)
    env.reset()
    for _ in range(4):
        assert env.step(flat)[4] == {}
    start = env.rows.counter[:, 0].copy()
    observation, _, _, truncated, infos = env.step(flat)
    assert truncated.all()
    assert infos["_final_obs"].all()
    expected = market.features[start + 1].reshape(3, -1)
    np.testing.assert_array_equal(infos["final_obs"][:, : expected.shape[1]], expected)
    np.testing.assert_array_equal(
        observation[:, : expected.shape[1]], market.features[env.current_bar].reshape(3, -1)
    )
    later = PortfolioVectorEnv(
        market, config, num_envs=3, windows=windows, seed=0, autoreset_mode=AutoresetMode.NEXT_STEP
    )
    later.reset()
    for _ in range(5):
        _, _, _, truncated, _ = later.step(flat)
    assert truncated.all()
    _, reward, _, truncated, _ = later.step(flat)
    assert not truncated.any()
    assert not reward.any()
    np.testing.assert_array_equal(later.current_bar, env.current_bar)


def test_out_receives_the_observations_also_when_it_is_not_contiguous():
    market = build_market(random_panel(4))
    windows = [Window(start_bar=10, stop_bar=80)]
    env = PortfolioVectorEnv(market, PLAIN, num_envs=3, windows=windows, seed=0)
    env.reset()
    fragment = np.zeros((3, 4, env.layout.size), dtype=np.float32)
    result = env.step(np.full((3, 2), LONG), out=fragment[:, 1])[0]
    np.testing.assert_array_equal(fragment[:, 1], result)
    assert fragment[:, 1].any()
    time_major = np.zeros((4, 3, env.layout.size), dtype=np.float32)
    env.step(np.full((3, 2), LONG), out=time_major[2])
    assert time_major[2].any()


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        ([], "no window"),
        ([(20, 200)], "ends at bar 200 but the market has 80"),
        ([(2, 40)], "start at bar 8 or later"),
        ([(20, 25)], "fewer than episode.bars"),
    ],
)
def test_bad_windows_are_refused_with_a_reason(windows, message):
    market = build_market(random_panel(4))
    config = with_parts(PLAIN, episode={"kind": "random", "bars": 10})
    windows = [Window(start_bar=a, stop_bar=b) for a, b in windows]
    with pytest.raises(ValueError, match=message):
        PortfolioVectorEnv(market, config, num_envs=1, windows=windows, seed=0)


def test_zero_envs_and_missing_context_are_refused():
    panel = random_panel(4)
    windows = [Window(start_bar=10, stop_bar=80)]
    with pytest.raises(ValueError, match="num_envs is 0"):
        PortfolioVectorEnv(build_market(panel), PLAIN, num_envs=0, windows=windows, seed=0)
    market = Market.build(panel, random_features(panel), free_instruments(panel))
    with pytest.raises(ValueError, match=r"sizing.rule=atr_risk need ATR"):
        PortfolioVectorEnv(
            market, with_parts(PLAIN, sizing={"rule": "atr_risk"}), num_envs=1, windows=windows, seed=0
        )


def test_session_episodes_run_from_a_sessions_first_bar_to_its_last():
    market = build_market(random_panel(4))
    config = with_parts(PLAIN, episode={"kind": "session"})
    env = PortfolioVectorEnv(market, config, num_envs=50, windows=[Window(start_bar=12, stop_bar=80)], seed=0)
    env.reset()
    assert set(env.rows.counter[:, 1].tolist()) == {12, 24, 36, 48, 60, 72}
    assert set((env.rows.counter[:, 2] - env.rows.counter[:, 1]).tolist()) == {12, 8}
