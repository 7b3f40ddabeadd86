"""Parts of a panel that are computed once and dropped: rows of it, and the longer bars that its bars make up.

They are panels that were checked with the panel they come from, and are not checked again.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.array_types import TimeArray
from data.calendars import session_bounds, sessions_between
from data.equal_runs import run_starts
from data.features.kernels import compiled
from data.features.series import SHARED
from data.schema import BAR_COLUMNS, Panel

ROWS = ("bar_utc", *BAR_COLUMNS, "tradable", "session")


def unchecked_panel(**fields: Any) -> Panel:
    """A panel of arrays that are known to be right; it keeps the series that features share."""
    panel = object.__new__(Panel)
    fields["exogenous"] = MappingProxyType(fields.get("exogenous", {}))
    panel.__dict__.update(fields)
    panel.__dict__[SHARED] = {}
    return panel


def rows_of(panel: Panel, start: int, stop: int) -> Panel:
    """Bars [start, stop) of a panel; shares its memory."""
    part = slice(start, stop)
    own = panel.__dict__
    fields = {name: own[name][part] for name in ROWS}
    exogenous = {name: values[part] for name, values in panel.exogenous.items()}
    return unchecked_panel(
        symbols=panel.symbols,
        calendar=panel.calendar,
        bar_seconds=panel.bar_seconds,
        exogenous=exogenous,
        **fields,
    )


Limits = tuple[np.datetime64, np.datetime64]
_LIMITS: dict[tuple[str, int], Limits] = {}
_YEAR = 370


def bounds_of_session(calendar: str, session: int) -> Limits:
    """Open and close of one session by the published calendar, UTC; looked up for a year at a time, once in a process.

    Raises
    ------
    DataError
        If the id is not a session of the calendar.
    """
    key = (calendar, session)
    if key not in _LIMITS:
        first, last = np.array([session, session + _YEAR]).astype("datetime64[D]").astype("datetime64[ns]")
        found = sessions_between(calendar, first, last)
        times = zip(found.session.tolist(), found.open_utc, found.close_utc)
        _LIMITS.update({(calendar, own): (opened, closed) for own, opened, closed in times})
    if key not in _LIMITS:
        session_bounds(calendar, np.array([session], dtype=np.int32))  # says what is wrong
    return _LIMITS[key]


def session_limits(panel: Panel) -> tuple[TimeArray, TimeArray]:
    """(T,) open and close of the session of each bar, UTC."""
    session = panel.session
    first = run_starts(session)
    lengths = np.diff(first, append=len(session))
    found = [bounds_of_session(panel.calendar, int(session[row])) for row in first]
    opened = np.array([o for o, _ in found], dtype="datetime64[ns]")
    closed = np.array([c for _, c in found], dtype="datetime64[ns]")
    return np.repeat(opened, lengths), np.repeat(closed, lengths)


def block_of(num_outputs: int, cells: int) -> NDArray[np.float32]:
    """A block (K, N), N at least `cells`, for `write_columns`.

    A cache line longer than cells that are a power of two, for then all rows would begin at the same place of the
    cache, where only a few lines have room.
    """
    return np.empty((num_outputs, cells + _CACHE_LINE), np.float32)


def write_columns(
    block: NDArray[np.float32], count: int, places: NDArray[np.int64], filled: NDArray[np.float32], first: int
) -> bool:
    """Write the first `count` cells of block (K, N) into filled (T, A, F): from cell `first` on, at K places of the
    feature axis. Returns whether no value is infinite.
    """
    if not _finite(block, count):
        return False
    cells = filled.reshape(-1, filled.shape[2])
    _write_columns(block, places, cells[first : first + count])
    return True


_CACHE_LINE = 16
"""Numbers of float32."""


@compiled
def _finite(block, count):  # type: ignore[no-untyped-def]
    infinite = 0
    for k in range(len(block)):
        row = block[k]
        for n in range(count):
            infinite += 1 if abs(row[n]) == np.inf else 0
    return infinite == 0


@compiled
def _write_columns(block, places, cells):  # type: ignore[no-untyped-def]
    # Cell after cell, so that memory is written in one go, and a cache line of each row of the block is read once.
    for n in range(len(cells)):
        for k in range(len(block)):
            cells[n, places[k]] = block[k, n]
