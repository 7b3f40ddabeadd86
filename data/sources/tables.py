"""One file as a table: columns by their names in lower case, symbols as text, nothing guessed about values."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from data.errors import DataError, one_line
from data.sources.dialect import encoding_of, first_lines, header_of, refuse_dialect, require_columns
from data.sources.timestamps import to_utc

SUFFIXES = (".csv", ".csv.gz", ".parquet")
_UNNAMED = re.compile(r"^(unnamed: \d+(_level_\d+)?|)$")
_COUNTERS = ("index", "level_0", "row", "#", "no", "id")
"""Names of a column that may be nothing but row numbers."""


class Table(NamedTuple):
    """What a file holds: `rows`, and `remarks`, sentences on what was left out."""

    rows: pd.DataFrame
    remarks: tuple[str, ...]


def suffix_of(path: Path) -> str | None:
    """Return the suffix of a file that can be read, or None."""
    return next((s for s in SUFFIXES if path.name.lower().endswith(s)), None)


def read_table(path: Path, timezone: str) -> Table:
    """Read a CSV or Parquet file: columns timestamp, open, high, low, close, volume, further ones, and perhaps symbol.

    Parameters
    ----------
    timezone : IANA zone of times without offset; only to see whether two times of a row are one.

    Raises
    ------
    DataError
        If it cannot be read, or its columns are not what they must be.
    """
    try:
        table = _read_parquet(path) if path.name.lower().endswith(".parquet") else _read_csv(path)
    except DataError:
        raise
    except pd.errors.EmptyDataError as error:
        raise DataError(f"{path} is empty; give a file with a header and rows.") from error
    except (ValueError, OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} cannot be read ({one_line(error)}); check that it is the CSV or Parquet file it is named as."
        ) from error
    table = _named(_with_index_levels(table, path, timezone), path)
    if not len(table) and "timestamp" in table.columns:
        raise DataError(f"{path} is empty; give a file with rows.")
    table, remarks = _without_row_numbers(table, path)
    require_columns(path, list(table.columns))
    if "symbol" in table.columns:
        written = table["symbol"]
        table = table.assign(symbol=symbols_as_written(written, path))
        remarks += _one_spelling(table, written, path)
    return Table(table, remarks)


def symbols_as_written(column: pd.Series, path: Path) -> pd.Series:
    """Return symbols as text without spaces around them.

    Raises
    ------
    DataError
        If a row has none, the column holds numbers with a point or truth values, or two differ in case only.
    """
    empty = column.isna() | (column.astype(str).str.strip() == "")
    if empty.any():
        row = int(empty.to_numpy().argmax()) + 1
        raise DataError(f"{path}: row {row} has no symbol; fill it in or drop the row.")
    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_float_dtype(column):
        raise DataError(
            f"{path}: the column symbol holds {column.dtype} values such as {column.iloc[0]}, not text; write the "
            "symbols as text."
        )
    text = column.astype(str).str.strip()
    by_case: dict[str, str] = {}
    for symbol in text.unique():
        other = by_case.setdefault(symbol.casefold(), symbol)
        if other != symbol:
            raise DataError(
                f"{path}: the symbols {other!r} and {symbol!r} differ in case only; write an asset in one way."
            )
    return text


def _one_spelling(table: pd.DataFrame, written: pd.Series, path: Path) -> tuple[str, ...]:
    """Say which symbols were written with and without spaces; refuse them where both have a row of one time."""
    spaced = (written.astype(str) != table["symbol"]).to_numpy()
    if not spaced.any() or spaced.all():
        return ()
    twice = table.duplicated(["symbol", "timestamp"]).to_numpy() & spaced
    first = int((twice if twice.any() else spaced).argmax())
    found = f"{path.name}: {str(written.iloc[first])!r} is {table['symbol'].iloc[first]!r} but for spaces"
    if twice.any():
        raise DataError(
            f"{found}, and both have a row at {table['timestamp'].iloc[first]}; keep one row per time, or "
            "give the other asset a name of its own."
        )
    return (f"{found}; {int(spaced.sum()):,} rows were taken for it",)


def _read_csv(path: Path) -> pd.DataFrame:
    encoding = encoding_of(path)
    lines = first_lines(path, encoding)
    refuse_dialect(path, lines)
    header = header_of(lines[0]) if lines else []
    _refuse_repeated([name for name in header if not _UNNAMED.match(name.strip().lower())], path)
    table = pd.read_csv(path, encoding=encoding)
    if not isinstance(table.index, pd.RangeIndex):
        more = len(header) + table.index.nlevels
        raise DataError(
            f"{path}: the rows have {more} fields but the header names {len(header)} columns; name the further "
            "column, or cut it off."
        )
    for name in table.columns:
        if str(name).strip().lower() == "symbol":
            # Text stays text: pandas would make 1 of 000001, True of TRUE and a missing value of NA.
            text = pd.read_csv(path, encoding=encoding, usecols=[name], dtype=str, na_filter=False)
            table[name] = text[name]
    return table


def _read_parquet(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path)


def _refuse_repeated(names: list[str], path: Path) -> None:
    """Raise DataError if two columns have one name when case and spaces are left aside."""
    seen: dict[str, str] = {}
    for name in names:
        key = str(name).strip().lower()
        if key in seen:
            raise DataError(
                f"{path} has two columns named {key!r} ({seen[key]!r} and {str(name)!r}); keep one, or give the other "
                "a name of its own."
            )
        seen[key] = str(name)


def _with_index_levels(table: pd.DataFrame, path: Path, timezone: str) -> pd.DataFrame:
    """Turn what Parquet holds as an index into columns: times, and levels that have a name."""
    index = table.index
    if isinstance(index, pd.RangeIndex):
        return table
    present = {str(c).strip().lower(): c for c in table.columns}
    for level, name in enumerate(index.names):
        values = pd.Series(index.get_level_values(level), index=table.index)
        is_time = pd.api.types.is_datetime64_any_dtype(values)
        if name is None and not is_time:
            continue  # row numbers of a selection
        if is_time and "timestamp" in present:
            _require_one_time(values, table[present["timestamp"]], str(name), path, timezone)
            continue
        target = "timestamp" if is_time else str(name)
        if target.strip().lower() in present:
            raise DataError(
                f"{path} has an index and a column named {target!r}; drop one of them, or give it another name."
            )
        table = table.assign(**{target: values})
    return table.reset_index(drop=True)


def _require_one_time(index: pd.Series, column: pd.Series, name: str, path: Path, timezone: str) -> None:
    one = to_utc(index.reset_index(drop=True), timezone, str(path))
    other = to_utc(column.reset_index(drop=True), timezone, str(path))
    if not one.equals(other):
        row = int((one != other).argmax())
        raise DataError(
            f"{path} has two times a row: its index {name!r} says {one[row]} and its column 'timestamp' {other[row]} "
            f"in row {row + 1}; drop one of them."
        )


def _named(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    names = [str(c).strip().lower() for c in table.columns]
    _refuse_repeated([str(c) for c in table.columns], path)
    return table.set_axis(names, axis=1)


def _without_row_numbers(table: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Drop row numbers and empty columns that have no name; refuse other columns without a name."""
    dropped = []
    for name in table.columns:
        unnamed = _UNNAMED.match(name) is not None
        if not (unnamed or name in _COUNTERS):
            continue
        if _counts_rows(table[name]) or (unnamed and table[name].isna().all()):
            dropped.append(name)
        elif unnamed:
            at = list(table.columns).index(name) + 1
            raise DataError(f"{path}: column {at} has no name; name it in the header, or cut it off.")
    numbers = [name for name in dropped if not table[name].isna().all()]
    remarks = (f"the column of row numbers in {path.name} was left out",) if numbers else ()
    return table.drop(columns=dropped), remarks


def _counts_rows(values: pd.Series) -> bool:
    """True if whole numbers go up, or down, by one in each row, but for places where they begin anew."""
    if not pd.api.types.is_integer_dtype(values):
        return False
    steps = np.diff(values.to_numpy())
    return bool((steps == 1).mean() > 0.9 or (steps == -1).mean() > 0.9) if len(steps) else True
