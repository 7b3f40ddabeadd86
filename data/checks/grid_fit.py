"""Whether the bars of a symbol lie on a calendar's grid, and if not, why: the cause that a refusal names.

N rows of one symbol.
"""

from __future__ import annotations

import math

import numpy as np

from data.array_types import BoolArray, TimeArray
from data.calendars import ALWAYS_OPEN, DAY_SECONDS, BarGrid, minute, sessions_between
from data.errors import DataError
from data.membership import among

ENOUGH = 0.5
"""Share of a symbol's rows that must be bars of the grid, or of the grid's bars that it must have."""
EXTENDED = np.timedelta64(6, "h")
"""Rows this near to a session's open or close may be of its extended hours (US stocks: 04:00 to 20:00)."""
_COMMON, _NEARLY_ALL = 0.9, 0.98
_DAY = np.timedelta64(1, "D")
_SECOND = np.timedelta64(1, "s").astype("timedelta64[ns]")


def require_fit(symbol: str, labels: TimeArray, grid: BarGrid, calendar: str, bar_seconds: int) -> None:
    """Raise DataError if most rows (N,) are no bars of the grid, unless they are those of extended hours beside it.

    Parameters
    ----------
    labels : ascending UTC labels. grid : every bar that the calendar expects over the rows' span.
    """
    on_grid = among(labels, grid.bar_utc)
    if on_grid.mean() >= ENOUGH:
        return
    expected = (grid.bar_utc >= labels[0]) & (grid.bar_utc <= labels[-1])
    if on_grid.sum() >= ENOUGH * max(int(expected.sum()), 1) and _beside_sessions(labels[~on_grid], calendar):
        return
    first = labels[~on_grid][0]
    found = (
        f"{symbol}: {int((~on_grid).sum())} of {len(labels)} bars (the first at {first} UTC) are not bars of calendar "
        f"{calendar!r} at {bar_seconds} s"
    )
    raise DataError(f"{found}; {_cause(labels, calendar, bar_seconds)}.")


def _beside_sessions(labels: TimeArray, calendar: str) -> bool:
    """True if nearly all labels lie outside of sessions but within `EXTENDED` of one (half-days are longer)."""
    if calendar == ALWAYS_OPEN:
        return False
    found = sessions_between(calendar, labels[0] - _DAY, labels[-1] + _DAY)
    if not len(found.session):
        return False
    after = np.minimum(np.searchsorted(found.open_utc, labels, side="right"), len(found.session) - 1)
    before = np.maximum(np.searchsorted(found.open_utc, labels, side="right") - 1, 0)
    early = (found.open_utc[after] > labels) & (found.open_utc[after] - labels <= EXTENDED)
    late = (labels >= found.close_utc[before]) & (labels - found.close_utc[before] < EXTENDED)
    return bool((early | late).mean() >= _NEARLY_ALL)


def _cause(labels: TimeArray, calendar: str, bar_seconds: int) -> str:
    """Return why, and what to do."""
    phase = _phase(labels, calendar, bar_seconds)
    if not phase:
        return "set calendar, bar_seconds and timezone to those of the file"
    shift = f"each lies {phase:.10g} s after the beginning of a bar of the grid (the first at {minute(labels[0])} UTC)"
    if bar_seconds == DAY_SECONDS:
        return f"{shift}; label daily bars by their date, or set calendar to that of the exchange"
    if calendar != ALWAYS_OPEN:
        fits = math.gcd(int(phase), bar_seconds)
        return (
            f"{shift}, which begins with each session's open: bars that straddle the open, which no setting cures; "
            f"give bars of {fits} s, or of {bar_seconds} s counted from the open"
        )
    if phase > bar_seconds - 2 or phase != int(phase):
        return f"{shift}, as where labels are a moment before the close; label a bar by its opening instant"
    return f"{shift}; write the labels on whole multiples of {bar_seconds} s, or correct their time zone"


def _phase(labels: TimeArray, calendar: str, bar_seconds: int) -> float:
    """Return the seconds by which nearly all labels lie after the beginning of a bar; 0 if there is no such number."""
    length = bar_seconds * _SECOND
    if calendar == ALWAYS_OPEN:
        offsets = (labels - labels.astype("datetime64[D]")) % length
    elif bar_seconds == DAY_SECONDS:
        offsets = labels - labels.astype("datetime64[D]")
    else:
        found = sessions_between(calendar, labels[0] - _DAY, labels[-1] + _DAY)
        if not len(found.session):
            return 0.0
        at = np.maximum(np.searchsorted(found.open_utc, labels, side="right") - 1, 0)
        inside: BoolArray = (labels >= found.open_utc[at]) & (labels < found.close_utc[at])
        if not inside.any():
            return 0.0
        offsets = (labels[inside] - found.open_utc[at[inside]]) % length
    values, counts = np.unique(offsets, return_counts=True)
    best = int(counts.argmax())
    return float(values[best] / _SECOND) if counts[best] >= _COMMON * counts.sum() else 0.0
