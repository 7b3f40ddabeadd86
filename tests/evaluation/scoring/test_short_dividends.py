"""Dividends that shorts may owe: by hand at an assumed yield, and shorts that are held on few nights."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hand_account import empty_features
from plain_env import plain_env

from data.schema import Panel
from envs.instruments import US_STOCK
from envs.kernel import columns as c
from envs.market import Market
from evaluation.scoring.short_dividends import short_dividends, with_assumed_dividends

NUM_BARS = 126
"""Two quarters of 63 days."""
YIELDS = {"X": 0.02}


def panel_of(falls: dict[int, float]) -> Panel:
    """Days at 100 that open lower by these falls and stay there; quarters begin at bars 0 and 63."""
    level = np.full((NUM_BARS, 2), 100.0)
    for at, fall in falls.items():
        level[at:, 0] -= fall
    half = NUM_BARS // 2
    days = np.concatenate(
        [np.datetime64("2024-01-01") + np.arange(half), np.datetime64("2024-04-01") + np.arange(half)]
    )
    labels = days.astype("datetime64[ns]")
    return Panel(
        symbols=("X", "Y"),
        bar_utc=labels,
        open=level,
        high=level,
        low=level,
        close=level,
        volume=np.full(level.shape, 1e6),
        tradable=np.ones(level.shape, dtype=bool),
        session=labels.astype("datetime64[D]").astype(np.int32),
        calendar="24/7",
        bar_seconds=86_400,
    )


def recording(units: np.ndarray, gain: float, multiplier: float = 1.0) -> SimpleNamespace:
    """Bars 0 to the end, of X alone."""
    return SimpleNamespace(
        symbols=np.array([0]),
        multiplier=np.array([multiplier]),
        bar=np.arange(len(units)),
        units=units[:, None],
        equity=np.array([1_000.0, 1_000.0 + gain]),
    )


def test_a_short_that_is_always_held_owes_the_yield_of_its_time():
    # 10 units at 100 over two quarters: twice a quarter of 2 % of 1,000, times the multiplier.
    found = short_dividends([recording(np.full(NUM_BARS, -10.0), 100.0, 5.0)], panel_of({}), YIELDS)
    assert found.owed == pytest.approx(2 * 0.02 / 4 * 1_000.0 * 5.0)
    assert (found.symbols, found.gain, found.rare_gain) == (("X",), 100.0, 0.0)
    assert not found.lives_on_rare_shorts


def test_a_short_of_one_night_a_quarter_owes_as_much_and_what_it_gains_there_may_be_dividends():
    units = np.zeros(NUM_BARS)
    units[[29, 99]] = -10.0  # held into bars 30 and 100, which open 2 lower
    found = short_dividends([recording(units, 38.0)], panel_of({30: 2.0, 100: 2.0}), YIELDS)
    assert found.owed == pytest.approx(5.0 + 4.9)  # half a per cent of 1,000, then of 980
    assert found.rare_gain == pytest.approx(40.0)
    assert found.lives_on_rare_shorts


def test_small_shorts_on_all_other_nights_hide_nothing():
    units = np.full(NUM_BARS, -0.5)
    units[[29, 99]] = -10.0
    found = short_dividends([recording(units, 38.0)], panel_of({30: 2.0, 100: 2.0}), YIELDS)
    assert found.rare_gain > 38.0
    assert found.lives_on_rare_shorts


def test_a_short_of_every_third_night_is_no_rare_one_whatever_it_gains():
    units = np.where(np.arange(NUM_BARS) % 3 == 2, -10.0, 0.0)
    found = short_dividends([recording(units, 38.0)], panel_of({30: 2.0, 99: 2.0}), YIELDS)
    assert found.rare_gain == 0.0


def test_longs_other_symbols_and_shorts_that_are_closed_before_the_night_owe_nothing():
    panel = panel_of({30: 2.0})
    assert short_dividends([recording(np.full(NUM_BARS, 10.0), 1.0)], panel, YIELDS) is None
    assert short_dividends([recording(np.full(NUM_BARS, -10.0), 1.0)], panel, {"Y": 0.02}) is None
    one_session = replace(panel, session=np.zeros(NUM_BARS, dtype=np.int32))
    assert short_dividends([recording(np.full(NUM_BARS, -10.0), 1.0)], one_session, YIELDS) is None


@pytest.mark.parametrize(("borrow", "usual"), [(True, 0.003), (False, 0.0)])
def test_the_assumed_yield_is_owed_beside_what_is_borrowed_for_and_no_multiple_of_costs_multiplies_it(
    borrow, usual
):
    panel, env = panel_of({}), plain_env()
    market = Market.build(panel, empty_features(panel), dict.fromkeys(panel.symbols, US_STOCK))
    env = replace(env, costs=replace(env.costs, borrow=borrow))
    dearer, config = with_assumed_dividends(market, env, YIELDS, cost_factor=2.0)
    assert config.costs.borrow
    np.testing.assert_allclose(2.0 * dearer.instrument[:, c.BORROW_RATE], [2.0 * usual + 0.02, 2.0 * usual])
    np.testing.assert_array_equal(market.instrument[:, c.BORROW_RATE], 0.003)
