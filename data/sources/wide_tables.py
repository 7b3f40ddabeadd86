"""Tables with a column per symbol and field, under several header lines or a column index of two levels (yfinance)."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from data.errors import DataError
from data.sources.dialects.definition import plain

FIELDS = ("open", "high", "low", "close", "volume", "adj_close", "dividends", "stock_splits", "capital_gains")
TIME = "date"


def long_table(cells: pd.DataFrame, headers: Sequence[Sequence[str]], where: str) -> pd.DataFrame:
    """Return a row per time and symbol, with the columns date, symbol and the fields.

    Parameters
    ----------
    cells : (N, C); the first column holds the times.
    headers : lines of names, each with C fields: the fields' (Open, High, ...), the symbols', and perhaps one
        that names the
        time only.

    Raises
    ------
    DataError
        If the lines are no such header.
    """
    width = cells.shape[1]
    lines = [list(line) + [""] * (width - len(line)) for line in headers]
    naming = [line for line in lines if any(line[1:])]
    by_field = [
        line for line in naming if {"open", "high", "low", "close"} <= {plain(name) for name in line[1:]}
    ]
    if len(naming) != 2 or len(by_field) != 1:
        raise DataError(
            f"{where} begins with {len(headers)} lines without numbers "
            f"({', '.join(filter(None, headers[0]))[:60]}; then "
            f"{', '.join(filter(None, headers[1]))[:60]}), which are no header that is known; write one "
            "line: timestamp, "
            "open, high, low, close, volume."
        )
    (fields,) = by_field
    (symbols,) = [line for line in naming if line is not fields]
    symbols = _carried(symbols)
    found = dict.fromkeys(symbol for symbol in symbols[1:] if symbol)
    tables = []
    for symbol in found:
        here = [at for at in range(1, width) if symbols[at] == symbol]
        names = [plain(fields[at]) for at in here]
        if len(set(names)) < len(names):
            raise DataError(f"{where} has a column of {symbol} twice; keep one.")
        part = cells[[0, *here]].set_axis([TIME, *(fields[at] for at in here)], axis=1)
        prices = [
            fields[at]
            for at, name in zip(here, names, strict=True)
            if name in ("open", "high", "low", "close")
        ]
        there = part[prices].notna() & (part[prices].astype("str") != "")
        tables.append(part[there.any(axis=1)].assign(symbol=symbol))
    return pd.concat(tables, ignore_index=True)


def _carried(names: Sequence[str]) -> list[str]:
    """Return names with blanks filled by what stands before them, as where cells of a heading were joined."""
    carried, last = [names[0]], ""
    for name in names[1:]:
        last = name or last
        carried.append(last)
    return carried
