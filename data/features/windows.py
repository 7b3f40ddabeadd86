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
BLOCK = 1024
"""Sums that are carried side by side: few enough for the first cache."""


def trailing_mean(values: FloatArray, window_bars: int) -> FloatArray:
    """Return (T, A) the mean over the known values of bars t - window_bars + 1 to t.

    NaN where the window is not complete, or fewer than half of its values are known.
    """
    values = np.ascontiguousarray(values, dtype=np.float64)
    known = ~np.isnan(values)
    return _trailing_mean(np.where(known, values, 0.0), known.astype(np.int32), int(window_bars))


@numba.njit(cache=True)
def _trailing_mean(values: FloatArray, known: NDArray[np.int32], window_bars: int) -> FloatArray:
    # Many neighbouring windows side by side: each is summed in its own order, and the processor adds several at once.
    # An unknown value is a 0 here; adding it leaves a sum as it is, to the bit.
    num_bars, num_assets = values.shape
    flat, flat_known = values.ravel(), known.ravel()
    out = np.full(values.size, np.nan)
    size = max(BLOCK // num_assets, 1) * num_assets
    total, count = np.empty(size), np.empty(size, dtype=np.int32)
    for start in range((window_bars - 1) * num_assets, values.size, size):
        width = min(size, values.size - start)
        total[:] = 0.0
        count[:] = 0
        for lag in range(window_bars - 1, -1, -1):
            first = start - lag * num_assets
            part, part_known = flat[first : first + width], flat_known[first : first + width]
            for i in range(len(part)):
                total[i] += part[i]
            for i in range(len(part_known)):
                count[i] += part_known[i]
        for i in range(width):
            if 2 * count[i] >= window_bars and count[i] > 0:
                out[start + i] = total[i] / count[i]
    return out.reshape(num_bars, num_assets)
