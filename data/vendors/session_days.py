"""Daily bars: from the date that a vendor writes to the opening of that session on its exchange's calendar.

Daily bars carry no instant of their own: vendors write midnight of the exchange, midnight UTC, or a date. A panel
labels a day by the opening of its session (`data.calendars.bar_grid`), and so does a delivery.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.calendars import ALWAYS_OPEN, DAY_SECONDS, bar_grid, time_zone
from data.vendors.definition import MalformedAnswer

_DAY = np.timedelta64(1, "D")


def local_dates(instants: pd.DatetimeIndex, calendar: str, vendor: str) -> NDArray[np.datetime64]:
    """Dates (N,) of midnights, of the exchange or of UTC.

    Raises
    ------
    MalformedAnswer
        If an instant is neither: whatever it is the label of, it is not a day.
    """
    for zone in (time_zone(calendar), "UTC"):
        wall = instants.tz_convert(zone).tz_localize(None)
        if (wall == wall.normalize()).all():
            return wall.to_numpy("datetime64[D]")
    raise MalformedAnswer(
        f"{vendor} labels a day by {instants[0]}, which is midnight neither in {time_zone(calendar)} nor in UTC; ask "
        "for bars of an hour, from which days are made by session."
    )


def session_openings(dates: NDArray[np.datetime64], calendar: str, vendor: str) -> pd.DatetimeIndex:
    """Openings (N,), UTC, of the sessions of these dates; midnight UTC on 24/7.

    Raises
    ------
    MalformedAnswer
        If a date is no session of the calendar.
    """
    if calendar == ALWAYS_OPEN or not len(dates):
        return pd.DatetimeIndex(dates.astype("datetime64[ns]"), tz="UTC")
    grid = bar_grid(calendar, DAY_SECONDS, dates.min() - 3 * _DAY, dates.max() + 3 * _DAY)
    ids = dates.astype("datetime64[D]").astype(np.int32)
    at = np.minimum(np.searchsorted(grid.session, ids), len(grid.session) - 1)
    here = grid.session[at] == ids
    if not here.all():
        raise MalformedAnswer(
            f"{vendor} has a day for {dates[~here][0]}, which is no session of calendar {calendar!r}; set the calendar "
            "of these symbols (option calendar)."
        )
    return pd.DatetimeIndex(grid.bar_utc[at], tz="UTC")


def session_dates(
    calendar: str, start_utc: pd.Timestamp, stop_utc: pd.Timestamp
) -> tuple[pd.Timestamp, pd.Timestamp]:
    """First and last date (naive) whose session could open in [start, stop): a day more on either side."""
    zone = time_zone(calendar)
    first, last = (
        instant.tz_convert(zone).tz_localize(None).normalize() for instant in (start_utc, stop_utc)
    )
    margin = pd.Timedelta(0 if calendar == ALWAYS_OPEN else 1, "D")
    return first - margin, last + margin


def first_open_day(calendar: str, known: pd.Timestamp) -> pd.Timestamp:
    """Opening of the first session whose date is not over at `known`."""
    today = known.tz_convert(time_zone(calendar)).tz_localize(None).normalize().to_datetime64()
    if calendar == ALWAYS_OPEN:
        return pd.Timestamp(today, tz="UTC")
    grid = bar_grid(calendar, DAY_SECONDS, today - 3 * _DAY, today + 15 * _DAY)
    later = grid.bar_utc[grid.session >= today.astype("datetime64[D]").astype(np.int32)]
    if not len(later):
        return pd.Timestamp(today, tz=time_zone(calendar)).tz_convert("UTC")
    return pd.Timestamp(later[0], tz="UTC")
