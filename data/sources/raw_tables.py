"""One file as cells: a text file by its layout, Parquet and Feather by themselves; no value is read yet."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from data.errors import DataError
from data.sources.bar_file import BROKEN, FEATHER, PARQUET, BarFile, members_of, unreadable
from data.sources.dialects.definition import Dialect, plain
from data.sources.dialects.recognition import by_header, by_rows
from data.sources.dialects.roles import DATES, SYMBOLS, Roles, roles_of
from data.sources.text_layout import SEPARATORS, TextLayout, layout_of, shown
from data.sources.wide_tables import long_table

UNKNOWN = ("", "nan", "NaN", "NAN", "null", "NULL", "None", "NA", "N/A", "n/a", "#N/A", "<NA>")
"""Cells of a column of numbers that say that there is none."""


@dataclass(frozen=True, kw_only=True)
class RawTable:
    """Cells, and what each column is.

    Parameters
    ----------
    cells : (N, C), columns by position; numbers where all of a column are numbers in plain writing, else text.
    written : (C,) names as the file has them.
    dialect : None for a table of no particular maker.
    layout : of a text file, else None.
    remarks : what was left out on the way.
    """

    cells: pd.DataFrame
    written: tuple[str, ...]
    dialect: Dialect | None
    roles: Roles
    layout: TextLayout | None
    remarks: tuple[str, ...]


def read_raw(file: BarFile) -> RawTable:
    """Read a file and say what its columns are.

    Raises
    ------
    DataError
        If it cannot be read, or it cannot be told what its columns are.
    """
    if file.suffix in (*PARQUET, *FEATHER):
        return _read_frame(file)
    if not file.suffix:
        members_of(file.path)  # a zip that could not be listed says why
    layout = layout_of(file)
    if not layout.first_rows:
        raise DataError(f"{file} is empty; give a file with rows.")
    if len(layout.headers) > 1:
        cells = _read_cells(file, layout, layout.width, range(layout.width))
        table = long_table(cells, layout.headers, str(file))
        return _named(file, table, layout, ())
    header = layout.headers[0] if layout.headers else None
    dialect = None if header else by_rows(file, layout.first_rows)
    written = header if header else dialect.order if dialect else ()
    written = tuple(_with_blank_ends(written, layout, file))
    refuse_repeated(written, file)
    names = [plain(name) for name in written]
    dialect = dialect or by_header(names)
    names, roles = _unnamed_time(names, written, layout, dialect, file)
    text = [
        *(
            roles.of[role]
            for role in ("timestamp", "date", "time", "symbol", "instrument")
            if role in roles.of
        ),
        *roles.second_times,
        *roles.one_value,
    ]
    cells = _read_cells(file, layout, len(written), text)
    cells, remarks = _whole_rows(cells, file)
    return RawTable(
        cells=cells, written=tuple(written), dialect=dialect, roles=roles, layout=layout, remarks=remarks
    )


def reread_as_text(file: BarFile, layout: TextLayout, width: int, rows: int) -> pd.DataFrame:
    """Return all cells (rows, width) of a text file as text, for numbers that are not in plain writing."""
    cells = _read_cells(file, layout, width, range(width))
    return _whole_rows(cells, file)[0].iloc[:rows]


def refuse_repeated(written: Sequence[str], file: BarFile) -> None:
    """Raise DataError if two columns have one name when case and spaces are left aside."""
    seen: dict[str, str] = {}
    for name in written:
        key = str(name).strip().lower()
        if not key:
            continue
        if key in seen:
            raise DataError(
                f"{file} has two columns named {key!r} ({seen[key]!r} and {str(name)!r}); keep one, or give the other "
                "a name of its own."
            )
        seen[key] = str(name)


def layout_facts(layout: TextLayout | None) -> list[str]:
    """What is unusual about a text file's layout, in words."""
    if layout is None:
        return []
    facts = [f"fields between {SEPARATORS[layout.separator]}"] if layout.separator != "," else []
    if layout.encoding not in ("utf-8", "utf-8-sig"):
        facts.append(f"letters in {layout.encoding}")
    if layout.titles:
        facts.append(
            f"its first {'line' if len(layout.titles) == 1 else 'lines'} {shown(layout.titles[0])} left out"
        )
    return facts


def _with_blank_ends(written: Sequence[str], layout: TextLayout, file: BarFile) -> list[str]:
    """Return names for as many columns as rows have fields; a separator at the end of a row adds one without a name."""
    names = list(written)
    width = max(len(row) for row in layout.first_rows)
    surplus = [row[len(names) :] for row in layout.first_rows if len(row) > len(names)]
    if not surplus:
        return names
    if any(field for fields in surplus for field in fields):
        raise DataError(
            f"{file}: the rows have {width} fields but the header names {len(names)} columns; name the further "
            "column, or cut it off."
        )
    return names + [""] * (width - len(names))


def _unnamed_time(
    names: list[str], written: Sequence[str], layout: TextLayout, dialect: Dialect | None, file: BarFile
) -> tuple[list[str], Roles]:
    """Say what the columns are; a first column without a name holds the times where no other does (pandas' index)."""
    roles = roles_of(names, written, dialect, str(file))
    first = names[0]
    timed = "timestamp" in roles.of or "date" in roles.of or "milliseconds_of_day" in roles.of
    times = all(sum(c.isdigit() for c in row[0]) >= 6 for row in layout.first_rows)
    if not timed and times and (not first or first in ("unnamed_0", "index")):
        names = ["timestamp", *names[1:]]
        roles = roles_of(names, written, dialect, str(file))
    return names, roles


