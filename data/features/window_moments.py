"""Means, variances, covariances and lines fitted over trailing windows, merged from halves.

Two neighbouring windows give the moments of both together by the formula of Chan, Golub and LeVeque (1979), which does
not subtract large numbers from each other: the variance of a price of 50,000 that moves by cents is right, and that of
a constant is 0. As in `window_sums`, the order of merging depends on the length of the window alone.

Axes: T time, A asset.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from data.array_types import FloatArray
from data.features.window_sums import by_knowledge

BLOCK = 4096
"""Numbers that are merged at once."""


class Moments(NamedTuple):
    """Of one variable over the known values of a window, (T, A) each; NaN where fewer than half are known.

    number : of known values. mean : of them. squares : sum of squared deviations from the mean.
    """

    number: FloatArray
    mean: FloatArray
    squares: FloatArray

    @property
    def std(self) -> FloatArray:
        """Standard deviation, ddof 0, as Bollinger and TA-Lib take it."""
        return np.sqrt(self.squares / self.number)


class CoMoments(NamedTuple):
    """Of two variables over the bars of a window at which both are known, (T, A) each; NaN as for `Moments`.

    xx, yy, xy : sums of squares and products of the deviations from the means.
    """

    number: FloatArray
    mean_x: FloatArray
    mean_y: FloatArray
    xx: FloatArray
    yy: FloatArray
    xy: FloatArray

    @property
    def slope(self) -> FloatArray:
        """Of the line y = a + slope * x of least squares; 0 where x did not move."""
        return np.where(self.xx == 0.0, 0.0 * self.xy, self.xy / self.xx)

    @property
    def correlation(self) -> FloatArray:
        """Pearson's, in [-1, 1]; 0 where one of them did not move."""
        spread = np.sqrt(self.xx) * np.sqrt(self.yy)
        return np.clip(np.where(spread == 0.0, 0.0 * self.xy, self.xy / spread), -1.0, 1.0)


def trailing_moments(values: FloatArray, window_bars: int) -> Moments:
    """Moments of the known values of bars t - window_bars + 1 to t.

    NaN where the window is not complete, or fewer than half of its values are known.
    """
    return Moments(*by_knowledge(_moments_of_known, _moments_of_some, values, window_bars))


def trailing_comoments(x: FloatArray, y: FloatArray, window_bars: int) -> CoMoments:
    """Moments of two variables, of equal shape or broadcast to one, over the bars at which both are known."""
    return _comoments(x, y, window_bars, 0.0)


def trailing_trend(values: FloatArray, window_bars: int) -> CoMoments:
    """Moments of time (x, in bars, 0 at t) and values (y): slope, correlation and residuals of a straight line."""
    return _comoments(0.0 * values, values, window_bars, 1.0)


def _comoments(x: FloatArray, y: FloatArray, window_bars: int, step: float) -> CoMoments:
    x, y = np.broadcast_arrays(x, y)
    pairs = np.concatenate(
        [x, y], axis=1, dtype=np.float64
    )  # one array, so that both are cut where both are known
    return CoMoments(*by_knowledge(_comoments_of_known, _comoments_of_some, pairs, window_bars, step))


def _moments_of_known(values: FloatArray, window_bars: int) -> FloatArray:
    return _moments(values, values[:0], np.ones(1), window_bars, 0.0)


def _moments_of_some(values: FloatArray, window_bars: int) -> FloatArray:
    known = ~np.isnan(values)
    filled = np.where(known, values, 0.0)
    return _moments(filled, values[:0], known.astype(np.float64), window_bars, 0.0)


def _comoments_of_known(pairs: FloatArray, window_bars: int, step: float) -> FloatArray:
    x, y = np.split(pairs, 2, axis=1)
    return _moments(x, y, np.ones(1), window_bars, step)


def _comoments_of_some(pairs: FloatArray, window_bars: int, step: float) -> FloatArray:
    x, y = np.split(pairs, 2, axis=1)
    known = ~(np.isnan(x) | np.isnan(y))
    return _moments(
        np.where(known, x, 0.0), np.where(known, y, 0.0), known.astype(np.float64), window_bars, step
    )


def _moments(x: FloatArray, y: FloatArray, count: FloatArray, window_bars: int, step: float) -> FloatArray:
    """(3, T, A) count, mean and squares of x; with y (6, T, A) count, both means, both squares, products.

    count : (T, A) 1 where known and 0 where not, or (1,) where all are.
    """
    flat = [np.ascontiguousarray(part).reshape(-1) for part in (x, y, count)]
    found = _merged_by_blocks(*flat, x.shape[1], window_bars, step)
    return found.reshape(len(found), *x.shape)


@numba.njit(cache=True)
def _merged_by_blocks(x, y, known, stride, window_bars, step):  # type: ignore[no-untyped-def]
    """As `_merged`, in parts whose dozens of arrays stay in the cache."""
    size, overlap = x.size, (window_bars - 1) * stride
    block = max(BLOCK, 4 * overlap)
    if size <= block + overlap:
        return _merged(x, y, known, stride, window_bars, step)
    rows = 6 if y.size else 3
    found = np.empty((rows, size))
    for start in range(0, size, block):
        first, stop = max(start - overlap, 0), min(start + block, size)
        own_y = y[first:stop] if y.size else y
        own_known = known[first:stop] if known.size > 1 else known
        part = _merged(x[first:stop], own_y, own_known, stride, window_bars, step)
        for row in range(rows):
            _copy(found[row, start:stop], part[row, start - first :])
    return found


