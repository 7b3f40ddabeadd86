"""Highest and lowest values, ranks and last events of trailing windows: comparisons, which no order of reading changes.

Axes: T time, A asset.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from data.array_types import BoolArray, FloatArray
from data.features.kernels import compiled, inner
from data.features.plan import codes
from data.features.plan.graph import Series
from data.features.window_sums import by_knowledge, copied, known_enough

_BELOW, _DEVIATION = 0, 1
TILE = 1024
"""Numbers that are compared with all of their window while they are in the first cache."""


class Events(NamedTuple):
    """The last two events of a window, (T, A) each; NaN where there was none.

    last, previous : their values. age : bars since the last one, 0 at its own bar.
    """

    last: FloatArray
    previous: FloatArray
    age: FloatArray


def highest(values: FloatArray, window_bars: int) -> FloatArray:
    """Return (T, A) the highest known value of bars t - window_bars + 1 to t.

    NaN where the window is not complete, or fewer than half of its values are known.
    """
    if isinstance(values, Series):
        return values.step(codes.HIGHEST, whole=(window_bars,))
    return by_knowledge(_highest_of_known, _highest_of_some, values, window_bars)


def lowest(values: FloatArray, window_bars: int) -> FloatArray:
    """As `highest`, of the lowest value."""
    return -highest(-values, window_bars)


def highest_age(values: FloatArray, window_bars: int) -> FloatArray:
    """Return (T, A) how many bars ago the highest value of the window was, the newest of equal ones; NaN as
    `highest`.
    """
    if isinstance(values, Series):
        return values.step(codes.AGE, whole=(window_bars,))
    return by_knowledge(_age_of_known, _age_of_some, values, window_bars)


def _highest_of_known(values: FloatArray, window_bars: int) -> FloatArray:
    return _with_kernel(highest_values, values, window_bars)


def _age_of_known(values: FloatArray, window_bars: int) -> FloatArray:
    return _with_kernel(highest_ages, values, window_bars)


def _with_kernel(kernel: Callable[..., None], values: FloatArray, window_bars: int) -> FloatArray:
    found = np.full(values.shape, np.nan)
    if len(values) >= window_bars:
        stride = values.shape[1]
        out = found.reshape(-1)[(window_bars - 1) * stride :]
        kernel(values.reshape(-1), stride, window_bars, np.empty(4 * values.size), out)
    return found


def _of_some(of_known: Callable[..., FloatArray], values: FloatArray, window_bars: int) -> FloatArray:
    known = ~np.isnan(values)
    found = of_known(np.where(known, values, -np.inf), window_bars)
    found[~known_enough(known, window_bars)] = np.nan
    return found


_highest_of_some = partial(_of_some, _highest_of_known)
_age_of_some = partial(_of_some, _age_of_known)


def share_below(values: FloatArray, window_bars: int) -> FloatArray:
    """Return (T, A) the share of the window's known values below the value of t, equal ones counted half, in [0, 1].

    NaN where the value of t is not known, the window is not complete, or fewer than half of it are known.
    """
    return _against(values, values, window_bars, _BELOW)


def mean_deviation(values: FloatArray, centre: FloatArray, window_bars: int) -> FloatArray:
    """Return (T, A) the mean of |value - centre of t| over the window's known values; NaN as for `share_below`."""
    return _against(values, centre, window_bars, _DEVIATION)


