"""Sums and exponential means over trailing windows, in a number of steps that grows with the logarithm of the window.

A window of n bars is put together from windows of 1, 2, 4, ... bars that end where the next one begins, newest first.
Which values are added in which order depends on n alone, never on where the window stands in the panel or on what came
before it, so that a value is the same to the bit on a panel of a million bars and on the n bars that it reads.

An exponential mean is cut off after `ema_bars(span)` bars, where 2 / (span + 1) is the weight of the newest bar, as
usual. The bars beyond would have weighed (1 - 2 / (span + 1))^n together, less than 6.2e-6: so the value differs from
the endless recursion's by at most 6.2e-6 of the range of all values that the recursion has seen.

Axes: T time, A asset.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from data.array_types import BoolArray, FloatArray
from data.features.kernels import compiled, inner
from data.features.plan import codes
from data.features.plan.graph import Series

REACH = 6
"""Spans after which an exponential mean is cut off: exp(-2 * 6) = 6.1e-6 of its weight is left, and less of
short ones.
"""


def ema_bars(span_bars: float) -> int:
    """Bars that a windowed exponential mean of this span reads; 1 for a span of 1, which is the value itself."""
    return math.ceil(REACH * span_bars) if span_bars > 1.0 else 1


def wilder_span(window_bars: int) -> float:
    """Span of the exponential mean that Wilder's smoothing over `window_bars` is: its newest weight is 1 /
    window_bars.
    """
    return 2.0 * window_bars - 1.0


def trailing_sum(values: FloatArray, window_bars: int) -> FloatArray:
    """Return (T, A) the sum of the known values of bars t - window_bars + 1 to t.

    NaN where the window is not complete, or fewer than half of its values are known.
    """
    if isinstance(values, Series):
        return values.step(codes.SUM, whole=(window_bars,), real=(1.0, weight_of_known(window_bars, 1.0)))
    return by_knowledge(_sum_of_known, _sum_of_some, values, window_bars)


def window_mean(values: FloatArray, window_bars: int) -> FloatArray:
    """Return (T, A) the mean of the known values of bars t - window_bars + 1 to t; NaN as for `trailing_sum`.

    `data.features.windows.trailing_mean` adds up in another order, and is kept for the features that began with it.
    """
    return _weighted_mean(values, window_bars, 1.0)


def trailing_ema(values: FloatArray, span_bars: float) -> FloatArray:
    """Return (T, A) the exponential mean of this span over the last `ema_bars(span_bars)` bars; weights add up to 1.

    NaN where the window is not complete, or the known values carry less than half of its weight.
    """
    if span_bars <= 1.0:
        return values if isinstance(values, Series) else np.array(values)
    return _weighted_mean(values, ema_bars(span_bars), 1.0 - 2.0 / (span_bars + 1.0))


def _weighted_mean(values: FloatArray, window_bars: int, decay: float) -> FloatArray:
    if isinstance(values, Series):
        weight = weight_of_known(window_bars, decay)
        return values.step(codes.MEAN, whole=(window_bars,), real=(decay, weight))
    return by_knowledge(_mean_of_known, _mean_of_some, values, window_bars, decay)


Windowed = Callable[..., FloatArray]


def by_knowledge(
    of_known: Windowed, of_some: Windowed, values: FloatArray, window_bars: int, *arguments: float
) -> FloatArray:
    """Return a function of windows, by the quick way wherever no value of a window is unknown.

    Parameters
    ----------
    of_known, of_some : (values, window_bars, *arguments) -> (T, A) or (..., T, A), the same to the bit where all values
        of a window are known; of_some is right for the others too.
    """
    values = np.ascontiguousarray(values, dtype=np.float64)
    if not values.flags.writeable:  # for read-only arrays every kernel would be compiled once more
        values = values.copy()
    if not np.isnan(values.sum()):
        return of_known(values, window_bars, *arguments)
    rows = np.flatnonzero(np.isnan(values).any(axis=1))
    if not len(rows):  # infinite values of both signs
        return of_known(values, window_bars, *arguments)
    clear = int(rows[-1]) + window_bars  # from here on every window is known
    if 2 * clear > len(values):
        return of_some(values, window_bars, *arguments)
    # The first rows are often unknown, because what they are made of lies before them.
    first = of_some(values[:clear], window_bars, *arguments)
    rest = of_known(values[clear - window_bars + 1 :], window_bars, *arguments)
    return np.concatenate([first, rest[..., window_bars - 1 :, :]], axis=-2)


def _tree(values: FloatArray, window_bars: int, decay: float) -> FloatArray:
    found = np.full(values.shape, np.nan)
    if len(values) >= window_bars:
        out = found.reshape(-1)[(window_bars - 1) * values.shape[1] :]
        decayed_sums(values.reshape(-1), values.shape[1], window_bars, decay, np.empty(2 * values.size), out)
    return found


def _sum_of_known(values: FloatArray, window_bars: int) -> FloatArray:
    return _tree(values, window_bars, 1.0)


def _mean_of_known(values: FloatArray, window_bars: int, decay: float) -> FloatArray:
    return _tree(values, window_bars, decay) / weight_of_known(window_bars, decay)


def _of_some(values: FloatArray, window_bars: int, decay: float) -> tuple[FloatArray, FloatArray]:
    """(T, A) the decayed sum of known values, and the decayed number of them, NaN where less than half is known."""
    known = ~np.isnan(values)
    total = _tree(np.where(known, values, 0.0), window_bars, decay)
    weight = _tree(known.astype(np.float64), window_bars, decay)
    weight[~(2.0 * weight >= weight_of_known(window_bars, decay))] = np.nan
    return total, weight


def _sum_of_some(values: FloatArray, window_bars: int) -> FloatArray:
    total, weight = _of_some(values, window_bars, 1.0)
    total[np.isnan(weight)] = np.nan
    return total


def _mean_of_some(values: FloatArray, window_bars: int, decay: float) -> FloatArray:
    total, weight = _of_some(values, window_bars, decay)
    return total / weight


def known_enough(known: BoolArray, window_bars: int) -> BoolArray:
    """Return (T, A) True where the window is complete and at least half of its bars are known."""
    count = np.zeros((known.shape[0] + 1, known.shape[1]), dtype=np.int64)
    np.cumsum(known, axis=0, out=count[1:])
    enough = np.zeros(known.shape, dtype=bool)
    if len(known) >= window_bars:
        inside = count[window_bars:] - count[:-window_bars]
        enough[window_bars - 1 :] = (2 * inside >= window_bars) & (inside > 0)
    return enough


@lru_cache(maxsize=1024)
def weight_of_known(window_bars: int, decay: float) -> float:
    """What `decayed_sums` gives for a window of ones, by the same additions."""
    total, taken, level, power, left = 0.0, 1.0, 1.0, decay, window_bars
    while left:
        if left & 1:
            total = total + taken * level
            taken *= power
        left >>= 1
        level = level + power * level
        power *= power
    return total


@inner
def copied(out, values):  # type: ignore[no-untyped-def]
    """Write values into out, element by element."""
    # Written out: an assignment of arrays brings a check of shapes that takes seconds to compile.
    for i in range(len(out)):
        out[i] = values[i]


@inner
def number_unknown(values):  # type: ignore[no-untyped-def]
    """How many values are NaN."""
    count = 0
    for i in range(len(values)):
        count += 1 if values[i] != values[i] else 0
    return count


@inner
def split_by_knowledge(values, filled, known):  # type: ignore[no-untyped-def]
    """Write the values with 0 for NaN, and 1 where they are known, else 0."""
    for i in range(len(values)):
        filled[i] = values[i] if values[i] == values[i] else 0.0
        known[i] = 1.0 if values[i] == values[i] else 0.0


@inner
def _add_scaled(out, first, second, scale):  # type: ignore[no-untyped-def]
    for i in range(len(out)):
        out[i] = first[i] + scale * second[i]


@inner
def _add_to(out, values, scale):  # type: ignore[no-untyped-def]
    for i in range(len(out)):
        out[i] += scale * values[i]


@compiled
def decayed_sums(values, stride, window_bars, decay, work, out):  # type: ignore[no-untyped-def]
    """Write the sums over lags 0 to window_bars - 1 of decay^lag * values[i - lag * stride] for the last values i.

    values : (N,) the values, and (window_bars - 1) * stride values before them. work : at least (2 N,), overwritten.
    out : (N - (window_bars - 1) * stride,). No value may be NaN.
    """
    # Parts of arrays, counted from their own beginning: the compiler then adds several numbers at once.
    size = len(values)
    first = size - len(out)
    level, spare, other = values, work[:size], work[size : 2 * size]
    taken, power = 1.0, decay  # decay^(bars taken), decay^(bars of a level)
    taken_bars, level_bars, left, ready = 0, 1, window_bars, 0
    while left:
        if left & 1:
            begin = first - taken_bars * stride
            part = level[begin : begin + len(out)]
            if taken_bars:
                _add_to(out, part, taken)
            else:
                copied(out, part)
            taken_bars += level_bars
            taken *= power
        left >>= 1
        if left:
            shift = level_bars * stride
            _add_scaled(
                spare[ready + shift :][: size - ready - shift],
                level[ready + shift :],
                level[ready : size - shift],
                power,
            )
            ready += shift
            level, spare, other = spare, other, spare
            level_bars *= 2
            power *= power


@inner
def known_sums(values, stride, window_bars, decay, full_weight, as_mean, work, out):  # type: ignore[no-untyped-def]
    """Write sums, or means, over known values as `decayed_sums` does; NaN where they carry less than half the weight.

    work : at least (5 N,). full_weight : of a window that is known throughout.
    """
    if number_unknown(values) == 0:
        decayed_sums(values, stride, window_bars, decay, work, out)
        if as_mean:
            for i in range(len(out)):
                out[i] /= full_weight
        return
    size = len(values)
    filled, known, weight = work[:size], work[size : 2 * size], work[2 * size : 2 * size + len(out)]
    split_by_knowledge(values, filled, known)
    decayed_sums(filled, stride, window_bars, decay, work[3 * size :], out)
    decayed_sums(known, stride, window_bars, decay, work[3 * size :], weight)
    for i in range(len(out)):
        if not 2.0 * weight[i] >= full_weight:
            out[i] = np.nan
        elif as_mean:
            out[i] /= weight[i]
