"""The only splitters: walk-forward and combinatorial purged cross-validation over bars 0 .. num_bars - 1.

The label of bar t covers the bars (t, t + horizon_bars]. A training label never overlaps a test label, and
the embargo starts after the last test label. Every splitter's ``split(num_bars)`` yields ``(train_indices,
test_indices)``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from data.schema import Panel

IndexArray = NDArray[np.int64]


def _check_count(name: str, value: int, minimum: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise ValueError(f"{name} is {value!r}; it must be a whole number of bars")
    if value < minimum:
        raise ValueError(f"{name} is {value}; it must be at least {minimum}")


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One fold: train on the bars of ``train``, test on those of ``test`` (half-open slices of bar indices).

    validation : bars between the two on which the checkpoint is chosen, where the windows name them; None takes them
        from the end of ``train`` (`trainer.validation_fraction`).
    """

    index: int
    train: slice
    test: slice
    validation: slice | None = None


class FoldPlan(Protocol):
    """How a study's bars are cut into folds: counted in bars (`WalkForward`), in periods of the calendar or by dates
    (`evaluation.windows.calendar_windows`)."""

    @property
    def horizon_bars(self) -> int:
        """Bars that a label, or a holding period, reaches forward."""

    @property
    def embargo_bars(self) -> int:
        """Further bars left out before a test window."""

    @property
    def gap_bars(self) -> int:
        """Bars between the end of training and the start of testing: horizon and embargo."""

    def folds_in(self, panel: Panel) -> list[Fold]:
        """The folds as slices of the panel's bars, in time order; ValueError where not one fits."""

    def train_before(self, panel: Panel, stop: int) -> slice:
        """Bars that a policy tested from after ``stop`` on would be trained on, as many as there are."""


@dataclass(frozen=True)
class WalkForward:
    """Train on a window, leave a gap of ``horizon_bars + embargo_bars``, test on the next bars, step forward.

    Parameters
    ----------
    train_bars : length of the training window; of the first one when anchored.
    test_bars : length of each test window. A last window that does not fit whole is dropped.
    step_bars : distance between two test windows, ``test_bars`` when None. A smaller step makes test windows
    overlap.
    horizon_bars : bars that a label (or a holding period) reaches forward.
    embargo_bars : further bars left out before the test window.
    anchored : True keeps the start of training at bar 0, so that the window grows.
    """

    train_bars: int
    test_bars: int
    step_bars: int | None = None
    horizon_bars: int = 0
    embargo_bars: int = 0
    anchored: bool = False

    def __post_init__(self) -> None:
        _check_count("train_bars", self.train_bars, 1)
        _check_count("test_bars", self.test_bars, 1)
        _check_count("horizon_bars", self.horizon_bars, 0)
        _check_count("embargo_bars", self.embargo_bars, 0)
        if self.step_bars is not None:
            _check_count("step_bars", self.step_bars, 1)

    @property
    def gap_bars(self) -> int:
        """Bars between the end of training and the start of testing."""
        return self.horizon_bars + self.embargo_bars

    def folds(self, num_bars: int) -> list[Fold]:
        """The folds as slices, in time order.

        Raises
        ------
        ValueError
            If not even one fold fits into ``num_bars``.
        """
        _check_count("num_bars", num_bars, 1)
        first_test = self.train_bars + self.gap_bars
        if first_test + self.test_bars > num_bars:
            raise ValueError(
                f"one fold needs {first_test + self.test_bars} bars (train {self.train_bars} + gap "
                f"{self.gap_bars} + test {self.test_bars}) but there are {num_bars}; "
                "shorten the windows or give more data"
            )
        starts = range(first_test, num_bars - self.test_bars + 1, self.step_bars or self.test_bars)
        return [
            Fold(
                index=index,
                train=slice(0 if self.anchored else start - first_test, start - self.gap_bars),
                test=slice(start, start + self.test_bars),
            )
            for index, start in enumerate(starts)
        ]

    def folds_in(self, panel: Panel) -> list[Fold]:
        """The folds of a panel's bars; see `folds`."""
        return self.folds(panel.num_bars)

    def train_before(self, panel: Panel, stop: int) -> slice:
        """The ``train_bars`` before ``stop``, as many as there are."""
        return slice(max(0, stop - self.train_bars), stop)

    def split(self, num_bars: int) -> Iterator[tuple[IndexArray, IndexArray]]:
        """Yield (train_indices, test_indices) of each fold, in time order."""
        return (
            (np.arange(fold.train.start, fold.train.stop), np.arange(fold.test.start, fold.test.stop))
            for fold in self.folds(num_bars)
        )


