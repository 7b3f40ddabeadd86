"""One pass over bars that says whether anything may be wrong with them, so that sound bars are not looked at twice.

The passes only screen: what they raise suspicion of is judged by the functions that know the exact rules and words
(`data.checks.hygiene`, `data.checks.jumps`, `data.schema`). A suspicion may be unfounded; that nothing is suspected
means that the exact rule would find nothing.

N rows of one symbol; M values of a panel, bars times assets.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import pandas as pd

from data.placement import read_only
from data.schema import BAR_COLUMNS, LARGEST_PRICE, LEAST_PRICE

_NEAR_GAP = 1.19
"""A gap of an open to the close before that is smaller is no jump, and like no split (`data.checks.jumps`: 1.2)."""
_NEAR = 1.49
"""Prices of one bar that are nearer to each other than by this factor do not jump (`JUMP_RATIO`)."""
_BITS = (1, 2, 4, 8, 16, 32)
"""Of what `_row_bits` says, in the order of `Suspicions`."""


class Suspicions(NamedTuple):
    """What may be wrong with rows; False means that it is not.

    Attributes
    ----------
    order : times that do not ascend. values : a price or a volume that cannot be.
    bounds : high or low that do not bound open and close. silent : volume 0. jumps : far prices.
    extremes : prices that are no quotes, see `data.schema.LEAST_PRICE`.
    """

    order: bool
    values: bool
    bounds: bool
    silent: bool
    jumps: bool
    extremes: bool

    @property
    def sound(self) -> bool:
        """Whether every row is a bar that a panel may hold."""
        return not (self.order or self.values or self.bounds or self.extremes)


def scan_rows(rows: pd.DataFrame) -> Suspicions:
    """Look once at rows (N,) with float64 columns open, high, low, close and volume, indexed by UTC label."""
    labels = np.ascontiguousarray(rows.index.to_numpy("datetime64[ns]")).view(np.int64)
    columns = [np.ascontiguousarray(rows[name].to_numpy(), np.float64) for name in BAR_COLUMNS]
    bits = int(_row_bits(read_only(labels), *map(read_only, columns), LEAST_PRICE, LARGEST_PRICE))
    return Suspicions(*(bool(bits & bit) for bit in _BITS))


@numba.njit(cache=True)
def _row_bits(labels, opened, high, low, close, volume, least, largest):
    """Bits of what is suspected of any row."""
    disorder = bad = loose = silent = far = extreme = False
    last, before = labels[0] - 1 if len(labels) else 0, opened[0] if len(labels) else 0.0
    for i in range(len(labels)):
        o, h, l, c, v = opened[i], high[i], low[i], close[i], volume[i]  # noqa: E741
        disorder |= labels[i] <= last
        last = labels[i]
        # NaN fails every comparison, and inf - inf is NaN.
        bad |= not ((o > 0.0) & (h > 0.0) & (l > 0.0) & (c > 0.0) & (v >= 0.0))
        bad |= o - o + (h - h) + (l - l) + (c - c) + (v - v) != 0.0
        top = o if o > c else c
        bottom = c if o > c else o
        loose |= (h < top) | (l > bottom)
        silent |= v == 0.0
        far |= (o > before * _NEAR_GAP) | (before > o * _NEAR_GAP) | (top > bottom * _NEAR)
        far |= (h > top * _NEAR) | (bottom > l * _NEAR)
        before = c
        extreme |= (l < least) | (h > largest)
    return disorder * 1 + bad * 2 + loose * 4 + silent * 8 + far * 16 + extreme * 32


@numba.njit(cache=True)
def ascends(values, least):
    """Whether each of whole numbers is larger than the one before it by `least` or more."""
    short = 0
    for i in range(1, len(values)):
        short += values[i] - values[i - 1] < least
    return short == 0


@numba.njit(cache=True)
def sound_bars(opened, high, low, close, volume, tradable, least, largest):
    """Whether M bars are what a panel may hold: all prices within bounds and consistent, or none and no volume traded.

    Parameters
    ----------
    opened, high, low, close, volume : (M,) float64. tradable : (M,) bool. least, largest : of a price.
    """
    sound = True
    for i in range(len(opened)):
        o, h, l, c, v = opened[i], high[i], low[i], close[i], volume[i]  # noqa: E741
        known = (l >= least) & (h <= largest) & (o <= h) & (c <= h) & (l <= o) & (l <= c)
        absent = (o != o) & (h != h) & (l != l) & (c != c) & (not tradable[i])
        sound &= (known | absent) & (v >= 0.0) & (v - v == 0.0)
    return sound
