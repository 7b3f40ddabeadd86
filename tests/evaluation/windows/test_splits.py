"""Splits: no training label overlaps a test label, and a maintained library agrees."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from evaluation.windows.splits import WalkForward


def as_lists(folds):
    return [tuple(list(range(part.start, part.stop)) for part in (fold.train, fold.test)) for fold in folds]


def as_pairs(splits):
    return [(train.tolist(), test.tolist()) for train, test in splits]


def test_walk_forward_rolls_and_drops_a_last_window_that_does_not_fit():
    assert as_lists(WalkForward(3, 2).folds(8)) == [([0, 1, 2], [3, 4]), ([2, 3, 4], [5, 6])]


def test_walk_forward_leaves_horizon_plus_embargo_between_training_and_test():
    assert as_lists(WalkForward(3, 2, horizon_bars=2, embargo_bars=1).folds(8)) == [([0, 1, 2], [6, 7])]


def test_anchored_training_starts_at_bar_zero_and_grows():
    assert as_lists(WalkForward(2, 2, horizon_bars=1, anchored=True).folds(7)) == [
        ([0, 1], [3, 4]),
        ([0, 1, 2, 3], [5, 6]),
    ]


def test_step_sets_the_distance_between_test_windows():
    tests = [test for _, test in as_lists(WalkForward(3, 3, step_bars=1).folds(8))]
    assert tests == [[3, 4, 5], [4, 5, 6], [5, 6, 7]]


def test_a_fold_longer_than_the_data_is_refused_with_the_arithmetic():
    with pytest.raises(ValueError, match=r"needs 16 bars \(train 10 \+ gap 1 \+ test 5\) but there are 15"):
        WalkForward(10, 5, embargo_bars=1).folds(15)


@pytest.mark.parametrize(
    "arguments",
    [
        {"train_bars": 0, "test_bars": 1},
        {"train_bars": 1, "test_bars": 0},
        {"train_bars": 1, "test_bars": 1, "step_bars": 0},
        {"train_bars": 1, "test_bars": 1, "horizon_bars": -1},
        {"train_bars": 1.5, "test_bars": 1},
    ],
)
def test_impossible_windows_are_refused_before_any_split(arguments):
    with pytest.raises(ValueError, match="_bars is"):
        WalkForward(**arguments)


few = st.integers(0, 5)


@given(st.integers(1, 30), st.integers(1, 10), few, few, st.booleans(), st.integers(1, 90))
def test_walk_forward_agrees_with_skfolio(train, test, horizon, embargo, anchored, num_bars):
    skfolio = pytest.importorskip("skfolio.model_selection")
    assume(train + horizon + embargo + test <= num_bars)
    ours = WalkForward(train, test, horizon_bars=horizon, embargo_bars=embargo, anchored=anchored)
    theirs = skfolio.WalkForward(
        train_size=train, test_size=test, purged_size=horizon + embargo, expand_train=anchored
    )
    assert as_lists(ours.folds(num_bars)) == as_pairs(theirs.split(np.zeros((num_bars, 1))))


def test_test_windows_never_start_before_training_ends():
    for fold in WalkForward(20, 7, step_bars=3, horizon_bars=2).folds(100):
        assert fold.train.stop - 1 + 2 < fold.test.start
    starts = [fold.test.start for fold in WalkForward(20, 7, step_bars=3).folds(100)]
    assert all(later - earlier == 3 for earlier, later in pairwise(starts))
