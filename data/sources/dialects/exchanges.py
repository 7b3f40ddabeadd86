"""Files of crypto exchanges and of sites that collect them."""

from __future__ import annotations

from data.sources.dialects.definition import LEFT_OUT, Dialect, Rows, are_prices, is_real, whole

UNIX_S, UNIX_FINER = (9, 10), (13, 16, 19)
"""Digits of Unix times of bars, in seconds, and in milli-, micro- or nanoseconds."""


def _binance_rows(rows: Rows) -> bool:
    return are_prices(rows, 1) and all(
        len(row) == 12
        and whole(row[0], *UNIX_FINER)
        and whole(row[6], *UNIX_FINER)
        and int(row[6]) > int(row[0])
        for row in rows
    )


def _kraken_rows(rows: Rows) -> bool:
    return are_prices(rows, 1) and all(
        len(row) == 7 and whole(row[0], *UNIX_S) and row[6].isdecimal() for row in rows
    )


def _kraken_ohlc_rows(rows: Rows) -> bool:
    return are_prices(rows, 1) and all(
        len(row) == 8
        and whole(row[0], *UNIX_S)
        and row[7].isdecimal()
        and is_real(row[5])
        # A bar without a trade has the mean 0.
        and (float(row[5]) == 0.0 or 0.999999 * float(row[3]) <= float(row[5]) <= 1.000001 * float(row[2]))
        for row in rows
    )


def _bybit_rows(rows: Rows) -> bool:
    """The last column is what was paid for the volume: between volume times low and volume times high."""
    return are_prices(rows, 1) and all(
        len(row) == 7
        and whole(row[0], 13)
        and is_real(row[5])
        and is_real(row[6])
        and 0.99 * float(row[5]) * float(row[3]) <= float(row[6]) <= 1.01 * float(row[5]) * float(row[2])
        for row in rows
    )


def _plain_rows(rows: Rows) -> bool:
    return are_prices(rows, 1) and all(
        len(row) == 6 and whole(row[0], *UNIX_S, *UNIX_FINER) and is_real(row[5]) for row in rows
    )


_KLINE_COLUMNS = {
    "open_time": "timestamp",
    "close_time": LEFT_OUT,
    "ignore": LEFT_OUT,
    "unused_field": LEFT_OUT,
}

EXCHANGES = (
    Dialect(
        name="Binance's klines",
        requires=frozenset({"close_time", "ignore", "open", "high", "low", "close", "volume"}),
        columns=_KLINE_COLUMNS,
        labels="open",
    ),
    Dialect(
        name="Binance's klines",
        requires=frozenset({"open_time", "close_time", "open", "high", "low", "close", "volume"}),
        columns=_KLINE_COLUMNS,
        labels="open",
    ),
    Dialect(
        name="Binance's klines without a header",
        order=(
            "open_time",
            "open",
            "high",
            "low",
            "close",
            "volume",
            "close_time",
            "quote_volume",
            "count",
            "taker_buy_volume",
            "taker_buy_quote_volume",
            "ignore",
        ),
        fits=_binance_rows,
        columns={"open_time": "timestamp", "close_time": LEFT_OUT, "ignore": LEFT_OUT},
        labels="open",
    ),
    Dialect(
        name="Kraken's OHLCVT without a header",
        order=("time", "open", "high", "low", "close", "volume", "trades"),
        fits=_kraken_rows,
        columns={"time": "timestamp"},
        labels="open",
    ),
    Dialect(
        name="Kraken's OHLC answer without a header",
        order=("time", "open", "high", "low", "close", "vwap", "volume", "count"),
        fits=_kraken_ohlc_rows,
        columns={"time": "timestamp"},
        labels="open",
    ),
    Dialect(
        name="Bybit's klines without a header",
        order=("start_time", "open", "high", "low", "close", "volume", "turnover"),
        fits=_bybit_rows,
        columns={"start_time": "timestamp"},
        labels="open",
    ),
    Dialect(
        name="Bybit's klines",
        requires=frozenset(
            {"starttime", "openprice", "highprice", "lowprice", "closeprice", "volume", "turnover"}
        ),
        columns={"starttime": "timestamp"},
        labels="open",
    ),
    Dialect(
        name="bars without a header (Unix time, open, high, low, close, volume, as CCXT gives them)",
        order=("timestamp", "open", "high", "low", "close", "volume"),
        fits=_plain_rows,
        labels="open",
    ),
    Dialect(
        name="CryptoDataDownload's bars",
        requires=frozenset({"unix", "date", "symbol", "open", "high", "low", "close"}),
        columns={"unix": "timestamp", "unix_timestamp": "timestamp", "date": "second_time"},
        labels="open",
    ),
    Dialect(
        name="CryptoDataDownload's bars",
        requires=frozenset({"unix_timestamp", "date", "symbol", "open", "high", "low", "close"}),
        columns={"unix_timestamp": "timestamp", "date": "second_time"},
        labels="open",
    ),
)
