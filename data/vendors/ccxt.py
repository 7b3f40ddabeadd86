"""Any exchange that ccxt knows, by its id (binance, kraken, coinbase, okx, ...): bars of spot and perpetuals.

No key is needed for bars. The symbol is that of ccxt, such as BTC/USDT or BTC/USDT:USDT for a perpetual. Prices are as
traded, a day is one of UTC. Some exchanges keep only their latest bars and send those whatever is asked for (Kraken
720); a window that begins before them is refused, since its first part would pass for a time without trades.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, ClassVar, TypeVar

import pandas as pd

from data.calendars import ALWAYS_OPEN
from data.errors import nearest_name
from data.vendors.clients import require_client, watch
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

T = TypeVar("T")

TIMEFRAMES = {60: "1m", 300: "5m", 900: "15m", 1800: "30m", 3600: "1h", 14400: "4h", 86400: "1d"}
_COLUMNS = ("open", "high", "low", "close", "volume")
_PAGE_BARS = 500
_MARKETS: dict[tuple[Any, ...], tuple[Any, Any]] = {}
"""Markets and currencies by exchange and addresses: some exchanges take several large answers to list them."""
_LOCK = Lock()


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
                f"the option exchange is {self.exchange!r}, which ccxt does not know"
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
        market = CcxtConnection(self.exchange, self.urls, self.timeout_s)
        if timeframe not in market.timeframes:
            raise AnswerRefused(
                f"{self.exchange} has no bars of {timeframe}; it has {', '.join(market.timeframes)}"
            )
        rows = market.bars(piece, min(piece.stop_utc, over), self.now())
        labels = instants([row[0] for row in rows], "ms", self.exchange)
        columns = {
            name: numbers([row[k] for row in rows], name, self.exchange)
            for k, name in enumerate(_COLUMNS, start=1)
        }
        over = over_by(piece, earlier_clock(self.now(), market.transport.headers), 0.0, ALWAYS_OPEN)
        return delivery(
            piece,
            labels,
            columns,
            vendor=self.exchange,
            source_uri=uri,
            calls=market.transport.calls,
            over_by=over,
        )


class CcxtConnection:
    """One exchange in ccxt, with every answer in view: for a body that is no JSON ccxt gives no bars, and no error."""

    def __init__(self, exchange: str, urls: Mapping[str, str], timeout_s: float) -> None:
        import ccxt

        self._name, self._urls = exchange, urls
        # Waiting is the caller's. Keys are not needed, and with them ccxt would ask private pages as well.
        settings = {"enableRateLimit": False, "options": {"maxRetriesOnFailure": 0}}
        self._exchange: Any = getattr(ccxt, exchange)(settings)
        if urls:
            self._exchange.urls["api"] = {**self._exchange.urls["api"], **urls}
        self.transport = watch(self._exchange.session, timeout_s)

    @property
    def timeframes(self) -> tuple[str, ...]:
        """Lengths of bars, as ccxt writes them."""
        return tuple(self._exchange.timeframes or ())

    def bars(self, piece: BarRequest, stop: pd.Timestamp, now: pd.Timestamp) -> list[Sequence[Any]]:
        """Bars that open in [start, stop), page by page.

        Raises
        ------
        VendorError
            One of its kinds.
        """
        self._know_markets()
        length = piece.bar_seconds * 1000
        start, end = int(piece.start_utc.timestamp()) * 1000, int(stop.timestamp()) * 1000
        since = start
        rows: list[Sequence[Any]] = []
        while since < end:
            page = self._page(piece, since)
            if since == start and page:
                self._require_history(piece, page, int(now.timestamp()) * 1000)
            inside = [row for row in page if since <= row[0] < end]
            rows += inside
            since = max(row[0] for row in inside) + length if inside else since + _PAGE_BARS * length
        return rows

    def _require_history(self, piece: BarRequest, page: list[Sequence[Any]], now_ms: int) -> None:
        """Raise AnswerRefused if the exchange sent its latest bars instead of those from the start on.

        It did if there is a gap before the first of them, and it either sent more than it was asked for, or sent up to
        now what begins later than a page after the start.
        """
        length = piece.bar_seconds * 1000
        first, last = min(row[0] for row in page), max(row[0] for row in page)
        late = first - int(piece.start_utc.timestamp()) * 1000
        overfull = (self._sent() or 0) > _PAGE_BARS and late > 0
        if overfull or (late > _PAGE_BARS * length and last >= now_ms - 2 * length):
            begins = pd.Timestamp(first, unit="ms", tz="UTC")
            raise AnswerRefused(
                f"{self._name} keeps only its latest bars of {piece.symbol}, from {begins} on; {piece.start_utc} lies "
                "before them: ask from there on, or for longer bars."
            )

    def _page(self, piece: BarRequest, since: int) -> list[Sequence[Any]]:
        timeframe = TIMEFRAMES[piece.bar_seconds]
        page = self._ask(lambda: self._exchange.fetch_ohlcv(piece.symbol, timeframe, since, _PAGE_BARS))
        sent = self._sent()
        if not isinstance(page, list) or any(
            not isinstance(row, list) or len(row) < 6 or not isinstance(row[0], int) for row in page
        ):
            raise MalformedAnswer(f"{self._name} sent bars that are not rows of a time and five numbers")
        if not page and sent != 0:
            what = "none of them from the time on that was asked for" if sent else "without a list of bars"
            raise MalformedAnswer(f"{self._name} sent an answer for {piece.symbol}, {what}")
        return page

    def _sent(self) -> int | None:
        """How many entries the longest list in the last answer has; None where there is no list."""
        answer = self.transport.answer
        body = self._ask(lambda: json.loads(answer.text if answer is not None else ""))
        return _longest_list(body)

    def _know_markets(self) -> None:
        """Give the exchange its list of markets, which is asked for once a process."""
        known = (self._name, *sorted(self._urls.items()))
        with _LOCK:
            if known in _MARKETS:
                self._exchange.set_markets(*_MARKETS[known])
                return
            self._ask(self._exchange.load_markets)
            _MARKETS[known] = (self._exchange.markets, self._exchange.currencies)

    def _ask(self, call: Callable[[], T]) -> T:
        return ask(call, self._name, translate=self._translate)

    def _translate(self, error: Exception) -> VendorError | None:
        import ccxt

        if not isinstance(error, ccxt.BaseError):
            return None
        about = f"{self._name}: {type(error).__name__}: {quote(one_line(error))}"
        if isinstance(error, (ccxt.RateLimitExceeded, ccxt.DDoSProtection)):
            return RateLimited(about, retry_after_seconds(self.transport.headers))
        if isinstance(error, (ccxt.AuthenticationError, ccxt.RestrictedLocation)):
            return KeyRefused(about)
        status = self.transport.status
        if status is not None and status >= 300:  # ccxt takes many a 400 for an exchange that is down
            return refused(status, self._name, one_line(error), self.transport.headers)
        if isinstance(error, (ccxt.NetworkError, ccxt.BadResponse)):
            return TemporarilyUnavailable(about)
        return AnswerRefused(about) if isinstance(error, ccxt.ExchangeError) else None


def _longest_list(body: Any) -> int | None:
    if isinstance(body, list):
        return len(body)
    inside = [_longest_list(value) for value in body.values()] if isinstance(body, dict) else []
    return max((length for length in inside if length is not None), default=None)
