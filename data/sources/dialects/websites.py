"""Files that web sites offer for download."""

from __future__ import annotations

from data.sources.dialects.definition import LEFT_OUT, ONE_VALUE, ZONE_OPEN, Dialect

WEBSITES = (
    Dialect(
        name="Yahoo's history",
        requires=frozenset({"date", "open", "high", "low", "close", "adj_close", "volume"}),
        columns={"date": "timestamp", "adj_close": "adjusted_close"},
    ),
    Dialect(
        name="Yahoo's history",
        requires=frozenset({"datetime", "open", "high", "low", "close", "adj_close", "volume"}),
        columns={"datetime": "timestamp", "adj_close": "adjusted_close"},
        labels="open",
    ),
    Dialect(
        name="yfinance's history",
        requires=frozenset({"dividends", "stock_splits", "open", "high", "low", "close", "volume"}),
        columns={
            "date": "timestamp",
            "datetime": "timestamp",
            "adj_close": "adjusted_close",
            "capital_gains": LEFT_OUT,
        },
    ),
    Dialect(
        name="Stooq's bars",
        requires=frozenset({"ticker", "per", "date", "time", "open", "high", "low", "close", "vol"}),
        columns={"ticker": "symbol", "per": ONE_VALUE, "openint": "open_interest"},
        labels="open",
        note=ZONE_OPEN,
    ),
    Dialect(
        name="Stooq's history (Polish)",
        requires=frozenset({"data", "otwarcie", "najwyzszy", "najnizszy", "zamkniecie"}),
        columns={
            "data": "timestamp",
            "otwarcie": "open",
            "najwyzszy": "high",
            "najnizszy": "low",
            "zamkniecie": "close",
            "wolumen": "volume",
        },
    ),
    Dialect(
        name="Nasdaq's history",
        requires=frozenset({"date", "close_last", "volume", "open", "high", "low"}),
        columns={"date": "timestamp", "close_last": "close"},
    ),
    Dialect(
        name="Investing.com's history",
        requires=frozenset({"date", "price", "open", "high", "low", "vol", "change_%"}),
        columns={"date": "timestamp", "price": "close", "vol": "volume", "change_%": LEFT_OUT},
    ),
    Dialect(
        name="Barchart's history",
        requires=frozenset({"time", "open", "high", "low", "last", "change", "%chg", "volume"}),
        columns={"time": "timestamp", "last": "close", "change": LEFT_OUT, "%chg": LEFT_OUT},
    ),
    Dialect(
        name="Barchart's history",
        requires=frozenset({"time", "open", "high", "low", "latest", "change", "%change", "volume"}),
        columns={"time": "timestamp", "latest": "close", "change": LEFT_OUT, "%change": LEFT_OUT},
    ),
)
