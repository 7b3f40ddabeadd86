"""Trading calendars behind one small interface: bar grid, session ids, session bounds, bars a year.

Exchange calendars are those of pandas_market_calendars (regular hours, half-days and breaks included);
"24/7" is ours, with one session per UTC day. A session id is the number of days from 1970-01-01 to the
session's date.

Axes: T time (bars), S session.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.array_types import TimeArray
from data.errors import DataError, nearest_name

ALWAYS_OPEN = "24/7"
DAY_SECONDS = 86_400
YEAR_DAYS = 365.25
_DAY = np.timedelta64(1, "D")
# A schedule query reaches this far beyond the instants asked for: sessions may open on the eve of their date.
_MARGIN = np.timedelta64(4, "D")
# Bars a year are counted over one leap cycle, 1,461 days.
_COUNTED_FROM, _COUNTED_TO = np.datetime64("2016-01-01", "ns"), np.datetime64("2020-01-01", "ns")


@dataclass(frozen=True, kw_only=True)
class Sessions:
    """Sessions of a calendar, in time order.

    Parameters
    ----------
    session : (S,) int32, ids.
    open_utc, close_utc : (S,) datetime64[ns], first instant and first instant after the session.
    break_start_utc, break_end_utc : (S,) datetime64[ns], NaT where the session has no break.
    """

    session: NDArray[np.int32]
    open_utc: TimeArray
    close_utc: TimeArray
    break_start_utc: TimeArray
    break_end_utc: TimeArray


@dataclass(frozen=True, kw_only=True)
class BarGrid:
    """Every bar a calendar expects: bar_utc (T,) opening instants, session (T,) ids."""

    bar_utc: TimeArray
    session: NDArray[np.int32]


@lru_cache(maxsize=8)
def _exchange(calendar: str) -> Any:
    import pandas_market_calendars as market_calendars  # slow, and a market that never closes needs none

    known = market_calendars.get_calendar_names()
    if calendar not in known:
        raise DataError(
            f"Calendar {calendar!r} is not known{nearest_name(calendar, [ALWAYS_OPEN, *known])}; "
            "use '24/7' or a name of pandas_market_calendars."
        )
    return market_calendars.get_calendar(calendar)


def check_calendar(calendar: str) -> None:
    """Raise DataError if the calendar is not known; the message names the nearest one."""
    if calendar != ALWAYS_OPEN:
        _exchange(calendar)


def time_zone(calendar: str) -> str:
    """Return the IANA name of the calendar's local time zone."""
    return "UTC" if calendar == ALWAYS_OPEN else str(_exchange(calendar).tz)


@lru_cache(maxsize=32)
def sessions_between(calendar: str, start_utc: np.datetime64, stop_utc: np.datetime64) -> Sessions:
    """Return every session that overlaps [start_utc, stop_utc)."""
    start, stop = start_utc.astype("datetime64[ns]"), stop_utc.astype("datetime64[ns]")
    if calendar == ALWAYS_OPEN:
        days = np.arange(start.astype("datetime64[D]"), stop.astype("datetime64[D]") + _DAY)
        edges = np.append(days, days[-1] + _DAY).astype("datetime64[ns]")
        never = np.full(len(days), np.datetime64("NaT"), dtype="datetime64[ns]")
        found = Sessions(
            session=days.astype(np.int32),
            open_utc=edges[:-1],
            close_utc=edges[1:],
            break_start_utc=never,
            break_end_utc=never,
        )
    else:
        found = _exchange_sessions(calendar, start - _MARGIN, stop + _MARGIN)
    keep = (found.close_utc > start) & (found.open_utc < stop)
    return Sessions(**{name: values[keep] for name, values in vars(found).items()})


