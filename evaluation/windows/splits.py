"""The only splitter: walk-forward windows over bars 0 .. num_bars - 1.

The label of bar t covers the bars (t, t + horizon_bars]. A training label never overlaps a test label.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def _check_count(name: str, value: int, minimum: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise ValueError(f"{name} is {value!r}; it must be a whole number of bars")
    if value < minimum:
        raise ValueError(f"{name} is {value}; it must be at least {minimum}")


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One fold: train on the bars of ``train``, test on those of ``test`` (half-open slices of bar
    indices)."""

    index: int
    train: slice
    test: slice


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
