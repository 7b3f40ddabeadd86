"""Dates of events by symbol, such as earnings: how they are written, and what of them was known at an instant.

An event is an instant and, where it is known before or after it takes place, when it is known:

    AMD: 2018-01-30T21:15Z known 2018-01-09; 2018-04-25T20:15Z

A date alone, or with a time of 0:00 and no zone, is the end of that day in the calendar's time zone: who has the day
only cannot say that something was known any earlier. Other times without a zone are UTC. Without `known` an event is
known when it takes place, and nothing is known of it before.

Axes: N events, T time, A asset.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.calendars import time_zone
from data.errors import DataError
from data.features.panel_parts import session_limits
from data.features.series import shared
from data.schema import Panel, utc_instant

Int64Array = NDArray[np.int64]
Written = str | tuple[str, ...]
"""The events of a symbol: one text with `;` between them, or each by itself."""
KNOWN = "known"
_EVENT = re.compile(rf"(\S.*?)(?:\s+{KNOWN}\s+(\S.*))?")
_YEAR_FIRST = re.compile(r"\d{4}-\d\d-\d\d")
NEVER_YET, NO_MORE = np.iinfo(np.int64).min, np.iinfo(np.int64).max
"""What stands for the last event before the first is known, and for the next one where none is."""


@dataclass(frozen=True)
class _Instant:
    """As written : without a zone it is a date alone, which ends when the day does."""

    utc: np.datetime64
    is_date: bool

    def at(self, zone: str) -> int:
        """Nanoseconds since 1970, UTC, with the day's end in this zone."""
        if not self.is_date:
            return int(self.utc.astype(np.int64))
        day = self.utc.astype("datetime64[D]").item() + timedelta(days=1)
        midnight = datetime.combine(day, time(), ZoneInfo(zone))
        return round(midnight.timestamp()) * 10**9


def _instant(text: str) -> _Instant:
    if not _YEAR_FIRST.match(text):
        raise DataError(
            f"{text!r} is not a date or time; write it as 2018-01-31 or 2018-01-31T14:30Z, the year first."
        )
    utc = utc_instant(text)
    is_date = utc == utc.astype("datetime64[D]") and pd.Timestamp(text).tzinfo is None
    return _Instant(utc, bool(is_date))


def written(given: Any, symbol: str) -> Written:
    """The events of a symbol as a configuration has them, a text or a list of texts; nothing for a symbol without.

    Raises
    ------
    DataError
        If it is neither.
    """
    if isinstance(given, str):
        return given
    if isinstance(given, Sequence) and all(isinstance(one, str) for one in given):
        return tuple(given)
    raise DataError(
        f"events.{symbol} is {given!r}; write it as text, '2018-01-30T21:15Z {KNOWN} 2018-01-09; 2018-04-25', or as "
        "a list of such texts."
    )


def each_of(events: Written) -> tuple[str, ...]:
    """The events one by one, as they are written."""
    texts = events.split(";") if isinstance(events, str) else events
    return tuple(text.strip() for text in texts if text.strip())


@lru_cache(maxsize=16_384)
def _parsed(events: Written) -> tuple[tuple[_Instant, _Instant | None], ...]:
    found = []
    for text in each_of(events):
        match = _EVENT.fullmatch(text)
        assert match is not None  # it holds something that is no space
        found.append((_instant(match[1]), None if match[2] is None else _instant(match[2])))
    return tuple(found)


def check_events(events: Any) -> None:
    """Raise ValueError unless these are events by symbol, and say what is wrong with the first that are none."""
    if not isinstance(events, Mapping) or not events:
        raise ValueError(
            f"events is {events!r}; give the dates of each symbol, {{AMD: '2018-01-30T21:15Z; 2018-04-25'}}, or those "
            "of a file, ${events_in:FILE}."
        )
    for symbol, given in events.items():
        if not isinstance(symbol, str):
            raise ValueError(f"events names the symbol {symbol!r}, which is no text; write it in quotes.")
        try:
            _parsed(written(given, symbol))
        except DataError as error:
            raise ValueError(f"events.{symbol}: {error}") from error


@lru_cache(maxsize=16_384)
def instants_of(events: Written, zone: str) -> tuple[Int64Array, Int64Array]:
    """(N,) when each event takes place, and (N,) when it is known, nanoseconds since 1970, as they are written.

    Parameters
    ----------
    zone : in which the day of a date alone ends.
    """
    instant = np.array([at.at(zone) for at, _ in _parsed(events)], dtype=np.int64)
    known = [at.at(zone) if known is None else known.at(zone) for at, known in _parsed(events)]
    return instant, np.array(known, dtype=np.int64)


@dataclass(frozen=True, kw_only=True, eq=False)
class KnownEvents:
    """What is known of a symbol's events, from one change of it to the next.

    Attributes
    ----------
    changes : (M,) instants at which something is heard of or takes place, ascending, nanoseconds since 1970.
    last, following : (M + 1,) the newest event that has taken place and is known, `NEVER_YET` before the first, and
        the next one that is known, `NO_MORE` where none is: before the first change, and from each one on.
    """

    changes: Int64Array
    last: Int64Array
    following: Int64Array

    def at(self, now: Int64Array) -> tuple[Int64Array, Int64Array]:
        """(T,) the last and the next event as known at these instants; what takes place or is heard then counts."""
        place = np.searchsorted(self.changes, now, side="right")
        return self.last[place], self.following[place]


@lru_cache(maxsize=16_384)
def known_events(events: Written, zone: str) -> KnownEvents:
    """What is known of a symbol's events, as they are written.

    Parameters
    ----------
    zone : in which the day of a date alone ends.
    """
    instant, known = instants_of(events, zone)
    heard = sorted(zip(known.tolist(), instant.tolist(), strict=True), reverse=True)
    changes = np.unique(np.concatenate([instant, known]))
    last, following, ahead = [NEVER_YET], [NO_MORE], list[int]()
    for now in changes.tolist():
        while heard and heard[-1][0] <= now:
            heapq.heappush(ahead, heard.pop()[1])
        newest = last[-1]
        while ahead and ahead[0] <= now:
            newest = max(newest, heapq.heappop(ahead))
        last.append(newest)
        following.append(ahead[0] if ahead else NO_MORE)
    return KnownEvents(
        changes=changes, last=np.array(last, dtype=np.int64), following=np.array(following, dtype=np.int64)
    )


@shared
def closes(panel: Panel) -> Int64Array:
    """(T,) when each bar closes, nanoseconds since 1970: a bar that the session's end cuts short closes with it."""
    ends = panel.bar_utc + np.timedelta64(panel.bar_seconds, "s")
    return np.minimum(ends, session_limits(panel)[1]).astype("datetime64[ns]").astype(np.int64)


def events_of(panel: Panel, events: Mapping[str, Any], symbol: str) -> KnownEvents:
    """What is known of a symbol's events on the calendar of a panel; nothing of a symbol that they do not name."""
    return known_events(written(events.get(symbol, ""), symbol), time_zone(panel.calendar))


def known_by(events: Mapping[str, Any], now: int, calendar: str) -> dict[str, list[str]]:
    """The events that are known at an instant (nanoseconds since 1970); symbols stay, if with none."""
    found, zone = {}, time_zone(calendar)
    for symbol, given in events.items():
        own = written(given, symbol)
        known = instants_of(own, zone)[1]
        found[symbol] = [text for text, at in zip(each_of(own), known, strict=True) if at <= now]
    return found
