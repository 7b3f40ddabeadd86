"""One pass over bars that says whether anything may be wrong with them, so that sound bars are not looked at twice.

The passes only screen: what they raise suspicion of is judged by the functions that know the exact rules and words
(`data.checks.hygiene`, `data.checks.jumps`, `data.schema`). A suspicion may be unfounded; that nothing is suspected
means that the exact rule would find nothing.

N rows of one symbol; M values of a panel, bars times assets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numba
import numpy as np
import pandas as pd

from data.array_types import BoolArray, FloatArray
from data.schema import BAR_COLUMNS

_NEAR_GAP = 1.19
"""A gap of an open to the close before that is smaller is no jump, and like no split (`data.checks.jumps`: 1.2)."""
_NEAR = 1.49
"""Prices of one bar that are nearer to each other than by this factor do not jump (`JUMP_RATIO`)."""
_ORDER, _VALUE, _BOUND, _SILENT, _JUMP = 1, 2, 4, 8, 16


class Suspicions(NamedTuple):
    """What may be wrong with rows; False means that it is not.

    Attributes
    ----------
    order : times that do not ascend. values : a price or a volume that cannot be.
    bounds : high or low that do not bound open and close. silent : volume 0. jumps : far prices.
    """

    order: bool
    values: bool
    bounds: bool
    silent: bool
    jumps: bool


def scan_rows(rows: pd.DataFrame) -> Suspicions:
    """Look once at rows (N,) with float64 columns open, high, low, close and volume, indexed by UTC label."""
    labels = rows.index.to_numpy("datetime64[ns]").view(np.int64)
    columns = [np.ascontiguousarray(rows[name].to_numpy(), np.float64) for name in BAR_COLUMNS]
    bits = int(_row_bits(np.ascontiguousarray(labels), *columns))
    return Suspicions(*(bool(bits & bit) for bit in (_ORDER, _VALUE, _BOUND, _SILENT, _JUMP)))


@numba.njit(cache=True)
def _row_bits(labels, opened, high, low, close, volume):
    """Bits of what is suspected of any row."""
    disorder = bad = loose = silent = far = False
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
    return disorder * 1 + bad * 2 + loose * 4 + silent * 8 + far * 16


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


class PlacedRows(NamedTuple):
    """Where rows of a symbol lie on a grid.

    Attributes
    ----------
    row_of_bar : (T,) the row of each bar of the grid, -1 where there is none.
    on_grid : number of rows that are bars of the grid.
    """

    row_of_bar: np.ndarray
    on_grid: int

    def bars(self, part: slice) -> PlacedRows:
        """Those of a part of the grid; a row beyond it counts as one beside the grid."""
        cut = self.row_of_bar[part]
        return PlacedRows(cut, self.on_grid if len(cut) == len(self.row_of_bar) else int((cut >= 0).sum()))

    def row_is_on_grid(self, count: int) -> BoolArray:
        """(N,) whether each of `count` rows is a bar of the grid."""
        found = np.zeros(count, dtype=bool)
        found[self.row_of_bar[self.row_of_bar >= 0]] = True
        return found


def place_rows(labels: np.ndarray, grid: np.ndarray) -> PlacedRows:
    """Merge ascending labels (N,) datetime64[ns] with an ascending grid (T,) of the same kind, each looked at once."""
    sought = np.ascontiguousarray(labels, "datetime64[ns]").view(np.int64)
    expected = np.ascontiguousarray(grid, "datetime64[ns]").view(np.int64)
    return PlacedRows(*_merge(sought, expected))


@numba.njit(cache=True)
def _merge(labels, grid):
    row_of_bar = np.empty(len(grid), np.int64)
    row, found = 0, 0
    for bar in range(len(grid)):
        moment = grid[bar]
        while row < len(labels) and labels[row] < moment:
            row += 1
        here = row < len(labels) and labels[row] == moment
        row_of_bar[bar] = row if here else -1
        found += here
    return row_of_bar, found


@numba.njit(cache=True)
def put_column(out, asset, start, stop, row_of_bar, values, absent):
    """Write bars [start, stop) of an asset into `out` (T, A): its row's value, or `absent` where there is no row."""
    for bar in range(start, stop):
        row = row_of_bar[bar]
        out[bar, asset] = values[row] if row >= 0 else absent


BLOCK_BARS = 2048
"""Bars of all assets that are written before the next: few enough for their columns to stay in a core's cache."""


def without_rows(row_of_bar: np.ndarray, rejected: BoolArray) -> np.ndarray:
    """(T,) rows of bars with -1 where the row (N,) is rejected."""
    taken = rejected[np.maximum(row_of_bar, 0)] & (row_of_bar >= 0)
    return np.where(taken, -1, row_of_bar)


def laid_out(
    columns: Sequence[FloatArray | None], row_of_bar: Sequence[np.ndarray], num_bars: int, absent: float
) -> FloatArray:
    """(T, A) one column of a panel from the rows of each asset.

    Parameters
    ----------
    columns : A arrays (N,) float64; None where an asset has no such column.
    row_of_bar : A arrays (T,), see `PlacedRows`.
    absent : value of bars without a row.
    """
    out = np.empty((num_bars, len(columns)))
    for start in range(0, num_bars, BLOCK_BARS):
        stop = min(start + BLOCK_BARS, num_bars)
        for asset, (values, rows) in enumerate(zip(columns, row_of_bar, strict=True)):
            if values is None:
                out[start:stop, asset] = absent
            else:
                put_column(out, asset, start, stop, rows, values, absent)
    return out
