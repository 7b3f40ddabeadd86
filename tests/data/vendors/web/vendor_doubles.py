"""How each vendor is spoken to in tests: an object that asks a local server, and bars in the vendor's own form."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pandas as pd
from scripted_server import Answer, Script, ScriptedServer

from data.vendors import VENDORS
from data.vendors.definition import Adjustment, BarRequest, Vendor

NOW = pd.Timestamp("2024-06-03 18:00:30", tz="UTC")
"""The clock of these tests: a Monday, 14:00:30 in New York."""


@dataclass(frozen=True)
class Bar:
    """A bar as a test writes it: opening instant, prices, volume."""

    at: str
    open: float
    high: float
    low: float
    close: float
    volume: float

    @property
    def utc(self) -> pd.Timestamp:
        return pd.Timestamp(self.at, tz="UTC")

    @property
    def seconds(self) -> int:
        return int(self.utc.timestamp())


def request(
    symbol: str, bar_seconds: int, start: str, stop: str, adjustment: Adjustment = "raw"
) -> BarRequest:
    return BarRequest(
        symbol=symbol,
        bar_seconds=bar_seconds,
        start_utc=pd.Timestamp(start, tz="UTC"),
        stop_utc=pd.Timestamp(stop, tz="UTC"),
        adjustment=adjustment,
    )


def _letters(b: Bar) -> dict[str, float]:
    return {"o": b.open, "h": b.high, "l": b.low, "c": b.close, "v": b.volume}


def massive_bars(bars: Sequence[Bar], **more: Any) -> Any:
    rows = [
        {
            "t": b.seconds * 1000,
            "o": b.open,
            "h": b.high,
            "l": b.low,
            "c": b.close,
            "v": b.volume,
            "vw": b.close,
            "n": 3,
        }
        for b in bars
    ]
    return {"status": "OK", "resultsCount": len(rows), **({"results": rows} if rows else {}), **more}


def alpaca_bars(bars: Sequence[Bar], symbol: str = "SPY", token: str | None = None) -> Any:
    rows = [{**_letters(b), "t": b.utc.strftime("%Y-%m-%dT%H:%M:%SZ"), "vw": b.close, "n": 3} for b in bars]
    return {"bars": {symbol: rows} if rows else {}, "next_page_token": token}


def bybit_bars(bars: Sequence[Bar]) -> Any:
    rows = [
        [str(b.seconds * 1000), str(b.open), str(b.high), str(b.low), str(b.close), str(b.volume), "1.5"]
        for b in reversed(bars)
    ]
    return {"retCode": 0, "retMsg": "OK", "result": {"category": "linear", "list": rows}}


def bybit_rates(rates: dict[str, float]) -> Any:
    rows = [
        {
            "symbol": "BTCUSDT",
            "fundingRate": repr(rate),
            "fundingRateTimestamp": str(int(pd.Timestamp(at, tz="UTC").timestamp()) * 1000),
        }
        for at, rate in reversed(rates.items())
    ]
    return {"retCode": 0, "retMsg": "OK", "result": {"category": "linear", "list": rows}}


def dbn_bytes(
    bars: Sequence[Bar],
    symbol: str = "ESM4",
    *,
    schema: str = "ohlcv-1m",
    instrument: int = 42,
    start: str = "2024-01-01",
    end: str = "2024-07-01",
    not_found: Sequence[str] = (),
) -> bytes:
    """DBN without compression."""
    from databento_dbn import OHLCVMsg, RType, Schema

    header = dbn_header(symbol, schema, instrument=instrument, start=start, end=end, not_found=not_found)
    records = [
        OHLCVMsg(
            rtype=RType.from_schema(Schema.from_str(schema)),
            publisher_id=1,
            instrument_id=instrument,
            ts_event=b.utc.value,
            open=round(b.open * 1e9),
            high=round(b.high * 1e9),
            low=round(b.low * 1e9),
            close=round(b.close * 1e9),
            volume=int(b.volume),
        )
        for b in bars
    ]
    return header + b"".join(map(bytes, records))


def dbn_header(
    symbol: str, schema: str, *, instrument: int, start: str, end: str, not_found: Sequence[str] = ()
) -> bytes:
    from databento_dbn import Metadata, Schema, SType

    days = SimpleNamespace(
        start_date=dt.date.fromisoformat(start), end_date=dt.date.fromisoformat(end), symbol=str(instrument)
    )
    header = Metadata(
        dataset="GLBX.MDP3",
        start=pd.Timestamp(start, tz="UTC").value,
        end=pd.Timestamp(end, tz="UTC").value,
        stype_in=SType.RAW_SYMBOL,
        stype_out=SType.INSTRUMENT_ID,
        schema=Schema.from_str(schema),
        symbols=[symbol],
        partial=[],
        not_found=list(not_found),
        mappings=[SimpleNamespace(raw_symbol=symbol, intervals=[days])],
    )
    return header.encode()


@dataclass(frozen=True)
class Figure:
    """A statistic as a test writes it: when it was received, how many, of which kind (9 is open interest)."""

    at: str
    quantity: int
    kind: int = 9
    deleted: bool = False


def statistics_bytes(
    figures: Sequence[Figure],
    symbol: str = "ESM4",
    *,
    instrument: int = 42,
    start: str = "2024-01-01",
    end: str = "2024-07-01",
) -> bytes:
    """DBN of the schema `statistics`, without compression."""
    from databento_dbn import StatMsg, StatType, StatUpdateAction

    records = [
        StatMsg(
            publisher_id=1,
            instrument_id=instrument,
            ts_event=pd.Timestamp(one.at, tz="UTC").value,
            ts_recv=pd.Timestamp(one.at, tz="UTC").value,
            ts_ref=pd.Timestamp(one.at, tz="UTC").value,
            price=2**63 - 1,
            quantity=one.quantity,
            stat_type=StatType.from_int(one.kind),
            update_action=StatUpdateAction.DELETE if one.deleted else StatUpdateAction.NEW,
        )
        for one in figures
    ]
    header = dbn_header(symbol, "statistics", instrument=instrument, start=start, end=end)
    return header + b"".join(map(bytes, records))


def zstd(data: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor().compress(data)


def fred_rows(values: dict[str, str], published: dict[str, str] | None = None) -> Any:
    rows = [
        {
            "date": day,
            "value": value,
            "realtime_start": (published or {}).get(day, "2024-06-03"),
            "realtime_end": "9999-12-31",
        }
        for day, value in values.items()
    ]
    return {"count": len(rows), "observations": rows}


def alphavantage_days(bars: Sequence[Bar], adjusted_close: Sequence[float] | None = None) -> Any:
    def row(b: Bar, i: int) -> dict[str, str]:
        prices = {"1. open": b.open, "2. high": b.high, "3. low": b.low, "4. close": b.close}
        if adjusted_close is None:
            return {k: f"{v:.4f}" for k, v in prices.items()} | {"5. volume": f"{b.volume:.0f}"}
        more = {"5. adjusted close": f"{adjusted_close[i]:.4f}", "6. volume": f"{b.volume:.0f}"}
        return {k: f"{v:.4f}" for k, v in prices.items()} | more

    days = {b.at[:10]: row(b, i) for i, b in enumerate(bars)}
    return {"Meta Data": {"2. Symbol": "SPY"}, "Time Series (Daily)": dict(reversed(days.items()))}


def finnhub_candles(bars: Sequence[Bar]) -> Any:
    if not bars:
        return {"s": "no_data"}
    return {
        "s": "ok",
        "t": [b.seconds for b in bars],
        "o": [b.open for b in bars],
        "h": [b.high for b in bars],
        "l": [b.low for b in bars],
        "c": [b.close for b in bars],
        "v": [b.volume for b in bars],
    }


def yahoo_chart(
    bars: Sequence[Bar], *, zone: str = "America/New_York", kind: str = "ETF", adjusted: Sequence[float] | None = None,
    events: dict[str, Any] | None = None,
) -> Any:  # fmt: skip
    quotes = {name: [getattr(b, name) for b in bars] for name in ("open", "high", "low", "close", "volume")}
    result = {
        "meta": {
            "symbol": "SPY",
            "currency": "USD",
            "exchangeTimezoneName": zone,
            "instrumentType": kind,
            "dataGranularity": "1d",
        },
        "timestamp": [b.seconds for b in bars],
        "indicators": {"quote": [quotes], "adjclose": [{"adjclose": list(adjusted or quotes["close"])}]},
        **({"events": events} if events else {}),
    }
    if not bars:
        del result["timestamp"]
        result["indicators"] = {"quote": [{}], "adjclose": [{}]}
    return {"chart": {"result": [result], "error": None}}


def binance_klines(bars: Sequence[Bar]) -> Any:
    return [
        [b.seconds * 1000, str(b.open), str(b.high), str(b.low), str(b.close), str(b.volume), b.seconds * 1000 + 59_999,
         "1.0", 3, "1.0", "1.0", "0"]
        for b in bars
    ]  # fmt: skip


def binance_markets() -> Any:
    return {
        "timezone": "UTC",
        "serverTime": 0,
        "rateLimits": [],
        "exchangeFilters": [],
        "symbols": [
            {
                "symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT",
                "baseAssetPrecision": 8, "quoteAssetPrecision": 8, "orderTypes": [], "filters": [],
                "permissions": ["SPOT"], "isSpotTradingAllowed": True, "isMarginTradingAllowed": False,
            }
        ],
    }  # fmt: skip


MINUTES = [
    Bar("2024-05-31 14:00", 500.0, 501.0, 499.0, 500.5, 1000.0),
    Bar("2024-05-31 14:01", 500.5, 502.0, 500.0, 501.5, 1100.0),
    Bar("2024-05-31 14:03", 501.5, 501.75, 501.0, 501.25, 900.0),
]
DAYS = [
    Bar("2024-05-29", 500.0, 501.0, 499.0, 500.5, 1000.0),
    Bar("2024-05-30", 500.5, 502.0, 500.0, 501.5, 1100.0),
    Bar("2024-05-31", 501.5, 501.75, 501.0, 501.25, 900.0),
]


@dataclass(frozen=True, kw_only=True)
class Double:
    """A vendor in tests.

    Attributes
    ----------
    make : the vendor that asks the server at an address.
    piece : what is asked for.
    bars : those that the vendor has for it.
    good : the vendor's answer with some bars.
    others : answers what is asked beside bars; None for bars themselves.
    page : the part of an answer that was asked for.
    key : the environment's variable that it needs, None for none.
    """

    name: str
    settings: dict[str, Any]
    piece: BarRequest
    bars: list[Bar]
    good: Callable[[list[Bar]], Any]
    others: Callable[[Any], Answer | None] = lambda seen: None
    page: Callable[[Any, Any], Any] = lambda body, seen: body
    key: str | None = None

    def make(self, server: ScriptedServer, **more: Any) -> Vendor:
        settings = {
            name: value.replace("URL", server.url) if isinstance(value, str) else value
            for name, value in self.settings.items()
        }
        if "urls" in settings:
            settings["urls"] = {
                name: url.replace("URL", server.url) for name, url in settings["urls"].items()
            }
        return VENDORS[self.name](**{"now": clock, **settings, **more})

    def script(self, answer: Script) -> Script:
        return lambda seen: self.others(seen) or answer(seen)

    def serving(self, bars: list[Bar]) -> Script:
        return self.script(lambda seen: Answer(body=self.page(self.good(bars), seen)))


def clock() -> pd.Timestamp:
    return NOW


def _funding_is_empty(seen: Any) -> Answer | None:
    return Answer(body=bybit_rates({})) if "funding" in seen.path else None


def _markets_of_binance(seen: Any) -> Answer | None:
    if "exchangeInfo" not in seen.path:
        return None
    futures = seen.path.startswith(("/fapi", "/dapi"))
    return Answer(body={**binance_markets(), **({"symbols": []} if futures else {})})


def _from_start_time(body: Any, seen: Any) -> Any:
    return [row for row in body if row[0] >= int(seen.query["startTime"])]


def _fred_good(bars: list[Bar]) -> Any:
    return fred_rows({b.at[:10]: f"{b.close}" for b in bars}, {b.at[:10]: b.at[:10] for b in bars})


_BINANCE = {"public": "URL", "fapiPublic": "URL/fapi", "dapiPublic": "URL/dapi"}
_MINUTE = ("2024-05-31 14:00", "2024-05-31 15:00")
_DAY = ("2024-05-29 00:00", "2024-06-01 00:00")

DOUBLES = {
    double.name: double
    for double in (
        Double(
            name="massive", settings={"base_url": "URL"}, piece=request("SPY", 60, *_MINUTE), bars=MINUTES,
            good=massive_bars, key="MASSIVE_API_KEY",
        ),
        Double(
            name="alpaca", settings={"base_url": "URL"}, piece=request("SPY", 60, *_MINUTE), bars=MINUTES,
            good=alpaca_bars, key="ALPACA_API_KEY_ID",
        ),
        Double(
            name="bybit", settings={"base_url": "URL"}, piece=request("BTCUSDT", 60, *_MINUTE), bars=MINUTES,
            good=bybit_bars, others=_funding_is_empty,
        ),
        Double(
            name="databento", settings={"base_url": "URL"}, piece=request("ESM4", 60, *_MINUTE), bars=MINUTES,
            good=lambda bars: zstd(dbn_bytes(bars)), key="DATABENTO_API_KEY",
        ),
        Double(
            name="fred", settings={"base_url": "URL/fred", "first_release": False, "settle_days": 0},
            piece=request("VIXCLS", 86400, *_DAY), bars=DAYS, good=_fred_good, key="FRED_API_KEY",
        ),
        Double(
            name="alphavantage", settings={"base_url": "URL"}, piece=request("SPY", 86400, *_DAY), bars=DAYS,
            good=alphavantage_days, key="ALPHAVANTAGE_API_KEY",
        ),
        Double(
            name="finnhub", settings={"base_url": "URL"}, piece=request("SPY", 60, *_MINUTE), bars=MINUTES,
            good=finnhub_candles, key="FINNHUB_API_KEY",
        ),
        Double(
            name="yahoo", settings={"base_url": "URL"}, piece=request("SPY", 86400, *_DAY),
            bars=[Bar(f"{b.at} 13:30", b.open, b.high, b.low, b.close, b.volume) for b in DAYS], good=yahoo_chart,
        ),
        Double(
            name="ccxt", settings={"exchange": "binance", "urls": _BINANCE},
            piece=request("BTC/USDT", 60, *_MINUTE), bars=MINUTES, good=binance_klines, others=_markets_of_binance,
            page=_from_start_time,
        ),
    )
}  # fmt: skip