@numba.njit(cache=True)
def _merge_counts(first, second, out, share, weight):  # type: ignore[no-untyped-def]
    for i in range(len(out)):
        out[i] = first[i] + second[i]
        share[i] = second[i] / max(out[i], 1.0)
        weight[i] = first[i] * share[i]


@numba.njit(cache=True)
def _merge_means(delta, out, newer, older, share, step):  # type: ignore[no-untyped-def]
    if len(share) == 1:
        one = share[0]
        for i in range(len(out)):
            delta[i] = (older[i] - step) - newer[i]
            out[i] = newer[i] + delta[i] * one
    else:
        for i in range(len(out)):
            delta[i] = (older[i] - step) - newer[i]
            out[i] = newer[i] + delta[i] * share[i]


@numba.njit(cache=True)
def _add_products(out, first, second, dx, dy, weight):  # type: ignore[no-untyped-def]
    if len(weight) == 1:
        one = weight[0]
        for i in range(len(out)):
            out[i] = first[i] + second[i] + dx[i] * dy[i] * one
    else:
        for i in range(len(out)):
            out[i] = first[i] + second[i] + dx[i] * dy[i] * weight[i]


@numba.njit(cache=True)
def _merge(newer, older, out, counts, shift, step, dx, dy, share, weight):  # type: ignore[no-untyped-def]
    """Moments of newer at i and of older at i - shift together, into out; the older time lies `step` further back.

    newer, older, out : (5, N) means of x and y, squares of x and y, products; of x alone (2, N).
    counts : (3, N) or (3, 1) of newer, older and out.
    """
    size = out.shape[1]
    keep = size - shift
    if counts.shape[1] == 1:
        _merge_counts(counts[0], counts[1], counts[2], share, weight)
    else:
        _merge_counts(counts[0, shift:], counts[1, :keep], counts[2, shift:], share[:keep], weight[:keep])
        share, weight = share[:keep], weight[:keep]
    dx, dy = dx[:keep], dy[:keep]
    _merge_means(dx, out[0, shift:], newer[0, shift:], older[0, :keep], share, step)
    if len(out) == 2:
        _add_products(out[1, shift:], newer[1, shift:], older[1, :keep], dx, dx, weight)
        return
    _merge_means(dy, out[1, shift:], newer[1, shift:], older[1, :keep], share, 0.0)
    _add_products(out[2, shift:], newer[2, shift:], older[2, :keep], dx, dx, weight)
    _add_products(out[3, shift:], newer[3, shift:], older[3, :keep], dy, dy, weight)
    _add_products(out[4, shift:], newer[4, shift:], older[4, :keep], dx, dy, weight)


@numba.njit(cache=True)
def _copy(out, values):  # type: ignore[no-untyped-def]
    # Written out: an assignment of arrays brings a check of shapes that takes seconds to compile.
    for i in range(len(out)):
        out[i] = values[i]


@numba.njit(cache=True)
def _merged(x, y, known, stride, window_bars, step):  # type: ignore[no-untyped-def]
    """(3, N) count, mean and squares of x, or (6, N) with y; see `_moments`."""
    size, counted = x.size, known.size
    rows = 5 if y.size else 2
    level, spare = np.zeros((rows, size)), np.zeros((rows, size))
    total, joined = np.zeros((rows, size)), np.zeros((rows, size))
    _copy(level[0], x)
    _copy(level[1, : y.size], y)
    dx, dy, share, weight = np.empty(size), np.empty(size), np.empty(counted), np.empty(counted)
    # Of the windows taken so far, of a level, and of both together.
    taken_counts, level_counts = np.zeros((3, counted)), np.zeros((3, counted))
    _copy(level_counts[0], known)
    taken_bars, level_bars, left = 0, 1, window_bars
    while left:
        if left & 1:
            if taken_bars == 0:
                for row in range(rows):
                    _copy(total[row], level[row])
                _copy(taken_counts[0], level_counts[0])
            else:
                _copy(taken_counts[1], level_counts[0])
                shift = min(taken_bars * stride, size)
                _merge(total, level, joined, taken_counts, shift, step * taken_bars, dx, dy, share, weight)
                total, joined = joined, total
                _copy(taken_counts[0], taken_counts[2])
            taken_bars += level_bars
        left >>= 1
        if left:
            _copy(level_counts[1], level_counts[0])
            shift = min(level_bars * stride, size)
            _merge(level, level, spare, level_counts, shift, step * level_bars, dx, dy, share, weight)
            level, spare = spare, level
            _copy(level_counts[0], level_counts[2])
            level_bars *= 2
    found = np.empty((rows + 1, size))
    found[0, :] = taken_counts[0, 0]
    if counted > 1:
        _copy(found[0], taken_counts[0])
    for row in range(rows):
        _copy(found[row + 1], total[row])
        found[row + 1, : min((window_bars - 1) * stride, size)] = np.nan
    found[0, : min((window_bars - 1) * stride, size)] = np.nan
    if counted > 1:
        for i in range(size):
            if not (2.0 * found[0, i] >= window_bars and found[0, i] > 0.0):
                for row in range(rows + 1):
                    found[row, i] = np.nan
    return found
