"""The last value that was known: at or before each bar, or before it.

Axes: T time, then any others; each of their series is followed by itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.array_types import BoolArray, FloatArray


def last_known_row(known: BoolArray) -> NDArray[np.int64]:
    """(T, ...) the last row at or before each one in which something is known; -1 where there is none."""
    rows = np.arange(len(known)).reshape(-1, *(1,) * (known.ndim - 1))
    return np.maximum.accumulate(np.where(known, rows, -1), axis=0)


def carried(values: FloatArray, known: BoolArray | None = None) -> FloatArray:
    """(T, ...) the last known value at or before each row, a new array; NaN before the first.

    Parameters
    ----------
    values : (T, ...). known : (T, ...) which of them count; None for those that are finite.
    """
    known = np.isfinite(values) if known is None else known
    if known.all():
        return values.copy()
    rows = last_known_row(known)
    found: FloatArray = np.take_along_axis(values, np.maximum(rows, 0), axis=0)
    found[rows < 0] = np.nan
    return found


def known_before(values: FloatArray, known: BoolArray | None = None) -> FloatArray:
    """(T, ...) the last known value before each row, its own left out, a new array; NaN where there is none.

    Parameters
    ----------
    values : (T, ...). known : (T, ...) which of them count; None for those that are finite.
    """
    found = np.full_like(values, np.nan)
    found[1:] = carried(values, known)[:-1]
    return found
