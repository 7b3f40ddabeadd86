"""Which instant a label is: the bar's opening, as in a panel, or its close, as some vendors write it.

On an exchange's calendar closing labels show themselves: sessions begin one bar late and end with a label at the
close. On 24/7 every label is the opening of one bar and the close of another, so the config has to say
(`data.labels`); files of whole days that begin one bar after midnight and end at midnight are pointed out.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from data.array_types import BoolArray, TimeArray
from data.calendars import ALWAYS_OPEN, DAY_SECONDS, Sessions, bar_grid, minute, sessions_between, time_zone
from data.clock_hours import clock_floor, on_clock
from data.errors import DataError

LABELS = ("open", "close")

_ALMOST_ALL, _ALMOST_NONE = 0.9, 0.02
"""Shares of sessions with a label at their open or close, to tell the two kinds of labels apart."""
_DAY = np.timedelta64(1, "D")
FEW = 0.1
"""Share of daily rows that may lie on days without a session; more of them, and the calendar is another."""
EVENING = np.timedelta64(8, "h")
"""Daily labels that lie no longer than this after a session's close are of that session; a half-day's too."""


def check_labels(labels: str) -> None:
    """Raise DataError unless `labels` is one of `LABELS`."""
    if labels not in LABELS:
        raise DataError(
            f"labels is {labels!r}; it must be open or close: which instant of its bar a row is labelled by."
        )


def opening_labels(
    found: pd.DatetimeIndex, *, labels: str, calendar: str, bar_seconds: int, timezone: str, where: str
) -> pd.DatetimeIndex:
    """Return labels (N,) as opening instants of their bars.

    Parameters
    ----------
    found : naive UTC labels, in order of time, as the file has them.
    labels : "open" or "close", what they are said to be.
    timezone : IANA zone in which daily bars are labelled by their dates.

    Raises
    ------
    DataError
        If the calendar's sessions show that the labels are of the other kind, or a date is no session.
    """
    if not len(found):
        return found
    if calendar == ALWAYS_OPEN:
        return found if labels == "open" else found - pd.Timedelta(seconds=bar_seconds)
    if bar_seconds == DAY_SECONDS:
        opened = _dates_to_opens(found, calendar, timezone, where)
        if opened is None:
            opened = _evenings_to_opens(found, calendar)
        if opened is not None:
            return opened
    at = found.to_numpy("datetime64[ns]")
    sessions = sessions_between(calendar, at[0] - _DAY, at[-1] + _DAY)
    _require_kind(at, sessions, labels, calendar, bar_seconds, where)
    if labels == "open":
        return found
    if not _on_phase(at, sessions, bar_seconds) and on_clock(at, calendar, bar_seconds):
        before = at - np.timedelta64(1, "ns")
        return pd.DatetimeIndex(clock_floor(before, calendar, bar_seconds))
    return pd.DatetimeIndex(_closes_to_opens(at, sessions, calendar, bar_seconds))


def _evenings_to_opens(labels: pd.DatetimeIndex, calendar: str) -> pd.DatetimeIndex | None:
    """Turn daily labels at one time of the evening, from the close on, into the opens of their sessions.

    None if they are no such labels. On a calendar whose sessions begin on the eve a label at 17:00 may be the
    end of one
    session or the beginning of the next, and nothing is taken for granted.
    """
    local = labels.tz_localize("UTC").tz_convert(time_zone(calendar)).tz_localize(None)
    at = labels.to_numpy("datetime64[ns]")
    found = sessions_between(calendar, at[0] - _DAY, at[-1] + _DAY)
    if not len(found.session):
        return None
    opens = pd.DatetimeIndex(found.open_utc).tz_localize("UTC").tz_convert(time_zone(calendar))
    on_the_eve = opens.tz_localize(None).to_numpy("datetime64[D]").astype(np.int32) != found.session
    dates = local.to_numpy("datetime64[D]").astype(np.int32)
    index = np.minimum(np.searchsorted(found.session, dates), len(found.session) - 1)
    after = at - found.close_utc[index]
    evening = (found.session[index] == dates) & (after >= np.timedelta64(0)) & (after <= EVENING)
    if on_the_eve.any() or not evening.all():
        return None
    return pd.DatetimeIndex(found.open_utc[index])


def labels_remark(symbol: str, at: TimeArray, calendar: str, bar_seconds: int, labels: str) -> str | None:
    """Return a sentence if labels (N,) seem to be closing instants.

    On 24/7 they may be where they begin and end as those of whole days; daily labels in the evening of an exchange are.
    """
    if calendar != ALWAYS_OPEN and bar_seconds == DAY_SECONDS and len(at):
        found = pd.DatetimeIndex(at)
        midnights = any(_midnights(found, zone) for zone in (time_zone(calendar), "UTC"))
        if midnights or _evenings_to_opens(found, calendar) is None:
            return None
        return f"{symbol}: daily rows are labelled at or after the close ({minute(at[0])} UTC), and are of that session"
    if calendar != ALWAYS_OPEN or labels != "open" or bar_seconds >= DAY_SECONDS or len(at) < 3:
        return None
    first, last = (label - label.astype("datetime64[D]") for label in (at[0], at[-1]))
    if first != np.timedelta64(bar_seconds, "s") or last != np.timedelta64(0, "s"):
        return None
    return (
        f"{symbol}: the first label is {minute(at[0])} and the last {minute(at[-1])}, as where whole days "
        "are labelled by the close of each bar; labels are read as openings: if they are closes, set data.labels=close"
    )


def _midnights(labels: pd.DatetimeIndex, zone: str) -> bool:
    local = labels.tz_localize("UTC").tz_convert(zone)
    return bool((local == local.normalize()).all())


def _dates_to_opens(
    labels: pd.DatetimeIndex, calendar: str, timezone: str, where: str
) -> pd.DatetimeIndex | None:
    """Turn dates into the opens of their sessions; None if the labels are not midnights of any zone at hand."""
    zones = dict.fromkeys((timezone, time_zone(calendar), "UTC"))
    locals_ = (labels.tz_localize("UTC").tz_convert(zone).tz_localize(None) for zone in zones)
    local = next((wall for wall in locals_ if (wall == wall.normalize()).all()), None)
    if local is None:
        return None
    grid = bar_grid(calendar, DAY_SECONDS, labels.min() - 2 * _DAY, labels.max() + 2 * _DAY)
    dates = local.to_numpy("datetime64[D]").astype(np.int32)
    at = np.minimum(np.searchsorted(grid.session, dates), max(len(grid.session) - 1, 0))
    here: BoolArray = grid.session[at] == dates if len(grid.session) else np.zeros(len(dates), dtype=bool)
    if (~here).mean() > FEW:
        raise DataError(
            f"{where}: {local[~here][0].date()} is no session of calendar {calendar!r}; drop that row "
            "or choose the calendar of the file."
        )
    # A few rows on holidays, as some vendors pad them, keep their labels: outside of sessions, where they are counted.
    return pd.DatetimeIndex(np.where(here, grid.bar_utc[at], labels.to_numpy("datetime64[ns]")))


def _require_kind(
    at: TimeArray, sessions: Sessions, labels: str, calendar: str, bar_seconds: int, where: str
) -> None:
    hours = not _on_phase(at, sessions, bar_seconds)
    if hours and not on_clock(at, calendar, bar_seconds):
        return
    days = np.isin(sessions.session, np.unique(_sessions_of(at, sessions)))
    if days.sum() < 2:
        return
    begun = np.isin(sessions.open_utc[days], at)
    if hours:  # bars on the clock, the first of which is labelled by its hour or by the open
        begun |= np.isin(clock_floor(sessions.open_utc[days], calendar, bar_seconds), at)
    opens = float(begun.mean())
    closes = float(np.isin(sessions.close_utc[days], at).mean())
    ends = closes >= _ALMOST_ALL and opens <= _ALMOST_NONE
    begins = opens >= _ALMOST_ALL and closes <= _ALMOST_NONE
    if labels == "open" and ends:
        raise DataError(
            f"{where}: nearly every session of calendar {calendar!r} has a row at its close and none at its open (the "
            f"first is {minute(at[0])} UTC), so the labels are closing instants; set data.labels=close."
        )
    if labels == "close" and begins:
        raise DataError(
            f"{where}: nearly every session of calendar {calendar!r} has a row at its open and none at its close (the "
            f"first is {minute(at[0])} UTC), so the labels are opening instants; set data.labels=open."
        )


def _on_phase(at: TimeArray, sessions: Sessions, bar_seconds: int) -> bool:
    """True if nearly all labels inside sessions are whole bars after the open; others are no bars of the calendar."""
    index = np.maximum(np.searchsorted(sessions.open_utc, at, side="right") - 1, 0)
    rests = at >= sessions.break_end_utc[index]  # False where there is no break
    since = at - np.where(rests, sessions.break_end_utc[index], sessions.open_utc[index])
    inside = (at > sessions.open_utc[index]) & (at < sessions.close_utc[index])
    inside &= ~np.isin(at, sessions.break_start_utc)
    length = np.timedelta64(bar_seconds, "s").astype("timedelta64[ns]")
    return not inside.any() or bool((since[inside] % length == np.timedelta64(0)).mean() >= _ALMOST_ALL)


def _sessions_of(at: TimeArray, sessions: Sessions) -> np.ndarray:
    """Return the session that each label lies in, its close included; labels outside of all are left out."""
    index = np.searchsorted(sessions.open_utc, at, side="right") - 1
    inside = (index >= 0) & (at <= sessions.close_utc[np.maximum(index, 0)])
    return sessions.session[index[inside]]


def _closes_to_opens(at: TimeArray, sessions: Sessions, calendar: str, bar_seconds: int) -> TimeArray:
    """Move each closing instant to the open of its bar; the last bar of a session may be cut short by the close."""
    grid = bar_grid(calendar, bar_seconds, at[0] - 5 * _DAY, at[-1] + _DAY).bar_utc
    length = np.timedelta64(bar_seconds, "s").astype("timedelta64[ns]")
    ends = np.concatenate([sessions.close_utc, sessions.break_start_utc])
    before = np.maximum(np.searchsorted(grid, at, side="left") - 1, 0)
    opened = grid[before]
    cut = np.isin(at, ends) & (at - opened < length) & (opened < at)
    if bar_seconds == DAY_SECONDS:
        cut = np.isin(at, ends)
    moved: TimeArray = np.where(cut, opened, at - length)
    return moved
