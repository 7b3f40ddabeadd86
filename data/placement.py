"""Rows of symbols on a grid: which runs of rows are which runs of bars, and the columns of a panel written from them.

Rows mostly follow each other as bars do, so that a place is kept for each run and not for each row: what is missing
lies between the runs, and a run is copied as a whole.

Axes: T time on the grid, A asset, N rows of one symbol, K runs of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from data.array_types import BoolArray, FloatArray
from data.locked_arrays import locked_room

GROUP = 8
"""Assets that are written side by side: their values of one bar fill a line of the cache."""
BLOCK_BARS = 256
"""Bars of a group that are written before the next: few enough for them to stay in a core's nearest cache."""
COMPARED = 256
"""Labels that are compared with the grid at once."""
_FIRST_ROOM = 256
_NO_VALUES = np.empty(0)
_NO_RUNS = np.empty(0, np.int64)


class PlacedRows(NamedTuple):
    """Where rows of a symbol lie on a grid, in order of time.

    Attributes
    ----------
    first_bar, first_row, length : (K,) of each run: row ``first_row + i`` is bar ``first_bar + i``.
    num_bars : T.
    """

    first_bar: NDArray[np.int64]
    first_row: NDArray[np.int64]
    length: NDArray[np.int64]
    num_bars: int

    @property
    def on_grid(self) -> int:
        """Number of rows that are bars of the grid."""
        return int(self.length.sum())

    def rows(self) -> NDArray[np.int64]:
        """Every row that is a bar of the grid, ascending."""
        return _expanded(self.first_row, self.length)

    def row_of_bar(self) -> NDArray[np.int64]:
        """(T,) the row of each bar of the grid, -1 where there is none."""
        found = np.full(self.num_bars, -1, np.int64)
        found[_expanded(self.first_bar, self.length)] = self.rows()
        return found

    def row_is_on_grid(self, count: int) -> BoolArray:
        """(N,) whether each of `count` rows is a bar of the grid."""
        found = np.zeros(count, dtype=bool)
        found[self.rows()] = True
        return found

    def bars(self, part: slice) -> PlacedRows:
        """Those of a part of the grid; a row beyond it counts as one beside the grid."""
        start, stop, _ = part.indices(self.num_bars)
        low = np.maximum(self.first_bar, start)
        high = np.minimum(self.first_bar + self.length, stop)
        kept = low < high
        rows = self.first_row + (low - self.first_bar)
        return PlacedRows(low[kept] - start, rows[kept], (high - low)[kept], max(stop - start, 0))

    def without(self, rejected: BoolArray) -> PlacedRows:
        """Those that are not rejected, of rows (N,)."""
        rows, bars = self.rows(), _expanded(self.first_bar, self.length)
        kept = ~rejected[rows]
        rows, bars = rows[kept], bars[kept]
        if not len(rows):
            return PlacedRows(_NO_RUNS, _NO_RUNS, _NO_RUNS, self.num_bars)
        begins = np.flatnonzero(np.append(True, (np.diff(rows) != 1) | (np.diff(bars) != 1)))
        lengths = np.diff(np.append(begins, len(rows)))
        return PlacedRows(bars[begins], rows[begins], lengths, self.num_bars)

    def missing(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Of the runs of bars without a row: their first bars, and the bars after their last ones."""
        begins = np.concatenate([[0], self.first_bar + self.length])
        ends = np.concatenate([self.first_bar, [self.num_bars]])
        absent = begins < ends
        return begins[absent], ends[absent]


def _expanded(first: NDArray[np.int64], length: NDArray[np.int64]) -> NDArray[np.int64]:
    """The numbers of all runs one after the other."""
    before = np.cumsum(length) - length
    return np.arange(int(length.sum())) + np.repeat(first - before, length)


def read_only(array: np.ndarray) -> np.ndarray:
    """A view that cannot be written, as pandas hands them out, so that code is compiled for one kind of array."""
    view = array.view()
    view.flags.writeable = False
    return view


def place_rows(labels: np.ndarray, grid: np.ndarray) -> PlacedRows:
    """Merge ascending labels (N,) datetime64[ns] with an ascending grid (T,) of the same kind, each looked at once."""
    sought = np.ascontiguousarray(labels, "datetime64[ns]").view(np.int64)
    expected = np.ascontiguousarray(grid, "datetime64[ns]").view(np.int64)
    first_bar, first_row, length = _runs(read_only(sought), read_only(expected))
    return PlacedRows(first_bar, first_row, length, len(expected))


@numba.njit(cache=True)
def _runs(labels, grid):
    """(K,) first bar, first row and length of the runs in which labels and grid go together."""
    room = _FIRST_ROOM
    bars, rows, lengths = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int64)
    count = row = bar = 0
    while row < len(labels) and bar < len(grid):
        if labels[row] < grid[bar]:
            row += 1
            continue
        if grid[bar] < labels[row]:
            bar += 1
            continue
        most = min(len(labels) - row, len(grid) - bar)
        length = 1
        while length + COMPARED <= most:  # many at once, which the compiler makes vectors of
            ours, theirs = labels[row + length :][:COMPARED], grid[bar + length :][:COMPARED]
            differing = np.int64(0)
            for i in range(COMPARED):
                differing |= ours[i] ^ theirs[i]
            if differing != 0:
                break
            length += COMPARED
        while length < most and labels[row + length] == grid[bar + length]:
            length += 1
        if count == room:
            room *= 2
            bars, rows, lengths = _grown(bars, room), _grown(rows, room), _grown(lengths, room)
        bars[count], rows[count], lengths[count] = bar, row, length
        count += 1
        row += length
        bar += length
    return bars[:count].copy(), rows[:count].copy(), lengths[:count].copy()


@numba.njit(cache=True)
def _grown(values, room):
    larger = np.empty(room, np.int64)
    larger[: len(values)] = values
    return larger


def laid_out(columns: Sequence[FloatArray | None], placed: Sequence[PlacedRows], absent: float) -> FloatArray:
    """(T, A) one column of a panel from the rows of each asset, `data.locked_arrays.locked`.

    Parameters
    ----------
    columns : A arrays (N,) float64; None where an asset has no such column.
    placed : where the rows of each of the A assets lie.
    absent : value of bars without a row.
    """
    made, room = locked_room((placed[0].num_bars, len(placed)))
    for first in range(0, len(placed), GROUP):
        group = list(zip(columns[first : first + GROUP], placed[first : first + GROUP], strict=True))
        values = _eight([_NO_VALUES if column is None else column for column, _ in group], _NO_VALUES)
        bars, rows, lengths = (
            _eight([_NO_RUNS if column is None else getattr(runs, name) for column, runs in group], _NO_RUNS)
            for name in ("first_bar", "first_row", "length")
        )
        _put_column(room, first, len(group), bars, rows, lengths, values, absent)
    return made


def _eight(arrays: Sequence[np.ndarray], absent: np.ndarray) -> tuple[np.ndarray, ...]:
    """As many arrays as `GROUP` says, whatever the number of assets: compiled code knows tuples by their length."""
    filled = [*arrays, *[absent] * (GROUP - len(arrays))]
    return tuple(read_only(np.ascontiguousarray(array)) for array in filled)


@numba.njit(cache=True)
def _put_column(out, first, count, bars, rows, lengths, values, absent):
    """Write assets [first, first + count) of `out` (T, A), a block of bars of each in turn."""
    num_bars = out.shape[0]
    runs = np.zeros(count, np.int64)  # the run that each asset has come to
    for start in range(0, num_bars, BLOCK_BARS):
        stop = min(start + BLOCK_BARS, num_bars)
        for number in range(count):
            of_bar, of_row, of_length = bars[number], rows[number], lengths[number]
            own, asset = values[number], first + number
            run, bar = runs[number], start
            while bar < stop:
                begin = min(of_bar[run], stop) if run < len(of_bar) else stop
                if bar < begin:
                    gap = out[bar:begin, asset]
                    for i in range(len(gap)):
                        gap[i] = absent
                    bar = begin
                if bar < stop:
                    end = min(of_bar[run] + of_length[run], stop)
                    row = of_row[run] + (bar - of_bar[run])
                    here, there = out[bar:end, asset], own[row : row + (end - bar)]
                    for i in range(len(here)):
                        here[i] = there[i]
                    run += end == of_bar[run] + of_length[run]
                    bar = end
            runs[number] = run
