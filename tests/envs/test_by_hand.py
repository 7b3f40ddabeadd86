"""What an order, a limit and a barrier do to one position, with numbers that can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from random_markets import PLAIN, free_instruments, random_features, with_parts

from data.schema import Panel
from envs.barriers import BarrierConfig
from envs.episodes import Window
from envs.kernel import columns as c
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
        open=prices[:, :1],
        high=prices[:, 1:2],
        low=prices[:, 2:3],
        close=prices[:, 3:],
        volume=np.broadcast_to(np.asarray(volume, dtype=np.float64).reshape(-1, 1), shape).copy(),
        tradable=np.ones(shape, bool) if tradable is None else np.array(tradable, bool).reshape(shape),
        session=np.zeros(length, np.int32) if session is None else np.array(session, np.int32),
        calendar="24/7",
        bar_seconds=1800,
        exogenous={},
    )


def play(panel, actions, config=PLAIN, start=3, instruments=None):
    """Run a whole window from bar `start` on, return its recording. Equity starts at 10,000."""
    market = Market.build(panel, random_features(panel), instruments or free_instruments(panel))
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
    np.testing.assert_allclose(recording.costs.sum(axis=0), [10.0, 4.0, 0, 0, 0, 0, 0])
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


def test_each_row_can_have_a_cost_scale_of_its_own_which_outlives_its_episodes():
    panel = hand_panel([FLAT_BAR] * 5)
    market = Market.build(panel, random_features(panel), free_instruments(panel))
    config = with_parts(FULL_SIZE, costs={"fee_bps": 10.0})
    env = PortfolioVectorEnv(market, config, num_envs=3, windows=[Window(start_bar=3, stop_bar=5)], seed=0)
    env.set_cost_scale([0.0, 1.0, 2.0])
    for _ in range(2):
        env.reset()
        env.step(np.full((3, 1), LONG))
        # 10,000 x 10 bps = 10.
        np.testing.assert_allclose(env.rows.flow[:, c.COMMISSION], [0.0, 10.0, 20.0])
    with pytest.raises(ValueError, match="rows have 3 cost scales"):
        _ = env.cost_scale
    for wrong in (-0.5, np.nan, [1.0, 2.0]):
        with pytest.raises(ValueError, match="cost scale is"):
            env.set_cost_scale(wrong)
