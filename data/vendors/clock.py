"""Which bars are over by now: bars that still run, or lie in the future, are left out of a delivery.

Two clocks may differ, ours and the vendor's; the earlier one counts. A vendor may also be behind by design (a plan with
a delay of 15 minutes), and then what it lacks is not a gap.
"""

from __future__ import annotations

import logging
from email.utils import parsedate_to_datetime

import pandas as pd

from data.calendars import DAY_SECONDS
from data.vendors.definition import BarRequest
from data.vendors.failures import Headers, header
from data.vendors.session_days import first_open_day

log = logging.getLogger(__name__)

MINUTE = pd.Timedelta(minutes=1)
_MUCH = pd.Timedelta(minutes=5)


def utc_now() -> pd.Timestamp:
    """The clock of this machine."""
    return pd.Timestamp.now("UTC")


def earlier_clock(now: pd.Timestamp, headers: Headers | None) -> pd.Timestamp:
    """`now`, or the instant in the answer's header `Date` where that is earlier."""
    told = header(headers, "Date")
    try:
        theirs = pd.Timestamp(parsedate_to_datetime(told or ""))
    except (TypeError, ValueError):
        return now
    theirs = theirs.tz_localize("UTC") if theirs.tzinfo is None else theirs.tz_convert("UTC")
    if now - theirs > _MUCH:
        log.warning("the vendor's clock says %s, ours %s; bars count as over by the earlier one", theirs, now)
    return min(now, theirs)


def over_by(
    piece: BarRequest, now: pd.Timestamp, delay_seconds: float, calendar: str | None = None
) -> pd.Timestamp:
    """Every bar that opens before this instant is over; it is the opening of the first bar that is not.

    Parameters
    ----------
    now : the earlier of the clocks.
    delay_seconds : how far the vendor is behind.
    calendar : of daily bars: a day is over when its date is over where the exchange is, since volumes and official
        closes still change in the evening; None for bars counted in minutes.
    """
    known = now - pd.Timedelta(seconds=delay_seconds)
    if piece.bar_seconds < DAY_SECONDS or calendar is None:
        # Openings are whole minutes: the last one that is over is floor(known) - length.
        return known.floor("min") - pd.Timedelta(seconds=piece.bar_seconds) + MINUTE
    return first_open_day(calendar, known)