@dataclass(frozen=True)
class CombinatorialPurged:
    """Test on every choice of ``num_test_groups`` out of ``num_groups`` contiguous groups, train on the
    purged rest.

    The first ``num_bars % num_groups`` groups are one bar longer. Around each test block [a, b) training
    bars go whose label (t, t + h] overlaps a test label: the h - 1 bars before a and after b. With an
    embargo of e > 0 the training bars from the end of the last test label, b - 1 + h, to e bars later go as
    well. Source: Lopez de Prado, "Advances in financial machine learning", 2018, chapters 7 and 12.

    Parameters
    ----------
    num_groups, num_test_groups : N and k with 1 <= k < N; there are C(N, k) splits and C(N - 1, k - 1) paths.
    horizon_bars : h, bars that a label reaches forward.
    embargo_bars : e, bars left out of training after the last test label.
    """

    num_groups: int
    num_test_groups: int
    horizon_bars: int = 0
    embargo_bars: int = 0

    def __post_init__(self) -> None:
        _check_count("num_groups", self.num_groups, 2)
        _check_count("num_test_groups", self.num_test_groups, 1)
        _check_count("horizon_bars", self.horizon_bars, 0)
        _check_count("embargo_bars", self.embargo_bars, 0)
        if self.num_test_groups >= self.num_groups:
            raise ValueError(
                f"num_test_groups is {self.num_test_groups} of {self.num_groups} groups; "
                "leave at least one for training"
            )

    @property
    def num_splits(self) -> int:
        return comb(self.num_groups, self.num_test_groups)

    def _choices(self) -> list[tuple[int, ...]]:
        return list(combinations(range(self.num_groups), self.num_test_groups))

    def split(self, num_bars: int) -> Iterator[tuple[IndexArray, IndexArray]]:
        """Yield (train_indices, test_indices) of each split, in the order of `itertools.combinations`.

        Raises
        ------
        ValueError
            If there are fewer bars than groups, or purging leaves a split without training bars.
        """
        _check_count("num_bars", num_bars, 1)
        if num_bars < self.num_groups:
            raise ValueError(f"{num_bars} bars cannot be cut into {self.num_groups} groups; use fewer groups")
        sizes = [len(group) for group in np.array_split(np.arange(num_bars), self.num_groups)]
        edges = np.concatenate(([0], np.cumsum(sizes)))
        return iter([self._split_one(chosen, edges) for chosen in self._choices()])

    def _split_one(self, chosen: tuple[int, ...], edges: IndexArray) -> tuple[IndexArray, IndexArray]:
        is_test = np.zeros(edges[-1], dtype=bool)
        is_train = np.ones(edges[-1], dtype=bool)
        for group in chosen:
            start, stop = int(edges[group]), int(edges[group + 1])
            is_test[start:stop] = True
            overlap = max(self.horizon_bars - 1, 0)
            after = self.horizon_bars + self.embargo_bars if self.embargo_bars else overlap
            is_train[max(start - overlap, 0) : stop + after] = False
        if not is_train.any():
            raise ValueError(
                f"purging leaves no training bar when groups {chosen} are tested: horizon "
                f"{self.horizon_bars} and embargo {self.embargo_bars} outlast groups of {edges[1]} bars"
            )
        return np.flatnonzero(is_train), np.flatnonzero(is_test)

    def paths(self) -> IndexArray:
        """Which split supplies each group's out-of-sample result, per backtest path.

        Returns
        -------
        (num_paths, num_groups) split indices, num_paths = C(N - 1, k - 1): row p is a whole history in which
        every group was tested once; the j-th split that tests a group belongs to path j.
        """
        suppliers: list[list[int]] = [[] for _ in range(self.num_groups)]
        for split, chosen in enumerate(self._choices()):
            for group in chosen:
                suppliers[group].append(split)
        return np.array(suppliers, dtype=np.int64).T
