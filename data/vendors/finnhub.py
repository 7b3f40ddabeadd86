"""Finnhub: bars of US stocks and of crypto (BINANCE:BTCUSDT) where the key is entitled to them, and option chains.

Days of stocks are adjusted for splits, and bars of minutes are as traded, by the vendor's documentation; neither can be
had the other way. A day of a stock is labelled by the opening of its session on `calendar`, one of crypto by midnight
UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar

import pandas as pd

from data.calendars import ALWAYS_OPEN, DAY_SECONDS, check_calendar
from data.vendors.clients import Transport, require_client, watch
from data.vendors.clock import earlier_clock, over_by, utc_now
from data.vendors.definition import (
    Adjustment,
    AnswerRefused,
    BarRequest,
    Budget,
    Delivery,
    MalformedAnswer,
    TemporarilyUnavailable,
    VendorError,
)
from data.vendors.failures import ask, quote, refused, said
from data.vendors.keys import key_from_environment
from data.vendors.pieces import cut, require_offered
from data.vendors.records import day, positive, record, text_of
from data.vendors.reference import Split
from data.vendors.session_days import local_dates, session_openings
from data.vendors.tables import delivery, instants, nothing_yet, numbers

KEY_VARIABLE = "FINNHUB_API_KEY"
RESOLUTIONS = {60: "1", 300: "5", 900: "15", 1800: "30", 3600: "60", 86400: "D"}
_COLUMNS = {"open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}
_QUOTES = {
    "bid": "bid",
    "ask": "ask",
    "last": "lastPrice",
    "volume": "volume",
    "open_interest": "openInterest",
    "implied_volatility": "impliedVolatility",
}


@dataclass(frozen=True, kw_only=True)
class Finnhub:
    """The vendor `finnhub`.

    Parameters
    ----------
    base_url : of the interface.
    calls_per_minute : that the key allows.
    timeout_s : for connecting, and for each read.
    calendar : of stocks, whose sessions label their days.
    now : the clock of this machine.
    """

    name: ClassVar[str] = "finnhub"

    base_url: str = "https://api.finnhub.io/api/v1"
    calls_per_minute: float | None = 60
    timeout_s: float = 30
    calendar: str = "NYSE"
    now: Callable[[], pd.Timestamp] = utc_now

    def __post_init__(self) -> None:
        require_client("finnhub", self.name)
        check_calendar(self.calendar)

    @property
    def budget(self) -> Budget:
        """Calls that the key allows; the vendor also counts 30 a second."""
        return Budget(calls_per_minute=self.calls_per_minute, calls_per_day=None, at_a_time=4)

    def pieces(self, request: BarRequest) -> Sequence[BarRequest]:
        """Months of bars of minutes, which is as far as one answer goes, and years of days."""
        offered: tuple[Adjustment, ...] = ("raw",)
        if request.bar_seconds == DAY_SECONDS and not _is_crypto(request.symbol):
            offered = ("splits",)
        require_offered(request, self.name, tuple(RESOLUTIONS), offered)
        return cut(request, "year" if request.bar_seconds == DAY_SECONDS else "month")

    def fetch(self, piece: BarRequest) -> Delivery:
        """Ask for one piece."""
        self.pieces(piece)
        crypto, daily = _is_crypto(piece.symbol), piece.bar_seconds == DAY_SECONDS
        calendar = ALWAYS_OPEN if crypto else self.calendar
        resolution = RESOLUTIONS[piece.bar_seconds]
        # A day is found by its midnight, which is not the opening of its session: a day more on either side.
        margin = pd.Timedelta(1 if daily and not crypto else 0, "D")
        start, stop = (
            int((piece.start_utc - margin).timestamp()),
            int((piece.stop_utc + margin).timestamp()) - 1,
        )
        kind = "crypto" if crypto else "stock"
        uri = (
            f"{self.name}:/{kind}/candle?symbol={piece.symbol}&resolution={resolution}&from={start}&to={stop}"
        )
        if over_by(piece, self.now(), 0.0, calendar) <= piece.start_utc:
            return nothing_yet(piece, uri)
        client, transport, key = self._client()
        candles = client.crypto_candles if crypto else client.stock_candles
        body = self._ask(lambda: candles(piece.symbol, resolution, start, stop), transport, key)
        arrays = _arrays(body)
        labels = instants(arrays["t"], "s", self.name)
        if daily:
            labels = session_openings(local_dates(labels, calendar, self.name), calendar, self.name)
        columns = {name: numbers(arrays[letter], name, self.name) for name, letter in _COLUMNS.items()}
        over = over_by(piece, earlier_clock(self.now(), transport.headers), 0.0, calendar)
        return delivery(
            piece, labels, columns, vendor=self.name, source_uri=uri, calls=transport.calls, over_by=over
        )

    def option_chain(self, underlying: str) -> pd.DataFrame:
        """The chain as of now: symbol, expiration, strike, kind (call, put) and quotes, NaN where there is none."""
        client, transport, key = self._client()
        body = self._ask(lambda: client.option_chain(symbol=underlying), transport, key)
        expirations = body.get("data") if isinstance(body, dict) else None
        if not isinstance(expirations, list) or any(not isinstance(part, dict) for part in expirations):
            raise MalformedAnswer(f"{self.name} sent no option chain of {underlying}")
        rows: list[dict[str, Any]] = []
        for part in expirations:
            for kind, contracts in (part.get("options") or {}).items():
                rows += [
                    {**row, "kind": kind.lower(), "expiration": part.get("expirationDate")}
                    for row in contracts
                ]
        table = pd.DataFrame(
            {
                "symbol": [text_of(row, "contractName", self.name) for row in rows],
                "expiration": pd.to_datetime([day(row, "expiration", self.name) for row in rows]),
                "strike": numbers([row.get("strike") for row in rows], "strike", self.name),
                "kind": [row["kind"] for row in rows],
                **{
                    name: numbers([row.get(key) for row in rows], name, self.name, gaps=True)
                    for name, key in _QUOTES.items()
                },
            }
        )
        return table.sort_values(["expiration", "strike", "kind"], ignore_index=True)

    def splits(self, symbol: str, first: date, last: date) -> Sequence[Split]:
        """Splits by date (entitled keys only)."""
        client, transport, key = self._client()
        rows = self._ask(lambda: client.stock_splits(symbol, _from=str(first), to=str(last)), transport, key)
        if not isinstance(rows, list) or any(not isinstance(row, dict) for row in rows):
            raise MalformedAnswer(f"{self.name} sent no list of splits")
        found = [
            record(
                Split,
                self.name,
                symbol=symbol,
                ex_date=day(row, "date", self.name),
                new_shares=positive(row, "toFactor", self.name),
                old_shares=positive(row, "fromFactor", self.name),
            )
            for row in rows
        ]
        return sorted(found, key=lambda split: split.ex_date)

    def _client(self) -> tuple[Any, Transport, str]:
        import finnhub

        key = key_from_environment(self.name, KEY_VARIABLE)
        client = finnhub.Client(api_key=key)
        # The client puts the key into the address, which the transport's log would show; the header serves as well.
        client._session.params.pop("token")
        client._session.headers["X-Finnhub-Token"] = key
        client.API_URL = self.base_url.rstrip("/")
        return client, watch(client._session, self.timeout_s), key

    def _ask(self, call: Callable[[], Any], transport: Transport, key: str) -> Any:
        def translate(error: Exception) -> VendorError | None:
            answer = transport.answer
            if answer is not None and answer.status_code != 200:
                return refused(answer.status_code, self.name, answer.text, answer.headers)
            if type(error).__name__ == "FinnhubRequestException":
                return TemporarilyUnavailable(f"{self.name} sent a body that ends early or is no JSON")
            return None

        body = ask(call, self.name, [key], translate)
        if isinstance(body, dict) and isinstance(body.get("error"), str):
            raise AnswerRefused(f"{self.name} answered: {quote(said(body['error']))}")
        return body


def _arrays(body: Any) -> Mapping[str, Sequence[Any]]:
    """The arrays of an answer, all of one length; empty where the vendor says that there is nothing."""
    if not isinstance(body, dict) or body.get("s") not in ("ok", "no_data"):
        raise MalformedAnswer("finnhub sent no candles")
    letters = ("t", *_COLUMNS.values())
    if body["s"] == "no_data":
        return {letter: [] for letter in letters}
    arrays: dict[str, Any] = {letter: body.get(letter) for letter in letters}
    if any(not isinstance(array, list) for array in arrays.values()):
        raise MalformedAnswer("finnhub sent candles without all of t, o, h, l, c, v")
    lengths = {letter: len(array) for letter, array in arrays.items()}
    if len(set(lengths.values())) != 1:
        raise MalformedAnswer(f"finnhub sent candles of different lengths: {lengths}")
    return arrays


def _is_crypto(symbol: str) -> bool:
    return ":" in symbol