def _exchange_sessions(calendar: str, start: np.datetime64, stop: np.datetime64) -> Sessions:
    schedule = _exchange(calendar).schedule(pd.Timestamp(start), pd.Timestamp(stop))

    def instants(column: str) -> TimeArray:
        if column not in schedule:
            return np.full(len(schedule), np.datetime64("NaT"), dtype="datetime64[ns]")
        return (
            pd.DatetimeIndex(schedule[column]).tz_convert("UTC").tz_localize(None).to_numpy("datetime64[ns]")
        )

    start_break, end_break = instants("break_start"), instants("break_end")
    # Some calendars write a break of no length for sessions without one.
    rests = end_break > start_break
    never = np.datetime64("NaT", "ns")
    return Sessions(
        session=schedule.index.to_numpy("datetime64[D]").astype(np.int32),
        open_utc=instants("market_open"),
        close_utc=instants("market_close"),
        break_start_utc=np.where(rests, start_break, never),
        break_end_utc=np.where(rests, end_break, never),
    )


def check_bar_seconds(calendar: str, bar_seconds: int) -> None:
    """Raise DataError unless bars of this length tile a session of the calendar from its open."""
    if (
        bar_seconds <= 0
        or (bar_seconds < DAY_SECONDS and DAY_SECONDS % bar_seconds)
        or bar_seconds > DAY_SECONDS
    ):
        raise DataError(
            f"bar_seconds is {bar_seconds}; on calendar {calendar!r} it must divide a day of 86400 seconds "
            "(60, 300, 1800, 3600, ..., 86400)."
        )


def bar_grid(calendar: str, bar_seconds: int, start_utc: Any, stop_utc: Any) -> BarGrid:
    """Return every bar of the calendar whose label lies in [start_utc, stop_utc).

    Bars are counted from the open of each session (and from the end of its break); the last one may be cut
    short by the close. A bar of one day has one label a session, its open.
    """
    check_bar_seconds(calendar, bar_seconds)
    start, stop = np.datetime64(start_utc, "ns"), np.datetime64(stop_utc, "ns")
    found = sessions_between(calendar, start, stop)
    if calendar != ALWAYS_OPEN and bar_seconds == DAY_SECONDS:
        labels, ids = found.open_utc, found.session
    else:
        labels, ids = _tile(found, np.timedelta64(bar_seconds, "s").astype("timedelta64[ns]"))
    kept = slice(*np.searchsorted(labels, [start, stop]))
    return BarGrid(bar_utc=labels[kept], session=ids[kept])


