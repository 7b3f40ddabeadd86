"""Alpaca: bars of US stocks (feeds sip, iex, otc) and of crypto pairs such as BTC/USD, through alpaca-py.

Prices are as traded, adjusted for splits, or for splits and dividends. Bars of minutes hold the extended hours as well;
those of the feed iex hold the trades of that one exchange, a few percent of all. A day of a stock is labelled by the
opening of its session on `calendar`, one of a crypto pair by midnight UTC; a day that begins elsewhere is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar

import pandas as pd

from data.calendars import ALWAYS_OPEN, DAY_SECONDS, check_calendar
from data.vendors.clients import require_client, watch
from data.vendors.clock import earlier_clock, over_by, utc_now
from data.vendors.definition import (
    Adjustment,
    BarRequest,
    Budget,
    Delivery,
    KeyRefused,
    MalformedAnswer,
    VendorError,
)
from data.vendors.failures import ask, refused
from data.vendors.keys import key_from_environment
from data.vendors.pieces import cut, require_offered
from data.vendors.records import day, day_or_none, positive, record, text_of
from data.vendors.reference import Dividend, Split
from data.vendors.session_days import local_dates, session_openings
from data.vendors.tables import delivery, instants, nothing_yet, numbers

KEY_VARIABLES = ("ALPACA_API_KEY_ID", "APCA_API_KEY_ID", "ALPACA_API_KEY")
SECRET_VARIABLES = ("ALPACA_API_SECRET_KEY", "APCA_API_SECRET_KEY", "ALPACA_SECRET_KEY")
FRAMES = {
    60: (1, "Min"), 300: (5, "Min"), 900: (15, "Min"), 1800: (30, "Min"), 3600: (1, "Hour"), 14400: (4, "Hour"),
    86400: (1, "Day"),
}  # fmt: skip
ADJUSTMENTS = {"raw": "raw", "splits": "split", "all": "all"}
FEEDS = ("sip", "iex", "otc")
_COLUMNS = {"open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}
_OPTIONAL = {"vwap": "vw", "trades": "n"}
_PAGE_ROWS, _PAGE_ACTIONS = 10_000, 1_000


@dataclass(frozen=True, kw_only=True)
class Alpaca:
    """The vendor `alpaca`.

    Parameters
    ----------
    base_url : of the market data.
    feed : of stocks: sip (all exchanges), iex (one exchange, free without a delay), otc.
    delay_seconds : how far the plan is behind; without a subscription the last 15 minutes of sip are refused.
    calls_per_minute : that the plan allows.
    timeout_s : for connecting, and for each read.
    calendar : of stocks, whose sessions label their days.
    now : the clock of this machine.
    """

    name: ClassVar[str] = "alpaca"

    base_url: str = "https://data.alpaca.markets"
    feed: str = "sip"
    delay_seconds: float = 960
    calls_per_minute: float | None = 200
    timeout_s: float = 30
    calendar: str = "NYSE"
    now: Callable[[], pd.Timestamp] = utc_now

    def __post_init__(self) -> None:
        require_client("alpaca", self.name)
        check_calendar(self.calendar)
        if self.feed not in FEEDS:
            raise ValueError(f"the option feed is {self.feed!r}; it must be one of {', '.join(FEEDS)}")

    @property
    def budget(self) -> Budget:
        """Calls that the plan allows."""
        return Budget(calls_per_minute=self.calls_per_minute, calls_per_day=None, at_a_time=4)

    def pieces(self, request: BarRequest) -> Sequence[BarRequest]:
        """Months of bars of minutes (one to three pages), years of longer ones."""
        adjustments: tuple[Adjustment, ...] = ("raw", "splits", "all")
        if _is_crypto(request.symbol):
            adjustments = ("raw",)
        require_offered(request, self.name, tuple(FRAMES), adjustments)
        return cut(request, "month" if request.bar_seconds < 3600 else "year")

    def fetch(self, piece: BarRequest) -> Delivery:
        """Ask for all pages of one piece."""
        self.pieces(piece)
        crypto = _is_crypto(piece.symbol)
        calendar = ALWAYS_OPEN if crypto else self.calendar
        path = "/crypto/us/bars" if crypto else "/stocks/bars"
        over = over_by(piece, self.now(), self.delay_seconds, calendar)
        uri = f"{self.name}:{path}?symbols={piece.symbol}&timeframe={_frame(piece)}"
        uri += f"&start={piece.start_utc.isoformat()}&end={piece.stop_utc.isoformat()}"
        uri += "" if crypto else f"&adjustment={ADJUSTMENTS[piece.adjustment]}&feed={self.feed}"
        if over <= piece.start_utc:
            return nothing_yet(piece, uri)
        connection = self._connection("crypto" if crypto else "stock")
        rows: list[Mapping[str, Any]] = []
        for body in connection.pages(path, self._parameters(piece, crypto)):
            bars = body["bars"] or {} if "bars" in body else None
            if not isinstance(bars, dict) or not set(bars) <= {piece.symbol}:
                raise MalformedAnswer(f"{self.name} sent bars that are not those of {piece.symbol}")
            rows += bars.get(piece.symbol) or []
        if not all(isinstance(row, dict) for row in rows):
            raise MalformedAnswer(f"{self.name} sent bars that are no objects")
        labels = instants([row.get("t") for row in rows], "text", self.name)
        if piece.bar_seconds == DAY_SECONDS:
            labels = session_openings(local_dates(labels, calendar, self.name), calendar, self.name)
        columns = {
            name: numbers([row.get(key) for row in rows], name, self.name) for name, key in _COLUMNS.items()
        }
        for name, key in _OPTIONAL.items():
            columns[name] = numbers([row.get(key) for row in rows], name, self.name, gaps=True)
        over = over_by(
            piece, earlier_clock(self.now(), connection.transport.headers), self.delay_seconds, calendar
        )
        return delivery(
            piece,
            labels,
            columns,
            vendor=self.name,
            source_uri=uri,
            calls=connection.transport.calls,
            over_by=over,
        )

    def splits(self, symbol: str, first: date, last: date) -> Sequence[Split]:
        """Forward and reverse splits by ex-date."""
        rows = self._actions(symbol, ("forward_splits", "reverse_splits"), first, last)
        found = [
            record(
                Split,
                self.name,
                symbol=text_of(row, "symbol", self.name),
                ex_date=day(row, "ex_date", self.name),
                new_shares=positive(row, "new_rate", self.name),
                old_shares=positive(row, "old_rate", self.name),
            )
            for row in rows
        ]
        return sorted(found, key=lambda split: split.ex_date)

    def dividends(self, symbol: str, first: date, last: date) -> Sequence[Dividend]:
        """Cash dividends per share as it was at the time, US dollars."""
        found = [
            record(
                Dividend,
                self.name,
                symbol=text_of(row, "symbol", self.name),
                ex_date=day(row, "ex_date", self.name),
                cash_per_share=positive(row, "rate", self.name),
                currency="USD",
                split_adjusted=False,
                paid_on=day_or_none(row, "payable_date", self.name),
            )
            for row in self._actions(symbol, ("cash_dividends",), first, last)
        ]
        return sorted(found, key=lambda dividend: dividend.ex_date)

    def _actions(self, symbol: str, kinds: Sequence[str], first: date, last: date) -> list[Mapping[str, Any]]:
        params = {
            "symbols": symbol,
            "types": ",".join(kind.rstrip("s") for kind in kinds),
            "start": first.isoformat(),
            "end": last.isoformat(),
            "limit": _PAGE_ACTIONS,
            "sort": "asc",
        }
        rows: list[Mapping[str, Any]] = []
        for body in self._connection("actions").pages("/corporate-actions", params):
            actions = body.get("corporate_actions")
            if not isinstance(actions, dict):
                raise MalformedAnswer(f"{self.name} sent corporate actions that are no object")
            for kind in kinds:
                rows += actions.get(kind) or []
        return rows

    def _parameters(self, piece: BarRequest, crypto: bool) -> dict[str, Any]:
        # Both ends are inclusive. A day is found by its midnight, which is not the opening of its session.
        margin = pd.Timedelta(1 if piece.bar_seconds == DAY_SECONDS and not crypto else 0, "D")
        known = self.now() - pd.Timedelta(seconds=self.delay_seconds)
        last = min(piece.stop_utc + margin - pd.Timedelta(seconds=1), known)
        params = {
            "symbols": piece.symbol,
            "timeframe": _frame(piece),
            "start": (piece.start_utc - margin).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "end": last.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "limit": _PAGE_ROWS,
            "sort": "asc",
        }
        return (
            params if crypto else {**params, "adjustment": ADJUSTMENTS[piece.adjustment], "feed": self.feed}
        )

    def _connection(self, kind: str) -> AlpacaConnection:
        key = key_from_environment(self.name, *KEY_VARIABLES)
        return AlpacaConnection(
            kind, self.base_url, key, key_from_environment(self.name, *SECRET_VARIABLES), self.timeout_s
        )


class AlpacaConnection:
    """One of the vendor's clients. Its own paging follows a token for ever that leads to itself, and is not used."""

    def __init__(self, kind: str, base_url: str, key: str, secret: str, timeout_s: float) -> None:
        from alpaca.data.historical import (
            CryptoHistoricalDataClient,
            StockHistoricalDataClient,
        )
        from alpaca.data.historical.corporate_actions import CorporateActionsClient

        clients = {
            "stock": StockHistoricalDataClient,
            "crypto": CryptoHistoricalDataClient,
            "actions": CorporateActionsClient,
        }
        self._keys = (key, secret)
        self._client = clients[kind](key, secret, raw_data=True, url_override=base_url.rstrip("/"))
        self._client._retry = 0  # it takes no 0 as an argument
        self.transport = watch(self._client._session, timeout_s)

    def pages(self, path: str, params: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """The bodies of all pages.

        Raises
        ------
        VendorError
            One of its kinds.
        """
        bodies: list[Mapping[str, Any]] = []
        tokens: set[str] = set()
        token: str | None = None
        while True:
            asked = {**params, "page_token": token} if token else dict(params)
            body: Any = ask(lambda: self._client.get(path, asked), "alpaca", self._keys, self._translate)  # noqa: B023
            if not isinstance(body, dict):
                raise MalformedAnswer(f"alpaca sent no object to {path}")
            bodies.append(body)
            token = body.get("next_page_token")
            if token is None or token == "":
                return bodies
            if not isinstance(token, str) or token in tokens:
                raise MalformedAnswer(f"alpaca leads from a page of {path} to one that was there before")
            tokens.add(token)

    def _translate(self, error: Exception) -> VendorError | None:
        answer = self.transport.answer
        if answer is None or answer.status_code < 300:
            return None
        found = refused(answer.status_code, "alpaca", answer.text, answer.headers)
        if isinstance(found, KeyRefused) and "subscription" in answer.text:
            return KeyRefused(f"{found}; feed=iex, or a larger delay_seconds, may be within the plan")
        return found


def _is_crypto(symbol: str) -> bool:
    return "/" in symbol


def _frame(piece: BarRequest) -> str:
    count, unit = FRAMES[piece.bar_seconds]
    return f"{count}{unit}"
