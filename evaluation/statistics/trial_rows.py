"""Returns of many trials, a row each, that are read a few rows at a time: all of them together may fill the memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
CHUNK_VALUES = 2**20
"""Returns that are worked on at once where there is memory for them: 8 MB."""
MAX_CHUNK = 256
"""Rows that are worked on at once, at most."""


class TrialRows(ABC):
    """(N trials, T bars) returns; `take` reads some rows of it.

    Attributes
    ----------
    chunk_values : returns that are worked on at once; of these some five copies are made.
    """

    chunk_values = CHUNK_VALUES

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """N and T."""

    @abstractmethod
    def take(self, places_n: IntArray) -> FloatArray:
        """(n, T) rows at these places; a new array."""

    @property
    def at_once(self) -> int:
        """Rows that are worked on at once."""
        return min(max(self.chunk_values // max(self.shape[1], 1), 1), MAX_CHUNK)

    def parts(self) -> Iterator[IntArray]:
        """Places of all rows, `at_once` by `at_once`."""
        num_rows, at_once = self.shape[0], self.at_once
        for start in range(0, num_rows, at_once):
            yield np.arange(start, min(start + at_once, num_rows))


class ArrayRows(TrialRows):
    """Rows of a matrix (N, T) that is there already.

    Raises
    ------
    ValueError
        If it is no matrix.
    """

    def __init__(self, returns_NT: ArrayLike) -> None:
        self._rows = np.asarray(returns_NT, dtype=np.float64)
        if self._rows.ndim != 2:
            raise ValueError(f"the returns have shape {self._rows.shape}; give (N trials, T bars)")

    @property
    def shape(self) -> tuple[int, int]:
        num_rows, num_bars = self._rows.shape
        return num_rows, num_bars

    def take(self, places_n: IntArray) -> FloatArray:
        return self._rows[places_n]
