"""Clock features: where bar t's close lies in the day and the session, by the published calendar.

They read times only, never prices or which bars happen to be there: half-days are known in advance.

Axes: T time.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache, partial
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from data.calendars import DAY_SECONDS, time_zone
from data.equal_runs import run_starts
from data.features.definition import SHARE, SIGNED_SHARE, Feature
from data.features.panel_parts import session_limits
from data.features.series import shared
from data.schema import Panel

FloatArray = NDArray[np.float64]


def time_of_day(panel: Panel) -> FloatArray:
    """Return (T, 2) sine and cosine of the bar's close on the 24-hour clock of the calendar's time zone."""
    closes = panel.bar_utc.astype("datetime64[s]").astype(np.int64) + panel.bar_seconds
    seconds = (closes + _utc_offsets(time_zone(panel.calendar), closes)) % DAY_SECONDS
    angle = 2.0 * np.pi * seconds.astype(np.float64) / DAY_SECONDS
    return np.stack([np.sin(angle), np.cos(angle)], axis=1)


_QUARTER = 900
"""Seconds: time zones change their offset at full quarters of an hour."""


def _utc_offsets(zone: str, instants: NDArray[np.int64]) -> NDArray[np.int64]:
    """(T,) local time less UTC, seconds; instants : seconds since 1970."""
    if zone == "UTC":
        return np.zeros(len(instants), dtype=np.int64)
    quarters = instants // _QUARTER
    first = run_starts(quarters)
    offsets = np.array([_utc_offset(zone, int(quarter)) for quarter in quarters[first]], dtype=np.int64)
    return np.repeat(offsets, np.diff(first, append=len(instants)))


@lru_cache(maxsize=65_536)
def _utc_offset(zone: str, quarter: int) -> int:
    local = datetime.fromtimestamp(quarter * _QUARTER, tz=ZoneInfo(zone))
    offset = local.utcoffset()
    assert offset is not None
    return round(offset.total_seconds())


def day_of_week(panel: Panel) -> FloatArray:
    """Return (T, 2) sine and cosine of the weekday of the bar's session, Monday = 0 of 7."""
    # 1970-01-01 was a Thursday, weekday 3.
    angle = 2.0 * np.pi * ((panel.session.astype(np.int64) + 3) % 7) / 7.0
    return np.stack([np.sin(angle), np.cos(angle)], axis=1)


def session_flags(panel: Panel, *, edge_minutes: float) -> FloatArray:
    """Return (T, 2) 1.0 where the bar closes within the first, or the last, `edge_minutes` of its session."""
    since_open, to_close = session_seconds(panel)
    edge = 60.0 * edge_minutes
    return np.stack([since_open <= edge, to_close <= edge], axis=1).astype(np.float64)


def bars_to_close(panel: Panel) -> FloatArray:
    """Return (T,) the share of the session left after this bar: 0 at its last bar, below 1 at its first."""
    since_open, to_close = session_seconds(panel)
    return to_close / (since_open + to_close)


@shared
def session_seconds(panel: Panel) -> tuple[FloatArray, FloatArray]:
    """Return (T,) seconds from the session's open to the bar's close, and (T,) from there to its close."""
    opened, closed = session_limits(panel)
    second = np.timedelta64(1, "s")
    length = (closed - opened) / second
    # The last bar may be cut short by the close.
    since_open = np.minimum((panel.bar_utc - opened) / second + panel.bar_seconds, length)
    return since_open, length - since_open


def _sine_cosine(panel: Panel, params: Mapping[str, Any]) -> tuple[str, ...]:
    return ("sin", "cos")


def _edges(panel: Panel, params: Mapping[str, Any]) -> tuple[str, ...]:
    return ("first", "last")


_clock = partial(Feature, kind="clock", subject="clock", unknown="never", source="the published calendar")

CLOCK_FEATURES = (
    _clock(
        name="time_of_day",
        function=time_of_day,
        outputs=_sine_cosine,
        unit="sine, cosine",
        bounds=SIGNED_SHARE,
    ),
    _clock(
        name="day_of_week",
        function=day_of_week,
        by_session=True,
        outputs=_sine_cosine,
        unit="sine, cosine",
        bounds=SIGNED_SHARE,
    ),
    _clock(name="session_flags", function=session_flags, outputs=_edges, unit="flag", bounds=SHARE),
    _clock(name="bars_to_close", function=bars_to_close, unit="share of the session", bounds=SHARE),
)
