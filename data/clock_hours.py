"""Bars on the hours of the clock, beside sessions that open at another minute: from 09:00, though they open at 9:30.

Such a bar is known when the clock's hour is over, whatever part of it was traded, so it keeps the hour as its
label. Its
open is that of the vendor: the session's first price, or one from before the open where extended hours are in it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from data.array_types import BoolArray, TimeArray
from data.calendars import ALWAYS_OPEN, DAY_SECONDS, BarGrid, bar_grid, sessions_between, time_zone
from data.equal_runs import run_ends

_ALMOST_ALL = 0.9
_DAY = np.timedelta64(1, "D")


def clock_floor(labels: TimeArray, calendar: str, bar_seconds: int) -> TimeArray:
    """Return labels (N,) moved back to whole bars since midnight of the calendar's zone."""
    local = pd.DatetimeIndex(labels).tz_localize("UTC").tz_convert(time_zone(calendar)).tz_localize(None)
    wall = local.to_numpy("datetime64[ns]")
    since = (wall - wall.astype("datetime64[D]")) % _length(bar_seconds)
    floors: TimeArray = labels - since
    return floors


def clock_grid(calendar: str, bar_seconds: int, start: np.datetime64, stop: np.datetime64) -> BarGrid:
    """Return every bar on the clock that overlaps a session and whose label lies in [start, stop)."""
    grid = bar_grid(calendar, bar_seconds, start - _DAY, stop + _DAY)
    found = sessions_between(calendar, start - _DAY, stop + _DAY)
    labels = clock_floor(grid.bar_utc, calendar, bar_seconds)
    # Where the close cuts the last bar of the other grid, it may begin only after the last hour of the clock.
    at = np.searchsorted(found.session, grid.session)
    ends = run_ends(grid.session)
    last = labels + _length(bar_seconds) < found.close_utc[np.minimum(at, len(found.session) - 1)]
    further = ends[last[ends]]
    labels = np.concatenate([labels, labels[further] + _length(bar_seconds)])
    sessions = np.concatenate([grid.session, grid.session[further]])
    labels, first = np.unique(labels, return_index=True)
    keep = (labels >= start) & (labels < stop)
    return BarGrid(bar_utc=labels[keep], session=sessions[first][keep])


def on_clock(labels: TimeArray, calendar: str, bar_seconds: int) -> bool:
    """True if rows (N,) lie on the clock's hours (the first of a session may be labelled by its open), and
    sessions do not open on them.
    """
    if calendar == ALWAYS_OPEN or bar_seconds >= DAY_SECONDS or not len(labels):
        return False
    found = sessions_between(calendar, labels[0] - _DAY, labels[-1] + _DAY)
    if not len(found.session):
        return False
    opens = found.open_utc
    aside: BoolArray = clock_floor(opens, calendar, bar_seconds) != opens
    whole: BoolArray = clock_floor(labels, calendar, bar_seconds) == labels
    # Rows that are labelled by the open lie on both grids, and say nothing.
    others = ~np.isin(labels, opens)
    return bool(aside.mean() >= _ALMOST_ALL and others.any() and whole[others].mean() >= _ALMOST_ALL)


def on_hours(rows: pd.DataFrame, calendar: str, bar_seconds: int) -> pd.DataFrame:
    """Return rows; those labelled by a session's open are labelled by the hour of the clock that it lies in."""
    labels = rows.index.to_numpy("datetime64[ns]")
    found = sessions_between(calendar, labels[0] - _DAY, labels[-1] + _DAY)
    floors = clock_floor(labels, calendar, bar_seconds)
    moved = np.isin(labels, found.open_utc) & ~np.isin(floors, labels)
    return rows.set_axis(pd.DatetimeIndex(np.where(moved, floors, labels)), axis=0) if moved.any() else rows


def _length(bar_seconds: int) -> np.timedelta64:
    return np.timedelta64(bar_seconds, "s").astype("timedelta64[ns]")
