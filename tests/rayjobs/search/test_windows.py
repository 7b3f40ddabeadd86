"""Validation folds end before the sealed holdout; the winner walks into it."""

from __future__ import annotations

import pytest

from evaluation.windows.search_windows import search_windows
from evaluation.windows.splits import WalkForward

ROLLING = WalkForward(100, 20, horizon_bars=1, embargo_bars=4)


def spans(folds):
    return [(f.train.start, f.train.stop, f.test.start, f.test.stop) for f in folds]


def test_the_last_test_window_is_sealed():
    # First test at 100 + 5 = 105; windows of 20: 105, 125, 145 fit into 170 bars; the last one is the holdout.
    windows = search_windows(ROLLING, 170, "auto")
    assert spans(windows.folds) == [(0, 100, 105, 125), (20, 120, 125, 145)]
    assert windows.holdout_start == 145
    # Through to the last bar: the 5 bars after 165 are less than half a window, so no policy is trained for them.
    assert spans(windows.holdout_folds) == [(40, 140, 145, 170)]
    assert [fold.index for fold in windows.holdout_folds] == [2]
    earlier = search_windows(ROLLING, 170, "auto", keep_remainder=True)
    assert spans(earlier.holdout_folds) == [(40, 140, 145, 165), (60, 160, 165, 170)]


def test_a_single_test_window_is_halved():
    windows = search_windows(ROLLING, 125, "auto")
    assert spans(windows.folds) == [(0, 100, 105, 115)]
    assert windows.holdout_start == 115
    assert spans(windows.holdout_folds) == [(10, 110, 115, 125)]


def test_a_holdout_of_a_given_length_is_kept_from_the_folds():
    windows = search_windows(ROLLING, 170, 30)
    assert windows.holdout_start == 140
    assert all(fold.test.stop <= 140 for fold in windows.folds)
    assert spans(windows.holdout_folds) == [(35, 135, 140, 160), (55, 155, 160, 170)]


def test_anchored_training_starts_at_the_first_bar():
    windows = search_windows(WalkForward(100, 20, anchored=True), 160, "auto")
    assert [fold.train.start for fold in (*windows.folds, *windows.holdout_folds)] == [0, 0, 0]


def test_a_holdout_that_leaves_no_fold_is_refused():
    with pytest.raises(ValueError, match="before the holdout of 60 bars one fold needs 125 bars"):
        search_windows(ROLLING, 170, 60)
    with pytest.raises(ValueError, match="leaves none of 170"):
        search_windows(ROLLING, 170, 170)
