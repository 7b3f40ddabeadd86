"""The user's own bars: files as people have them, one per symbol, its parts, or one long file.

What each step of the reading does lies beside this file: `bar_folders` (which files there are), `tables` (a file as a
table of bars, by its dialect), `timestamps`, `part_files`, `symbol_names`, `bar_length` and `label_instants`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from data.alignment import AlignedBars
from data.calendars import ALWAYS_OPEN, check_bar_seconds, check_calendar
from data.errors import DataError, nearest_name
from data.futures.roll_decisions import FuturesConfig
from data.sources.adjusted_close import PRICES, require_one_basis, with_total_return
from data.sources.bar_folders import BarFiles, files_of
from data.sources.bar_length import check_bar_length
from data.sources.date_orders import DATE_ORDERS
from data.sources.dividend_column import with_dividends
from data.sources.file_remarks import contradictions, hint, taken_for, unread
from data.sources.file_times import Written
from data.sources.joined_contracts import aligned_bars, refuse_total_return
from data.sources.label_instants import check_labels, labels_remark, opening_labels
from data.sources.left_out import left_out_remark
from data.sources.numerals import MARKS
from data.sources.part_files import Group, join_parts, named_by_date
from data.sources.recorded import RecordedBars
from data.sources.symbol_names import require_one_symbol
from data.sources.tables import Table, read_table
from data.sources.timestamps import check_time_zone, to_utc
from data.split_factors import with_split_factors

BarTables = dict[str, pd.DataFrame]


@dataclass(frozen=True, kw_only=True)
class FilesConfig(RecordedBars):
    """Where the user's bars are and how to read them.

    Parameters
    ----------
    path : a directory with one file per symbol (`BTC.csv`, `ETH.parquet`, ...) or its parts (`BTC-2024-01.csv`, ...),
        or one file with a `symbol` column, or one file of one symbol, named after it. Columns: timestamp, open, high,
        low, close, volume, or those of a dialect (`data.sources.dialects`); further numeric columns become exogenous.
    calendar : "24/7" or a name of pandas_market_calendars, such as "NYSE".
    bar_seconds : length of a bar, seconds; the rows are checked against it.
    labels : "open" or "close", the instant of its bar that a row is labelled by; None: as the maker of the
        file does, open
        where that is not known.
    timezone : IANA zone of times that are written without an offset; None: the maker's, UTC where that is not known.
    dates : "day_first", "month_first" or "year_first" for dates such as 01/02/2024 that no row decides; None:
        by the rows.
    decimal : "." or ",", the mark before decimals, for numbers such as 1,234 that no cell decides; None: by the cells.
    prices : "as_written", or "total_return" from the file's adjusted closes, see `data.sources.adjusted_close`.
    futures : how dated contracts are joined; None joins none, as configurations from before this key meant.
    symbols, start_utc, stop_utc, columns, repair : see `RecordedBars`; all symbols are in the order of their names.
    """

    path: str
    calendar: str
    bar_seconds: int
    timezone: str | None
    labels: str | None = "open"  # what configurations that were recorded before this key existed meant
    dates: str | None = None
    decimal: str | None = None
    prices: str = "as_written"
    futures: FuturesConfig | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_calendar(self.calendar)
        check_bar_seconds(self.calendar, self.bar_seconds)
        if self.labels is not None:
            check_labels(self.labels)
        if self.timezone is not None:
            check_time_zone(self.timezone)
        if self.dates not in (None, *DATE_ORDERS):
            raise DataError(f"dates is {self.dates!r}; it must be one of {', '.join(DATE_ORDERS)}, or null.")
        if self.prices not in PRICES:
            raise DataError(f"prices is {self.prices!r}; it must be one of {', '.join(PRICES)}.")
        if self.decimal not in (None, *MARKS):
            raise DataError(f"decimal is {self.decimal!r}; it must be '.', ',' or null.")
        refuse_total_return(self.prices, self.futures)

    def read(self) -> AlignedBars:
        return load_files(self)

    @property
    def place(self) -> str:
        return str(Path(self.path).expanduser().absolute())

    @property
    def written(self) -> Written:
        """How the files are written, as far as the user says."""
        return Written(timezone=self.timezone, dates=self.dates, decimal=self.decimal)


@dataclass(frozen=True, kw_only=True)
class _Read:
    """Rows per symbol, indexed by label as written (UTC), how each is labelled, and what to say of the reading."""

    bars: BarTables = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def load_files(config: FilesConfig) -> AlignedBars:
    """Read, check and align the user's bars.

    Raises
    ------
    DataError
        If a file, column or symbol is missing, bars cannot be used, may mean more than one thing, or are of
        another length
        than configured.
    """
    joins = config.futures is not None and config.futures.joins
    # Which files hold the contracts of a root is known when all of them are read.
    bars, remarks = rows_of_files(replace(config, symbols=()) if joins else config)
    aligned = aligned_bars(
        bars, config, config.futures, calendar=config.calendar, bar_seconds=config.bar_seconds
    )
    if config.prices == "total_return":
        aligned = aligned._replace(panel=with_split_factors(aligned.panel))
        remarks.append(
            "prices are those of total return (data.prices): grown by splits and dividends up to each bar"
        )
    return aligned._replace(hygiene=replace(aligned.hygiene, remarks=(*remarks, *aligned.hygiene.remarks)))


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
    read = _read(files_of(path), path, config)
    remarks = read.remarks + check_bar_length(read.bars, config.calendar, config.bar_seconds)
    bars: BarTables = {}
    for symbol, rows in read.bars.items():
        labels = read.labels[symbol]
        remark = labels_remark(
            symbol, rows.index.to_numpy("datetime64[ns]"), config.calendar, config.bar_seconds, labels
        )
        remarks += [remark] if remark else []
        opened = opening_labels(
            pd.DatetimeIndex(rows.index),
            labels=labels,
            calendar=config.calendar,
            bar_seconds=config.bar_seconds,
            timezone=config.timezone or "UTC",
            where=f"{path.name}: {symbol}",
        )
        rows, said = with_dividends(symbol, with_total_return(symbol, rows, config.prices), config.prices)
        remarks += said
        bars[symbol] = rows.set_axis(opened, axis=0)
    return bars, remarks


def _read(found: BarFiles, path: Path, config: FilesConfig) -> _Read:
    """Read the files that hold the symbols that are wanted, and say what each symbol's rows are."""
    groups = {group.name: group for group in found.groups}
    single = {stem: Group(stem, (stem,), False) for stem in found.files}
    known = groups | {s: single[s] for s in config.symbols if s in single and s not in groups}
    asked_by_name = bool(config.symbols) and not found.pooled and all(s in known for s in config.symbols)
    chosen = [known[s] for s in config.symbols] if asked_by_name else list(groups.values())
    stems = list(found.files) if found.pooled else [stem for group in chosen for stem in group.stems]
    tables = {
        stem: read_table(file, config.written) for stem, file in found.files.items() if stem in set(stems)
    }
    read = _Read(remarks=unread(found, path) + taken_for(tables, found))
    for table in tables.values():
        read.remarks.extend(table.remarks)
    long = [stem for stem, table in tables.items() if _is_long(stem, table)]
    one_file = len(tables) == 1 and not path.is_dir()
    if found.pooled or (not asked_by_name and (long or one_file)):
        _by_symbol(tables, long, found, path, config, read)
    else:
        _by_file(tables, chosen, found, path, config, read, asked_by_name)
    return read


