"""Means over trailing windows, exact: row t is summed from its own window, in a fixed order.

A running sum would be faster, but carries rounding from every bar before the window: its lookback would be
the whole past, and cutting the past off would move bits.

Axes: T time, A asset.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def trailing_mean(values: FloatArray, window_bars: int) -> FloatArray:
    """Return (T, A) the mean over the known values of bars t - window_bars + 1 to t.

    NaN where the window is not complete, or fewer than half of its values are known.
    """
    return _trailing_mean(np.ascontiguousarray(values, dtype=np.float64), int(window_bars))


@numba.njit(cache=True)
def _trailing_mean(values: FloatArray, window_bars: int) -> FloatArray:
    num_bars, num_assets = values.shape
    out = np.full((num_bars, num_assets), np.nan)
    total = np.empty(num_assets)
    known = np.empty(num_assets, dtype=np.int64)
    for t in range(window_bars - 1, num_bars):
        total[:] = 0.0
        known[:] = 0
        for u in range(t - window_bars + 1, t + 1):
            for a in range(num_assets):
                value = values[u, a]
                if not np.isnan(value):
                    total[a] += value
                    known[a] += 1
        for a in range(num_assets):
            if 2 * known[a] >= window_bars and known[a] > 0:
                out[t, a] = total[a] / known[a]
    return out
