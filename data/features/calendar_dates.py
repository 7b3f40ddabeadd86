"""Dates that are known in advance: months, expiry weeks, holidays of the market, and events such as FOMC decisions.

They read times only, never prices or which bars happen to be there.

Axes: T time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.array_types import FloatArray
from data.calendars import sessions_between
from data.features.definition import SHARE, SIGNED_SHARE, Feature, named_outputs, positive
from data.schema import Panel, utc_instant

_HOUR = np.timedelta64(3600, "s")
_FAR = 16
"""Days around a session in which the one before and the one after are looked for."""


def month_of_year(panel: Panel) -> FloatArray:
    """(T, 2) sine and cosine of the month of the bar's session, January = 0 of 12."""
    month = panel.session.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12
    angle = 2.0 * np.pi * month / 12.0
    return np.stack([np.sin(angle), np.cos(angle)], axis=1)


def expiry_week(panel: Panel) -> FloatArray:
    """(T,) 1 in the week, Monday to Sunday, of the month's third Friday, when monthly options of US markets
    expire; else 0.
    """
    day = panel.session.astype(np.int64)
    # 1970-01-01 was a Thursday: the Friday of a week that begins on Monday.
    friday = day - (day + 3) % 7 + 4
    dates = friday.astype("datetime64[D]")
    in_month = (dates - dates.astype("datetime64[M]")).astype(np.int64)  # 0 on the first of the month
    return (in_month // 7 == 2).astype(np.float64)


def holiday(panel: Panel) -> FloatArray:
    """(T, 2) 1 in the last session before, and in the first one after, a weekday without a session; else 0."""
    days, place = np.unique(panel.session, return_inverse=True)
    flags = np.array([_beside_holiday(panel.calendar, int(day)) for day in days], dtype=np.float64)
    return flags[place]


@lru_cache(maxsize=65_536)
def _beside_holiday(calendar: str, day: int) -> tuple[bool, bool]:
    """Whether a weekday is left out between this session and the next, and between it and the one before."""
    week = day // _FAR * _FAR  # so that neighbours ask for the same stretch
    first, last = (np.datetime64(d, "D").astype("datetime64[ns]") for d in (week - _FAR, week + 2 * _FAR))
    sessions = sessions_between(calendar, first, last).session
    after, earlier = sessions[sessions > day], sessions[sessions < day]
    # Nothing within two weeks: no holiday that one could name.
    return (
        bool(len(after)) and _weekday_between(day, int(after[0])),
        bool(len(earlier)) and _weekday_between(int(earlier[-1]), day),
    )


def _weekday_between(first: int, second: int) -> bool:
    return any((day + 3) % 7 < 5 for day in range(first + 1, second))


def time_to_event(panel: Panel, *, dates: Sequence[str], hours: float) -> FloatArray:
    """(T, 2) how near the next and the last event are: 1 at the event, 0 from `hours` hours away on, straight between.

    The dates must have been published before the first bar that they could be near to; the list is part of the
    feature's hash. An event at the bar's close is past.
    """
    events = _instants(tuple(str(date) for date in dates))
    close = panel.bar_utc + np.timedelta64(panel.bar_seconds, "s")
    following = np.searchsorted(events, close, side="right")
    to_next = (events[np.minimum(following, len(events) - 1)] - close) / _HOUR
    since = (close - events[np.maximum(following - 1, 0)]) / _HOUR
    nearness = np.stack([1.0 - to_next / hours, 1.0 - since / hours], axis=1)
    nearness[following == len(events), 0] = 0.0
    nearness[following == 0, 1] = 0.0
    return np.clip(nearness, 0.0, 1.0)


@lru_cache(maxsize=64)
def _instants(dates: tuple[str, ...]) -> NDArray[np.datetime64]:
    return np.sort(np.array([utc_instant(date) for date in dates], dtype="datetime64[ns]"))


def _dates_and_hours(params: Mapping[str, Any]) -> None:
    positive("hours")(params)
    dates = params["dates"]
    if isinstance(dates, str) or not isinstance(dates, Sequence) or not dates:
        raise ValueError(f"dates is {dates!r}; give a list of dates, UTC.")
    _instants(tuple(str(date) for date in dates))


def _event_stem(name: str, params: Mapping[str, Any]) -> str:
    return f"{name}_{params['hours']}"


_date = partial(Feature, kind="clock", subject="clock", unknown="never", source="the published calendar")

DATE_FEATURES = (
    _date(
        name="month_of_year",
        function=month_of_year,
        by_session=True,
        outputs=named_outputs("sin", "cos"),
        unit="sine, cosine",
        bounds=SIGNED_SHARE,
    ),
    _date(name="expiry_week", function=expiry_week, by_session=True, unit="flag", bounds=SHARE),
    _date(
        name="holiday",
        function=holiday,
        by_session=True,
        outputs=named_outputs("before", "after"),
        unit="flag",
        bounds=SHARE,
    ),
    _date(
        name="time_to_event",
        function=time_to_event,
        users_facts=True,
        outputs=named_outputs("next", "last"),
        stem=_event_stem,
        check=_dates_and_hours,
        subject="events",
        unit="nearness",
        bounds=SHARE,
        source="dates of your own",
    ),
)