def _is_long(stem: str, table: Table) -> bool:
    """True if the rows of a file, not its name, say what they are of."""
    return "symbol" in table.rows and (table.rows["symbol"].nunique() > 1 or named_by_date(stem))


def _by_symbol(
    tables: Mapping[str, Table],
    long: Sequence[str],
    found: BarFiles,
    path: Path,
    config: FilesConfig,
    read: _Read,
) -> None:
    """Add the symbols that the rows of all files name."""
    if len(tables) > 1 and not found.pooled and any("symbol" not in table.rows for table in tables.values()):
        require_one_symbol(tables[long[0]].rows, long[0], found.files[long[0]].path)
    parts: dict[str, dict[str, pd.DataFrame]] = {}
    for stem, table in tables.items():
        for symbol, rows in _split(table, stem, found, path).items():
            parts.setdefault(symbol, {})[stem] = rows
    names = sorted(parts)
    for symbol in _wanted(config.symbols, names, names, f"{path}{hint(found, path)}"):
        _add(read, symbol, Group(symbol, tuple(parts[symbol]), True), parts[symbol], tables, config, path)
    if not config.symbols:
        return

    def last_row(held: BarTables) -> np.datetime64:
        return max(_last(rows, tables[stem], config, stem) for stem, rows in held.items())

    others = {symbol: held for symbol, held in parts.items() if symbol not in config.symbols}
    _tell_left_out(read, config, {symbol: partial(last_row, held) for symbol, held in others.items()})


def _split(table: Table, stem: str, found: BarFiles, path: Path) -> BarTables:
    rows = table.rows
    if "symbol" not in rows.columns:
        return {path.name if found.pooled else table.symbol or stem: rows}
    if (
        rows["symbol"].nunique() == 1
        and len(found.files) == 1
        and not found.pooled
        and not named_by_date(stem)
    ):
        written = rows["symbol"].iloc[0]
        # A name such as `bars_1` says nothing; one that is a symbol is checked.
        if stem.isupper():
            require_one_symbol(rows, stem, found.files[stem].path)
        return {written: rows.drop(columns="symbol")}
    return {str(symbol): part.drop(columns="symbol") for symbol, part in rows.groupby("symbol", sort=False)}


