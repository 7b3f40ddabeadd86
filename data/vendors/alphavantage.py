"""Alpha Vantage: daily bars of stocks and funds, splits, dividends, and listings that know their end.

Prices as traded are free; those adjusted for splits and dividends are the vendor's own adjusted close, with the other
prices moved in its proportion (the volume stays), and need a paid key. A day is labelled by the opening of its session
on `calendar`. The vendor answers 200 to everything: limits, wrong keys and unknown symbols are told apart by the words
of the answer, which may quote the key.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar

import pandas as pd

from data.array_types import FloatArray
from data.calendars import DAY_SECONDS, check_calendar
from data.vendors.clock import earlier_clock, over_by, utc_now
from data.vendors.definition import (
    Adjustment,
    AnswerRefused,
    BarRequest,
    Budget,
    Delivery,
    KeyRefused,
    MalformedAnswer,
    RateLimited,
    TemporarilyUnavailable,
    VendorError,
)
from data.vendors.failures import quote
from data.vendors.https import Answer, get, json_object
from data.vendors.keys import key_from_environment, without_keys
from data.vendors.pieces import require_offered
from data.vendors.records import day, day_or_none, positive, record, text_of
from data.vendors.reference import Dividend, Listing, Split
from data.vendors.session_days import session_openings
from data.vendors.tables import delivery, nothing_yet, numbers

KEY_VARIABLE = "ALPHAVANTAGE_API_KEY"
_PRICES = {"open": "1. open", "high": "2. high", "low": "3. low", "close": "4. close"}
_ADJUSTED_CLOSE = "5. adjusted close"
_COMPACT_DAYS = pd.Timedelta(120, "D")
"""The last hundred sessions are a smaller answer, and the only one that a free key gets."""


@dataclass(frozen=True, kw_only=True)
class AlphaVantage:
    """The vendor `alphavantage`.

    Parameters
    ----------
    base_url : of the interface.
    calls_per_minute, calls_per_day : that the key allows; a free one 5 and 25.
    timeout_s : for connecting, and for each read.
    calendar : of the symbols, whose sessions label their days.
    now : the clock of this machine.
    """

    name: ClassVar[str] = "alphavantage"

    base_url: str = "https://www.alphavantage.co"
    calls_per_minute: float | None = 5
    calls_per_day: int | None = 25
    timeout_s: float = 30
    calendar: str = "NYSE"
    now: Callable[[], pd.Timestamp] = utc_now

    def __post_init__(self) -> None:
        check_calendar(self.calendar)

    @property
    def budget(self) -> Budget:
        """Calls that the key allows."""
        return Budget(calls_per_minute=self.calls_per_minute, calls_per_day=self.calls_per_day, at_a_time=1)

    def pieces(self, request: BarRequest) -> Sequence[BarRequest]:
        """The request itself: one call brings all days."""
        offered: tuple[Adjustment, ...] = ("raw", "all")
        require_offered(request, self.name, (DAY_SECONDS,), offered, "Splits alone it does not adjust for.")
        return (request,)

    def fetch(self, piece: BarRequest) -> Delivery:
        """Ask for all days of a symbol, and keep those of the piece."""
        self.pieces(piece)
        function = "TIME_SERIES_DAILY" if piece.adjustment == "raw" else "TIME_SERIES_DAILY_ADJUSTED"
        size = "compact" if piece.start_utc > self.now() - _COMPACT_DAYS else "full"
        uri = f"{self.name}:/query?function={function}&symbol={piece.symbol}&outputsize={size}"
        if over_by(piece, self.now(), 0.0, self.calendar) <= piece.start_utc:
            return nothing_yet(piece, uri)
        answer = self._ask({"function": function, "symbol": piece.symbol, "outputsize": size})
        body = _object(answer)
        days = next((value for name, value in body.items() if name.startswith("Time Series")), None)
        if not isinstance(days, dict) or any(not isinstance(row, dict) for row in days.values()):
            raise MalformedAnswer(f"{self.name} sent no time series of {piece.symbol}")
        found = [(day({"date": date}, "date", self.name), row) for date, row in days.items()]
        found = [(date, row) for date, row in found if _near(date, piece)]
        dates = pd.DatetimeIndex([date for date, _ in found]).to_numpy("datetime64[D]")
        labels = session_openings(dates, self.calendar, self.name)
        over = over_by(piece, earlier_clock(self.now(), answer.headers), 0.0, self.calendar)
        return delivery(
            piece,
            labels,
            _columns([row for _, row in found]),
            vendor=self.name,
            source_uri=uri,
            calls=1,
            over_by=over,
        )

    def splits(self, symbol: str, first: date, last: date) -> Sequence[Split]:
        """Splits by the day on which they took effect. The vendor writes a factor: 4 for 4 for 1."""
        found = [
            record(
                Split,
                self.name,
                symbol=symbol,
                ex_date=day(row, "effective_date", self.name),
                new_shares=positive(row, "split_factor", self.name, text=True),
                old_shares=1.0,
            )
            for row in self._events("SPLITS", symbol)
        ]
        return sorted((s for s in found if first <= s.ex_date <= last), key=lambda split: split.ex_date)

    def dividends(self, symbol: str, first: date, last: date) -> Sequence[Dividend]:
        """Cash dividends by ex-date. Their currency, and whether later splits are in them, the vendor does not say."""
        found = [
            record(
                Dividend,
                self.name,
                symbol=symbol,
                ex_date=day(row, "ex_dividend_date", self.name),
                cash_per_share=positive(row, "amount", self.name, text=True),
                currency="",
                split_adjusted=None,
                declared_on=day_or_none(row, "declaration_date", self.name),
                paid_on=day_or_none(row, "payment_date", self.name),
            )
            for row in self._events("DIVIDENDS", symbol)
        ]
        return sorted((d for d in found if first <= d.ex_date <= last), key=lambda paid: paid.ex_date)

    def listings(self, as_of: date) -> Sequence[Listing]:
        """Stocks and funds listed on that date, those included that were delisted since (the vendor begins in 2010)."""
        query = {"function": "LISTING_STATUS", "date": as_of.isoformat(), "state": "active"}
        return self._listing_status(query)

    def delisted(self, as_of: date) -> Sequence[Listing]:
        """What had been delisted by that date, with the day on which it ended."""
        query = {"function": "LISTING_STATUS", "date": as_of.isoformat(), "state": "delisted"}
        return self._listing_status(query)

    def _listing_status(self, query: Mapping[str, str]) -> Sequence[Listing]:
        answer = self._ask(query)
        if answer.text.lstrip().startswith("{"):
            _object(answer)
        table = csv.DictReader(io.StringIO(answer.text))
        needed = {"symbol", "name", "exchange", "assetType", "ipoDate", "delistingDate"}
        if not needed <= set(table.fieldnames or ()):
            raise MalformedAnswer(f"{self.name} sent listings with the columns {table.fieldnames}")
        rows = list(table)
        if any(row[name] is None for row in rows for name in needed):
            raise TemporarilyUnavailable(f"{self.name} sent listings that end inside a row")
        return [
            Listing(
                symbol=text_of(row, "symbol", self.name),
                name=row["name"],
                exchange=row["exchange"],
                kind=row["assetType"],
                listed_on=day_or_none(row, "ipoDate", self.name),
                delisted_on=day_or_none(row, "delistingDate", self.name),
            )
            for row in rows
        ]

    def _events(self, function: str, symbol: str) -> list[Mapping[str, Any]]:
        rows = _object(self._ask({"function": function, "symbol": symbol})).get("data")
        if not isinstance(rows, list) or any(not isinstance(row, dict) for row in rows):
            raise MalformedAnswer(f"{self.name} sent no list of {function.lower()}")
        return rows

    def _ask(self, query: Mapping[str, str]) -> Answer:
        key = key_from_environment(self.name, KEY_VARIABLE)
        answer = get(
            self.name,
            f"{self.base_url.rstrip('/')}/query",
            query,
            secret={"apikey": key},
            timeout_s=self.timeout_s,
        )
        return Answer(text=without_keys(answer.text, [key]), headers=answer.headers)


def _object(answer: Answer) -> dict[str, Any]:
    """The JSON object of an answer that is data, and no refusal in words."""
    body = json_object(answer, "alphavantage")
    words = next((body[name] for name in ("Error Message", "Information", "Note") if name in body), None)
    if words is None:
        return body
    text = str(words)
    raise _refusal(text.lower(), f"alphavantage answered: {quote(text)}")


def _refusal(text: str, about: str) -> VendorError:
    if "premium" in text and "rate limit" not in text and "per second" not in text:
        return KeyRefused(about)
    if any(
        words in text
        for words in ("rate limit", "call frequency", "requests per", "per minute", "per second")
    ):
        # The day's calls are counted by a day of New York; nobody says when it ends.
        return RateLimited(about, 3600.0 if "per day" in text else 60.0)
    if "apikey" in text or "api key" in text:
        return KeyRefused(about)
    return AnswerRefused(about)


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, FloatArray]:
    name = "alphavantage"
    columns = {
        column: numbers([row.get(key) for row in rows], column, name, text=True)
        for column, key in _PRICES.items()
    }
    adjusted = any(_ADJUSTED_CLOSE in row for row in rows)
    volume = "6. volume" if adjusted else "5. volume"
    columns["volume"] = numbers([row.get(volume) for row in rows], "volume", name, text=True)
    if not adjusted:
        return columns
    close = numbers([row.get(_ADJUSTED_CLOSE) for row in rows], "adjusted close", name, text=True)
    if (columns["close"] == 0.0).any():
        raise MalformedAnswer(f"{name} sent a close of 0, from which nothing can be adjusted")
    ratio = close / columns["close"]
    return {**{column: columns[column] * ratio for column in _PRICES}, "volume": columns["volume"]}


def _near(found: date, piece: BarRequest) -> bool:
    margin = pd.Timedelta(2, "D")
    at = pd.Timestamp(found, tz="UTC")
    return bool(piece.start_utc - margin <= at <= piece.stop_utc + margin)
