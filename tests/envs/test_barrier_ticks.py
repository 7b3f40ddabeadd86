"""Barrier fills lie on the tick grid, on the side that hurts: by hand, and on random markets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_markets import (
    CONTEXT,
    PLAIN,
    build_market,
    free_instruments,
    random_features,
    random_panel,
    with_parts,
)
from test_by_hand import FLAT_BAR, FULL_SIZE, hand_panel

from envs.barriers import BarrierConfig
from envs.episodes import Window
from envs.kernel import columns as c
from envs.market import Market
from envs.portfolio import PortfolioVectorEnv
from envs.recording import Recorder
from envs.rules import check_ticks

SHORT, LONG = 0, 2


def barriers(**levels):
    off = {"profit_target": None, "stop_loss": None, "trailing_stop": None, "time_limit_bars": None}
    return BarrierConfig(unit="percent", **{**off, **levels})


def exit_of(bars, action, levels, tick, exogenous=None):
    """(price, reason, bar) of the exit of a position entered at the open of bar 3, or None."""
    panel = replace(hand_panel(bars), exogenous=exogenous or {})
    instrument = replace(free_instruments(panel)["X"], tick_size=tick)
    context = CONTEXT if exogenous else None
    market = Market.build(panel, random_features(panel), {"X": instrument}, context)
    config = with_parts(FULL_SIZE, barriers=levels, episode={"liquidate_at_end": False})
    start = 8 if exogenous else 3
    env = PortfolioVectorEnv(
        market, config, num_envs=1, windows=[Window(start_bar=start, stop_bar=len(bars))], seed=0
    )
    recorder = Recorder(env)
    env.reset()
    for _ in range(len(bars) - start):
        env.step(np.array([[action]]))
    fills = recorder.recordings()[0].fills
    if len(fills) < 2:
        return None
    return fills.price[1], fills.reason[1], int(fills.filled_bar[1])


@pytest.mark.parametrize(
    ("action", "levels", "bar", "price"),
    [
        # A long's stop at 98.63 rests at 98.50; a short's at 101.37 rests at 101.50.
        (LONG, {"stop_loss": 1.37}, (100, 100, 98.5, 99), 98.5),
        (LONG, {"stop_loss": 1.37}, (100, 100, 98.75, 99), None),
        (SHORT, {"stop_loss": 1.37}, (100, 101.5, 100, 101), 101.5),
        (SHORT, {"stop_loss": 1.37}, (100, 101.25, 100, 101), None),
        # A long's target at 101.37 must see 101.50 and pays 101.25; a short's at 98.63 must see 98.50 and pays 98.75.
        (LONG, {"profit_target": 1.37}, (100, 101.5, 100, 101), 101.25),
        (LONG, {"profit_target": 1.37}, (100, 101.25, 100, 101), None),
        (SHORT, {"profit_target": 1.37}, (100, 100, 98.5, 99), 98.75),
        (SHORT, {"profit_target": 1.37}, (100, 100, 98.75, 99), None),
        # The trailing stop follows the high of 100 of bar 3: 98.63 again.
        (LONG, {"trailing_stop": 1.37}, (100, 100, 98.5, 99), 98.5),
        # Levels on the grid stay there.
        (LONG, {"stop_loss": 1.25}, (100, 100, 98.75, 99), 98.75),
        (LONG, {"profit_target": 1.25}, (100, 101.25, 100, 101), 101.25),
        (SHORT, {"profit_target": 1.25}, (100, 100, 98.75, 99), 98.75),
        # What the open has passed fills at the open.
        (LONG, {"stop_loss": 1.37}, (98.25, 99, 98, 99), 98.25),
        (LONG, {"profit_target": 1.37}, (102.5, 103, 102, 103), 102.5),
        # Both touched: the stop.
        (LONG, {"stop_loss": 1.37, "profit_target": 1.37}, (100, 102, 98, 99), 98.5),
        # The stop's level is touched, its tick is not, and the target is reached.
        (LONG, {"stop_loss": 1.37, "profit_target": 1.37}, (100, 101.5, 98.6, 99), 101.25),
    ],
)
def test_a_level_between_two_ticks_is_moved_against_the_trader(action, levels, bar, price):
    got = exit_of([FLAT_BAR] * 4 + [bar, FLAT_BAR], action, barriers(**levels), 0.25)
    if price is None:
        assert got is None
    else:
        assert got[0] == price
        assert got[2] == 4


def test_a_position_whose_target_was_only_nearly_reached_keeps_its_trailing_stop_moving():
    # High 101.4 in bar 4 does not reach 101.50, so the stop trails to 101.4 - 1 = 100.4, on ticks 100.25.
    levels = barriers(profit_target=1.37, trailing_stop=1.0)
    bars = [FLAT_BAR] * 4 + [(100, 101.4, 100, 101), (101, 101, 100.25, 101)]
    assert exit_of(bars, LONG, levels, 0.25) == (100.25, "trailing_stop", 5)


def test_split_adjusted_prices_have_split_adjusted_ticks():
    # Raw prices are four times the adjusted ones, so that a raw tick of 0.25 is 0.0625 here: the stop at 98.63 rests
    # at 98.625 (394.50 raw).
    factor = {"split_factor": np.full((10, 1), 4.0)}
    bars = [FLAT_BAR] * 9 + [(100, 100, 98, 99)]
    assert exit_of(bars, LONG, barriers(stop_loss=1.37), 0.25, factor) == (98.625, "stop_loss", 9)


def test_a_tick_that_is_coarse_against_the_price_is_refused_where_barriers_read_it():
    panel = replace(random_panel(0), exogenous={})
    coarse = {s: replace(i, tick_size=5.0) for s, i in free_instruments(panel).items()}
    check_ticks(panel, PLAIN, coarse)
    with pytest.raises(ValueError, match=r"tick size of S0 is 5, .* set instruments\.symbols\.S0\.tick_size"):
        check_ticks(panel, with_parts(PLAIN, barriers=barriers(stop_loss=1.0)), coarse)
    check_ticks(panel, with_parts(PLAIN, barriers=barriers(stop_loss=1.0)), free_instruments(panel))


@given(
    seed=st.integers(0, 10**6),
    unit=st.sampled_from(["percent", "ticks", "atr"]),
    tick=st.sampled_from([0.01, 0.25, 0.3]),
    distances=st.tuples(*[st.floats(0.2, 2.0)] * 3),
    latency=st.sampled_from([0, 2]),
)
@settings(max_examples=40, deadline=None, database=None)
def test_every_exit_at_a_level_lies_on_the_grid_inside_its_bar_and_is_no_better_than_the_level(
    seed, unit, tick, distances, latency
):
    panel = replace(random_panel(seed), exogenous={})
    instruments = {s: replace(i, tick_size=tick) for s, i in free_instruments(panel).items()}
    scale = {"percent": 1.0, "ticks": 1.0 / tick, "atr": 1.0}[unit]
    levels = BarrierConfig(
        unit=unit,
        profit_target=distances[0] * scale,
        stop_loss=distances[1] * scale,
        trailing_stop=distances[2] * scale,
        time_limit_bars=None,
    )
    config = with_parts(PLAIN, barriers=levels, costs={"latency_bars": latency})
    market = build_market(panel, instruments)
    env = PortfolioVectorEnv(
        market, config, num_envs=1, windows=[Window(start_bar=14, stop_bar=panel.num_bars)], seed=0
    )
    recorder, random = Recorder(env), np.random.default_rng(seed)
    env.reset()
    for _ in range(panel.num_bars - 14):
        env.step(random.integers(0, 3, (1, 2)))
    fills = recorder.recordings()[0].fills
    exits = (fills.place == c.INSIDE).nonzero()[0]
    bar, asset, price = fills.filled_bar[exits], fills.asset[exits], fills.price[exits]
    assert (price >= market.low[bar, asset]).all()
    assert (price <= market.high[bar, asset]).all()
    levelled = price != market.open[bar, asset]
    steps = price[levelled] / tick
    np.testing.assert_allclose(steps, np.round(steps), atol=2e-6)
