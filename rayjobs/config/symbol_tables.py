"""Tables by symbol from a file in a configuration: ``${events_in:earnings.csv}``, ``${sectors_in:sectors.csv}``.

What the file holds, and not its name, is what a run records and what a feature's hash is made of, so that a file that
changes later changes no run. ``${instrument_sectors:}`` stands for the sectors of ``instruments.symbols``.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from data.errors import DataError
from rayjobs.config.typed_config import ConfigError

EVENTS, SECTORS, OF_INSTRUMENTS = "events_in", "sectors_in", "instrument_sectors"
SYMBOL = "symbol"
WHEN = ("instant", "date", "time", "utc")
"""Headings of the column that says when an event takes place, one of them."""
KNOWN_AT = "known_at"
SECTOR = "sector"
Row = tuple[int, Mapping[str, str]]
"""Number of a line or row, from 1, and its cells by heading."""


def know_symbol_tables() -> None:
    """Let configurations say ``${events_in:FILE}``, ``${sectors_in:FILE}`` and ``${instrument_sectors:}``."""
    resolvers: dict[str, Callable[..., Any]] = {
        EVENTS: events_in,
        SECTORS: sectors_in,
        OF_INSTRUMENTS: instrument_sectors,
    }
    for name, resolver in resolvers.items():
        if not OmegaConf.has_resolver(name):
            OmegaConf.register_new_resolver(name, resolver)


def events_in(file: str) -> dict[str, str]:
    """The events of each symbol, as `data.features.event_dates` has them written: in the order of the file.

    Parameters
    ----------
    file : CSV or Parquet with the columns symbol, instant (or date, time, utc) and, if it is known, known_at; relative
        to the current directory or absolute. A row without a date names a symbol that has no events.

    Raises
    ------
    ConfigError
        If the file cannot be read, lacks a column, or a row says no symbol or something that is no date.
    """
    # Here, for it imports pandas, which a server that reads configurations must not.
    from data.features.event_dates import check_events

    found: dict[str, list[str]] = {}
    for number, row in _rows(EVENTS, file, (SYMBOL, WHEN)):
        event = next(row[name] for name in WHEN if name in row)
        known = row.get(KNOWN_AT, "")
        own = found.setdefault(_symbol(file, number, row), [])
        if not event:
            if known:
                raise ConfigError(
                    f"{file}, line {number}: known_at is {known!r}, but there is no date of the event"
                )
            continue
        text = f"{event} known {known}" if known else event
        try:
            check_events({row[SYMBOL]: text})
        except (ValueError, DataError) as error:
            raise ConfigError(f"{file}, line {number}: {error}") from error
        own.append(text)
    if not any(found.values()):
        raise ConfigError(
            f"{file} holds no event; write a row for each, such as AMD,2018-01-30T21:15Z,2018-01-09"
        )
    return {symbol: "; ".join(events) for symbol, events in found.items()}


def sectors_in(file: str) -> dict[str, str]:
    """Symbol -> sector. A symbol whose sector is empty has none.

    Parameters
    ----------
    file : CSV or Parquet with the columns symbol and sector.

    Raises
    ------
    ConfigError
        If the file cannot be read, lacks a column, or names two sectors of a symbol, or none at all.
    """
    found: dict[str, str] = {}
    for number, row in _rows(SECTORS, file, (SYMBOL, (SECTOR,))):
        symbol, name = _symbol(file, number, row), row[SECTOR]
        if found.get(symbol, name) != name:
            raise ConfigError(
                f"{file}, line {number}: {symbol} is of {name!r}, and of {found[symbol]!r} before"
            )
        found[symbol] = name
    if not any(found.values()):
        raise ConfigError(f"{file} names no sector; write a row for each symbol, such as AMD,technology")
    return {symbol: name for symbol, name in found.items() if name}


def instrument_sectors(*, _root_: DictConfig) -> dict[str, str]:
    """Symbol -> sector, of the instruments that say one (``instruments.symbols.AMD.sector``)."""
    symbols = OmegaConf.select(_root_, "instruments.symbols") or {}
    sectors = {str(symbol): (facts or {}).get(SECTOR) for symbol, facts in symbols.items()}
    return {symbol: str(name) for symbol, name in sectors.items() if name}


def _symbol(file: str, number: int, row: Mapping[str, str]) -> str:
    if not row[SYMBOL]:
        raise ConfigError(f"{file}, line {number} names no symbol")
    return row[SYMBOL]


def _rows(resolver: str, file: str, wanted: Sequence[str | Sequence[str]]) -> Iterator[Row]:
    """The rows of a file, its headings in small letters and its cells without spaces around them.

    Parameters
    ----------
    wanted : columns that it must have; of several names exactly one.
    """
    path = Path(file).expanduser()
    try:
        headings, rows = _of_parquet(path) if path.suffix.lower() in (".parquet", ".pq") else _of_csv(path)
    except (OSError, ValueError, csv.Error) as error:
        raise ConfigError(f"${{{resolver}:{file}}} cannot be read: {error}") from error
    for names in wanted:
        choices = (names,) if isinstance(names, str) else tuple(names)
        there = [name for name in headings if name in choices]
        if len(there) != 1:
            said = (
                f"has the columns {' and '.join(there)}"
                if there
                else "lacks the column " + " or ".join(choices)
            )
            raise ConfigError(
                f"{file} {said}; it must have one of them, and has {', '.join(headings) or 'none'}"
            )
    yield from rows


def _of_csv(path: Path) -> tuple[list[str], list[Row]]:
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    kept = [(n, line.split("#")[0]) for n, line in enumerate(lines, start=1)]
    kept = [(n, line) for n, line in kept if line.strip(" \t,;")]
    if not kept:
        return [], []
    mark = ";" if ";" in kept[0][1] and "," not in kept[0][1] else ","
    cells = [[cell.strip() for cell in own] for own in csv.reader((line for _, line in kept), delimiter=mark)]
    headings = [cell.lower() for cell in cells[0]]
    rows: list[Row] = []
    for (number, _), own in zip(kept[1:], cells[1:], strict=True):
        if len(own) > len(headings):
            raise ValueError(f"line {number} has {len(own)} cells under {len(headings)} headings")
        rows.append((number, {**dict.fromkeys(headings, ""), **dict(zip(headings, own, strict=False))}))
    return headings, rows


def _of_parquet(path: Path) -> tuple[list[str], list[Row]]:
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    columns = {name.lower(): [_text(cell) for cell in table[name].to_pylist()] for name in table.column_names}
    rows: list[Row] = [
        (n + 1, {name: cells[n] for name, cells in columns.items()}) for n in range(len(table))
    ]
    return list(columns), rows


def _text(cell: Any) -> str:
    """A cell as a text file would have it: instants in ISO 8601, with their zone if they have one."""
    if cell is None or cell != cell:
        return ""
    return cell.isoformat() if hasattr(cell, "isoformat") else str(cell).strip()
