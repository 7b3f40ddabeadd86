"""What longs were paid at the last close of names that end is found in a record and taken off again."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from made_bars import market

from evaluation.scoring.ended_longs import ended_longs
from evaluation.scoring.walk_forward import WalkForwardResult
from evaluation.statistics.metrics import sharpe_ratio
from evaluation.windows.splits import Fold
from rayjobs.study.ended_names import lowered_by_ends, told_of_ends

LAST = 29
"""Last bar of S1, of 60; S0 has bars throughout."""


def panel_with_an_end():
    whole = market(np.zeros((60, 2)))
    arrays = {
        name: getattr(whole, name).copy() for name in ("open", "high", "low", "close", "volume", "tradable")
    }
    for name, values in arrays.items():
        values[LAST + 1 :, 1] = {"volume": 0.0, "tradable": False}.get(name, np.nan)
    return replace(whole, **arrays)


def fold_of(start, stop, fills, equity, index=0, multiplier=1.0):
    """A fold with fills of (bar, slot, units, price, reason)."""
    bar, slot, units, price, reason = (np.array(each) for each in zip(*fills, strict=True))
    equity = np.asarray(equity, dtype=np.float64)
    recording = SimpleNamespace(
        bar=np.arange(start, stop),
        equity=equity,
        net_return=equity[1:] / equity[:-1] - 1.0,
        symbols=np.array([0, 1]),
        multiplier=np.array([multiplier, multiplier]),
        fills=SimpleNamespace(
            filled_bar=bar, asset=slot, units=units.astype(float), price=price, reason=reason
        ),
    )
    test = slice(start, stop)
    return SimpleNamespace(recording=recording, fold=Fold(index=index, train=slice(0, start), test=test))


def rising(number, first=10_000.0, step=50.0):
    return first + step * np.arange(number + 1) + 10.0 * (np.arange(number + 1) % 3)


def result_of(*folds):
    return WalkForwardResult(panel=panel_with_an_end(), folds=folds)


def test_what_was_paid_for_a_long_is_taken_off_the_bar_that_it_ended_in():
    equity = rising(30)
    fold = fold_of(20, 50, [(LAST, 1, -4.0, 100.0, "delisting"), (35, 0, -9.0, 100.0, "signal")], equity)
    found = ended_longs(result_of(fold))
    assert (found.count, found.symbols) == (1, ("S1",))
    assert found.recovered == 400.0  # 4 units at 100
    assert found.gain == equity[-1] - equity[0]
    returns = equity[1:] / equity[:-1] - 1.0
    returns[LAST - 20] -= 400.0 / equity[LAST - 20]
    year = result_of(fold).periods_per_year
    assert found.without == pytest.approx(sharpe_ratio(returns, periods_per_year=year))
    assert found.without < found.sharpe


def test_a_window_that_ends_with_the_name_pays_the_last_close_too():
    fold = fold_of(10, 30, [(LAST, 1, -4.0, 100.0, "window_end")], rising(20), multiplier=5.0)
    later = fold_of(30, 50, [(49, 0, -4.0, 100.0, "window_end")], rising(20), index=1)
    found = ended_longs(result_of(fold, later))
    assert (found.count, found.recovered) == (1, 2_000.0)


@pytest.mark.parametrize(
    "fill",
    [
        (LAST, 1, 4.0, 100.0, "delisting"),  # a short, which pays it
        (LAST, 1, -4.0, 100.0, "session_end"),  # sold while others could buy
        (LAST - 1, 1, -4.0, 100.0, "window_end"),
        (49, 0, -4.0, 100.0, "window_end"),  # goes on
    ],
)
def test_other_exits_are_none_of_these(fill):
    assert ended_longs(result_of(fold_of(20, 50, [fill], rising(30)))) is None


def study_with(delisted=None):
    instruments = {"S0": SimpleNamespace(delisted_utc=None), "S1": SimpleNamespace(delisted_utc=delisted)}
    known = SimpleNamespace(for_symbols=lambda symbols: instruments)
    return SimpleNamespace(panel=panel_with_an_end(), config=SimpleNamespace(instruments=known))


def test_more_than_a_tenth_of_the_gain_lowers_less_is_said_and_a_stated_delisting_answers():
    # The gain is 30 x 50 = 1,500: 4 units at 100 are 27 % of it, 1 unit is 7 %.
    much, little = (
        result_of(fold_of(20, 50, [(LAST, 1, -units, 100.0, "delisting")], rising(30)))
        for units in (4.0, 1.0)
    )
    (phrase,) = lowered_by_ends(study_with(), much)
    assert phrase.startswith(
        "1 long of names whose bars end (S1) was paid at the last close, 27% of the gain: with "
    )
    assert "instruments.symbols.S1.delisted_utc" in phrase
    assert told_of_ends(study_with(), much) == ()
    assert lowered_by_ends(study_with(), little) == []
    assert told_of_ends(study_with(), little) == (
        "1 long of names whose bars end (S1) was paid at the last close, 7% of the gain.",
    )
    stated = study_with("2005-01-31")
    assert lowered_by_ends(stated, much) == []
    assert told_of_ends(stated, much)[0].endswith("; of 1 of these names the delisting is stated.")


def test_a_record_without_a_gain_or_without_ends_says_nothing_of_it():
    fold = fold_of(20, 50, [(40, 0, -9.0, 100.0, "signal")], rising(30))
    assert lowered_by_ends(study_with(), result_of(fold)) == []
    assert told_of_ends(study_with(), result_of(fold)) == ()
    losing = fold_of(20, 50, [(LAST, 1, -4.0, 100.0, "delisting")], rising(30, step=-50.0))
    assert lowered_by_ends(study_with(), result_of(losing)) == []
    assert told_of_ends(study_with(), result_of(losing)) == (
        "1 long of names whose bars end (S1) was paid at the last close.",
    )
