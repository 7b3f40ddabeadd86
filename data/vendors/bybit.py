"""Bybit: bars of perpetuals (linear, inverse) and spot through pybit, with the funding rates that were paid.

No key is needed. Prices are as traded; there is nothing to adjust for. Bars exist around the clock, a day is one of
UTC. `funding_rate` stands in the bar at whose end, or in which, it was paid: a payment at 08:00 in the bar of one
minute that opens at 07:59, since it is known when that bar closes, and is charged on what is held into the next one
(`envs.context.funding_rates`). Of several payments in one bar it is the mean, since the simulator counts the instants.
In bars without a payment it is NaN.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from data.calendars import ALWAYS_OPEN
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
from data.vendors.failures import ask, header, quote, refused
from data.vendors.pieces import cut, require_offered
from data.vendors.tables import delivery, instants, nothing_yet, numbers

log = logging.getLogger(__name__)

INTERVALS = {60: "1", 300: "5", 900: "15", 1800: "30", 3600: "60", 14400: "240", 86400: "D"}
CATEGORIES = ("linear", "inverse", "spot")
_PAGE_BARS, _PAGE_RATES = 1000, 200
_COLUMNS = ("open", "high", "low", "close", "volume", "turnover")
_BANNED_SECONDS = 600.0
"""How long an address is shut out after too many requests, by Bybit's documentation."""
_LIMITED, _BUSY, _KEYS = (
    {10006, 10018, 10429},
    {10000, 10002, 10016, 10019},
    {10003, 10004, 10005, 10010, 10024, 33004},
)


@dataclass(frozen=True, kw_only=True)
class Bybit:
    """The vendor `bybit`.

    Parameters
    ----------
    base_url : of its REST interface; https://api.bytick.com serves the same.
    category : linear (perpetuals in USDT and USDC), inverse, or spot.
    funding : join the funding rates of perpetuals.
    delay_seconds : a bar is asked for this long after its close: the rate paid at it appears a moment later.
    calls_per_minute : of one address.
    timeout_s : for connecting, and for each read.
    now : the clock of this machine.
    """

    name: ClassVar[str] = "bybit"

    base_url: str = "https://api.bybit.com"
    category: str = "linear"
    funding: bool = True
    delay_seconds: float = 300
    calls_per_minute: float | None = 1200
    timeout_s: float = 30
    now: Callable[[], pd.Timestamp] = utc_now

    def __post_init__(self) -> None:
        require_client("pybit", self.name)
        if self.category not in CATEGORIES:
            raise ValueError(
                f"the option category is {self.category!r}; it must be one of {', '.join(CATEGORIES)}"
            )

    @property
    def budget(self) -> Budget:
        """Calls of one address."""
        return Budget(calls_per_minute=self.calls_per_minute, calls_per_day=None, at_a_time=4)

    def pieces(self, request: BarRequest) -> Sequence[BarRequest]:
        """Months of bars of minutes (45 calls at one minute), years of longer ones."""
        require_offered(request, self.name, tuple(INTERVALS), ("raw",), "There is nothing to adjust for.")
        return cut(request, "month" if request.bar_seconds < 3600 else "year")

    def fetch(self, piece: BarRequest) -> Delivery:
        """Ask for the bars of one piece, and for the funding that was paid in them."""
        self.pieces(piece)
        uri = (
            f"{self.name}:/v5/market/kline?category={self.category}&symbol={piece.symbol}"
            f"&interval={INTERVALS[piece.bar_seconds]}&start={_ms(piece.start_utc)}&end={_ms(piece.stop_utc)}"
        )
        over = over_by(piece, self.now(), self.delay_seconds, ALWAYS_OPEN)
        if over <= piece.start_utc:
            return nothing_yet(piece, uri)
        bybit = BybitConnection(self.base_url, self.category, self.timeout_s)
        rows = bybit.bars(piece, min(piece.stop_utc, over))
        labels = instants([_whole(row[0]) for row in rows], "ms", self.name)
        columns = {
            name: numbers([row[k] for row in rows], name, self.name, text=True)
            for k, name in enumerate(_COLUMNS, start=1)
        }
        over = over_by(
            piece, earlier_clock(self.now(), bybit.transport.headers), self.delay_seconds, ALWAYS_OPEN
        )
        found = delivery(piece, labels, columns, vendor=self.name, source_uri=uri, calls=0, over_by=over)
        frame = found.rows
        if self.funding and self.category != "spot":
            frame = with_funding(frame, bybit.funding(piece, min(piece.stop_utc, over)), piece)
        return Delivery(
            rows=frame, source_uri=uri, calls=bybit.transport.calls, complete_to_utc=found.complete_to_utc
        )


def with_funding(rows: pd.DataFrame, paid: pd.Series, piece: BarRequest) -> pd.DataFrame:
    """Rows with a column `funding_rate`: the mean of what was paid in (opening, close], NaN where nothing was.

    Parameters
    ----------
    paid : (P,) rates by the instant at which they were paid.
    """
    length = np.timedelta64(piece.bar_seconds, "s")
    at = rows.index.searchsorted(paid.index, side="left") - 1
    inside = (at >= 0) & (paid.index <= rows.index[np.maximum(at, 0)] + length) if len(rows) else at >= 0
    if not inside.all():
        log.warning(
            "bybit: %d funding payments of %s fall into bars that it does not have",
            (~inside).sum(),
            piece.symbol,
        )
    kept, at = paid.to_numpy()[inside], at[inside]
    counts = np.bincount(at, minlength=len(rows))
    sums = np.bincount(at, weights=kept, minlength=len(rows))
    with np.errstate(invalid="ignore"):
        return rows.assign(funding_rate=np.where(counts > 0, sums / counts, np.nan))


