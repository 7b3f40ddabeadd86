"""Any exchange that ccxt knows, by its id (binance, kraken, coinbase, okx, ...): bars of spot and perpetuals.

No key is needed for bars. The symbol is that of ccxt, such as BTC/USDT or BTC/USDT:USDT for a perpetual. Prices are as
traded, a day is one of UTC. Some exchanges keep only their latest bars and send those whatever is asked for; a window
that lies before all bars that come is refused, since it cannot be told from a time before the listing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pandas as pd

from data.calendars import ALWAYS_OPEN
from data.errors import nearest_name
from data.vendors.clients import require_client
from data.vendors.clock import earlier_clock, over_by, utc_now
from data.vendors.definition import (
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
from data.vendors.failures import ask, one_line, quote, refused, retry_after_seconds
from data.vendors.pieces import cut, require_offered
from data.vendors.tables import delivery, instants, nothing_yet, numbers

TIMEFRAMES = {60: "1m", 300: "5m", 900: "15m", 1800: "30m", 3600: "1h", 14400: "4h", 86400: "1d"}
_COLUMNS = ("open", "high", "low", "close", "volume")
_PAGE_BARS = 500
_MOST_EMPTY_PAGES = 2_000


@dataclass(frozen=True, kw_only=True)
class Ccxt:
    """The vendor `ccxt`.

    Parameters
    ----------
    exchange : its id in ccxt.
    urls : takes the place of the addresses that ccxt has under `urls["api"]`, as a mirror needs; empty keeps them.
    calls_per_minute : of one address; exchanges differ.
    timeout_s : for an answer.
    now : the clock of this machine.
    """

    name: ClassVar[str] = "ccxt"

    exchange: str = "binance"
    urls: Mapping[str, str] = field(default_factory=dict)
    calls_per_minute: float | None = 300
    timeout_s: float = 30
    now: Callable[[], pd.Timestamp] = utc_now

    def __post_init__(self) -> None:
        require_client("ccxt", self.name)
        import ccxt

        if self.exchange not in ccxt.exchanges:
            raise ValueError(
                f"source.exchange is {self.exchange!r}, which ccxt does not know"
                f"{nearest_name(self.exchange, list(ccxt.exchanges))}"
            )

    @property
    def budget(self) -> Budget:
        """Calls of one address."""
        return Budget(calls_per_minute=self.calls_per_minute, calls_per_day=None, at_a_time=2)

    def pieces(self, request: BarRequest) -> Sequence[BarRequest]:
        """Months of bars of minutes, years of longer ones."""
        require_offered(request, self.name, tuple(TIMEFRAMES), ("raw",), "There is nothing to adjust for.")
        return cut(request, "month" if request.bar_seconds < 3600 else "year")

    def fetch(self, piece: BarRequest) -> Delivery:
        """Ask for all pages of one piece."""
        self.pieces(piece)
        timeframe = TIMEFRAMES[piece.bar_seconds]
        uri = f"{self.name}:{self.exchange}/{piece.symbol}/{timeframe}?start={piece.start_utc.isoformat()}"
        uri += f"&end={piece.stop_utc.isoformat()}"
        over = over_by(piece, self.now(), 0.0, ALWAYS_OPEN)
        if over <= piece.start_utc:
            return nothing_yet(piece, uri)
        exchange = self._exchange()
        if timeframe not in (exchange.timeframes or {}):
            raise AnswerRefused(
                f"{self.exchange} has no bars of {timeframe}; it has {', '.join(exchange.timeframes)}"
            )
        rows, calls = self._pages(exchange, piece, min(piece.stop_utc, over))
        labels = instants([row[0] for row in rows], "ms", self.exchange)
        columns = {
            name: numbers([row[k] for row in rows], name, self.exchange)
            for k, name in enumerate(_COLUMNS, start=1)
        }
        over = over_by(piece, earlier_clock(self.now(), _headers(exchange)), 0.0, ALWAYS_OPEN)
        return delivery(
            piece, labels, columns, vendor=self.exchange, source_uri=uri, calls=calls, over_by=over
        )

    def _pages(self, exchange: Any, piece: BarRequest, stop: pd.Timestamp) -> tuple[list[Any], int]:
        """Bars that open in [start, stop); the second value counts the calls, the list of markets included."""
        length = piece.bar_seconds * 1000
        since, end = int(piece.start_utc.timestamp()) * 1000, int(stop.timestamp()) * 1000
        rows: list[Any] = []
        calls = 1
        while since < end:
            page = self._page(exchange, piece, since)
            calls += 1
            inside = [row for row in page if since <= row[0] < end]
            if page and not inside and min(row[0] for row in page) >= end and not rows:
                first = pd.Timestamp(min(row[0] for row in page), unit="ms", tz="UTC")
                raise AnswerRefused(
                    f"{self.exchange} begins at {first} with {piece.symbol}, after {piece.stop_utc}: it was not listed "
                    "before, or the exchange keeps only its latest bars."
                )
            if page and max(row[0] for row in page) < since:
                raise MalformedAnswer(f"{self.exchange} sent bars of before {pd.Timestamp(since, unit='ms')}")
            rows += inside
            since = max(row[0] for row in inside) + length if inside else since + _PAGE_BARS * length
        return rows, calls

    def _page(self, exchange: Any, piece: BarRequest, since: int) -> list[Any]:
        page = ask(
            lambda: exchange.fetch_ohlcv(piece.symbol, TIMEFRAMES[piece.bar_seconds], since, _PAGE_BARS),
            self.exchange,
            translate=lambda error: self._translate(error, exchange),
        )
        if not isinstance(page, list) or any(
            not isinstance(row, list) or len(row) < 6 or not isinstance(row[0], int) for row in page
        ):
            raise MalformedAnswer(f"{self.exchange} sent bars that are not rows of a time and five numbers")
        return page

    def _exchange(self) -> Any:
        import ccxt

        exchange = getattr(ccxt, self.exchange)(
            # Waiting is the caller's; keys are not needed, and with them ccxt would ask private pages as well.
            {
                "enableRateLimit": False,
                "timeout": int(self.timeout_s * 1000),
                "options": {"maxRetriesOnFailure": 0},
            }
        )
        if self.urls:
            exchange.urls["api"] = {**exchange.urls["api"], **self.urls}
        return exchange

    def _translate(self, error: Exception, exchange: Any) -> VendorError | None:
        import ccxt

        about = f"{self.exchange}: {type(error).__name__}: {quote(one_line(error))}"
        if isinstance(error, (ccxt.RateLimitExceeded, ccxt.DDoSProtection)):
            return RateLimited(about, retry_after_seconds(_headers(exchange)))
        if isinstance(error, (ccxt.AuthenticationError, ccxt.RestrictedLocation)):
            return KeyRefused(about)
        if isinstance(error, (ccxt.NetworkError, ccxt.BadResponse)):
            return TemporarilyUnavailable(about)
        status = getattr(exchange, "last_http_status", None)
        if isinstance(status, int) and status >= 300:
            return refused(status, self.exchange, one_line(error), _headers(exchange))
        if isinstance(error, (ccxt.BadRequest, ccxt.NotSupported, ccxt.ExchangeError)):
            return AnswerRefused(about)
        return None


def _headers(exchange: Any) -> dict[str, str]:
    return dict(exchange.last_response_headers or {})
