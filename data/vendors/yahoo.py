"""Yahoo: daily bars of stocks, funds, indices (^VIX, ^VIX3M, ^GSPC), futures and crypto, through yfinance's session.

Yahoo adjusts every price for the splits up to now, so prices as traded are delivered only where no split followed; with
adjustment=all the prices are moved in the proportion of the adjusted close. Nothing of it is promised by a contract. A
day is labelled by the opening of its session on `calendar`; where none is set, NYSE for what trades in New York, 24/7
for crypto, and anything else is refused until one is set.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar
from urllib.parse import quote as percent_encoded

import pandas as pd

from data.array_types import FloatArray
from data.calendars import ALWAYS_OPEN, DAY_SECONDS, check_calendar
from data.vendors.clients import require_client
from data.vendors.clock import earlier_clock, over_by, utc_now
from data.vendors.definition import (
    AnswerRefused,
    BarRequest,
    Budget,
    Delivery,
    MalformedAnswer,
    RateLimited,
    VendorError,
)
from data.vendors.failures import Headers, ask, refused
from data.vendors.pieces import require_offered
from data.vendors.reference import Dividend, Split
from data.vendors.session_days import session_openings
from data.vendors.tables import delivery, nothing_yet
from data.vendors.yahoo_chart import NEW_YORK, YahooDays, parse_chart

_PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True, kw_only=True)
class Yahoo:
    """The vendor `yahoo`.

    Parameters
    ----------
    base_url : of the chart interface.
    calendar : of the symbols; None finds it as said above.
    calls_per_minute : that were seen to be borne; Yahoo documents none.
    timeout_s : for an answer.
    now : the clock of this machine.
    """

    name: ClassVar[str] = "yahoo"

    base_url: str = "https://query2.finance.yahoo.com"
    calendar: str | None = None
    calls_per_minute: float | None = 60
    timeout_s: float = 30
    now: Callable[[], pd.Timestamp] = utc_now

    def __post_init__(self) -> None:
        require_client("yfinance", self.name)
        if self.calendar is not None:
            check_calendar(self.calendar)

    @property
    def budget(self) -> Budget:
        """Calls that were seen to be borne."""
        return Budget(calls_per_minute=self.calls_per_minute, calls_per_day=None, at_a_time=1)

    def pieces(self, request: BarRequest) -> Sequence[BarRequest]:
        """The request itself: one call brings all days, and the splits that followed."""
        require_offered(request, self.name, (DAY_SECONDS,), ("raw", "splits", "all"))
        return (request,)

    def fetch(self, piece: BarRequest) -> Delivery:
        """Ask for the days from the piece's start until now, and keep those of the piece."""
        self.pieces(piece)
        uri = f"{self.name}:/v8/finance/chart/{piece.symbol}?start={piece.start_utc.date()}&end={piece.stop_utc.date()}"
        uri += f"&interval=1d&adjustment={piece.adjustment}"
        if piece.start_utc >= self.now():
            return nothing_yet(piece, uri)
        body, headers = self._chart(piece.symbol, piece.start_utc)
        days = parse_chart(body, piece.symbol)
        calendar = self.calendar or _calendar(days, piece.symbol)
        near = days.dates < piece.stop_utc.tz_localize(None) + pd.Timedelta(2, "D")
        labels = session_openings(days.dates[near].to_numpy("datetime64[D]"), calendar, self.name)
        columns = {name: values[near] for name, values in _adjusted(days, piece).items()}
        over = over_by(piece, earlier_clock(self.now(), headers), 0.0, calendar)
        return delivery(piece, labels, columns, vendor=self.name, source_uri=uri, calls=1, over_by=over)

    def splits(self, symbol: str, first: date, last: date) -> Sequence[Split]:
        """Splits by ex-date."""
        days = parse_chart(self._chart(symbol, pd.Timestamp(first, tz="UTC"))[0], symbol)
        return [split for split in days.splits if first <= split.ex_date <= last]

    def dividends(self, symbol: str, first: date, last: date) -> Sequence[Dividend]:
        """Cash dividends by ex-date, per share of today."""
        days = parse_chart(self._chart(symbol, pd.Timestamp(first, tz="UTC"))[0], symbol)
        return [dividend for dividend in days.dividends if first <= dividend.ex_date <= last]

    def _chart(self, symbol: str, start: pd.Timestamp) -> tuple[Any, Headers]:
        """The JSON of the chart from the day before `start` until now."""
        from yfinance.data import YfData

        params = {
            "period1": int((start - pd.Timedelta(2, "D")).timestamp()),
            "period2": int(self.now().timestamp()),
            "interval": "1d",
            "includePrePost": "false",
            "events": "div,splits",
        }
        seen: list[Any] = []

        def answered() -> Any:
            url = f"{self.base_url.rstrip('/')}/v8/finance/chart/{percent_encoded(symbol, safe='^=-.')}"
            seen.append(YfData().get(url, params=params, timeout=self.timeout_s))
            return json.loads(seen[0].text) if seen[0].status_code in (200, 400, 404, 422) else None

        def translate(error: Exception) -> VendorError | None:
            return RateLimited("yahoo answered 429") if type(error).__name__ == "YFRateLimitError" else None

        body = ask(answered, self.name, translate=translate)
        answer = seen[0]
        headers: Mapping[str, str] = dict(answer.headers)
        if body is None:
            raise refused(answer.status_code, self.name, answer.text, headers)
        if answer.status_code != 200 and not (isinstance(body, dict) and body.get("chart")):
            raise refused(answer.status_code, self.name, answer.text, headers)
        return body, headers


def _adjusted(days: YahooDays, piece: BarRequest) -> dict[str, FloatArray]:
    """Columns with the adjustment that was asked for."""
    columns = {name: days.columns[name] for name in (*_PRICES, "volume")}
    if piece.adjustment == "raw":
        later = [split for split in days.splits if pd.Timestamp(split.ex_date, tz="UTC") > piece.start_utc]
        if later:
            raise AnswerRefused(
                f"yahoo's prices of {piece.symbol} are adjusted for its split of {later[0].ex_date}; ask for "
                "adjustment=splits or all, or another vendor for prices as traded."
            )
    if piece.adjustment != "all":
        return columns
    close = columns["close"]
    if (close == 0.0).any():
        raise MalformedAnswer(
            f"yahoo sent a close of 0 for {piece.symbol}, from which nothing can be adjusted"
        )
    ratio = days.columns["adjusted_close"] / close
    return {**{name: columns[name] * ratio for name in _PRICES}, "volume": columns["volume"]}


def _calendar(days: YahooDays, symbol: str) -> str:
    if days.kind == "CRYPTOCURRENCY":
        return ALWAYS_OPEN
    if days.zone == NEW_YORK and days.kind not in ("FUTURE", "CURRENCY"):
        return "NYSE"
    if days.zone == "America/Chicago" and days.kind == "INDEX" and symbol.startswith("^"):
        return "NYSE"  # the indices of Cboe, such as ^VIX, are computed for the sessions of New York
    raise AnswerRefused(
        f"yahoo's {symbol} trades in {days.zone} ({days.kind or 'of no kind that it says'}); set the calendar that "
        "labels its days: calendar=LSE, XETR, CMEGlobex_ES, 24/7, ..."
    )