def _tile(found: Sessions, step: np.timedelta64) -> tuple[TimeArray, NDArray[np.int32]]:
    opens, stops, ids = _stretches(found)
    counts = -((opens - stops) // step)  # ceiling division
    whole = np.repeat(ids, counts).astype(np.int32, copy=False)
    never_closes = (counts * step == stops - opens).all() and (opens[1:] == stops[:-1]).all()
    if len(opens) and never_closes:
        return np.arange(opens[0], stops[-1], step), whole
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(opens, counts) + within * step, whole


def _stretches(found: Sessions) -> tuple[TimeArray, TimeArray, NDArray[np.int32]]:
    """First instant, first instant after, and session of each stretch of trading, in time order: breaks part them."""
    has_break = ~np.isnat(found.break_start_utc)
    first_stop = np.where(has_break, found.break_start_utc, found.close_utc)
    opens = np.concatenate([found.open_utc, found.break_end_utc[has_break]])
    stops = np.concatenate([first_stop, found.close_utc[has_break]])
    ids = np.concatenate([found.session, found.session[has_break]])
    order = np.argsort(opens, kind="stable")
    return opens[order], stops[order], ids[order]


def session_bounds(calendar: str, session: NDArray[np.int32]) -> tuple[TimeArray, TimeArray]:
    """Return (open_utc, close_utc), each (T,), of the session that each bar belongs to.

    The bounds come from the published calendar and not from the data, so they are known in advance.

    Raises
    ------
    DataError
        If a session id is not a session of the calendar.
    """
    days = np.asarray(session, dtype=np.int64).astype("datetime64[D]")
    found = sessions_between(
        calendar, days[0].astype("datetime64[ns]"), (days[-1] + _DAY).astype("datetime64[ns]")
    )
    at = np.searchsorted(found.session, session)
    if (at >= len(found.session)).any() or (
        found.session[np.minimum(at, len(found.session) - 1)] != session
    ).any():
        raise DataError(
            f"The panel has sessions that calendar {calendar!r} does not know; use the calendar it came from."
        )
    return found.open_utc[at], found.close_utc[at]


@lru_cache(maxsize=64)
def periods_per_year(calendar: str, bar_seconds: int) -> float:
    """Return the mean number of bars a year, counted over the leap cycle 2016 to 2019: what sizes are set by.

    A record's numbers are annualised by the bars of its own years, `bars_a_year`.

    Examples: 24/7 at 1800 s gives 365.25 * 48 = 17,532; NYSE at 60 s gives 1006 sessions less its half-days.
    """
    if calendar == ALWAYS_OPEN:
        check_bar_seconds(calendar, bar_seconds)
        return YEAR_DAYS * DAY_SECONDS / bar_seconds
    return len(bar_grid(calendar, bar_seconds, _COUNTED_FROM, _COUNTED_TO).bar_utc) / 4.0


@lru_cache(maxsize=256)
def bars_a_year(calendar: str, bar_seconds: int, first_utc: np.datetime64, last_utc: np.datetime64) -> float:
    """Return the mean number of bars a year of a record, by the calendar of the record's own years.

    Exchanges have changed their hours: EUREX_Bond had a quarter less of them in 2021 than in 2016. So bars a session
    are those of the record's own span. How many sessions a year has is counted over whole years up to the record's
    end, so that some weeks without a holiday are not taken for such a year.

    Parameters
    ----------
    first_utc, last_utc : labels of the record's first and last bar.
    """
    nominal = periods_per_year(calendar, bar_seconds)
    if calendar == ALWAYS_OPEN:
        return nominal
    found = sessions_between(calendar, first_utc, last_utc + np.timedelta64(1, "ns"))
    if not len(found.session):  # bars at which the calendar knows no session are none of its own
        return nominal
    a_session = 1.0
    if bar_seconds != DAY_SECONDS:
        opens, stops, _ = _stretches(found)
        step = np.timedelta64(bar_seconds, "s").astype("timedelta64[ns]")
        a_session = float((-((opens - stops) // step)).sum()) / len(found.session)
    end = int(found.session[-1]) + 1
    years = max(int(np.ceil((end - int(found.session[0])) / YEAR_DAYS)), 1)
    start = end - round(years * YEAR_DAYS)
    days = np.array([start, end]).astype("datetime64[D]")
    ids = sessions_between(calendar, days[0], days[1]).session
    return a_session * float(((ids >= start) & (ids < end)).sum()) / years


def minute(instant: np.datetime64) -> str:
    """An instant as a person writes it: 2022-03-04 11:30."""
    return str(np.datetime_as_string(instant, unit="m")).replace("T", " ")


def check_window_covered(
    calendar: str,
    bar_seconds: int,
    start: np.datetime64,
    stop: np.datetime64,
    first: np.datetime64,
    last: np.datetime64,
) -> None:
    """Raise DataError unless every bar the calendar expects in [start, stop) lies within [first, last]."""
    if start >= stop:
        raise DataError(
            f"The window from {minute(start)} to {minute(stop)} holds no bar; the data run from {minute(first)} to "
            f"{minute(last)}: let it start before it stops, inside them."
        )
    after = last + np.timedelta64(bar_seconds, "s")
    for low, high in ((start, min(first, stop)), (max(after, start), stop)):
        if low >= high:
            continue
        # Nobody closes for a month; beyond that the calendar need not be asked.
        if high - low > np.timedelta64(31, "D") or len(bar_grid(calendar, bar_seconds, low, high).bar_utc):
            raise DataError(
                f"The window {minute(start)} to {minute(stop)} reaches outside the data, which run from "
                f"{minute(first)} to {minute(last)}; "
                "move the window inside."
            )
