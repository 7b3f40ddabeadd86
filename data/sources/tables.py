"""One file as a table of bars: times, prices, volume, symbols as text, and what it was taken for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from data.array_types import FloatArray
from data.errors import DataError, nearest_name
from data.schema import BAR_COLUMNS, PRICE_COLUMNS
from data.sources.bar_file import BarFile
from data.sources.dialects.definition import plain
from data.sources.dialects.recognition import named
from data.sources.dialects.roles import SYMBOLS
from data.sources.file_times import Written, times_of
from data.sources.numerals import NotNumeric, decimal_mark, numbers
from data.sources.price_units import scaled
from data.sources.raw_tables import RawTable, layout_facts, read_raw, reread_as_text
from data.sources.volumes import volume_of

_UNNAMED = re.compile(r"^(unnamed: \d+(_level_\d+)?|)$")
_COUNTERS = ("index", "level_0", "row", "#", "no", "id")
"""Names of a column that may be nothing but row numbers."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """What a file holds.

    Parameters
    ----------
    rows : `timestamp` as `timestamps.to_utc` reads it; float64 columns open, high, low, close, volume and further ones;
        perhaps `symbol`, text, and `adjusted_close`, float64.
    remarks : sentences on this file: what was left out.
    taken_for : what the file was taken for, in words that many files share; None for the plainest of tables.
    symbol : what the maker's way to name files says that it is of, or None.
    zone, labels : what the dialect says of times without offset, and of labels; None where it says nothing.
    zone_sure : False if others write such files too, in other zones.
    """

    rows: pd.DataFrame
    remarks: tuple[str, ...]
    taken_for: str | None
    symbol: str | None
    zone: str | None
    labels: str | None
    zone_sure: bool = True


def read_table(file: BarFile, written: Written) -> Table:
    """Read a file.

    Raises
    ------
    DataError
        If it cannot be read, its columns are not what they must be, or it may mean more than one thing.
    """
    raw = read_raw(file)
    roles, dialect = raw.roles, raw.dialect
    _require_columns(file, raw)
    values, facts = _numbers(raw, file, written)
    symbols = _symbols(raw, file)
    _require_one_value(raw, file)
    times, time_facts = times_of(raw, symbols, file, written)
    rows: dict[str, pd.Series | FloatArray] = {"timestamp": times.reset_index(drop=True)}
    for role in (*PRICE_COLUMNS, "adjusted_close"):
        if role in roles.of:
            rows[role] = values[roles.of[role]]
    volume = volume_of(roles, raw.written, values, symbols, file)
    if volume.values is not None:
        rows["volume"] = volume.values
    handed, remarks = _further(raw, values, volume.of, file)
    rows |= handed
    facts += scaled(rows, dialect, file)
    table = pd.DataFrame(rows)
    if symbols is not None:
        table["symbol"] = symbols.to_numpy()
        remarks += (*_one_spelling(table, raw, file), *_rolls(table, raw, file))
    facts = [*layout_facts(raw.layout), *time_facts, *facts, *volume.facts, *_left_out(raw)]
    return Table(
        rows=table,
        remarks=(*raw.remarks, *remarks),
        taken_for=_taken_for(raw, facts),
        symbol=(named(file, dialect) or None) if dialect else None,
        zone=(dialect.zone if dialect else None) or ("UTC" if roles.utc else None),
        labels=roles.labels or (dialect.labels if dialect else None),
        zone_sure=dialect is None or dialect.zone_sure,
    )


def symbols_as_written(column: pd.Series, file: BarFile) -> pd.Series:
    """Return symbols as text without spaces around them.

    Raises
    ------
    DataError
        If a row has none, the column holds numbers with a point or truth values, or two differ in case only.
    """
    empty = column.isna() | (column.astype(str).str.strip() == "")
    if empty.any():
        row = int(empty.to_numpy().argmax()) + 1
        raise DataError(f"{file}: row {row} has no symbol; fill it in or drop the row.")
    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_float_dtype(column):
        raise DataError(
            f"{file}: the column symbol holds {column.dtype} values such as {column.iloc[0]}, not text; write the "
            "symbols as text."
        )
    text = column.astype(str).str.strip()
    by_case: dict[str, str] = {}
    for symbol in text.unique():
        other = by_case.setdefault(symbol.casefold(), symbol)
        if other != symbol:
            raise DataError(
                f"{file}: the symbols {other!r} and {symbol!r} differ in case only; write an asset in one way."
            )
    return text


def _symbols(raw: RawTable, file: BarFile) -> pd.Series | None:
    """Return (N,) symbols, of a column, of numbers that stand for instruments, or of the folders; None without."""
    partition = next((value for key, value in file.partitions.items() if plain(key) in SYMBOLS), None)
    if "symbol" in raw.roles.of:
        found = symbols_as_written(raw.cells[raw.roles.of["symbol"]], file)
        if partition is not None and set(found) != {partition}:
            raise DataError(
                f"{file} lies in a folder of {partition!r} but its rows say {found.iloc[0]!r}; correct one of them."
            )
        return found
    if "instrument" in raw.roles.of:
        numbered = raw.cells[raw.roles.of["instrument"]].astype("str").str.strip()
        if numbered.nunique() > 1:
            return numbered
    return pd.Series(partition, index=raw.cells.index) if partition is not None else None


def _require_one_value(raw: RawTable, file: BarFile) -> None:
    for at in raw.roles.one_value:
        held = raw.cells[at].astype("str").unique()
        if len(held) > 1:
            raise DataError(
                f"{file}: its column {raw.written[at]!r} holds {', '.join(held[:4])}: rows of several "
                "kinds, which are no "
                "one series of bars; give a file of one of them."
            )


def _numbers(raw: RawTable, file: BarFile, written: Written) -> tuple[dict[int, FloatArray], list[str]]:
    """Return position -> values (N,) of every column that is a number, decided by all cells of the file together."""
    roles = raw.roles
    wanted = [
        *(
            at
            for role, at in roles.of.items()
            if role not in ("timestamp", "date", "time", "symbol", "instrument")
        ),
        *(at for at in roles.further if not _UNNAMED.match(raw.written[at].lower())),
        *(
            at
            for at in roles.further
            if _UNNAMED.match(raw.written[at].lower()) and not _is_empty(raw.cells[at])
        ),
    ]
    wanted = sorted(set(wanted))
    cells = raw.cells
    text = {at: cells[at] for at in wanted if not pd.api.types.is_numeric_dtype(cells[at])}
    facts: list[str] = []
    if not text and written.decimal is None:
        _refuse_thousands_between_semicolons(raw, file)
    if not text and written.decimal != ",":
        return {at: _floats(cells[at]) for at in wanted}, facts
    mark = written.decimal or _mark(text, cells, wanted, raw, file)
    if mark == "," and raw.layout is not None:
        again = reread_as_text(file, raw.layout, len(raw.written), len(cells))
        text = {at: again[at] for at in wanted}
    values: dict[int, FloatArray] = {}
    for at in wanted:
        if at not in text:
            values[at] = _floats(cells[at])
            continue
        try:
            values[at] = numbers(text[at], mark, raw.written[at])
        except NotNumeric as wrong:
            name = raw.written[at].strip().lower()
            raise DataError(
                f"{file}: column {name!r} is not numeric ({wrong}); correct or remove it."
            ) from wrong
    if mark == ",":
        facts.append("decimal commas")
    elif any(column.astype("str").str.contains(",", regex=False).any() for column in text.values()):
        facts.append("commas between thousands")
    return values, facts


def _refuse_thousands_between_semicolons(raw: RawTable, file: BarFile) -> None:
    """Where semicolons part the fields, 15.234 in every price may be fifteen thousand: refused, as no cell decides."""
    if raw.layout is None or raw.layout.separator != ";" or not raw.layout.headers:
        return
    at = [raw.roles.of[name] for name in PRICE_COLUMNS]
    shown = [row[a] for row in raw.layout.first_rows for a in at if a < len(row)]
    if not all(re.fullmatch(r"[1-9]\d{0,2}\.\d{3}", cell) for cell in shown):
        return
    thousandths = raw.cells[at].to_numpy(dtype=np.float64) * 1000.0
    if np.nanmax(np.abs(thousandths - np.round(thousandths))) < 1e-6 and np.nanmax(thousandths) < 1e6:
        raise DataError(
            f"{file}: every price is written like {shown[0]!r}, which between semicolons may be "
            f"{shown[0].replace('.', '')} (a "
            f"point between thousands) or {shown[0]} (a decimal point); set data.decimal to ',' or '.', "
            "the mark before its "
            "decimals."
        )


def _mark(
    text: dict[int, pd.Series], cells: pd.DataFrame, wanted: Sequence[int], raw: RawTable, file: BarFile
) -> str:
    """Return the decimal mark. Columns that are numbers in plain writing speak for a point if they have decimals."""
    plainly = [cells[at] for at in wanted if at not in text and pd.api.types.is_float_dtype(cells[at])]
    if raw.layout is None:
        return decimal_mark({str(at): column for at, column in text.items()}, str(file))
    if plainly:
        again = reread_as_text(file, raw.layout, len(raw.written), len(cells))
        text = {at: again[at] for at in wanted}
    return decimal_mark({str(at): column for at, column in text.items()}, str(file))


def _floats(column: pd.Series) -> FloatArray:
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def _is_empty(column: pd.Series) -> bool:
    return bool((column.isna() | (column.astype("str") == "")).all())


def _further(
    raw: RawTable, values: dict[int, FloatArray], used: Sequence[int], file: BarFile
) -> tuple[dict[str, FloatArray], tuple[str, ...]]:
    """Return the columns that are handed on; row numbers and empty columns without a name are none."""
    handed: dict[str, FloatArray] = {}
    counted = False
    ticks = raw.roles.of.get("tick_volume")
    if ticks is not None and ticks not in used:
        handed["tick_volume"] = values[ticks]
    for at, name in raw.roles.further.items():
        if at in used:
            continue
        unnamed = _UNNAMED.match(raw.written[at].strip().lower()) is not None
        if unnamed and _is_empty(raw.cells[at]):
            continue
        if (unnamed or name in _COUNTERS) and _counts_rows(raw.cells[at]):
            counted = True
            continue
        if unnamed:
            raise DataError(f"{file}: column {at + 1} has no name; name it in the header, or cut it off.")
        handed[name] = values[at]
    return handed, (f"the column of row numbers in {file.name} was left out",) if counted else ()


def _counts_rows(values: pd.Series) -> bool:
    """True if whole numbers go up, or down, by one in each row, but for places where they begin anew."""
    if not pd.api.types.is_integer_dtype(values):
        return False
    steps = np.diff(values.to_numpy())
    return bool((steps == 1).mean() > 0.9 or (steps == -1).mean() > 0.9) if len(steps) else True


def _require_columns(file: BarFile, raw: RawTable) -> None:
    roles = raw.roles
    held = set(roles.of) | (
        {"volume"} if roles.volumes or {"tick_volume", "up_volume"} & set(roles.of) else set()
    )
    held |= {"timestamp"} if {"date", "milliseconds_of_day"} & held else set()
    missing = [name for name in ("timestamp", *BAR_COLUMNS) if name not in held]
    if not missing:
        return
    columns = [name.strip().lower() for name in raw.written]
    hint = nearest_name(missing[0], [columns[at] for at in roles.further if columns[at]])
    raise DataError(
        f"{file} has no column {missing[0]!r}{hint.replace('did you mean', 'rename')}; it needs timestamp, open, high, "
        f"low, close, volume and has {', '.join(columns)}."
    )


def _one_spelling(table: pd.DataFrame, raw: RawTable, file: BarFile) -> tuple[str, ...]:
    """Say which symbols were written with and without spaces; refuse them where both have a row of one time."""
    if "symbol" not in raw.roles.of:
        return ()
    written = raw.cells[raw.roles.of["symbol"]].astype(str).reset_index(drop=True)
    spaced = (written != table["symbol"]).to_numpy()
    if not spaced.any() or spaced.all():
        return ()
    twice = table.duplicated(["symbol", "timestamp"]).to_numpy() & spaced
    first = int((twice if twice.any() else spaced).argmax())
    found = f"{file.name}: {written.iloc[first]!r} is {table['symbol'].iloc[first]!r} but for spaces"
    if twice.any():
        raise DataError(
            f"{found}, and both have a row at {table['timestamp'].iloc[first]}; keep one row per time, or "
            "give the other asset a name of its own."
        )
    return (f"{found}; {int(spaced.sum()):,} rows were taken for it",)


def _rolls(table: pd.DataFrame, raw: RawTable, file: BarFile) -> tuple[str, ...]:
    """Say where a symbol's rows are of one instrument after another: a continuous series that is not adjusted."""
    if "instrument" not in raw.roles.of or "symbol" not in raw.roles.of:
        return ()
    numbered = raw.cells[raw.roles.of["instrument"]].astype("str").reset_index(drop=True)
    held = numbered.groupby(table["symbol"]).nunique()
    return tuple(
        f"{file.name}: the rows of {symbol} are of {count} instruments one after another; where one "
        "follows another the "
        "price moves without a trade, and nothing is adjusted for it"
        for symbol, count in held[held > 1].items()
    )


def _left_out(raw: RawTable) -> list[str]:
    names = [raw.written[at] for at in raw.roles.left_out]
    facts = [f"{', '.join(names)} left out"] if names else []
    if "adjusted_close" in raw.roles.of:
        name = raw.written[raw.roles.of["adjusted_close"]]
        facts.append(f"{name} kept apart from the prices, as total_return_factor")
    return facts


def _taken_for(raw: RawTable, facts: Sequence[str]) -> str | None:
    """Say in one line what the file was taken for; None for a plain table."""
    renamed = [
        f"{raw.written[at]!r} for {role}"
        if raw.written[at]
        else f"column {at + 1}, which has no name, for {role}"
        for role, at in raw.roles.of.items()
        if role in ("timestamp", "symbol", *BAR_COLUMNS) and raw.written[at].strip().lower() != role
    ]
    if raw.dialect is not None:
        note = [raw.dialect.note] if raw.dialect.note else []
        return "; ".join([raw.dialect.name, *facts, *note])
    told = [f"{', '.join(renamed)}"] if renamed else []
    return "; ".join(["a table", *told, *facts]) if told or facts else None
