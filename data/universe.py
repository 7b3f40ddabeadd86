"""A universe as of each date: which symbols could be chosen when, so that a backtest holds what one could have held.

A file says of each symbol from which session to which, both inside, it belongs to the universe; a symbol that comes
back has several rows, and one that stays has no end. What was to be known on a date must stand there as it was known:
a list of today's members, dated back, holds the survivors.

Axes: T time, A asset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from data.array_types import FloatArray
from data.errors import DataError, nearest_name, one_line
from data.schema import Panel

MEMBER = "in_universe"
"""Column: 1 where the symbol belongs to the universe in the session of the **next** bar, else 0: what a decision at
this bar's close is for, and known by then, as the simulator looks for `split_factor`."""
COLUMNS = ("symbol", "from", "to")
_NAMED = 10
_EVER = np.datetime64("2262-01-01", "D")


class Stay(NamedTuple):
    """Sessions [first, last] in which a symbol belongs to the universe."""

    first: np.datetime64
    last: np.datetime64


def read_universe(path: str) -> dict[str, tuple[Stay, ...]]:
    """Read a table of symbol, from, to (CSV or Parquet); days as 2024-01-31, no `to` for what stays.

    Raises
    ------
    DataError
        If it cannot be read, a day is none, a stay ends before it begins, or two of one symbol overlap.
    """
    table = _table(path)
    found: dict[str, list[Stay]] = {}
    for row, (symbol, begin, end) in enumerate(table[list(COLUMNS)].itertuples(index=False), start=1):
        if pd.isna(symbol) or not str(symbol).strip():
            raise DataError(f"{path}: row {row} names no symbol.")
        stay = Stay(_day(begin, path, row, "from"), _EVER if _missing(end) else _day(end, path, row, "to"))
        if stay.last < stay.first:
            raise DataError(
                f"{path}: row {row} has {symbol} from {stay.first} to {stay.last}, which is earlier."
            )
        found.setdefault(str(symbol).strip(), []).append(stay)
    if not found:
        raise DataError(f"{path} holds no row; give rows of {', '.join(COLUMNS)}.")
    for symbol, stays in found.items():
        stays.sort()
        for one, other in zip(stays, stays[1:]):
            if other.first <= one.last:
                raise DataError(
                    f"{path}: {symbol} is in the universe from {one.first} to {one.last} and again from "
                    f"{other.first} on, while it still is; write stays that do not overlap."
                )
    return {symbol: tuple(stays) for symbol, stays in found.items()}


def _table(path: str) -> pd.DataFrame:
    place = Path(path).expanduser()
    try:
        if place.suffix.lower() in (".parquet", ".pq"):
            table = pd.read_parquet(place)
        else:
            # Symbols such as NA and TRUE are text.
            table = pd.read_csv(place, dtype=str, keep_default_na=False, skipinitialspace=True)
    except (OSError, ValueError) as error:
        raise DataError(f"the universe {path} cannot be read ({one_line(error)}).") from error
    table = table.rename(columns={name: str(name).strip().lower() for name in table.columns})
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        raise DataError(
            f"{path} has columns {', '.join(map(str, table.columns))} and lacks {', '.join(missing)}; a universe is a "
            f"table of {', '.join(COLUMNS)}."
        )
    return table


def _missing(value: object) -> bool:
    return bool(pd.isna(value)) or not str(value).strip()  # type: ignore[call-overload]


def _day(value: object, path: str, row: int, name: str) -> np.datetime64:
    text = str(value).strip()[:10] if not isinstance(value, pd.Timestamp) else str(value.date())
    try:
        if len(text) != len("2024-01-31"):
            raise ValueError("not a day")
        return np.datetime64(text, "D")
    except ValueError as error:
        raise DataError(f"{path}: row {row} has {value!r} as {name!r}; write a day as 2024-01-31.") from error


def members(universe: Mapping[str, Sequence[Stay]], panel: Panel) -> FloatArray:
    """(T, A) 1 in bars of sessions in which a symbol of the panel belongs to the universe, 0 in others."""
    days = panel.session.astype("datetime64[D]")
    inside = np.zeros(panel.close.shape)
    for a, symbol in enumerate(panel.symbols):
        for stay in universe.get(symbol, ()):
            inside[(days >= stay.first) & (days <= stay.last), a] = 1.0
    return inside


def within_universe(panel: Panel, path: str, wanted: Sequence[str]) -> tuple[Panel, list[str]]:
    """The panel of the symbols that are ever in the universe within its bars, with the column of who is when.

    Parameters
    ----------
    wanted : symbols that were asked for by name; each must be in the universe at some time.

    Returns
    -------
    The panel, and sentences on what was left out.

    Raises
    ------
    DataError
        If a symbol that was asked for is not in the universe, or none is in these bars.
    """
    universe = read_universe(path)
    for symbol in wanted:
        if symbol not in universe:
            raise DataError(
                f"{symbol} is not in the universe {path}{nearest_name(symbol, sorted(universe))}; add its stay, or "
                "leave it out of data.symbols."
            )
    if MEMBER in panel.exogenous:
        raise DataError(
            f"The data have a column {MEMBER!r} of their own; rename it, or set data.universe=null."
        )
    inside = members(universe, panel)
    kept = [symbol for a, symbol in enumerate(panel.symbols) if inside[:, a].any()]
    if not kept:
        raise DataError(
            f"no symbol of the data is in the universe {path} between {panel.bar_utc[0]} and {panel.bar_utc[-1]}; it "
            f"has {_some(sorted(universe))}."
        )
    columns = [panel.symbols.index(symbol) for symbol in kept]
    chosen = panel if len(kept) == panel.num_assets else panel.select(kept)
    ahead = np.concatenate([inside[1:], inside[-1:]])[:, columns]
    joined = replace(chosen, exogenous={**chosen.exogenous, MEMBER: ahead}).with_ends(chosen.end_bar)
    first, last = (panel.session[end].astype("datetime64[D]") for end in (0, -1))
    absent = [
        symbol
        for symbol, stays in universe.items()
        if symbol not in panel.symbols and any(s.first <= last and s.last >= first for s in stays)
    ]
    remarks = [
        f"universe {path}: {len(kept)} symbols, each traded only in the sessions that it is a member in"
    ]
    left = [symbol for symbol in panel.symbols if symbol not in kept]
    if left:
        remarks.append(
            f"universe {path}: {len(left)} symbols of the data are never in it then: {_some(left)}"
        )
    if absent:
        remarks.append(
            f"universe {path}: {len(absent)} of its members have no bars here: {_some(sorted(absent))}; where that is "
            "because they ended, results look better than they were"
        )
    return joined, remarks


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
