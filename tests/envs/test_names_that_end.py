"""Symbols whose bars end inside the data: closed at the last bar, seen by nobody before, the same in every slice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from random_markets import (
    PLAIN,
    build_market,
    free_instruments,
    random_features,
    random_panel,
    with_life,
    with_parts,
)
from test_by_hand import FLAT_BAR, FULL_SIZE, hand_panel

from data.schema import NEVER_ENDS
from envs.checks import leak_check
from envs.checks.poison import poison_after
from envs.episodes import Window
from envs.market import Market
from envs.portfolio import PortfolioVectorEnv
from envs.recording import Recorder

LONG = 2
GONE = (float("nan"),) * 4


def env_of(panel, config, *, start=3, stop=None, instruments=None, num_envs=1):
    market = Market.build(panel, random_features(panel), instruments or free_instruments(panel))
    windows = [Window(start_bar=start, stop_bar=stop or panel.num_bars)]
    return PortfolioVectorEnv(market, config, num_envs=num_envs, windows=windows, seed=0)


def play(env, actions):
    """Recording of one window and the observation at each close."""
    recorder, seen = Recorder(env), [env.reset()[0]]
    for action in actions:
        observation, *_, infos = env.step(np.broadcast_to(action, (1, env.num_assets)))
        seen.append(infos.get("final_obs", observation))
    return recorder.recordings()[0], np.concatenate(seen)


def ending_panel(bars=9, last=(100.0, 104.0, 100.0, 104.0)):
    """Flat bars, bar 4 closes at 104 and is the last one."""
    prices = [FLAT_BAR] * 4 + [last] + [GONE] * (bars - 5)
    known = np.arange(bars) < 5
    return hand_panel(prices, volume=np.where(known, 1e6, 0.0), tradable=known)


def shown(env, seen, name):
    """(N,) a column of the observations."""
    return seen[:, env.layout.names.index(name)]


def test_a_position_is_closed_at_the_last_bars_close_and_not_at_the_windows_end():
    # Bought at 100 in bar 3, the last close is 104: 100 units x 4 = 400.
    recording, _ = play(env_of(ending_panel(), FULL_SIZE), [LONG] * 6)
    assert recording.fills.reason.tolist() == ["signal", "delisting"]
    assert recording.fills.filled_bar.tolist() == [3, 4]
    trades = recording.trades
    assert (trades.exit_bar.tolist(), trades.exit_price.tolist()) == ([4], [104.0])
    assert trades.exit_reason.tolist() == ["delisting"]
    np.testing.assert_allclose(trades.pnl, [400.0])
    np.testing.assert_allclose(recording.equity, [10_000, 10_000, *[10_400] * 5])
    np.testing.assert_array_equal(recording.units[1:], 0.0)


def test_the_last_close_is_paid_with_costs():
    # 100 units x 104 x 7 bps = 7.28 at the exit, 100 x 100 x 7 bps = 7.00 at the entry.
    config = with_parts(FULL_SIZE, costs={"fee_bps": 5.0, "half_spread_bps": 2.0})
    recording, _ = play(env_of(ending_panel(), config), [LONG] * 6)
    np.testing.assert_allclose(recording.costs.sum(axis=1)[:3], [7.0, 7.28, 0.0])
    np.testing.assert_allclose(recording.equity[-1], 10_400 - 14.28)


@pytest.mark.parametrize(
    ("action", "recovery", "pnl"), [(2, 0.25, -7400.0), (2, 0.0, -10_000.0), (0, 0.25, 7400.0)]
)
def test_a_stated_recovery_is_the_share_of_the_last_close_that_is_paid(action, recovery, pnl):
    # 100 units entered at 100; 0.25 x 104 = 26 is paid back: -74 a unit, for a short +74.
    config = with_parts(FULL_SIZE, costs={"delisting_recovery": recovery}, risk={"ruin_equity": 0.0})
    recording, _ = play(env_of(ending_panel(), config), [action] * 6)
    np.testing.assert_allclose(recording.trades.pnl, [pnl])
    np.testing.assert_allclose(recording.trades.exit_price, [104.0 * recovery])


def test_what_is_recovered_of_a_stated_delisting_is_the_same_share():
    panel = hand_panel([FLAT_BAR] * 8)
    instrument = replace(free_instruments(panel)["X"], delisted_utc=str(panel.bar_utc[5]))
    config = with_parts(FULL_SIZE, costs={"delisting_recovery": 0.5})
    recording, _ = play(env_of(panel, config, instruments={"X": instrument}), [LONG] * 5)
    assert (recording.fills.filled_bar[1], recording.fills.price[1]) == (5, 50.0)


def test_a_stated_delisting_after_the_last_bar_does_not_keep_the_position_until_then():
    panel = ending_panel()
    instrument = replace(free_instruments(panel)["X"], delisted_utc=str(panel.bar_utc[7]))
    recording, _ = play(env_of(panel, FULL_SIZE, instruments={"X": instrument}), [LONG] * 6)
    assert recording.fills.filled_bar.tolist() == [3, 4]


def test_afterwards_the_symbol_is_observed_as_not_tradable_and_no_order_waits_for_it():
    env = env_of(ending_panel(), FULL_SIZE)
    recording, seen = play(env, [LONG] * 6)
    np.testing.assert_array_equal(shown(env, seen, "tradable@0"), [1, 1, 1, 0, 0, 0, 0])  # closes 2, 3, ...
    np.testing.assert_array_equal(shown(env, seen, "direction@0"), [0, 1, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(shown(env, seen, "working_order@0"), 0.0)
    assert len(recording.fills) == 2


def test_orders_that_were_on_their_way_are_cancelled():
    # Decided at closes 2 and 3 with a latency of two bars: the first would fill in bar 5, which is none any more.
    config = with_parts(FULL_SIZE, costs={"latency_bars": 2})
    recording, _ = play(env_of(ending_panel(), config), [LONG] * 6)
    assert len(recording.fills) == 0
    np.testing.assert_array_equal(recording.equity, 10_000.0)


def test_a_halt_that_ends_before_the_data_do_is_no_end():
    bars = [FLAT_BAR] * 5 + [GONE] * 3 + [(90.0,) * 4] * 2
    known = np.array([1] * 5 + [0] * 3 + [1] * 2, bool)
    panel = hand_panel(bars, volume=np.where(known, 1e6, 0.0), tradable=known)
    assert panel.end_bar.tolist() == [NEVER_ENDS]
    recording, _ = play(env_of(panel, FULL_SIZE, stop=7), [LONG] * 4)
    # The window stops inside the halt: closed there, at the last known close.
    assert recording.fills.reason.tolist() == ["signal", "window_end"]
    assert recording.fills.filled_bar.tolist() == [3, 6]
    # A panel cut inside the halt is the same market: it knows that later bars exist.
    cut, _ = play(env_of(panel.slice_bars(0, 7), FULL_SIZE), [LONG] * 4)
    assert cut.fills.reason.tolist() == ["signal", "window_end"]
    assert cut.fills.filled_bar.tolist() == [3, 6]


@pytest.mark.parametrize("stop", [10, 20, 29, 30, 31, 40, 60])
def test_a_window_of_a_slice_is_the_window_of_the_whole_to_the_bit(stop):
    # S0 ends after bar 29; S1 is halted in bars 35 to 45 and comes back.
    whole = with_life(random_panel(11, num_bars=70, num_assets=2), 0, ended=30)
    names = ("open", "high", "low", "close", "volume", "tradable")
    changed = {name: getattr(whole, name).copy() for name in names}
    for name, values in changed.items():
        values[35:46, 1] = {"volume": 0.0, "tradable": False}.get(name, np.nan)
    whole = replace(whole, **changed)
    first = 2
    part = whole.slice_bars(first, stop)
    features = random_features(whole)
    inside = replace(features, asset=features.asset[first:stop], clock=features.clock[first:stop])
    actions = np.random.default_rng(0).integers(0, 3, (stop, 2))
    results = []
    for panel, made, shift in ((whole, features, 0), (part, inside, first)):
        market = Market.build(panel, made, free_instruments(panel))
        window = Window(start_bar=6 - shift, stop_bar=stop - shift)
        config = with_parts(PLAIN, costs={"fee_bps": 3.0, "latency_bars": 1})
        env = PortfolioVectorEnv(market, config, num_envs=1, windows=[window], seed=0)
        results.append(play(env, actions[: stop - 6]))
    (one, seen), (two, seen_two) = results
    np.testing.assert_array_equal(one.equity, two.equity)
    np.testing.assert_array_equal(one.fills.reason, two.fills.reason)
    np.testing.assert_array_equal(one.fills.filled_bar, two.fills.filled_bar + first)
    # A slice that is cut inside a session does not know how long that would have gone on.
    keep = np.arange(seen.shape[1]) != env.layout.names.index("session_left")
    np.testing.assert_array_equal(seen[:, keep], seen_two[:, keep])


def test_ends_are_counted_in_the_bars_of_a_slice_and_belong_to_their_symbols():
    panel = with_life(random_panel(1, num_bars=50, num_assets=3, holes=0.0), 1, ended=30)
    assert panel.end_bar.tolist() == [NEVER_ENDS, 30, NEVER_ENDS]
    assert panel.slice_bars(10, 40).end_bar.tolist() == [NEVER_ENDS, 20, NEVER_ENDS]
    assert panel.slice_bars(10, 20).end_bar.tolist() == [NEVER_ENDS, 20, NEVER_ENDS]
    assert panel.slice_bars(35, 50).end_bar.tolist() == [NEVER_ENDS, -5, NEVER_ENDS]
    assert panel.select(["S2", "S1"]).end_bar.tolist() == [NEVER_ENDS, 30]
    assert panel.slice_bars(0, 40).slice_bars(5, 35).end_bar.tolist() == [NEVER_ENDS, 25, NEVER_ENDS]


def test_nothing_shows_the_end_before_it_comes():
    # The same bars up to the last one, once with bars after it and once without, and the same actions.
    goes_on = random_panel(4, num_bars=40, num_assets=2, holes=0.0)
    ends = with_life(goes_on, 1, ended=25)
    actions = np.repeat(np.random.default_rng(2).integers(0, 3, (12, 2)), 3, axis=0)
    results = [play(env_of(panel, PLAIN, start=5), actions[:20]) for panel in (goes_on, ends)]
    (one, seen), (two, other) = results
    before = 25 - 5  # observations at closes 4 .. 23
    np.testing.assert_array_equal(seen[:before], other[:before])
    np.testing.assert_array_equal(one.equity[:before], two.equity[:before])
    assert two.trades.exit_reason.tolist().count("delisting") == 1


def test_whoever_knows_the_end_gains_nothing_from_it_at_the_last_close():
    # Sold by hand in the last bar or closed by the end: the same price but for the open, and no money from nowhere.
    flat_end = ending_panel(last=FLAT_BAR)
    config = with_parts(FULL_SIZE, costs={"fee_bps": 5.0})
    peeking, _ = play(env_of(flat_end, config), [LONG, 1, 1, 1, 1, 1])
    waiting, _ = play(env_of(flat_end, config), [LONG] * 6)
    np.testing.assert_allclose(peeking.equity[-1], waiting.equity[-1])
    np.testing.assert_allclose(waiting.equity[-1], 10_000 - 10)


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2))])
def test_the_leak_check_is_clean_on_symbols_that_end_start_late_and_halt(seed):
    panel = with_life(random_panel(seed, num_bars=120, num_assets=3), 0, ended=70)
    panel = with_life(panel, 2, listed=40, ended=100, halts=True)
    config = with_parts(PLAIN, sizing={"rule": "atr_risk"}, episode={"liquidate_at_end": False})

    def build(bars):
        market = build_market(bars)
        return PortfolioVectorEnv(
            market, config, num_envs=3, windows=[Window(start_bar=10, stop_bar=bars.num_bars)], seed=0
        )

    report = leak_check(build, panel, num_cuts=60, num_steps=105)
    assert report.clean


def test_poisoned_panels_end_where_the_honest_one_does():
    panel = with_life(random_panel(2, num_bars=60, num_assets=2, holes=0.2), 1, ended=40)
    for cut in range(5, 58):
        poisoned = poison_after(panel, cut, seed=1)
        np.testing.assert_array_equal(poisoned.end_bar, panel.end_bar)
        assert np.isfinite(poisoned.close[39, 1])
        assert not np.isfinite(poisoned.close[40:, 1]).any()
