"""Means, variances, covariances and lines fitted over trailing windows, merged from halves.

Two neighbouring windows give the moments of both together by the formula of Chan, Golub and LeVeque (1979), which does
not subtract large numbers from each other: the variance of a price of 50,000 that moves by cents is right, and that of
a constant is 0. As in `window_sums`, the order of merging depends on the length of the window alone.

Axes: T time, A asset.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from data.array_types import FloatArray
from data.features.kernels import compiled, inner
from data.features.plan import codes
from data.features.plan.graph import Series
from data.features.window_sums import by_knowledge, copied

BLOCK = 4096
"""Numbers whose windows are merged at once."""
TILE = 512
"""Numbers that go through all sums of a merge while they are in the first cache."""
BANDS = 26
"""Rows of work that `merge_windows` needs, each as long as its values."""


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
    if isinstance(values, Series):
        return Moments(*values.steps(codes.MOMENTS, 3, whole=(window_bars,)))
    return Moments(*by_knowledge(_moments_of_known, _moments_of_some, values, window_bars))


def trailing_comoments(x: FloatArray, y: FloatArray, window_bars: int) -> CoMoments:
    """Moments of two variables, of equal shape or broadcast to one, over the bars at which both are known."""
    return _comoments(x, y, window_bars, 0.0)


def trailing_trend(values: FloatArray, window_bars: int) -> CoMoments:
    """Moments of time (x, in bars, 0 at t) and values (y): slope, correlation and residuals of a straight line."""
    return _comoments(0.0 * values, values, window_bars, 1.0)


def _comoments(x: FloatArray, y: FloatArray, window_bars: int, step: float) -> CoMoments:
    if isinstance(x, Series):
        return CoMoments(*x.steps(codes.COMOMENTS, 6, y, whole=(window_bars,), real=(step,)))
    x, y = np.broadcast_arrays(x, y)
    pairs = np.concatenate(
        [x, y], axis=1, dtype=np.float64
    )  # one array, so that both are cut where both are known
    return CoMoments(*by_knowledge(_comoments_of_known, _comoments_of_some, pairs, window_bars, step))


def _moments_of_known(values: FloatArray, window_bars: int) -> FloatArray:
    return _moments(values, values[:0], values[:0], window_bars, 0.0)


def _moments_of_some(values: FloatArray, window_bars: int) -> FloatArray:
    known = ~np.isnan(values)
    filled = np.where(known, values, 0.0)
    return _moments(filled, values[:0], known.astype(np.float64), window_bars, 0.0)


def _comoments_of_known(pairs: FloatArray, window_bars: int, step: float) -> FloatArray:
    x, y = np.split(pairs, 2, axis=1)
    return _moments(x, y, x[:0], window_bars, step)


def _comoments_of_some(pairs: FloatArray, window_bars: int, step: float) -> FloatArray:
    x, y = np.split(pairs, 2, axis=1)
    known = ~(np.isnan(x) | np.isnan(y))
    return _moments(
        np.where(known, x, 0.0), np.where(known, y, 0.0), known.astype(np.float64), window_bars, step
    )


def _moments(x: FloatArray, y: FloatArray, known: FloatArray, window_bars: int, step: float) -> FloatArray:
    """(3, T, A) count, mean and squares of x; with y (6, T, A) count, both means, both squares, products.

    y, known : (T, A), or empty without a second variable, and where all values are known.
    """
    flat = [np.ascontiguousarray(part).reshape(-1) for part in (x, y, known)]
    found = np.full((6 if len(y) else 3, x.size), np.nan)
    if len(x) >= window_bars:
        overlap = (window_bars - 1) * x.shape[1]
        block = max(BLOCK, 4 * overlap)
        bands = np.empty((BANDS, min(x.size, block + overlap)))
        _merge_by_blocks(*flat, x.shape[1], window_bars, step, bands, block, found)
    return found.reshape(len(found), *x.shape)


@compiled
def _merge_by_blocks(x, y, known, stride, window_bars, step, bands, block, found):  # type: ignore[no-untyped-def]
    overlap = (window_bars - 1) * stride
    for start in range(overlap, x.size, block):
        stop = min(start + block, x.size)
        part = slice(start - overlap, stop)
        own_y, own_known = y[part] if y.size else y, known[part] if known.size else known
        at, number = merge_windows(x[part], own_y, own_known, stride, window_bars, step, bands, stop - start)
        count = bands[COUNT + at // 5 % 2][: stop - start]
        for row in range(1, len(found)):
            # Without a second variable: mean and squares of the first.
            place = row - 1 if y.size else 2 * (row - 1)
            copied(found[row][start:stop], bands[at + place])
            if known.size:
                without_too_few(found[row][start:stop], count, window_bars)
        for i in range(start, stop):
            found[0, i] = count[i - start] if known.size else number
        if known.size:
            without_too_few(found[0][start:stop], count, window_bars)


@inner
def without_too_few(values, count, window_bars):  # type: ignore[no-untyped-def]
    """Make those values NaN of whose window fewer than half of the bars, or none, are known."""
    for i in range(len(values)):
        enough = 2.0 * count[i] >= window_bars and count[i] > 0.0
        values[i] = values[i] if enough else np.nan


# Rows of work: means of x and y, squares of x and y, products, each of a level and of the next one, and of the windows
# taken so far and those together with a level; then the counts of these four, and two factors.
LEVEL, TOTAL, LEVEL_COUNT, COUNT, SHARE, WEIGHT = 0, 10, 20, 22, 24, 25


@inner
def _merge_counts(newer, older, out, share, weight):  # type: ignore[no-untyped-def]
    for i in range(len(out)):
        out[i] = newer[i] + older[i]
        share[i] = older[i] / max(out[i], 1.0)
        weight[i] = newer[i] * share[i]


@inner
def _merge_means(out, newer, older, step, share, each):  # type: ignore[no-untyped-def]
    if len(each):
        for i in range(len(out)):
            out[i] = newer[i] + ((older[i] - step) - newer[i]) * each[i]
    else:
        for i in range(len(out)):
            out[i] = newer[i] + ((older[i] - step) - newer[i]) * share


@inner
def _merge_squares(out, newer, older, mean, older_mean, step, weight, each):  # type: ignore[no-untyped-def]
    if len(each):
        for i in range(len(out)):
            delta = (older_mean[i] - step) - mean[i]
            out[i] = newer[i] + older[i] + delta * delta * each[i]
    else:
        for i in range(len(out)):
            delta = (older_mean[i] - step) - mean[i]
            out[i] = newer[i] + older[i] + delta * delta * weight


@inner
def _merge_products(out, newer, older, x, older_x, y, older_y, step, weight, each):  # type: ignore[no-untyped-def]
    if len(each):
        for i in range(len(out)):
            dx, dy = (older_x[i] - step) - x[i], older_y[i] - y[i]
            out[i] = newer[i] + older[i] + dx * dy * each[i]
    else:
        for i in range(len(out)):
            dx, dy = (older_x[i] - step) - x[i], older_y[i] - y[i]
            out[i] = newer[i] + older[i] + dx * dy * weight


@inner
def _merge(bands, newer, newer_at, older, older_at, out, out_at, size, pair, step, share, weight, each):  # type: ignore[no-untyped-def]
    """Moments of newer and of older windows together; the time of the older ones lies `step` further back.

    newer, older, out : the first of their five rows. each : whether shares and weights are those of each window.
    """
    for start in range(0, size, TILE):
        n, o, w = newer_at + start, older_at + start, out_at + start
        length = min(TILE, size - start)
        x, older_x = bands[newer][n : n + length], bands[older][o : o + length]
        y, older_y = bands[newer + 1][n : n + length], bands[older + 1][o : o + length]
        shares = bands[SHARE][start : start + (length if each else 0)]
        weights = bands[WEIGHT][start : start + (length if each else 0)]
        _merge_means(bands[out][w : w + length], x, older_x, step, share, shares)
        _merge_squares(
            bands[out + 2][w : w + length],
            bands[newer + 2][n:],
            bands[older + 2][o:],
            x,
            older_x,
            step,
            weight,
            weights,
        )
        if pair:
            _merge_means(bands[out + 1][w : w + length], y, older_y, 0.0, share, shares)
            _merge_squares(
                bands[out + 3][w : w + length], bands[newer + 3][n:], bands[older + 3][o:], y, older_y, 0.0, weight,
                weights,
            )  # fmt: skip
            _merge_products(
                bands[out + 4][w : w + length], bands[newer + 4][n:], bands[older + 4][o:], x, older_x, y, older_y,
                step, weight, weights,
            )  # fmt: skip


@inner
def _begin(bands, x, y, known, pair, each):  # type: ignore[no-untyped-def]
    """Write the level of windows of one value: it is its own mean, and deviates from it by nothing."""
    copied(bands[0][: len(x)], x)
    for row in range(2, 5):
        for i in range(len(x)):
            bands[row, i] = 0.0
    if pair:
        copied(bands[1][: len(x)], y)
    if each:
        copied(bands[LEVEL_COUNT][: len(x)], known)


@inner
def _take(bands, level, begin, total, size, pair, each):  # type: ignore[no-untyped-def]
    """Write the first windows that are taken: those of a level from `begin` on."""
    for row in range(5):
        if pair or row == 0 or row == 2:
            copied(bands[total + row][:size], bands[level + row][begin:])
    if each:
        copied(bands[COUNT][:size], bands[LEVEL_COUNT + level // 5][begin:])


@inner
def _join(bands, total, level, begin, joined, size, pair, each, step, number, level_number):  # type: ignore[no-untyped-def]
    """Write the windows taken so far together with those of a level, which lie `step` further back."""
    if each:
        _merge_counts(
            bands[COUNT + total // 5 % 2], bands[LEVEL_COUNT + level // 5][begin:],
            bands[COUNT + joined // 5 % 2][:size], bands[SHARE], bands[WEIGHT],
        )  # fmt: skip
    share = level_number / (number + level_number)
    weight = number * share
    _merge(bands, total, 0, level, begin, joined, 0, size, pair, step, share, weight, each)


@inner
def _double(bands, level, ready, after, spare, length, pair, each, step, level_number):  # type: ignore[no-untyped-def]
    """Write the next level: windows of a level together with those `step` further back, which are as long."""
    if each:
        own = bands[LEVEL_COUNT + level // 5]
        _merge_counts(
            own[after:], own[ready:], bands[LEVEL_COUNT + spare // 5][after:][:length], bands[SHARE],
            bands[WEIGHT],
        )  # fmt: skip
    share = level_number / (level_number + level_number)
    weight = level_number * share
    _merge(bands, level, after, level, ready, spare, after, length, pair, step, share, weight, each)


@inner
def merge_windows(x, y, known, stride, window_bars, step, bands, size):  # type: ignore[no-untyped-def]
    """Moments of the windows that end at the last `size` values; see `_moments`.

    The bits of `window_bars`, from the lowest: where one is set, the windows of that level are taken; then windows are
    twice as long.

    x, y : (N,), without NaN; y empty for one variable. known : (N,) 1 or 0, empty where all are known. bands : work,
    (BANDS, N) or longer.

    Returns
    -------
    at : the first of five rows of bands: means of x and y, squares of x and y, products, (size,) each; without y rows 0
        and 2 of them. Their counts stand in row COUNT + at // 5 % 2, if not all are known.
    number : of values of every window, where all are known.
    """
    pair, each = len(y) > 0, len(known) > 0
    first = len(x) - size
    _begin(bands, x, y, known, pair, each)
    level, spare, total, joined = LEVEL, LEVEL + 5, TOTAL, TOTAL + 5
    number, level_number = 0.0, 1.0
    taken_bars, level_bars, left, ready = 0, 1, window_bars, 0
    while left:
        if left & 1:
            begin = first - taken_bars * stride
            if taken_bars == 0:
                _take(bands, level, begin, total, size, pair, each)
                number = level_number
            else:
                back = step * taken_bars
                _join(bands, total, level, begin, joined, size, pair, each, back, number, level_number)
                total, joined = joined, total
                number += level_number
            taken_bars += level_bars
        left >>= 1
        if left:
            after, back = ready + level_bars * stride, step * level_bars
            _double(bands, level, ready, after, spare, len(x) - after, pair, each, back, level_number)
            level, spare = spare, level
            level_number += level_number
            level_bars *= 2
            ready = after
    return total, number