def _read_cells(file: BarFile, layout: TextLayout, width: int, text: Sequence[int] | range) -> pd.DataFrame:
    as_text = set(text)
    try:
        with file.opened() as stream:
            cells = pd.read_csv(
                stream,
                sep=layout.separator,
                header=None,
                names=list(range(width)),
                skiprows=layout.skip,
                encoding=layout.encoding,
                dtype=dict.fromkeys(as_text, "str"),  # type: ignore[arg-type]
                keep_default_na=False,
                na_values={at: list(UNKNOWN) for at in range(width) if at not in as_text},
                skipinitialspace=True,
                low_memory=False,
            )
    except pd.errors.EmptyDataError as error:
        raise DataError(f"{file} is empty; give a file with rows.") from error
    except (*BROKEN, ValueError) as error:
        raise unreadable(file, error) from error
    if not isinstance(cells.index, pd.RangeIndex):
        more = width + cells.index.nlevels
        raise DataError(
            f"{file}: the rows have {more} fields but the header names {width} columns; name the further "
            "column, or cut "
            "it off."
        )
    return cells


def _whole_rows(cells: pd.DataFrame, file: BarFile) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Leave out rows without any field, and a last line that is no row but a remark of the maker's."""
    if not len(cells):
        return cells, ()
    suspects = np.flatnonzero((cells[0].isna() | (cells[0].astype("str") == "")).to_numpy())
    part = cells.iloc[suspects]
    blank = np.zeros(len(cells), dtype=bool)
    blank[suspects] = (part.isna() | (part.astype("str") == "")).to_numpy().all(axis=1)
    remarks: tuple[str, ...] = ()
    last = cells.iloc[-1]
    alone = len(cells) > 1 and all(pd.isna(cell) or cell == "" for cell in last.iloc[1:])
    if alone and isinstance(last[0], str) and " " in last[0] and sum(c.isalpha() for c in last[0]) > 5:
        blank[-1] = True
        remarks = (f"the last line {shown(last[0])} of {file.name} was left out",)
    return (cells[~blank].reset_index(drop=True) if blank.any() else cells), remarks


def _read_frame(file: BarFile) -> RawTable:
    try:
        with file.opened() as stream:
            data = pa.BufferReader(stream.read())
        frame = pd.read_parquet(data) if file.suffix in PARQUET else pd.read_feather(data)
    except (*BROKEN, ValueError, pa.ArrowException) as error:
        raise unreadable(file, error) from error
    if frame.columns.nlevels > 1:
        headers = [["", *map(str, frame.columns.get_level_values(n))] for n in range(frame.columns.nlevels)]
        times = frame.index.to_series().reset_index(drop=True)
        cells = pd.concat([times, frame.reset_index(drop=True)], axis=1, ignore_index=True)
        return _named(file, long_table(cells, headers, str(file)), None, ())
    frame, remarks = _with_index_levels(frame, file)
    return _named(file, frame, None, remarks)


def _named(
    file: BarFile, frame: pd.DataFrame, layout: TextLayout | None, remarks: tuple[str, ...]
) -> RawTable:
    frame = _with_partitions(frame, file)
    written = tuple(str(name) for name in frame.columns)
    refuse_repeated(written, file)
    if not len(frame):
        raise DataError(f"{file} is empty; give a file with rows.")
    names = [plain(name) for name in written]
    dialect = by_header(names)
    cells = frame.set_axis(range(len(written)), axis=1).reset_index(drop=True)
    for at in cells.columns:
        if pd.api.types.is_object_dtype(cells[at]) and isinstance(cells[at].iloc[0], datetime.date):
            cells[at] = pd.to_datetime(cells[at])
    roles = roles_of(names, written, dialect, str(file))
    return RawTable(
        cells=cells, written=written, dialect=dialect, roles=roles, layout=layout, remarks=remarks
    )


def _with_partitions(frame: pd.DataFrame, file: BarFile) -> pd.DataFrame:
    """Add what folders called key=value say of the symbol, and of the date where rows hold a time of day only."""
    held = {plain(str(name)) for name in frame.columns}
    for key, value in file.partitions.items():
        name = plain(key)
        if name in SYMBOLS and not held & set(SYMBOLS):
            frame = frame.assign(symbol=value)
        elif name in DATES and not held & {*DATES, "timestamp", "datetime"} and "time" in held:
            frame = frame.assign(**{name: value})
    return frame


def _with_index_levels(table: pd.DataFrame, file: BarFile) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Turn what Parquet holds as an index into columns: times, and levels that have a name."""
    index = table.index
    if isinstance(index, pd.RangeIndex):
        return table, ()
    present = {str(c).strip().lower(): c for c in table.columns}
    for level, name in enumerate(index.names):
        values = pd.Series(index.get_level_values(level), index=table.index)
        is_time = pd.api.types.is_datetime64_any_dtype(values)
        if name is None and not is_time:
            continue  # row numbers of a selection
        target = "timestamp" if is_time and "timestamp" not in present else str(name or "index time")
        if is_time and target.strip().lower() in present:
            target = f"time of the index {target}"
        elif target.strip().lower() in present:
            raise DataError(
                f"{file} has an index and a column named {target!r}; drop one of them, or give it another name."
            )
        table = table.assign(**{target: values})
    return table.reset_index(drop=True), ()
