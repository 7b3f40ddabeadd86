"""Files that trading platforms and brokers export."""

from __future__ import annotations

import re

from data.sources.dialects.definition import ZONE_OPEN, Dialect, Prices, Rows, are_prices, is_date, is_real
from data.sources.dialects.vendors import NEW_YORK

EST = "Etc/GMT+5"
"""New York's winter time, all year."""
_METATRADER_DATE = r"\d{4}\.\d{2}\.\d{2}"
_METATRADER_NAME = re.compile(r"^(?P<symbol>.+?)_(?:M\d+|H\d+|Daily|Weekly|Monthly)_\d{8,12}_\d{8,12}$")
_COMPACT_TIME = r"\d{8} \d{6}"


def _metatrader_rows(rows: Rows) -> bool:
    return are_prices(rows, 2) and all(
        len(row) == 7
        and is_date(row[0], _METATRADER_DATE)
        and is_date(row[1], r"\d{2}:\d{2}(:\d{2})?")
        and is_real(row[6])
        for row in rows
    )


def _compact_rows(rows: Rows) -> bool:
    return are_prices(rows, 1) and all(
        len(row) == 6 and is_date(row[0], _COMPACT_TIME) and is_real(row[5]) for row in rows
    )


def _lean_minute_rows(rows: Rows) -> bool:
    return are_prices(rows, 1) and all(
        len(row) == 6 and row[0].isdecimal() and int(row[0]) < 86_400_000 and is_real(row[5]) for row in rows
    )


def _lean_daily_rows(rows: Rows) -> bool:
    return are_prices(rows, 1) and all(
        len(row) == 6 and is_date(row[0], r"\d{8} \d{2}:\d{2}") and is_real(row[5]) for row in rows
    )


_LEAN_MINUTE = re.compile(r"^\d{8}_(?P<symbol>.+?)_(?:second|minute)_trade$", re.IGNORECASE)
_LEAN_MINUTES = ("milliseconds_of_day", "open", "high", "low", "close", "volume")
_LEAN_DAYS = ("timestamp", "open", "high", "low", "close", "volume")


def _lean(name: str, prices: Prices, zone: str | None, *folders: str) -> tuple[Dialect, Dialect]:
    """LEAN's files by kind of instrument: minutes, with the date in the name, and hours or days."""
    return (
        Dialect(
            name=f"QuantConnect LEAN's {name}",
            order=_LEAN_MINUTES,
            fits=_lean_minute_rows,
            columns={"milliseconds_of_day": "milliseconds_of_day"},
            file_name=_LEAN_MINUTE,
            folders=frozenset(folders),
            prices=prices,
            zone=zone,
            labels="open",
        ),
        Dialect(
            name=f"QuantConnect LEAN's {name}",
            order=_LEAN_DAYS,
            fits=_lean_daily_rows,
            folders=frozenset(folders),
            prices=prices,
            zone=zone,
            labels="open",
        ),
    )


PLATFORMS = (
    Dialect(
        name="MetaTrader 5's export",
        requires=frozenset({"date", "open", "high", "low", "close", "tickvol"}),
        file_name=_METATRADER_NAME,
        columns={"tickvol": "tick_volume", "vol": "volume", "spread": "spread"},
        labels="open",
        note=f"times are the broker's clock; {ZONE_OPEN}",
    ),
    Dialect(
        name="MetaTrader 5's rates",
        requires=frozenset({"time", "open", "high", "low", "close", "tick_volume", "real_volume"}),
        columns={"time": "timestamp", "real_volume": "volume"},
        labels="open",
        note=f"times are the broker's clock; {ZONE_OPEN}",
    ),
    Dialect(
        name="HistData's bars",
        order=("date", "time", "open", "high", "low", "close", "volume"),
        fits=_metatrader_rows,
        file_name=re.compile(r"^DAT_MT_(?P<symbol>[A-Z]+)_M1_.*$", re.IGNORECASE),
        zone=EST,
        labels="open",
    ),
    Dialect(
        name="MetaTrader 4's history",
        order=("date", "time", "open", "high", "low", "close", "volume"),
        fits=_metatrader_rows,
        labels="open",
        note=f"times are the broker's clock, the volume counts ticks; {ZONE_OPEN}",
    ),
    Dialect(
        name="HistData's bars",
        order=("timestamp", "open", "high", "low", "close", "volume"),
        fits=_compact_rows,
        file_name=re.compile(r"^DAT_ASCII_(?P<symbol>[A-Z]+)_M1_.*$", re.IGNORECASE),
        zone=EST,
        labels="open",
    ),
    Dialect(
        name="NinjaTrader's export",
        order=("timestamp", "open", "high", "low", "close", "volume"),
        fits=_compact_rows,
        file_name=re.compile(r"^(?P<symbol>.+)\.(?:Last|Bid|Ask)$", re.IGNORECASE),
        labels="close",
        note=ZONE_OPEN,
    ),
    *_lean("US stocks (prices in 1/10,000 of a dollar)", "1e-4", NEW_YORK, "equity", "usa"),
    *_lean("crypto bars", "as written", "UTC", "crypto"),
    *_lean("crypto bars", "as written", "UTC", "cryptofuture"),
    *_lean("futures", "as written", None, "future"),
    *_lean("indices", "as written", None, "index"),
    *_lean("bars, outside of its folders", "1e-4 if packed", None),
    Dialect(
        name="TradeStation's export",
        requires=frozenset({"date", "time", "open", "high", "low", "close", "up", "down"}),
        columns={"up": "up_volume", "down": "down_volume"},
        labels="close",
        note=ZONE_OPEN,
    ),
    Dialect(
        name="Interactive Brokers' bars (ib_insync, ib_async)",
        requires=frozenset({"date", "open", "high", "low", "close", "volume", "average", "barcount"}),
        labels="open",
    ),
    Dialect(
        name="Dukascopy's export",
        requires=frozenset({"gmt_time", "open", "high", "low", "close", "volume"}),
        columns={"gmt_time": "timestamp"},
        zone="UTC",
        labels="open",
    ),
    Dialect(
        name="Dukascopy's export",
        requires=frozenset({"local_time", "open", "high", "low", "close", "volume"}),
        columns={"local_time": "timestamp"},
        labels="open",
    ),
    Dialect(
        name="TradingView's export",
        requires=frozenset({"time", "open", "high", "low", "close", "volume"}),
        lacks=frozenset({"date", "timestamp", "datetime", "unix"}),
        file_name=re.compile(r"^(?:[A-Z0-9]+_)(?P<symbol>[^,]+), [0-9A-Z]+(?:[_ (].*)?$"),
        columns={"time": "timestamp"},
        labels="open",
    ),
)
