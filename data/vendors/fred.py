"""FRED and ALFRED: daily series such as DGS10, DFF, VIXCLS, with the day on which a value was first published.

A value is an observation and no bar: open, high, low and close are the value, and with a volume of 0 nothing is traded.
The label is midnight UTC of the date that was observed (calendar 24/7). A rate of Friday is published on Monday, and
revised later; so the row holds the first release, and `published_utc_s`, seconds since 1970 of the end of the day (New
York) on which it appeared, NaN where the archive does not say. Before that instant nobody knew the value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from data.array_types import FloatArray
from data.calendars import ALWAYS_OPEN, DAY_SECONDS
from data.vendors.clock import earlier_clock, over_by, utc_now
from data.vendors.definition import (
    AnswerRefused,
    BarRequest,
    Budget,
    Delivery,
    KeyRefused,
    MalformedAnswer,
    VendorError,
)
from data.vendors.failures import Headers, quote, refused, said
from data.vendors.https import get, json_object
from data.vendors.keys import key_from_environment
from data.vendors.pieces import cut, require_offered
from data.vendors.records import day
from data.vendors.tables import delivery, nothing_yet, numbers

KEY_VARIABLE = "FRED_API_KEY"
_PAGE_ROWS = 100_000
_NO_VALUE = "."
_PUBLISHED_WITHIN = pd.Timedelta(366, "D")
"""Releases are searched for up to a year after the observation: an answer may span 2,000 vintages, eight years."""
_PUBLISHED_IN, _TODAY_IN = "America/New_York", "America/Chicago"
"""Zones of who publishes, and of FRED, which refuses a day that has not begun in St. Louis."""


@dataclass(frozen=True, kw_only=True)
class Fred:
    """The vendor `fred`.

    Parameters
    ----------
    base_url : of the interface.
    first_release : deliver what was published first, with its day, for an honest study; False delivers what FRED says
        today, revised.
    calls_per_minute : that FRED allows.
    settle_days : an observation may still appear this many days later; younger days are asked for again.
    timeout_s : for connecting, and for each read.
    now : the clock of this machine.
    """

    name: ClassVar[str] = "fred"

    base_url: str = "https://api.stlouisfed.org/fred"
    first_release: bool = True
    calls_per_minute: float | None = 120
    settle_days: float = 7
    timeout_s: float = 30
    now: Callable[[], pd.Timestamp] = utc_now

    @property
    def budget(self) -> Budget:
        """Calls that FRED allows."""
        return Budget(calls_per_minute=self.calls_per_minute, calls_per_day=None, at_a_time=2)

    def pieces(self, request: BarRequest) -> Sequence[BarRequest]:
        """Years: what is published about one stays below the limit on vintages."""
        require_offered(request, self.name, (DAY_SECONDS,), ("raw",), "A series is not adjusted.")
        return cut(request, "year")

    def fetch(self, piece: BarRequest) -> Delivery:
        """Ask for the observations of one piece, and for their first releases."""
        self.pieces(piece)
        uri = (
            f"{self.name}:/series/observations?series_id={piece.symbol}&observation_start={piece.start_utc.date()}"
            f"&observation_end={piece.stop_utc.date()}&first_release={self.first_release}"
        )
        settle = self.settle_days * DAY_SECONDS
        if over_by(piece, self.now(), settle, ALWAYS_OPEN) <= piece.start_utc:
            return nothing_yet(piece, uri)
        today, headers, calls = self._observations(piece, {})
        found: dict[str, tuple[float, float]] = {date: (value, np.nan) for date, value, _ in today}
        if self.first_release:
            releases, more = self._releases(piece)
            calls += more
            for date, value, published in sorted(releases, key=lambda row: row[2], reverse=True):
                found[date] = (value, _end_of_day(published))
        dates = sorted(found)
        values: FloatArray = np.array([found[date][0] for date in dates], dtype=np.float64)
        columns = dict.fromkeys(("open", "high", "low", "close"), values)
        columns["volume"] = np.zeros(len(values))
        columns["published_utc_s"] = np.array([found[date][1] for date in dates], dtype=np.float64)
        labels = pd.DatetimeIndex(pd.to_datetime(dates, format="%Y-%m-%d")).as_unit("ns").tz_localize("UTC")
        over = over_by(piece, earlier_clock(self.now(), headers), settle, ALWAYS_OPEN)
        return delivery(piece, labels, columns, vendor=self.name, source_uri=uri, calls=calls, over_by=over)

    def _releases(self, piece: BarRequest) -> tuple[list[tuple[str, float, str]], int]:
        """Rows of all vintages within a year of the observations; none for a series without an archive."""
        last = min(piece.stop_utc + _PUBLISHED_WITHIN, self.now()).tz_convert(_TODAY_IN)
        vintages = {"realtime_start": str(piece.start_utc.date()), "realtime_end": str(last.date())}
        try:
            rows, _, calls = self._observations(piece, vintages)
        except AnswerRefused as error:
            if "ALFRED" not in str(error):
                raise
            return [], 1
        return rows, calls

    def _observations(
        self, piece: BarRequest, vintages: Mapping[str, str]
    ) -> tuple[list[tuple[str, float, str]], Headers, int]:
        """Rows (date, value, first day of the vintage) that have a value."""
        key = key_from_environment(self.name, KEY_VARIABLE)
        query = {
            "series_id": piece.symbol,
            "observation_start": str(piece.start_utc.date()),
            "observation_end": str(piece.stop_utc.date()),
            "file_type": "json",
            "sort_order": "asc",
            "limit": str(_PAGE_ROWS),
            **vintages,
        }
        rows: list[Any] = []
        calls = 0
        while True:
            answer = get(
                self.name,
                f"{self.base_url.rstrip('/')}/series/observations",
                {**query, "offset": str(len(rows))},
                secret={"api_key": key},
                timeout_s=self.timeout_s,
                explain=_explained,
            )
            calls += 1
            body = json_object(answer, self.name)
            if body.get("error_code") is not None:
                status = body["error_code"] if isinstance(body["error_code"], int) else 400
                told = _explained(status, answer.text, answer.headers)
                raise told or refused(status, self.name, answer.text, answer.headers)
            page, count = body.get("observations"), body.get("count")
            if not isinstance(page, list) or any(not isinstance(row, dict) for row in page):
                raise MalformedAnswer("fred sent no list of observations")
            rows += page
            if not page or not isinstance(count, int) or len(rows) >= count:
                break
        known = [row for row in rows if row.get("value") != _NO_VALUE]
        values = numbers([row.get("value") for row in known], "value", self.name, text=True)
        return (
            [
                (str(day(row, "date", self.name)), float(value), str(day(row, "realtime_start", self.name)))
                for row, value in zip(known, values)
            ],
            answer.headers,
            calls,
        )


def _explained(status: int, text: str, headers: Headers) -> VendorError | None:
    """FRED answers 400 to a wrong key, and to a series that it does not know."""
    about = f"fred answered {status}: {quote(said(text))}"
    if status == 400:
        return KeyRefused(about) if "api_key" in text else AnswerRefused(about)
    return None


def _end_of_day(date: str) -> float:
    following = pd.Timestamp(date, tz=_PUBLISHED_IN) + pd.offsets.Day(1)
    return float(following.timestamp())
