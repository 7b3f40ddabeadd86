"""The only splitters: walk-forward and combinatorial purged cross-validation over bars 0 .. num_bars - 1.

The label of bar t covers the bars (t, t + horizon_bars]. A training label never overlaps a test label, and
the embargo starts after the last test label. Every splitter's ``split(num_bars)`` yields ``(train_indices,
test_indices)``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import comb
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from data.schema import Panel

IndexArray = NDArray[np.int64]


def _bars_of(windows: Sequence[slice]) -> IndexArray:
    return np.concatenate([np.arange(window.start, window.stop) for window in windows])


def _check_count(name: str, value: int, minimum: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise ValueError(f"{name} is {value!r}; it must be a whole number of bars")
    if value < minimum:
        raise ValueError(f"{name} is {value}; it must be at least {minimum}")


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One fold: train on the bars of ``train``, test on those of ``test`` (half-open slices of bar indices).

    A split of combinatorial cross-validation trains on several stretches and tests several groups between them. There
    ``train`` and ``test`` reach from the first such bar to the last: what reads bars takes ``training`` and ``tests``.

    validation : bars between the two on which the checkpoint is chosen, where the windows name them; None takes them
        from the end of ``train`` (`trainer.validation_fraction`).
    stretches : of a split, the bars that are trained on; empty where all of ``train`` is.
    groups : of a split, number of each tested group -> its bars; empty where all of ``test`` is one window.
    gap_bars : of a split, bars left out between training and validation: horizon and embargo.
    """

    index: int
    train: slice
    test: slice
    validation: slice | None = None
    stretches: tuple[slice, ...] = ()
    groups: tuple[tuple[int, slice], ...] = ()
    gap_bars: int = 0

    @property
    def training(self) -> tuple[slice, ...]:
        """The stretches that are trained on, in time order."""
        return self.stretches or (self.train,)

    @property
    def num_training_bars(self) -> int:
        """How many bars are trained on."""
        return sum(part.stop - part.start for part in self.training)

    @property
    def group(self) -> int | None:
        """Number of the one group that is tested; None where it is no split's, or there are several."""
        return self.groups[0][0] if len(self.groups) == 1 else None

    def of_group(self, number: int, test: slice) -> Fold:
        """The split as far as one of its groups is scored, on the bars ``test`` of it."""
        return replace(self, test=test, groups=((number, test),))

    @property
    def trains_before_it_tests(self) -> bool:
        """Whether every training bar lies before every tested one."""
        return self.train.stop <= self.test.start


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

    Groups hold ``num_bars // num_groups`` bars each, the last one what is left as well. Around each test block [a, b)
    the ``horizon_bars`` training bars before a and after b go, for their labels touch those of the test, and behind b
    the ``embargo_bars`` that follow these. Neighbouring tested groups are one block. Source: Lopez de Prado, "Advances
    in financial machine learning", 2018, sections 7.4 and 12.4. The same as skfolio's `CombinatorialPurgedCV` with
    ``purged_size=horizon_bars`` and ``embargo_size=embargo_bars``.

    Parameters
    ----------
    num_groups, num_test_groups : N and k with 1 <= k < N; there are C(N, k) splits and C(N - 1, k - 1) paths.
    horizon_bars : bars that a label, or a holding period, reaches forward: the purge on both sides of a test block.
    embargo_bars : further bars left out of training behind a test block and its purge.
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
        folds = self.folds(num_bars)
        return iter([(_bars_of(fold.training), _bars_of([w for _, w in fold.groups])) for fold in folds])

    def group_windows(self, num_bars: int) -> list[slice]:
        """The bars of each group; ValueError where there are fewer bars than groups."""
        _check_count("num_bars", num_bars, 1)
        if num_bars < self.num_groups:
            raise ValueError(f"{num_bars} bars cannot be cut into {self.num_groups} groups; use fewer groups")
        size = num_bars // self.num_groups
        stops = [size * (number + 1) for number in range(self.num_groups - 1)] + [num_bars]
        return [slice(size * number, stop) for number, stop in enumerate(stops)]

    def folds(self, num_bars: int) -> list[Fold]:
        """The splits as windows, in the order of `itertools.combinations`; raises as `split` does."""
        groups = self.group_windows(num_bars)
        return [self._fold(index, chosen, groups) for index, chosen in enumerate(self._choices())]

    def _fold(self, index: int, chosen: tuple[int, ...], groups: Sequence[slice]) -> Fold:
        is_train = np.ones(groups[-1].stop, dtype=bool)
        for number in chosen:
            start, stop = groups[number].start, groups[number].stop
            is_train[max(start - self.horizon_bars, 0) : stop + self.gap_bars] = False
        edges = np.flatnonzero(np.diff(np.concatenate(([False], is_train, [False])).astype(np.int8)))
        stretches = tuple(slice(int(start), int(stop)) for start, stop in edges.reshape(-1, 2))
        if not stretches:
            raise ValueError(
                f"purging leaves no training bar when groups {chosen} are tested: horizon "
                f"{self.horizon_bars} and embargo {self.embargo_bars} outlast groups of {groups[0].stop} bars"
            )
        return Fold(
            index=index,
            train=slice(stretches[0].start, stretches[-1].stop),
            test=slice(groups[chosen[0]].start, groups[chosen[-1]].stop),
            stretches=stretches,
            groups=tuple((number, groups[number]) for number in chosen),
            gap_bars=self.gap_bars,
        )

    @property
    def gap_bars(self) -> int:
        """Bars between the end of a test block and the training that follows: horizon and embargo."""
        return self.horizon_bars + self.embargo_bars

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
