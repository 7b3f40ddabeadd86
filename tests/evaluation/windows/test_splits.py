"""Splits: no training label overlaps a test label, and maintained libraries agree where their conventions
are ours."""

from __future__ import annotations

from itertools import pairwise
from math import comb

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from evaluation.windows.splits import CombinatorialPurged, WalkForward


def as_lists(splits):
    return [(train.tolist(), test.tolist()) for train, test in splits]


def test_walk_forward_rolls_and_drops_a_last_window_that_does_not_fit():
    assert as_lists(WalkForward(3, 2).split(8)) == [([0, 1, 2], [3, 4]), ([2, 3, 4], [5, 6])]


def test_walk_forward_leaves_horizon_plus_embargo_between_training_and_test():
    assert as_lists(WalkForward(3, 2, horizon_bars=2, embargo_bars=1).split(8)) == [([0, 1, 2], [6, 7])]


def test_anchored_training_starts_at_bar_zero_and_grows():
    assert as_lists(WalkForward(2, 2, horizon_bars=1, anchored=True).split(7)) == [
        ([0, 1], [3, 4]),
        ([0, 1, 2, 3], [5, 6]),
    ]


def test_step_sets_the_distance_between_test_windows():
    tests = [test.tolist() for _, test in WalkForward(3, 3, step_bars=1).split(8)]
    assert tests == [[3, 4, 5], [4, 5, 6], [5, 6, 7]]


def test_a_fold_longer_than_the_data_is_refused_with_the_arithmetic():
    with pytest.raises(ValueError, match=r"needs 16 bars \(train 10 \+ gap 1 \+ test 5\) but there are 15"):
        WalkForward(10, 5, embargo_bars=1).split(15)


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
    assert as_lists(ours.split(num_bars)) == as_lists(theirs.split(np.zeros((num_bars, 1))))


def test_purging_removes_the_horizon_on_both_sides_of_a_test_block():
    # Bars 4, 5 are tested; with a horizon of 2 the labels of bars 2, 3 touch bar 4 and that of bar 5 ends at bar 7.
    splits = as_lists(CombinatorialPurged(5, 1, horizon_bars=2).split(10))
    assert splits[2] == ([0, 1, 8, 9], [4, 5])


def test_the_embargo_starts_behind_the_purge_and_adds_to_it():
    splits = as_lists(CombinatorialPurged(5, 1, horizon_bars=2, embargo_bars=1).split(10))
    assert splits[0] == ([5, 6, 7, 8, 9], [0, 1])  # the purge takes bars 2, 3, the embargo bar 4
    assert splits[2] == ([0, 1, 9], [4, 5])  # nothing is embargoed before a test
    assert as_lists(CombinatorialPurged(2, 1, embargo_bars=2).split(8))[0] == ([6, 7], [0, 1, 2, 3])


def test_the_last_group_takes_what_is_left():
    assert CombinatorialPurged(3, 1).group_windows(11) == [slice(0, 3), slice(3, 6), slice(6, 11)]


def test_every_choice_of_groups_is_tested_once_and_paths_cover_every_group():
    splitter = CombinatorialPurged(6, 2)
    splits = list(splitter.split(60))
    assert len(splits) == splitter.num_splits == 15
    paths = splitter.paths()
    assert paths.shape == (comb(5, 1), 6)
    for path in paths:
        for group, split in enumerate(path):
            assert set(range(group * 10, group * 10 + 10)) <= set(splits[split][1].tolist())
    assert all(len(set(column)) == 5 for column in paths.T)


cpcv_sizes = (st.integers(2, 7), st.integers(1, 6), st.integers(0, 6), st.integers(0, 4), st.integers(7, 80))


