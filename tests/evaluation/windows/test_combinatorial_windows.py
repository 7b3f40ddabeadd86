"""Splits of a study's bars: an embargo counted in days, groups that hold bars, and what of a group can be scored."""

from __future__ import annotations

import numpy as np
import pytest

from data.calendars import bar_grid
from data.schema import Panel
from evaluation.windows.combinatorial_windows import CombinatorialWindows, longest_session, scored_groups
from evaluation.windows.search_windows import search_windows_in


def panel_of(calendar, bar_seconds, start, stop, untradable=slice(0, 0)):
    grid = bar_grid(calendar, bar_seconds, start, stop)
    ones = np.ones((len(grid.bar_utc), 1))
    tradable = np.ones(ones.shape, dtype=bool)
    tradable[untradable] = False
    return Panel(
        symbols=("X",), bar_utc=grid.bar_utc, open=ones, high=ones, low=ones, close=ones, volume=ones,
        tradable=tradable, session=grid.session, calendar=calendar, bar_seconds=bar_seconds,
    )  # fmt: skip


def test_a_day_of_embargo_is_as_many_bars_as_a_whole_session():
    # 2 to 9 July 2024: whole sessions of 13 half hours, one half-day of 7, and a holiday.
    panel = panel_of("NYSE", 1800, "2024-07-02", "2024-07-10")
    assert longest_session(panel) == 13
    plan = CombinatorialWindows(groups=3, test_groups=1, horizon_bars=1, embargo_days=1)
    # 59 bars, groups of 19, 19 and 21; behind group 0 a purge of 1 and an embargo of 13 bars.
    assert [fold.training for fold in plan.folds_in(panel)] == [
        (slice(33, 59),),
        (slice(0, 18), slice(52, 59)),
        (slice(0, 37),),
    ]


def test_eight_groups_of_which_two_are_tested_are_28_splits_and_each_group_is_tested_seven_times():
    plan = CombinatorialWindows(groups=8, test_groups=2, horizon_bars=1, embargo_days=10)
    folds = plan.folds_in(panel_of("24/7", 86_400, "2020-01-01", "2022-01-01"))
    assert plan.num_splits == len(folds) == 28
    tested = [number for fold in folds for number, _ in fold.groups]
    assert np.bincount(tested).tolist() == [7] * 8


def test_one_split_alone_trains_on_nothing_but_earlier_bars():
    plan = CombinatorialWindows(groups=6, test_groups=2)
    folds = plan.folds_in(panel_of("24/7", 86_400, "2020-01-01", "2021-01-01"))
    assert [fold.index for fold in folds if fold.trains_before_it_tests] == [len(folds) - 1]


def test_the_first_group_is_scored_from_the_first_bar_whose_features_are_known():
    plan = CombinatorialWindows(groups=4, test_groups=2)
    split = plan.folds_in(panel_of("24/7", 86_400, "2020-01-01", "2020-04-10"))[0]  # 100 bars, groups 0 and 1
    assert [(one.group, one.test) for one in scored_groups(split, 11)] == [
        (0, slice(11, 25)),
        (1, slice(25, 50)),
    ]
    with pytest.raises(ValueError, match="group 0 ends at bar 25, but the first bar that can be scored"):
        scored_groups(split, 25)


def test_a_group_without_a_bar_that_can_be_traded_is_refused():
    panel = panel_of("24/7", 86_400, "2020-01-01", "2020-04-10", untradable=slice(50, 75))
    with pytest.raises(ValueError, match="group 2 of 4, bars 50 to 74, holds no bar that can be traded"):
        CombinatorialWindows(groups=4, test_groups=2).folds_in(panel)


def test_a_search_is_refused_for_nothing_could_be_sealed():
    panel = panel_of("24/7", 86_400, "2020-01-01", "2020-04-10")
    with pytest.raises(ValueError, match="walk_forward=cpcv has no bars to seal"):
        search_windows_in(CombinatorialWindows(groups=4, test_groups=2), panel, "auto")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"groups": 1, "test_groups": 1}, "groups is 1; it must be at least 2"),
        ({"groups": 4, "test_groups": 4}, "test_groups is 4 of 4 groups"),
        ({"groups": 4, "test_groups": 2, "embargo_days": -1}, "embargo_days is -1"),
    ],
)
def test_impossible_settings_are_refused_by_the_names_of_the_configuration(values, words):
    with pytest.raises(ValueError, match=f"^{words}"):
        CombinatorialWindows(**values)
