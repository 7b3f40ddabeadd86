"""Orders at the opens of bars that were taken out with hindsight are found, valued, and named where they matter."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from made_bars import market

from data.schema import Panel
from data.taken_out import TakenOut
from rayjobs.study.unfilled_orders import (
    Unfilled,
    lowered_by_unfilled,
    repaired_bars,
    told_of_repairs,
    untradable_bars,
)


def panel_without(bars, num_bars=60) -> Panel:
    """Closes of 100 throughout; these bars are missing."""
    whole = market(np.zeros((num_bars, 1)))
    arrays = {
        name: getattr(whole, name).copy() for name in ("open", "high", "low", "close", "volume", "tradable")
    }
    for name, values in arrays.items():
        values[bars] = {"volume": 0.0, "tradable": False}.get(name, np.nan)
    return Panel(
        symbols=whole.symbols, bar_utc=whole.bar_utc, session=whole.session, calendar=whole.calendar,
        bar_seconds=whole.bar_seconds, **arrays,
    )  # fmt: skip


def taken(panel, bars, opened, close, by_repair=True):
    count = len(bars)
    return TakenOut(
        symbol="S0",
        bar_utc=panel.bar_utc[bars],
        open=np.full(count, opened),
        close=np.full(count, close),
        by_repair=np.full(count, by_repair),
    )


def study_of(panel, *taken_out, latency=0):
    costs = SimpleNamespace(latency_bars=latency)
    return SimpleNamespace(
        panel=panel, taken_out=taken_out, config=SimpleNamespace(env=SimpleNamespace(costs=costs))
    )


def result_of(target, units, gain=1_000.0, first=10, fills=20):
    """A record whose first bar is `first`; targets in force and units held, bar by bar."""
    bars = first + np.arange(len(target))
    recording = SimpleNamespace(
        bar=bars,
        target_units=np.array(target, dtype=float)[:, None],
        units=np.array(units, dtype=float)[:, None],
        symbols=np.array([0]),
        multiplier=np.array([2.0]),
        equity=np.array([100_000.0, 100_000.0 + gain]),
        fills=SimpleNamespace(place=np.zeros(fills, dtype=int)),
    )
    return SimpleNamespace(folds=[SimpleNamespace(recording=recording)])


def test_an_entry_that_a_crash_bar_would_have_filled_is_valued_from_its_open_to_its_close():
    # Bar 12 opened at 100 and closed at 90; an order for 5 units at two currency units a point waited for its open,
    # filled at that of bar 13: 5 x 100 x 2 x 10 % were spared.
    panel = panel_without([12])
    found = repaired_bars(
        study_of(panel, taken(panel, [12], 100.0, 90.0)), result_of([0, 0, 5, 5, 5], [0, 0, 0, 5, 5])
    )
    assert found.spared.tolist() == pytest.approx([100.0])
    assert (found.bars, found.scored, found.orders, found.spared_share) == (1, 5, 21, pytest.approx(0.1))


def test_below_zero_a_fall_is_a_loss_of_the_long_as_above():
    # From -20 to -30, half of what a unit is worth: an order for 5 units at 2 a point, valued at the last close of 100.
    panel = panel_without([12, 13])
    below = taken(panel, [12, 13], -20.0, -30.0)
    below.open[1] = 0.0  # an open of nothing has no size to value by
    found = repaired_bars(study_of(panel, below), result_of([0, 0, 5, 5, 5], [0, 0, 0, 0, 5]))
    assert found.spared.tolist() == pytest.approx([5 * 2 * 100.0 * 0.5, 0.0])


def test_an_exit_that_was_delayed_is_a_loss_and_a_position_that_is_held_is_no_order():
    panel = panel_without([12])
    study = study_of(panel, taken(panel, [12], 100.0, 90.0))
    exit_of_5 = repaired_bars(study, result_of([5, 5, 0, 0], [5, 5, 5, 0]))
    assert exit_of_5.spared.tolist() == pytest.approx([-100.0])
    held = repaired_bars(study, result_of([5, 5, 5, 5], [5, 5, 5, 5]))
    assert len(held.spared) == 0
    assert held.bars == 1


def test_with_latency_an_order_works_some_bars_after_its_decision():
    panel = panel_without([12])
    study = study_of(panel, taken(panel, [12], 100.0, 90.0), latency=1)
    # In force from the decision before bar 11 on, working from bar 12.
    assert len(repaired_bars(study, result_of([0, 5, 5, 5], [0, 0, 0, 5])).spared) == 1
    assert len(repaired_bars(study, result_of([0, 0, 5, 5], [0, 0, 0, 5])).spared) == 0


def test_many_such_orders_lower_an_approval_by_their_number_and_what_they_spared():
    bars = [12, 15, 18]
    panel = panel_without(bars)
    target = np.where(np.isin(10 + np.arange(12), bars), 5, 0)
    result = result_of(target, np.zeros(12), gain=400.0)
    (phrase,) = lowered_by_unfilled(study_of(panel, taken(panel, bars, 100.0, 90.0)), result)
    assert phrase == (
        "3 of 12 scored bars were taken out by data.repair, for what their closes or later bars showed, at whose opens "
        "3 orders were not filled, which spared the record 75% of its gain"
    )


def test_one_wrong_tick_among_thousands_of_bars_is_said_and_no_more():
    panel = panel_without([1200], num_bars=3000)
    study = study_of(panel, taken(panel, [1200], 100.0, 900.0))
    result = result_of(np.full(2900, 5.0), np.full(2900, 5.0), first=50)
    assert lowered_by_unfilled(study, result) == []
    assert told_of_repairs(study, result) == (
        "1 of 2,900 scored bars were taken out by data.repair, for what their closes or later bars showed.",
    )


def test_bars_taken_out_beyond_the_scored_windows_are_not_counted():
    panel = panel_without([3, 55])
    study = study_of(panel, taken(panel, [3, 55], 100.0, 50.0))
    result = result_of(np.full(12, 5.0), np.zeros(12))
    assert lowered_by_unfilled(study, result) == []
    assert told_of_repairs(study, result) == ()


def test_what_a_vendor_sent_is_named_only_beyond_luck():
    bars = list(range(12, 42, 3))
    panel = panel_without(bars)
    target = np.where(np.isin(10 + np.arange(40), bars), 5.0, 0.0)
    result = result_of(target, np.zeros(40))
    (phrase,) = lowered_by_unfilled(study_of(panel, taken(panel, bars, 100.0, 90.0, by_repair=False)), result)
    assert phrase == (
        "at the opens of bars without volume, or whose high and low do not bound them, 10 orders were not filled, "
        "which spared the record 100% of its gain"
    )
    # Half of them rise: nothing is left.
    both = taken(panel, bars, 100.0, 90.0, by_repair=False)
    both.close[::2] = 110.0
    assert lowered_by_unfilled(study_of(panel, both), result) == []
    assert told_of_repairs(study_of(panel, both), result) == ()


def test_prices_that_move_without_volume_are_among_them():
    panel = market(np.where(np.arange(60) % 3 == 0, -0.02, 0.01)[:, None])
    volume = np.where(np.arange(60) % 3 == 0, 0.0, 9.0)[:, None]
    arrays = {name: getattr(panel, name) for name in ("open", "high", "low", "close")}
    panel = Panel(
        symbols=panel.symbols, bar_utc=panel.bar_utc, session=panel.session, calendar=panel.calendar,
        bar_seconds=panel.bar_seconds, volume=volume, tradable=volume > 0.0, **arrays,
    )  # fmt: skip
    target = np.where((10 + np.arange(40)) % 3 == 0, 5.0, 0.0)
    found = untradable_bars(study_of(panel), result_of(target, np.zeros(40)))
    assert found.bars == 13  # 12, 15, ..., 48
    assert (found.spared > 0.0).all()
    assert not found.is_luck
    assert repaired_bars(study_of(panel), result_of(target, np.zeros(40))).bars == 0


@pytest.mark.parametrize("seed", range(5))
def test_gains_and_losses_by_chance_are_luck(seed):
    spared = np.random.default_rng(seed).standard_normal(400)
    assert Unfilled(bars=400, scored=9_000, spared=spared, orders=900, gain=10.0).is_luck
