"""The user's own bars: CSV (plain or gzip) or Parquet, one file per symbol, its parts, or one long file.

What each step of the reading does lies beside this file: `tables` (a file as a table), `dialect` (shapes that are not
read), `timestamps`, `part_files`, `symbol_names`, `bar_length` and `label_instants`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from data.alignment import AlignedBars, align
from data.calendars import check_bar_seconds, check_calendar
from data.errors import DataError, nearest_name, one_line
from data.sources.bar_length import check_bar_length
from data.sources.dialect import TICKERS
from data.sources.label_instants import check_labels, labels_remark, opening_labels
from data.sources.left_out import left_out_remark
from data.sources.part_files import Group, group_parts, join_parts
from data.sources.recorded import RecordedBars
from data.sources.symbol_names import require_one_symbol
from data.sources.tables import SUFFIXES, Table, read_table, suffix_of
from data.sources.timestamps import check_time_zone, to_utc

OTHER_BARS = (
    ".zip", ".feather", ".arrow", ".xlsx", ".xls", ".h5", ".hdf5", ".json", ".jsonl", ".tsv", ".parq", ".pq", ".pkl",
    ".pickle", ".bz2", ".xz", ".zst", ".7z", ".tar", ".tgz", ".orc", ".avro", ".dbn", ".db", ".sqlite", ".dat", ".gz",
)  # fmt: skip
"""Suffixes of files that may hold bars and are not read."""

BarTables = dict[str, pd.DataFrame]


@dataclass(frozen=True, kw_only=True)
class FilesConfig(RecordedBars):
    """Where the user's bars are and how to read them.

    Parameters
    ----------
    path : a directory with one file per symbol (`BTC.csv`, `ETH.parquet`, ...) or its parts (`BTC-2024-01.csv`, ...),
        or one file with a `symbol` column, or one file of one symbol, named after it. Columns: timestamp, open, high,
        low, close, volume; further numeric columns become exogenous.
    calendar : "24/7" or a name of pandas_market_calendars, such as "NYSE".
    bar_seconds : length of a bar, seconds; the rows are checked against it.
    labels : "open" or "close", the instant of its bar that a row is labelled by.
    timezone : IANA zone of times that are written without an offset.
    symbols, start_utc, stop_utc, columns : see `RecordedBars`; all symbols are in the order of their names.
    """

    path: str
    calendar: str
    bar_seconds: int
    timezone: str
    labels: str = "open"  # what configurations that were recorded before this key existed meant

    def __post_init__(self) -> None:
        super().__post_init__()
        check_calendar(self.calendar)
        check_bar_seconds(self.calendar, self.bar_seconds)
        check_labels(self.labels)
        check_time_zone(self.timezone)

    def read(self) -> AlignedBars:
        return load_files(self)

    @property
    def place(self) -> str:
        return str(Path(self.path).expanduser().absolute())


class _Read(NamedTuple):
    """Rows per symbol, indexed by label as written (UTC), and what should be said of the reading."""

    bars: BarTables
    remarks: list[str]


def load_files(config: FilesConfig) -> AlignedBars:
    """Read, check and align the user's bars.

    Raises
    ------
    DataError
        If a file, column or symbol is missing, bars cannot be used, or they are of another length than configured.
    """
    bars, remarks = rows_of_files(config)
    aligned = align(
        bars,
        calendar=config.calendar,
        bar_seconds=config.bar_seconds,
        start_utc=config.start_utc,
        stop_utc=config.stop_utc,
    )
    return aligned._replace(hygiene=replace(aligned.hygiene, remarks=tuple(remarks)))


def rows_of_files(config: FilesConfig) -> tuple[BarTables, list[str]]:
    """Read the user's bars as rows per symbol, labelled by opening instants (naive UTC), and what is to be told.

    Raises
    ------
    DataError
        As `load_files`; the window of the config plays no part.
    """
    path = Path(config.path).expanduser()
    if not path.exists():
        raise DataError(f"{path} does not exist; give the directory or the file that holds the bars.")
    read = _read_directory(path, config) if path.is_dir() else _read_long_file(path, config)
    remarks = read.remarks + check_bar_length(read.bars, config.calendar, config.bar_seconds)
    bars: BarTables = {}
    for symbol, rows in read.bars.items():
        remark = labels_remark(
            symbol, rows.index.to_numpy("datetime64[ns]"), config.calendar, config.bar_seconds, config.labels
        )
        remarks += [remark] if remark else []
        opened = opening_labels(
            pd.DatetimeIndex(rows.index),
            labels=config.labels,
            calendar=config.calendar,
            bar_seconds=config.bar_seconds,
            timezone=config.timezone,
            where=f"{path.name}: {symbol}",
        )
        bars[symbol] = rows.set_axis(opened, axis=0)
    return bars, remarks


def _read_directory(path: Path, config: FilesConfig) -> _Read:
    """Read a directory of one file per symbol, or of parts of such files."""
    files = _bar_files(path)
    others = sorted(
        f.name
        for f in path.iterdir()
        if not f.name.startswith(".")
        and suffix_of(f) is None
        and ((f.is_dir() and f.name != "__MACOSX") or f.suffix.lower() in OTHER_BARS)
    )
    unread = f"{', '.join(others)} in {path} {'was' if len(others) == 1 else 'were'} not read"
    if not files:
        hint = f" ({unread}: convert or unpack)" if others else ""
        raise DataError(f"{path} holds no bars; put one {_listed()} file per symbol there{hint}.")
    read = _Read({}, _not_read(unread, others))
    tables = (
        {stem: read_table(file, config.timezone) for stem, file in files.items()} if len(files) == 1 else {}
    )
    if any(table.rows.get("symbol", pd.Series(dtype=str)).nunique() > 1 for table in tables.values()):
        (stem,) = files
        return _split(tables[stem], files[stem], stem, config, read)
    groups = {group.name: group for group in group_parts(list(files), path.resolve().name)}
    single = {stem: Group(stem, (stem,), False) for stem in files}
    known = groups | {s: single[s] for s in config.symbols if s in single and s not in groups}
    for name in _wanted(
        config.symbols, list(groups), list(known), f"{path}{f' ({unread})' if others else ''}"
    ):
        parts: BarTables = {}
        for stem in known[name].stems:
            table = tables.get(stem) or read_table(files[stem], config.timezone)
            rows = require_one_symbol(table.rows, stem, files[stem], name)
            parts[stem], said = _bars(rows, config, f"{path.name}: {stem}")
            read.remarks.extend([*table.remarks, *said])
        joined, said = join_parts(known[name], parts)
        read.bars.update(joined if config.symbols else {s: joined[s] for s in files if s in joined} or joined)
        read.remarks.extend(said)
    if config.symbols:
        taken = {stem for name in config.symbols for stem in known[name].stems}
        unchosen = {name: group for name, group in groups.items() if not taken & set(group.stems)}

        def last_row(group: Group) -> np.datetime64:
            return max(
                _last_label(read_table(files[stem], config.timezone).rows, config, stem)
                for stem in group.stems
            )

        read.remarks.extend(
            _left_out(read.bars, config, {name: partial(last_row, group) for name, group in unchosen.items()})
        )
    return read


def _left_out(
    bars: BarTables, config: FilesConfig, others: dict[str, Callable[[], np.datetime64]]
) -> list[str]:
    newest = max(rows.index.max().to_datetime64() for rows in bars.values())
    return left_out_remark(
        config.symbols, others, newest, start_utc=config.start_utc, stop_utc=config.stop_utc
    )


def _last_label(rows: pd.DataFrame, config: FilesConfig, where: str) -> np.datetime64:
    return to_utc(rows["timestamp"], config.timezone, where).to_numpy("datetime64[ns]").max()


def _not_read(unread: str, others: Sequence[str]) -> list[str]:
    return (
        [f"{unread}: only {_listed()} files of the directory itself are; convert or unpack them"]
        if others
        else []
    )


def _bar_files(path: Path) -> dict[str, Path]:
    """Return stem -> file of a directory; files that begin with a dot (`._BTC.csv` of a Mac) hold no bars."""
    found: dict[str, Path] = {}
    by_case: dict[str, str] = {}
    for file in sorted(path.iterdir()):
        suffix = suffix_of(file)
        if suffix is None or file.name.startswith(".") or file.is_dir():
            continue
        stem = file.name[: -len(suffix)].strip()
        other = by_case.setdefault(stem.casefold(), stem)
        if other != stem:
            raise DataError(
                f"{path} has {found[other].name} and {file.name}, which differ in case only; keep one, or rename."
            )
        if stem in found:
            raise DataError(f"{path} has two files for {stem}: {found[stem].name} and {file.name}; keep one.")
        found[stem] = file
    return found


def _read_long_file(path: Path, config: FilesConfig) -> _Read:
    """Read one file: of one symbol, named after it, or with a column `symbol`."""
    suffix = suffix_of(path)
    if suffix is None:
        raise DataError(f"{path} is not a {_listed()} file; convert it to one of these.")
    stem = path.name[: -len(suffix)].strip()
    return _split(read_table(path, config.timezone), path, stem, config, _Read({}, []))


def _split(table: Table, path: Path, stem: str, config: FilesConfig, read: _Read) -> _Read:
    """Add the symbols of one file to what was read."""
    tables = _by_symbol(table, path, stem)
    read.remarks.extend(table.remarks)
    for symbol in _wanted(config.symbols, list(tables), list(tables), str(path)):
        read.bars[symbol], said = _bars(tables[symbol], config, f"{path.name}: {symbol}")
        read.remarks.extend(said)
    if config.symbols:
        unchosen = {symbol: rows for symbol, rows in tables.items() if symbol not in config.symbols}
        read.remarks.extend(
            _left_out(
                read.bars,
                config,
                {symbol: partial(_last_label, rows, config, symbol) for symbol, rows in unchosen.items()},
            )
        )
    return read


def _by_symbol(table: Table, path: Path, stem: str) -> BarTables:
    rows = table.rows
    if "symbol" not in rows.columns:
        return {stem: rows}
    groups = {str(s): part.drop(columns="symbol") for s, part in rows.groupby("symbol", sort=True)}
    if len(groups) == 1 and stem.isupper():  # a name such as bars.csv says nothing; BTC.csv does
        require_one_symbol(rows, stem, path)
    return groups


def _wanted(
    symbols: tuple[str, ...], found: Sequence[str], known: Sequence[str], where: str
) -> tuple[str, ...]:
    for symbol in symbols:
        if symbol not in known:
            raise DataError(
                f"Symbol {symbol!r} is not in {where}{nearest_name(symbol, found)}; "
                f"it has {', '.join(found)}."
            )
    return symbols or tuple(found)


def _bars(table: pd.DataFrame, config: FilesConfig, where: str) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows of one symbol as numbers by time, and a remark if they were written newest first."""
    labels = to_utc(table["timestamp"], config.timezone, where)
    columns: dict[str, np.ndarray] = {}
    for name in table.columns.drop("timestamp"):
        columns[name] = _numbers(table[name], name, where)
    rows = pd.DataFrame(columns, index=labels)
    if len(rows) > 1 and (np.diff(labels.to_numpy("datetime64[ns]")) < np.timedelta64(0)).all():
        return rows.iloc[::-1], [f"{where}: the rows were newest first, and were turned round"]
    return rows, []


def _numbers(values: pd.Series, name: str, where: str) -> np.ndarray:
    if not pd.api.types.is_numeric_dtype(values):
        try:
            values = pd.to_numeric(values)
        except (ValueError, TypeError) as error:
            cure = "rename it to symbol if it says which asset a row is of, or remove it"
            raise DataError(
                f"{where}: column {name!r} is not numeric ({one_line(error)}); "
                f"{cure if name in TICKERS else 'correct or remove it'}."
            ) from error
    return values.to_numpy(dtype=np.float64, na_value=np.nan)


def _listed() -> str:
    return f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
