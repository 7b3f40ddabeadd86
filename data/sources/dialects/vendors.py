"""Files of vendors of market data."""

from __future__ import annotations

import re

from data.sources.dialects.definition import (
    LEFT_OUT,
    ONE_VALUE,
    ZONE_OPEN,
    Dialect,
    Rows,
    are_prices,
    is_date,
    is_real,
)

NEW_YORK = "America/New_York"
_ISO_TIME = r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(:\d{2})?"
_ISO_DATE = r"\d{4}-\d{2}-\d{2}"
_US_DATE = r"\d{2}/\d{2}/\d{4}"


def _firstrate_rows(rows: Rows) -> bool:
    return are_prices(rows, 1) and all(
        len(row) == 6 and (is_date(row[0], _ISO_TIME) or is_date(row[0], _ISO_DATE)) and is_real(row[5])
        for row in rows
    )


def _firstrate_futures_rows(rows: Rows) -> bool:
    return are_prices(rows, 1) and all(
        len(row) == 7 and is_date(row[0], _ISO_DATE) and is_real(row[5]) and row[6].isdecimal()
        for row in rows
    )


def _kibot_rows(rows: Rows) -> bool:
    return are_prices(rows, 2) and all(
        len(row) == 7 and is_date(row[0], _US_DATE) and is_date(row[1], r"\d{2}:\d{2}") and is_real(row[6])
        for row in rows
    )


def _kibot_daily_rows(rows: Rows) -> bool:
    return are_prices(rows, 1) and all(
        len(row) == 6 and is_date(row[0], _US_DATE) and is_real(row[5]) for row in rows
    )


def _timed_rows(rows: Rows) -> bool:
    """Any other row of a written time and five numbers."""
    return are_prices(rows, 1) and all(
        len(row) == 6 and re.search(r"\d[-/.: ]\d", row[0]) is not None and is_real(row[5]) for row in rows
    )


_SPANS = r"(?:1min|5min|30min|1hour|1day)"
_FIRSTRATE_NAME = re.compile(rf"^(?P<symbol>.+?)_(?:full_{_SPANS}|{_SPANS}_sample)(?:_.*)?$", re.IGNORECASE)
_FIRSTRATE_EXCHANGE_NAME = re.compile(
    rf"^(?P<symbol>.+?)_(?:full_|continuous_)*{_SPANS}_(?:continuous_)?(?:adj|unadjusted|ratio|absolute).*$"
    rf"|^(?P<future>.+?)_(?:full_)?{_SPANS}_continuous.*$|^(?P<contract>.+?)_continuous_.*$",
    re.IGNORECASE,
)
"""Stocks and futures, by the adjustment that their names state; other names may be of crypto or currencies."""

VENDORS = (
    Dialect(
        name="Polygon's flat file",
        requires=frozenset({"ticker", "window_start", "open", "high", "low", "close", "volume"}),
        columns={"window_start": "timestamp", "ticker": "symbol"},
        labels="open",
    ),
    Dialect(
        name="Polygon's or Alpaca's answer",
        requires=frozenset({"t", "o", "h", "l", "c", "v"}),
        columns={"t": "timestamp", "vw": "vwap", "n": "trades", "s": "symbol", "otc": LEFT_OUT},
        labels="open",
    ),
    Dialect(
        name="Databento's OHLCV",
        requires=frozenset({"ts_event", "open", "high", "low", "close", "volume"}),
        columns={
            "ts_event": "timestamp",
            "ts_recv": LEFT_OUT,
            "rtype": ONE_VALUE,
            "publisher_id": ONE_VALUE,
            "instrument_id": "instrument",
            "hd_length": LEFT_OUT,
            "length": LEFT_OUT,
        },
        prices="1e-9 if whole",
        labels="open",
    ),
    Dialect(
        name="Alpha Vantage's adjusted bars",
        requires=frozenset({"timestamp", "adjusted_close", "dividend_amount"}),
        columns={"adjusted_close": "adjusted_close"},
        zone=NEW_YORK,
    ),
    Dialect(
        name="Tiingo's bars",
        requires=frozenset({"date", "adjclose", "divcash", "splitfactor"}),
        columns={"adjclose": "adjusted_close", "adjvolume": LEFT_OUT},
    ),
    Dialect(
        name="EODHD's intraday bars",
        requires=frozenset({"timestamp", "gmtoffset", "datetime"}),
        columns={"gmtoffset": LEFT_OUT, "datetime": "second_time"},
        labels="open",
    ),
    Dialect(
        name="FirstRate Data's bars",
        order=("timestamp", "open", "high", "low", "close", "volume"),
        fits=_firstrate_rows,
        file_name=_FIRSTRATE_EXCHANGE_NAME,
        zone=NEW_YORK,
        labels="open",
    ),
    Dialect(
        name="FirstRate Data's bars",
        order=("timestamp", "open", "high", "low", "close", "volume"),
        fits=_firstrate_rows,
        file_name=_FIRSTRATE_NAME,
        labels="open",
        note=ZONE_OPEN,
    ),
    Dialect(
        name="FirstRate Data's daily futures",
        order=("timestamp", "open", "high", "low", "close", "volume", "open_interest"),
        fits=_firstrate_futures_rows,
        file_name=_FIRSTRATE_EXCHANGE_NAME,
        zone=NEW_YORK,
        labels="open",
    ),
    Dialect(
        name="Kibot's bars",
        order=("date", "time", "open", "high", "low", "close", "volume"),
        fits=_kibot_rows,
        zone=NEW_YORK,
        zone_sure=False,
        labels="open",
    ),
    Dialect(
        name="Kibot's daily bars",
        order=("date", "open", "high", "low", "close", "volume"),
        fits=_kibot_daily_rows,
        zone=NEW_YORK,
        zone_sure=False,
    ),
    Dialect(
        name="bars without a header (time, open, high, low, close, volume)",
        order=("timestamp", "open", "high", "low", "close", "volume"),
        fits=_timed_rows,
    ),
)