def _by_file(
    tables: Mapping[str, Table],
    chosen: Sequence[Group],
    found: BarFiles,
    path: Path,
    config: FilesConfig,
    read: _Read,
    asked_by_name: bool,
) -> None:
    """Add the symbols that the files are named after."""
    groups = {group.name: group for group in chosen} if asked_by_name else _renamed(chosen, tables)
    wanted = _wanted(config.symbols, list(groups), list(groups), f"{path}{hint(found, path)}")
    for name in wanted:
        parts = {
            stem: require_one_symbol(tables[stem].rows, Path(stem).name, found.files[stem].path, name)
            for stem in groups[name].stems
        }
        _add(read, name, groups[name], parts, tables, config, path)
    if not config.symbols:
        return
    taken = {stem for name in wanted for stem in groups[name].stems}
    everything = {group.name: group for group in found.groups} if asked_by_name else groups
    unchosen = {name: group for name, group in everything.items() if not taken & set(group.stems)}

    def last_row(group: Group) -> np.datetime64:
        read_again = {
            stem: tables.get(stem) or read_table(found.files[stem], config.written) for stem in group.stems
        }
        return max(_last(table.rows, table, config, stem) for stem, table in read_again.items())

    _tell_left_out(read, config, {name: partial(last_row, group) for name, group in unchosen.items()})


def _renamed(groups: Sequence[Group], tables: Mapping[str, Table]) -> dict[str, Group]:
    """Return groups by the symbols that their maker's way to name files says; those of one symbol are parts of it."""
    renamed: dict[str, Group] = {}
    for group in groups:
        said = {tables[stem].symbol for stem in group.stems}
        name = next(iter(said)) if len(said) == 1 else None
        other = renamed.get(name or group.name)
        if other is not None:
            group = Group(other.name, (*other.stems, *group.stems), True)
        renamed[name or group.name] = group._replace(name=name or group.name)
    return renamed


def _add(
    read: _Read,
    name: str,
    group: Group,
    parts: Mapping[str, pd.DataFrame],
    tables: Mapping[str, Table],
    config: FilesConfig,
    path: Path,
) -> None:
    """Add one symbol's rows, joined from its parts; numbered files may turn out to be several symbols."""
    timed: BarTables = {}
    labels: dict[str, str] = {}
    for stem, rows in parts.items():
        table = tables[stem]
        if config.timezone is None and not table.zone_sure and config.calendar == ALWAYS_OPEN:
            raise DataError(
                f"{stem}: rows like these are written by makers with times of {table.zone}, and by others "
                "with times of other "
                "zones, and on calendar '24/7' nothing shows which; set data.timezone to the zone of the times."
            )
        timed[stem], said = _bars(
            rows, config.timezone or table.zone or "UTC", f"{path.name}: {name if len(parts) == 1 else stem}"
        )
        read.remarks.extend(said)
        labels[stem] = config.labels or table.labels or "open"
        read.remarks.extend(contradictions(table, stem, config.labels, config.timezone))
    if len(set(labels.values())) > 1:
        raise DataError(
            f"{path.name}: of the parts of {name} some are labelled by the open and some by the close of a bar "
            f"({', '.join(f'{stem}: {kind}' for stem, kind in labels.items())}); set data.labels, or give "
            "parts of one kind."
        )
    require_one_basis(name, timed)
    joined, said = join_parts(group._replace(stems=tuple(timed)), timed)
    read.remarks.extend(said)
    joined = (
        {stem: joined[stem] for stem in tables if stem in joined} or joined if not config.symbols else joined
    )
    read.bars.update(joined)
    read.labels.update(dict.fromkeys(joined, next(iter(labels.values()))))


def _tell_left_out(read: _Read, config: FilesConfig, others: dict[str, Callable[[], np.datetime64]]) -> None:
    newest = max(rows.index.max().to_datetime64() for rows in read.bars.values())
    read.remarks.extend(
        left_out_remark(config.symbols, others, newest, start_utc=config.start_utc, stop_utc=config.stop_utc)
    )


def _last(rows: pd.DataFrame, table: Table, config: FilesConfig, where: str) -> np.datetime64:
    zone = config.timezone or table.zone or "UTC"
    return to_utc(rows["timestamp"], zone, where).to_numpy("datetime64[ns]").max()


def _wanted(symbols: tuple[str, ...], found: list[str], known: Sequence[str], where: str) -> tuple[str, ...]:
    for symbol in symbols:
        if symbol not in known:
            raise DataError(
                f"Symbol {symbol!r} is not in {where}{nearest_name(symbol, found)}; "
                f"it has {', '.join(found)}."
            )
    return symbols or tuple(found)


def _bars(rows: pd.DataFrame, zone: str, where: str) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows of one symbol by time, and a remark if they were written newest first."""
    labels = to_utc(rows["timestamp"], zone, where)
    timed = rows.drop(columns="timestamp").set_axis(labels, axis=0)
    if len(timed) > 1 and (np.diff(labels.to_numpy("datetime64[ns]")) < np.timedelta64(0)).all():
        return timed.iloc[::-1], [f"{where}: the rows were newest first, and were turned round"]
    return timed, []