@given(*cpcv_sizes)
def test_no_training_label_overlaps_a_test_label_or_its_embargo(groups, tested, horizon, embargo, num_bars):
    assume(tested < groups)
    splitter = CombinatorialPurged(groups, tested, horizon_bars=horizon, embargo_bars=embargo)
    try:
        splits = list(splitter.split(num_bars))
    except ValueError:
        return  # purging left nothing to train on, or there are fewer bars than groups
    for train, test in splits:
        block_ends = {int(b) for b in test} - {int(b) - 1 for b in test}
        test_bars = {bar + step for bar in test for step in range(1, horizon + 1)}
        embargoed = {end + horizon + step for end in block_ends for step in range(1, embargo + 1)}
        for bar in train:
            assert not {int(bar) + step for step in range(1, horizon + 1)} & test_bars
        assert not set(train.tolist()) & (embargoed | set(test.tolist()))


@given(st.integers(2, 7), st.integers(1, 6), st.integers(1, 6), st.integers(2, 4), st.integers(1, 12))
def test_combinatorial_splits_agree_with_purgedcv(groups, tested, horizon, embargo, size):
    # They purge labels that overlap: one bar less than we, on both sides; and cut what is left over elsewhere.
    purgedcv = pytest.importorskip("purgedcv")
    assume(tested < groups)
    num_bars = groups * size
    opened = pd.Series(pd.date_range("2024-01-01", periods=num_bars, freq="h"))
    theirs = purgedcv.CombinatorialPurgedCV(
        n_splits=groups,
        n_test_groups=tested,
        prediction_times=opened,
        evaluation_times=opened + pd.Timedelta(hours=horizon + 1),
        embargo=pd.Timedelta(hours=embargo - 1),
    )
    ours = CombinatorialPurged(groups, tested, horizon_bars=horizon, embargo_bars=embargo)
    try:
        ours_list = as_lists(ours.split(num_bars))
    except ValueError:
        return  # they yield an empty training set or raise; we always raise
    assert ours_list == as_lists(theirs.split(np.zeros((num_bars, 1))))


@pytest.mark.parametrize("seed", range(20))
def test_splits_purging_and_paths_equal_those_of_skfolio(seed):
    skfolio = pytest.importorskip("skfolio.model_selection")
    random = np.random.default_rng(seed)
    groups = int(random.integers(3, 10))
    tested = int(random.integers(2, groups))
    size = int(random.integers(12, 60))
    num_bars = groups * size + int(random.integers(0, groups))
    horizon, embargo = int(random.integers(0, 5)), int(random.integers(0, 6))
    theirs = skfolio.CombinatorialPurgedCV(
        n_folds=groups, n_test_folds=tested, purged_size=horizon, embargo_size=embargo
    )
    ours = CombinatorialPurged(groups, tested, horizon_bars=horizon, embargo_bars=embargo)
    try:
        split_by_us = as_lists(ours.split(num_bars))
    except ValueError:  # a split without a training bar: they hand it out empty
        assert any(len(train) == 0 for train, _ in theirs.split(np.zeros((num_bars, 1))))
        return
    split_by_them = [
        (train.tolist(), np.concatenate(tests).tolist())
        for train, tests in theirs.split(np.zeros((num_bars, 1)))
    ]
    assert split_by_us == split_by_them
    assert ours.paths().tolist() == theirs.recombined_paths.T.tolist()
    for fold, (_, tests) in zip(ours.folds(num_bars), theirs.split(np.zeros((num_bars, 1)))):
        assert [(w.start, w.stop - 1) for _, w in fold.groups] == [(int(t[0]), int(t[-1])) for t in tests]


def test_test_windows_never_start_before_training_ends():
    for train, test in WalkForward(20, 7, step_bars=3, horizon_bars=2).split(100):
        assert train[-1] + 2 < test[0]
    starts = [test[0] for _, test in WalkForward(20, 7, step_bars=3).split(100)]
    assert all(later - earlier == 3 for earlier, later in pairwise(starts))


@pytest.mark.parametrize(("groups", "tested"), [(1, 1), (4, 4), (4, 0)])
def test_impossible_groups_are_refused(groups, tested):
    with pytest.raises(ValueError, match="group"):
        CombinatorialPurged(groups, tested)
