"""Fills beyond their bars' volume are counted at every place, said, and lower an approval where they are many."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from rayjobs.study.volume_taken import VolumeTaken, lowered_by_volume, told_of_volume

CAP = 0.1


def fills_of(*units_price_bar_place, symbols=(0,)):
    units, price, bar, place = (np.array(column) for column in zip(*units_price_bar_place, strict=True))
    fills = SimpleNamespace(
        units=units.astype(float),
        price=price.astype(float),
        filled_bar=bar,
        place=place,
        asset=np.zeros(len(units), dtype=int),
    )
    return SimpleNamespace(fills=fills, symbols=np.array(symbols), multiplier=np.ones(len(symbols)))


def study_of(volume, cap=CAP):
    costs = SimpleNamespace(max_participation=cap)
    return SimpleNamespace(
        panel=SimpleNamespace(volume=np.array(volume, dtype=float)[:, None]),
        config=SimpleNamespace(env=SimpleNamespace(costs=costs)),
    )


def result_of(recording):
    fold = SimpleNamespace(recording=recording, delayed={})
    return SimpleNamespace(folds=[fold], periods_per_year=252.0)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_fills_of_every_place_are_counted(place):
    # 30 of a volume of 100 is above a tenth, 10 of it is not; the two trade 30 and 10 at the same price.
    recording = fills_of((30, 1.0, 0, place), (-10, 1.0, 1, place))
    taken = VolumeTaken.of(study_of([100, 100]), [recording], CAP)
    assert (taken.count, taken.over, taken.largest) == (2, 1, 0.3)
    assert taken.share == pytest.approx(0.75)
    (phrase,) = lowered_by_volume(study_of([100, 100]), result_of(recording), CAP)
    assert phrase == "1 of 2 fills took more than 10% of their bar's volume, up to 30%"


def test_bars_of_which_no_volume_is_known_raise_no_alarm():
    recording = fills_of((30, 1.0, 0, 2), (-10, 1.0, 1, 2))
    taken = VolumeTaken.of(study_of([0, 0]), [recording], CAP)
    assert (taken.count, taken.over, taken.share, taken.largest) == (0, 0, 0.0, 0.0)
    assert lowered_by_volume(study_of([0, 0]), result_of(recording), CAP) == []
    assert told_of_volume(study_of([0, 0]), result_of(recording), CAP) == ()


def test_an_exception_is_said_and_lowers_nothing():
    # One of 200 fills, and 20 of 20 + 199 x 10 = 2,010 of the notional: 0.5 % and 1.0 %, of 5 %.
    recording = fills_of((20, 1.0, 0, 1), *[(10, 1.0, 1, 0)] * 199)
    study = study_of([100, 100])
    assert lowered_by_volume(study, result_of(recording), CAP) == []
    assert told_of_volume(study, result_of(recording), CAP) == (
        "1 of 200 fills took more than 10% of their bar's volume, up to 20%.",
    )


def test_few_fills_that_carry_much_of_the_notional_are_no_exception():
    recording = fills_of((400, 1.0, 0, 1), *[(10, 1.0, 1, 0)] * 199)
    study = study_of([100, 100])
    (phrase,) = lowered_by_volume(study, result_of(recording), CAP)
    assert phrase.startswith("1 of 200 fills took more than 10%")
    assert phrase.endswith("up to 400%")
    assert told_of_volume(study, result_of(recording), CAP) == (f"{phrase}.",)


@pytest.mark.parametrize("cap", [None, 0.5])
def test_whoever_lifts_the_cap_is_told_every_fill_beyond_the_shipped_one(cap):
    recording = fills_of((20, 1.0, 0, 0), *[(10, 1.0, 1, 0)] * 199)
    (phrase,) = lowered_by_volume(study_of([100, 100], cap), result_of(recording), CAP)
    assert phrase.endswith("up to 20% (costs.max_participation)")


def test_a_fill_that_takes_just_the_cap_is_within_it():
    recording = fills_of((0.1 * 37.3, 1.0, 0, 0))
    assert VolumeTaken.of(study_of([37.3]), [recording], CAP).over == 0