class BybitConnection:
    """The vendor's client for one category; it neither waits nor tries again."""

    def __init__(self, base_url: str, category: str, timeout_s: float) -> None:
        from pybit.unified_trading import HTTP

        logger = logging.getLogger("pybit._http_manager")
        handlers = list(logger.handlers)
        self._client = HTTP(max_retries=1)
        logger.handlers[:] = handlers  # each client would add one of its own, which prints
        self._client.endpoint = base_url.rstrip("/")
        self._client.retry_codes = set()  # it would sleep until the limit is over
        self.transport = watch(self._client.client, timeout_s)
        self._category = category

    def bars(self, piece: BarRequest, stop: pd.Timestamp) -> list[Sequence[Any]]:
        """Bars that open in [start, stop), page by page; Bybit sends the newest first."""
        page = pd.Timedelta(seconds=piece.bar_seconds * _PAGE_BARS)
        rows: list[Sequence[Any]] = []
        start = piece.start_utc
        while start < stop:
            rows += self._list(
                self._client.get_kline,
                piece.symbol,
                _PAGE_BARS,
                interval=INTERVALS[piece.bar_seconds],
                start=_ms(start),
                end=_ms(min(start + page, stop)) - 1,
            )
            start += page
        if any(not isinstance(row, list) or len(row) < 1 + len(_COLUMNS) for row in rows):
            raise MalformedAnswer(f"bybit sent bars that are no lists of {1 + len(_COLUMNS)} texts")
        return rows

    def funding(self, piece: BarRequest, stop: pd.Timestamp) -> pd.Series:
        """Rates paid in (start, stop], by instant."""
        rows: list[Any] = []
        last = _ms(stop)
        while last > _ms(piece.start_utc):
            page = self._list(
                self._client.get_funding_rate_history,
                piece.symbol,
                _PAGE_RATES,
                startTime=_ms(piece.start_utc) + 1,
                endTime=last,
            )
            if any(not isinstance(row, dict) for row in page):
                raise MalformedAnswer("bybit sent funding rates that are no objects")
            rows += page
            if len(page) < _PAGE_RATES:
                break
            earliest = min(_whole(row.get("fundingRateTimestamp")) for row in page)
            if earliest > last:
                raise MalformedAnswer("bybit sent funding rates of another time than was asked for")
            last = earliest - 1
        at = instants([_whole(row.get("fundingRateTimestamp")) for row in rows], "ms", "bybit")
        rates = numbers([row.get("fundingRate") for row in rows], "fundingRate", "bybit", text=True)
        paid = pd.Series(rates, index=at, dtype=np.float64).sort_index()
        paid = paid[(paid.index > piece.start_utc) & (paid.index <= stop)]
        if paid.groupby(level=0).nunique().gt(1).any():
            raise MalformedAnswer(f"bybit sent two funding rates of {piece.symbol} for one instant")
        return paid[~paid.index.duplicated()]

    def _list(self, call: Callable[..., Any], symbol: str, limit: int, **params: Any) -> list[Any]:
        body = ask(
            lambda: call(category=self._category, symbol=symbol, limit=limit, **params),
            "bybit",
            translate=self._translate,
        )
        rows = body.get("result", {}).get("list") if isinstance(body, dict) else None
        if not isinstance(rows, list):
            raise MalformedAnswer("bybit sent an answer without a list")
        return rows

    def _translate(self, error: Exception) -> VendorError | None:
        answer = self.transport.answer
        if answer is None:
            return None
        if answer.status_code == 403 and "country" not in answer.text.lower():
            return RateLimited(f"bybit shuts this address out: {quote(answer.text)}", _BANNED_SECONDS)
        if answer.status_code != 200:
            return refused(answer.status_code, "bybit", answer.text, answer.headers)
        if type(error).__name__ == "FailedRequestError":
            return TemporarilyUnavailable("bybit sent a body that ends early or is no JSON")
        code = getattr(error, "status_code", None)
        if type(error).__name__ != "InvalidRequestError" or not isinstance(code, int):
            return None
        about = f"bybit answered {code}: {quote(str(getattr(error, 'message', '')))}"
        if code in _LIMITED:
            return RateLimited(about, _until_reset(answer.headers))
        kind = KeyRefused if code in _KEYS else TemporarilyUnavailable if code in _BUSY else AnswerRefused
        return kind(about)


def _until_reset(headers: Mapping[str, str]) -> float | None:
    told = header(headers, "X-Bapi-Limit-Reset-Timestamp")
    if told is None or not told.isdigit():
        return None
    return max(int(told) / 1000.0 - utc_now().timestamp(), 0.0)


def _ms(instant: pd.Timestamp) -> int:
    return int(instant.timestamp()) * 1000


def _whole(value: Any) -> int:
    if not isinstance(value, str) or not (value.isascii() and value.isdigit()):
        raise MalformedAnswer(f"bybit sent the time {quote(repr(value))}, where it documents text of digits")
    return int(value)
