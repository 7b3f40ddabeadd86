"""Means over trailing windows, exact: row t is summed from its own window, in a fixed order.

A running sum would be faster, but carries rounding from every bar before the window: its lookback would be
the whole past, and cutting the past off would move bits.

Axes: T time, A asset.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from data.features.kernels import inner
from data.features.plan import codes
from data.features.plan.graph import Series
from data.features.window_sums import number_unknown, split_by_knowledge

FloatArray = NDArray[np.float64]
BLOCK = 1024
"""Sums that are carried side by side: few enough for the first cache."""


def trailing_mean(values: FloatArray, window_bars: int) -> FloatArray:
    """Return (T, A) the mean over the known values of bars t - window_bars + 1 to t.

    NaN where the window is not complete, or fewer than half of its values are known.
    """
    if isinstance(values, Series):
        return values.step(codes.MEAN_IN_ORDER, whole=(window_bars,))
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


@inner
def means_in_order(values, stride, window_bars, work, out):  # type: ignore[no-untyped-def]
    """Write trailing means of values (N,) for its last len(out) ones, as `trailing_mean`; work : at least (3 N,)."""
    size = len(values)
    filled, known, count = work[:size], work[size : 2 * size], work[2 * size : 2 * size + len(out)]
    unknown = number_unknown(values) > 0
    if unknown:
        split_by_knowledge(values, filled, known)
    else:
        filled = values
    for i in range(len(out)):
        out[i] = 0.0
        count[i] = 0.0
    _add_in_order(filled, stride, window_bars, out)
    if not unknown:
        for i in range(len(out)):
            out[i] /= window_bars
        return
    _add_in_order(known, stride, window_bars, count)
    for i in range(len(out)):
        enough = 2.0 * count[i] >= window_bars and count[i] > 0.0
        out[i] = out[i] / count[i] if enough else np.nan


@inner
def _add_in_order(values, stride, window_bars, out):  # type: ignore[no-untyped-def]
    """Add the oldest bar first; several bars in one go spare the sums their way to memory and back."""
    size, lag = len(out), window_bars
    while lag >= 4:
        first, second = values[(window_bars - lag) * stride :], values[(window_bars - lag + 1) * stride :]
        third, fourth = values[(window_bars - lag + 2) * stride :], values[(window_bars - lag + 3) * stride :]
        for i in range(size):
            out[i] = (((out[i] + first[i]) + second[i]) + third[i]) + fourth[i]
        lag -= 4
    while lag:
        first = values[(window_bars - lag) * stride :]
        for i in range(size):
            out[i] += first[i]
        lag -= 1