def last_events(values: FloatArray, window_bars: int) -> Events:
    """The newest two known values of bars t - window_bars + 1 to t, and the age of the newest.

    The window need not be complete: that nothing happened in bars before the panel cannot be said, so rows before
    `window_bars` - 1 are NaN by a feature's lookback.
    """
    if isinstance(values, Series):
        return Events(*values.steps(codes.EVENTS, 3, whole=(window_bars,)))
    flat = np.ascontiguousarray(values, dtype=np.float64).reshape(-1)
    found = np.full((3, flat.size), np.nan)
    newest_events(flat, values.size // max(len(values), 1), window_bars, *found)
    return Events(*(part.reshape(values.shape) for part in found))


def _against(values: FloatArray, reference: FloatArray, window_bars: int, mode: int) -> FloatArray:
    if isinstance(values, Series):
        return values.step((codes.SHARE_BELOW, codes.DEVIATION)[mode], reference, whole=(window_bars,))
    flat = np.ascontiguousarray(values, dtype=np.float64).reshape(-1)
    centre = np.ascontiguousarray(reference, dtype=np.float64).reshape(-1)
    stride, total = values.size // max(len(values), 1), np.full(values.shape, np.nan)
    early = (window_bars - 1) * stride
    if early < flat.size:
        out = total.reshape(-1)[early:]
        if mode == _BELOW:
            work = np.empty(flat.size + 3 * TILE)
            counted_below(flat, centre[early:], stride, window_bars, work, out)
        else:
            added_deviations(flat, centre[early:], stride, window_bars, out)
    known: BoolArray = ~np.isnan(values)
    if known.all():
        return total / window_bars
    count = np.zeros((known.shape[0] + 1, known.shape[1]), dtype=np.int64)
    np.cumsum(known, axis=0, out=count[1:])
    inside = np.ones(known.shape)
    inside[window_bars - 1 :] = count[window_bars:] - count[:-window_bars] if len(known) >= window_bars else 1
    return np.where(known_enough(known, window_bars), total / np.maximum(inside, 1.0), np.nan)


@inner
def _larger(out, newer, older):  # type: ignore[no-untyped-def]
    for i in range(len(out)):
        out[i] = older[i] if older[i] > newer[i] else newer[i]


@inner
def _age_of_larger(out, newer, older, newer_age, older_age, step):  # type: ignore[no-untyped-def]
    for i in range(len(out)):
        out[i] = older_age[i] + step if older[i] > newer[i] else newer_age[i]


@compiled
def highest_values(values, stride, window_bars, work, out):  # type: ignore[no-untyped-def]
    """Write the highest of the windows that end at the last len(out) values of (N,); work : at least (2 N,).

    No value may be NaN.
    """
    size, reach, ready = len(values), 1, 0
    level, spare, other = values, work[:size], work[size : 2 * size]
    while reach < window_bars:
        step = min(reach, window_bars - reach)  # overlapping windows do no harm
        shift = step * stride
        _larger(spare[ready + shift : size], level[ready + shift :], level[ready : size - shift])
        level, spare, other = spare, other, spare
        ready += shift
        reach += step
    copied(out, level[size - len(out) : size])


@compiled
def highest_ages(values, stride, window_bars, work, out):  # type: ignore[no-untyped-def]
    """As `highest_values`, how many bars ago the highest value was; work : at least (4 N,)."""
    size, reach, ready = len(values), 1, 0
    level, spare, other = values, work[:size], work[size : 2 * size]
    age, spare_age = work[2 * size : 3 * size], work[3 * size : 4 * size]
    for i in range(size):
        age[i] = 0.0
    while reach < window_bars:
        step = min(reach, window_bars - reach)
        shift = step * stride
        newer, older = level[ready + shift :], level[ready : size - shift]
        _age_of_larger(
            spare_age[ready + shift : size], newer, older, age[ready + shift :], age[ready:], np.float64(step)
        )
        _larger(spare[ready + shift : size], newer, older)
        level, spare, other = spare, other, spare
        age, spare_age = spare_age, age
        ready += shift
        reach += step
    copied(out, age[size - len(out) : size])


@inner
def _count_four(below, at_most, centre, first, second, third, fourth):  # type: ignore[no-untyped-def]
    for i in range(len(below)):
        c = centre[i]
        less = (1 if first[i] < c else 0) + (1 if second[i] < c else 0)
        below[i] += less + (1 if third[i] < c else 0) + (1 if fourth[i] < c else 0)
        less = (1 if first[i] <= c else 0) + (1 if second[i] <= c else 0)
        at_most[i] += less + (1 if third[i] <= c else 0) + (1 if fourth[i] <= c else 0)


@inner
def _count_one(below, at_most, centre, values):  # type: ignore[no-untyped-def]
    for i in range(len(below)):
        below[i] += 1 if values[i] < centre[i] else 0
        at_most[i] += 1 if values[i] <= centre[i] else 0


@inner
def _count_exactly(values, centre, stride, window_bars, at):  # type: ignore[no-untyped-def]
    """Twice the share below, of one window that ends at `at`."""
    count = 0
    for lag in range(window_bars):
        value = values[at - lag * stride]
        count += (1 if value < centre else 0) + (1 if value <= centre else 0)
    return count


@inner
def rounded(out, values):  # type: ignore[no-untyped-def]
    """Write the values in single precision."""
    for i in range(len(out)):
        out[i] = values[i]


@compiled
def counted_below(values, centre, stride, window_bars, work, out):  # type: ignore[no-untyped-def]
    """Write how many values of a window are below its centre, ties half.

    values, centre, out : as for `added_deviations`. work : at least (N + 3 TILE,), overwritten. Numbers are compared
    in single precision, twice as many at once: rounding keeps their order but for those that become equal, and these
    windows are counted again exactly.
    """
    size = len(values)
    keys = work[: size // 2 + 1].view(np.float32)
    spare = work[size // 2 + 1 :]
    rounded(keys[:size], values)
    first = size - len(out)
    for start in range(0, len(out), TILE):
        length = min(TILE, len(out) - start)
        own = keys[first + start : first + start + length]
        below = spare[:TILE].view(np.int32)[:length]
        at_most = spare[TILE : 2 * TILE].view(np.int32)[:length]
        for i in range(length):
            below[i] = 0
            at_most[i] = 0
        lag = 0
        while lag + 4 <= window_bars:
            at = first + start - lag * stride
            one, two = keys[at : at + length], keys[at - stride : at - stride + length]
            three, four = keys[at - 2 * stride :][:length], keys[at - 3 * stride :][:length]
            _count_four(below, at_most, own, one, two, three, four)
            lag += 4
        while lag < window_bars:
            at = first + start - lag * stride
            _count_one(below, at_most, own, keys[at : at + length])
            lag += 1
        for i in range(length):
            c = centre[start + i]
            if c != c:
                out[start + i] = np.nan
            elif at_most[i] - below[i] == 1:  # the centre itself
                out[start + i] = 0.5 * (below[i] + at_most[i])
            else:
                out[start + i] = 0.5 * _count_exactly(values, c, stride, window_bars, first + start + i)


@inner
def _add_deviations(out, centre, first, second, third, fourth):  # type: ignore[no-untyped-def]
    for i in range(len(out)):
        c = centre[i]
        one, two, three, four = abs(first[i] - c), abs(second[i] - c), abs(third[i] - c), abs(fourth[i] - c)
        total = out[i] + (one if one >= 0.0 else 0.0)
        total += two if two >= 0.0 else 0.0
        total += three if three >= 0.0 else 0.0
        out[i] = total + (four if four >= 0.0 else 0.0)


@inner
def _add_deviation(out, centre, values):  # type: ignore[no-untyped-def]
    for i in range(len(out)):
        deviation = abs(values[i] - centre[i])
        out[i] += deviation if deviation >= 0.0 else 0.0


@compiled
def added_deviations(values, centre, stride, window_bars, out):  # type: ignore[no-untyped-def]
    """Write the sum of the absolute deviations of a window's values from its centre.

    values : (N,), of which the windows of the last len(out) ones are read; NaN is left out. centre, out : as long as
    out; where the centre is NaN, the result is.
    """
    first = len(values) - len(out)
    for start in range(0, len(out), TILE):
        stop = min(start + TILE, len(out))
        total, own = out[start:stop], centre[start:stop]
        for i in range(len(total)):
            total[i] = 0.0 if own[i] == own[i] else np.nan
        lag, size = 0, stop - start
        # Newest first; four bars in one go spare the sums their way to memory and back.
        while lag + 4 <= window_bars:
            at = first + start - lag * stride
            one, two = values[at : at + size], values[at - stride : at - stride + size]
            three, four = values[at - 2 * stride :][:size], values[at - 3 * stride :][:size]
            _add_deviations(total, own, one, two, three, four)
            lag += 4
        while lag < window_bars:
            at = first + start - lag * stride
            _add_deviation(total, own, values[at : at + size])
            lag += 1


@compiled
def newest_events(values, stride, window_bars, last, previous, age):  # type: ignore[no-untyped-def]
    """Write the newest two values that are not NaN of the windows that end at the last len(last) of values (N,).

    last, previous, age : of equal length, or empty where they are not asked for; NaN where there is no event.
    """
    size = max(len(last), len(previous), len(age))
    rows, skipped = len(values) // stride, (len(values) - size) // stride
    for a in range(stride):
        newest, before = -1, -1  # rows of the newest two events
        for t in range(rows):
            if values[t * stride + a] == values[t * stride + a]:
                newest, before = t, newest
            if t < skipped:
                continue
            i = (t - skipped) * stride + a
            there = newest >= 0 and t - newest < window_bars
            if len(last):
                last[i] = values[newest * stride + a] if there else np.nan
            if len(age):
                age[i] = t - newest if there else np.nan
            if len(previous):
                twice = there and before >= 0 and t - before < window_bars
                previous[i] = values[before * stride + a] if twice else np.nan
