"""The user's own bars: CSV (plain or gzip) or Parquet, one file per symbol or one long file."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from data.alignment import AlignedBars, align
from data.calendars import ALWAYS_OPEN, DAY_SECONDS, bar_grid, check_bar_seconds, check_calendar
from data.known_columns import ColumnStatement
from data.schema import BAR_COLUMNS, DataError, nearest_name, one_line
from data.sources.timestamps import check_time_zone, to_utc

SUFFIXES = (".csv", ".csv.gz", ".parquet")


@dataclass(frozen=True, kw_only=True)
class FilesConfig:
    """Where the user's bars are and how to read them.

    Parameters
    ----------
    path : a directory with one file per symbol (`BTC.csv`, `ETH.parquet`, ...), or one file with a `symbol`
        column, or one file of one symbol, named after it. Columns: timestamp, open, high, low, close, volume;
        further numeric columns become exogenous.
    symbols : which, in the order of the asset axis; empty means all, by name.
    calendar : "24/7" or a name of pandas_market_calendars, such as "NYSE".
    bar_seconds : length of a bar, seconds.
    timezone : IANA zone of times that are written without an offset.
    start_utc, stop_utc : window [start, stop) of bar labels; None means all.
    columns : column or feature -> when it is known, see `data.known_columns`; runs of before this key have none.
    """

    path: str
    symbols: tuple[str, ...]
    calendar: str
    bar_seconds: int
    timezone: str
    start_utc: str | None
    stop_utc: str | None
    columns: Mapping[str, ColumnStatement] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "symbols", tuple(self.symbols))
        check_calendar(self.calendar)
        check_bar_seconds(self.calendar, self.bar_seconds)
        check_time_zone(self.timezone)


def load_files(config: FilesConfig) -> AlignedBars:
    """Read, check and align the user's bars.

    Raises
    ------
    DataError
        If a file, column or symbol is missing or bars cannot be used.
    """
    path = Path(config.path).expanduser()
    if not path.exists():
        raise DataError(f"{path} does not exist; give the directory or the file that holds the bars.")
    tables = _read_directory(path, config.symbols) if path.is_dir() else _split_file(path, config.symbols)
    bars = {symbol: _bars(table, config, f"{path.name}: {symbol}") for symbol, table in tables.items()}
    return align(
        bars,
        calendar=config.calendar,
        bar_seconds=config.bar_seconds,
        start_utc=config.start_utc,
        stop_utc=config.stop_utc,
    )


def _suffix(path: Path) -> str | None:
    return next((s for s in SUFFIXES if path.name.lower().endswith(s)), None)


def _read_directory(path: Path, symbols: tuple[str, ...]) -> dict[str, pd.DataFrame]:
    found: dict[str, Path] = {}
    for file in sorted(path.iterdir()):
        suffix = _suffix(file)
        if suffix is None:
            continue
        symbol = file.name[: -len(suffix)]
        if symbol in found:
            raise DataError(
                f"{path} has two files for {symbol}: {found[symbol].name} and {file.name}; keep one."
            )
        found[symbol] = file
    if not found:
        raise DataError(f"{path} holds no bars; put one .csv, .csv.gz or .parquet file per symbol there.")
    wanted = _wanted(symbols, list(found), str(path))
    return {symbol: _without_symbol(_read(found[symbol])) for symbol in wanted}


def _without_symbol(table: pd.DataFrame) -> pd.DataFrame:
    """Drop a `symbol` column that says the same in every row of a file that holds one symbol."""
    if "symbol" in table.columns and table["symbol"].nunique(dropna=False) == 1:
        return table.drop(columns="symbol")
    return table


def _split_file(path: Path, symbols: tuple[str, ...]) -> dict[str, pd.DataFrame]:
    suffix = _suffix(path)
    if suffix is None:
        raise DataError(f"{path} is not a .csv, .csv.gz or .parquet file; convert it to one of these.")
    table = _read(path)
    if "symbol" not in table.columns:
        symbol = path.name[: -len(suffix)]
        return dict.fromkeys(_wanted(symbols, [symbol], str(path)), table)
    if table["symbol"].isna().any():
        row = int(table["symbol"].isna().to_numpy().argmax()) + 1
        raise DataError(f"{path}: row {row} has no symbol; fill it in or drop the row.")
    groups = {str(s): g.drop(columns="symbol") for s, g in table.groupby("symbol", sort=True, observed=True)}
    return {symbol: groups[symbol] for symbol in _wanted(symbols, list(groups), str(path))}


def _wanted(symbols: tuple[str, ...], found: list[str], where: str) -> tuple[str, ...]:
    for symbol in symbols:
        if symbol not in found:
            raise DataError(
                f"Symbol {symbol!r} is not in {where}{nearest_name(symbol, found)}; "
                f"it has {', '.join(found)}."
            )
    return symbols or tuple(found)


def _read(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path) if path.name.lower().endswith(".parquet") else pd.read_csv(path)
    except pd.errors.EmptyDataError as error:
        raise DataError(f"{path} is empty; give a file with a header and rows.") from error
    except (ValueError, OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} cannot be read ({one_line(error)}); check that it is the CSV or Parquet file it is named as."
        ) from error
    if isinstance(table.index, pd.DatetimeIndex):
        table = table.rename_axis("timestamp").reset_index()
    table.columns = [str(c).strip().lower() for c in table.columns]
    missing = [c for c in ("timestamp", *BAR_COLUMNS) if c not in table.columns]
    if missing:
        raise DataError(
            f"{path} has no column {missing[0]!r}{_rename(missing[0], list(table.columns))}; it needs timestamp, "
            f"open, high, low, close, volume and has {', '.join(table.columns)}."
        )
    if not len(table):
        raise DataError(f"{path} is empty; give a file with rows.")
    return table


def _rename(name: str, columns: list[str]) -> str:
    """Say which column is probably meant by `name`, in brackets, or nothing."""
    times = [c for c in columns if c.startswith(("date", "time", "ts", "unix"))]
    if name == "timestamp" and times:
        return f" (rename {times[0]!r}?)"
    return nearest_name(name, columns).replace("did you mean", "rename")


def _bars(table: pd.DataFrame, config: FilesConfig, where: str) -> pd.DataFrame:
    labels = to_utc(table["timestamp"], config.timezone, where)
    if config.bar_seconds == DAY_SECONDS and config.calendar != ALWAYS_OPEN:
        labels = _session_opens(labels, config, where)
    columns: dict[str, np.ndarray] = {}
    for name in table.columns.drop("timestamp"):
        values = table[name]
        if not pd.api.types.is_numeric_dtype(values):
            try:
                values = pd.to_numeric(values)
            except (ValueError, TypeError) as error:
                raise DataError(
                    f"{where}: column {name!r} is not numeric ({one_line(error)}); correct or remove it."
                ) from error
        columns[name] = values.to_numpy(dtype=np.float64, na_value=np.nan)
    return pd.DataFrame(columns, index=labels)


def _session_opens(labels: pd.DatetimeIndex, config: FilesConfig, where: str) -> pd.DatetimeIndex:
    """Turn daily bars that are labelled by their date into bars labelled by the open of that session."""
    local = labels.tz_localize("UTC").tz_convert(config.timezone).tz_localize(None)
    if not len(labels) or (local != local.normalize()).any():
        return labels
    day = np.timedelta64(1, "D")
    grid = bar_grid(config.calendar, DAY_SECONDS, labels.min() - 2 * day, labels.max() + 2 * day)
    dates = local.to_numpy("datetime64[D]").astype(np.int32)
    at = np.searchsorted(grid.session, dates)
    here = (at < len(grid.session)) & (grid.session[np.minimum(at, len(grid.session) - 1)] == dates)
    if not here.all():
        raise DataError(
            f"{where}: {local[~here][0].date()} is no session of calendar {config.calendar!r}; drop that row "
            "or choose the calendar of the file."
        )
    return pd.DatetimeIndex(grid.bar_utc[at])
