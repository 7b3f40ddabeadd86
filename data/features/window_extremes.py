"""Highest and lowest values, ranks and last events of trailing windows: comparisons, which no order of reading changes.

Axes: T time, A asset.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numba
import numpy as np

from data.array_types import BoolArray, FloatArray
from data.features.window_sums import by_knowledge, known_enough

_BELOW, _DEVIATION = 0, 1


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
    return by_knowledge(_highest_of_known, _highest_of_some, values, window_bars)


def lowest(values: FloatArray, window_bars: int) -> FloatArray:
    """As `highest`, of the lowest value."""
    return -highest(-np.asarray(values), window_bars)


def highest_age(values: FloatArray, window_bars: int) -> FloatArray:
    """Return (T, A) how many bars ago the highest value of the window was, the newest of equal ones; NaN as
    `highest`.
    """
    return by_knowledge(_age_of_known, _age_of_some, values, window_bars)


def _highest_of_known(values: FloatArray, window_bars: int) -> FloatArray:
    return _highest(values.reshape(-1), values.shape[1], window_bars, False)[0].reshape(values.shape)


def _age_of_known(values: FloatArray, window_bars: int) -> FloatArray:
    return _highest(values.reshape(-1), values.shape[1], window_bars, True)[1].reshape(values.shape)


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
    flat = np.ascontiguousarray(values, dtype=np.float64).reshape(-1)
    found = _last_events(flat, values.size // max(len(values), 1), window_bars)
    return Events(*(part.reshape(values.shape) for part in found))


def _against(values: FloatArray, reference: FloatArray, window_bars: int, mode: int) -> FloatArray:
    flat = np.ascontiguousarray(values, dtype=np.float64).reshape(-1)
    centre = np.ascontiguousarray(reference, dtype=np.float64).reshape(-1)
    stride = values.size // max(len(values), 1)
    total = _compared(flat, centre, stride, window_bars, mode).reshape(values.shape)
    known: BoolArray = ~np.isnan(values)
    if known.all():
        return total / window_bars
    count = np.zeros((known.shape[0] + 1, known.shape[1]), dtype=np.int64)
    np.cumsum(known, axis=0, out=count[1:])
    inside = np.ones(known.shape)
    inside[window_bars - 1 :] = count[window_bars:] - count[:-window_bars] if len(known) >= window_bars else 1
    return np.where(known_enough(known, window_bars), total / np.maximum(inside, 1.0), np.nan)


@numba.njit(cache=True)
def _larger(out, newer, older):  # type: ignore[no-untyped-def]
    for i in range(len(out)):
        out[i] = older[i] if older[i] > newer[i] else newer[i]


@numba.njit(cache=True)
def _age_of_larger(out, newer, older, newer_age, older_age, step):  # type: ignore[no-untyped-def]
    for i in range(len(out)):
        out[i] = older_age[i] + step if older[i] > newer[i] else newer_age[i]


@numba.njit(cache=True)
def _highest(values, stride, window_bars, aged):  # type: ignore[no-untyped-def]
    size = values.size
    value, other = values.copy(), values.copy()
    age, other_age = np.zeros(size if aged else 0), np.zeros(size if aged else 0)
    reach = 1
    while reach < window_bars:
        step = min(reach, window_bars - reach)  # overlapping windows do no harm
        shift = min(step * stride, size)
        older, newer = value[: size - shift], value[shift:]
        if aged:
            _age_of_larger(
                other_age[shift:], newer, older, age[shift:], age[: size - shift], np.float64(step)
            )
            age, other_age = other_age, age
        _larger(other[shift:], newer, older)
        value, other = other, value
        reach += step
    early = min((window_bars - 1) * stride, size)
    value[:early] = np.nan
    age[:early] = np.nan
    return value, age


@numba.njit(cache=True)
def _count_below(out, values, centre):  # type: ignore[no-untyped-def]
    for i in range(len(out)):
        out[i] += (0.5 if values[i] < centre[i] else 0.0) + (0.5 if values[i] <= centre[i] else 0.0)


@numba.njit(cache=True)
def _add_deviation(out, values, centre):  # type: ignore[no-untyped-def]
    for i in range(len(out)):
        deviation = abs(values[i] - centre[i])
        out[i] += deviation if deviation >= 0.0 else 0.0


@numba.njit(cache=True)
def _compared(values, centre, stride, window_bars, mode):  # type: ignore[no-untyped-def]
    """(N,) counts below the centre (ties half), or sums of absolute deviations, over known values; NaN before
    a window.
    """
    size = values.size
    total = np.zeros(size)
    block = 1024
    early = min((window_bars - 1) * stride, size)
    for start in range(early, size, block):
        stop = min(start + block, size)
        for lag in range(window_bars):
            back = lag * stride
            if mode == 0:
                _count_below(total[start:stop], values[start - back : stop - back], centre[start:stop])
            else:
                _add_deviation(total[start:stop], values[start - back : stop - back], centre[start:stop])
    total[:early] = np.nan
    for i in range(size):
        if centre[i] != centre[i]:
            total[i] = np.nan
    return total


@numba.njit(cache=True)
def _last_events(values, stride, window_bars):  # type: ignore[no-untyped-def]
    size = values.size
    last, previous, age = np.full(size, np.nan), np.full(size, np.nan), np.full(size, np.nan)
    for a in range(stride):
        newest, before = -1, -1  # rows of the newest two events
        for t in range(size // stride):
            i = t * stride + a
            if values[i] == values[i]:
                newest, before = t, newest
            if newest >= 0 and t - newest < window_bars:
                last[i] = values[newest * stride + a]
                age[i] = t - newest
                if before >= 0 and t - before < window_bars:
                    previous[i] = values[before * stride + a]
    return last, previous, age
