"""Shapes in which tools write bars and that are not read yet: each is refused by its own name, with its cure.

What is read is a comma-separated table whose first line names its columns. Everything here looks at the first lines of
a file only.
"""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

from data.errors import DataError, nearest_name, one_line
from data.schema import BAR_COLUMNS

TIMES = (
    "datetime", "date", "time", "open_time", "opentime", "open time", "window_start", "ts_event", "ts", "unix", "epoch",
    "t",
)  # fmt: skip
"""Names by which others call the timestamp."""
TICKERS = ("ticker", "sym", "instrument", "code", "asset", "pair")
"""Names by which others call the symbol."""
KLINES = {
    12: ("Binance's klines", "timestamp,open,high,low,close,volume,close_time,quote_volume,count,"
         "taker_buy_volume,taker_buy_quote_volume,ignore"),
    7: ("Kraken's OHLCVT", "timestamp,open,high,low,close,volume,trades"),
    6: ("bars", "timestamp,open,high,low,close,volume"),
}  # fmt: skip
SEPARATORS = {"\t": "tabs", ";": "semicolons", "|": "bars"}
SHOWN = 60
"""Characters of a line that a message quotes."""


def encoding_of(path: Path) -> str:
    """Return the encoding that the file's byte order mark names; UTF-8 without one."""
    with _opened(path) as stream:
        mark = stream.read(2)
    return "utf-16" if mark in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def first_lines(path: Path, encoding: str, count: int = 2) -> list[str]:
    """Return the first lines that are not blank, at most `count` of them.

    Raises
    ------
    DataError
        If the file is not text.
    """
    lines: list[str] = []
    try:
        with _opened(path) as stream:
            for line in stream.read(1 << 16).decode(encoding, errors="ignore").splitlines():
                if line.strip():
                    lines.append(line)
                if len(lines) == count:
                    break
    except (OSError, EOFError, UnicodeError) as error:
        raise DataError(
            f"{path} cannot be read ({one_line(error)}); check that it is the CSV or Parquet file it is named as."
        ) from error
    return lines


def header_of(line: str) -> list[str]:
    """Return the fields of a header line as they are written."""
    return next(csv.reader([line]), [])


def refuse_dialect(path: Path, lines: list[str]) -> None:
    """Raise DataError if the first lines are those of a shape that is not read.

    Parameters
    ----------
    lines : first lines of the file, not blank; the first one should name the columns.
    """
    if not lines:
        return
    header, second = header_of(lines[0]), lines[1] if len(lines) > 1 else ""
    for mark, name in SEPARATORS.items():
        if len(header) == 1 and lines[0].count(mark) >= 4:
            maker = "MetaTrader's export: its" if "<date>" in lines[0].lower() else "a table whose"
            raise DataError(
                f"{path} is {maker} fields are separated by {name}; write it with commas and the columns timestamp, "
                "open, high, low, close, volume."
            )
    if sum(_is_number(field) for field in header) >= 4:
        kind, names = KLINES.get(len(header), ("bars", "timestamp,open,high,low,close,volume,..."))
        raise DataError(
            f"{path} has no header: its first line is {_shown(lines[0])}; put a line before it that names the "
            f"columns, such as {names} if these are {kind}."
        )
    if any(field.strip().startswith("<") and field.strip().endswith(">") for field in header):
        raise DataError(
            f"{path} has the columns of Stooq or MetaTrader ({_shown(lines[0])}); write date and time as one column "
            "timestamp (2018-01-31T14:30:00), and name the others symbol, open, high, low, close, volume."
        )
    if header_of(second)[:1] == ["Ticker"]:
        raise DataError(
            f"{path} has yfinance's header of several lines ({_shown(lines[0])}, then {_shown(second)}); download with "
            "multi_level_index=False, or write one header line: timestamp, open, high, low, close, volume."
        )
    if len(header) == 1 and len(header_of(second)) >= 5:
        raise DataError(
            f"{path} begins with a title ({_shown(lines[0])}), not with the names of its columns; drop that line."
        )


def require_columns(path: Path, columns: list[str]) -> None:
    """Raise DataError if a column is absent; the message says which of the others are probably meant.

    Parameters
    ----------
    columns : names in lower case.
    """
    missing = [name for name in ("timestamp", *BAR_COLUMNS) if name not in columns]
    if not missing:
        return
    renames = _rename(missing[0], columns)
    if "symbol" not in columns and (ticker := _first(TICKERS, columns)):
        renames += f" (and {ticker!r} to symbol if it says which asset a row is of)"
    raise DataError(
        f"{path} has no column {missing[0]!r}{renames}; it needs timestamp, open, high, low, close, volume and has "
        f"{', '.join(columns)}."
    )


def _rename(name: str, columns: list[str]) -> str:
    """Say which column is probably meant by `name`, in brackets, or nothing."""
    if name == "timestamp":
        starts = [c for c in columns if c.startswith(("date", "time", "ts", "unix"))]
        known = _first(TIMES, columns) or (starts[0] if starts else None)
        return f" (rename {known!r}?)" if known else ""
    return nearest_name(name, columns).replace("did you mean", "rename")


def _first(names: tuple[str, ...], columns: list[str]) -> str | None:
    return next((name for name in names if name in columns), None)


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return field.strip().lower() not in ("nan", "inf", "infinity")


def _shown(line: str) -> str:
    line = line.strip()
    return repr(line if len(line) <= SHOWN else line[:SHOWN] + "...")


def _opened(path: Path):  # type: ignore[no-untyped-def]
    return gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb")
