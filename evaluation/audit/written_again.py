"""A file of a run directory beside the same file written again: which entries are not what they must be.

Nothing here knows a column or a key by name, so whatever is written is compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.artefacts.reproduction import agree, entries
from evaluation.audit.findings import Check, Section

RELATIVE = 1e-6
"""Of a number; another processor may sum in another order."""
OF_COLUMN = 1e-9
"""Of the largest number of a column, for what is a rounding error beside it."""
SHOWN = 3
"""Entries that a finding names."""
ROW_NAMES = ("fold", "bar_utc", "date", "decided_utc", "filled_utc", "symbol", "trade_id", "iteration")
"""Columns that tell a reader which row is meant."""


class Mismatch(NamedTuple):
    """An entry that differs; ``shape`` says that a row, column or key is there on one side only."""

    entry: str
    found: str
    shape: bool = False


def check_written_again(
    recorded: Path, again: Path, section: Section, *, same_release: bool, but: str = ""
) -> list[Check]:
    """A check per file that was written again.

    Parameters
    ----------
    recorded : the run directory. again : a directory with the files as they are written from what was derived again.
    same_release : the run was made by this very code. If not, columns and keys that one side lacks, and the words of
        pages, are only worth a look.
    but : what of the files was not derived, for the sentence of a check that passes.
    """
    checks = []
    for path in sorted(path for path in again.rglob("*") if path.is_file()):
        name = path.relative_to(again).as_posix()
        checks.append(_check(name, recorded / name, path, section, same_release, but))
    return checks


def _check(name: str, recorded: Path, again: Path, section: Section, same_release: bool, but: str) -> Check:
    if not recorded.is_file():
        told = section.fails if same_release else section.warns
        return told(name, f"{name} is missing; the run's policies, bars and ledger give one")
    try:
        found = list(mismatches(recorded, again))
    except ValueError as error:
        return section.fails(name, f"{name} cannot be read: {' '.join(str(error).split())}")
    if not found:
        return section.passes(
            name,
            f"every entry follows from policies, bars, configuration and ledger{f', but {but}' if but else ''}",
        )
    detail = f"{name}: " + "; ".join(f"{m.entry}: {m.found}" for m in found[:SHOWN])
    if len(found) > SHOWN:
        detail += f"; and {len(found) - SHOWN} more: {', '.join(m.entry for m in found[SHOWN : SHOWN + 12])}"
    if not same_release:
        detail += " (the run was made by another release)"
    old = not same_release and all(m.shape for m in found)
    return section.warns(name, detail) if old else section.fails(name, detail)


def mismatches(recorded: Path, again: Path) -> Iterator[Mismatch]:
    """What differs between two files of the same kind, by entry.

    Raises
    ------
    ValueError
        If the recorded file cannot be read.
    """
    if recorded.read_bytes() == again.read_bytes():
        return
    if again.suffix == ".json":
        yield from _of_json(json.loads(recorded.read_text()), json.loads(again.read_text()))
    elif again.suffix in (".csv", ".parquet"):
        yield from _of_table(_table(recorded), _table(again))
    else:
        yield from _of_text(recorded.read_text(errors="replace"), again.read_text(errors="replace"))


def _of_json(recorded: Any, again: Any) -> Iterator[Mismatch]:
    old, new = entries(recorded), entries(again)
    for name in dict.fromkeys([*new, *old]):
        if name not in new:
            yield Mismatch(name, f"{_short(old[name])} is recorded, nothing gives such an entry", True)
        elif name not in old:
            yield Mismatch(name, f"is missing, {_short(new[name])} derived", True)
        elif not agree(old[name], new[name], RELATIVE):
            yield Mismatch(name, f"{_short(old[name])} is recorded, {_short(new[name])} derived")


def _of_table(recorded: pd.DataFrame, again: pd.DataFrame) -> Iterator[Mismatch]:
    for name in again.columns.difference(recorded.columns, sort=False):
        yield Mismatch(f"column {name}", "is missing", True)
    for name in recorded.columns.difference(again.columns, sort=False):
        yield Mismatch(f"column {name}", "is recorded, nothing gives it", True)
    if len(recorded) != len(again):
        yield Mismatch("rows", f"{len(recorded):,} are recorded, {len(again):,} derived")
    rows = min(len(recorded), len(again))
    for name in again.columns.intersection(recorded.columns, sort=False):
        old, new = recorded[name].iloc[:rows], again[name].iloc[:rows]
        wrong = np.flatnonzero(_differ(old, new))
        if len(wrong):
            row = int(wrong[0])
            more = f" ({len(wrong):,} of {rows:,} rows differ)" if len(wrong) > 1 else ""
            yield Mismatch(
                f"column {name}, row {row}{_row_name(again, row)}",
                f"{_short(old.iloc[row])} is recorded, {_short(new.iloc[row])} derived{more}",
            )


def _differ(old: pd.Series, new: pd.Series) -> NDArray[np.bool_]:
    """(R,) where two columns differ; undefined on both sides is the same."""
    if pd.api.types.is_numeric_dtype(new):
        numbers = pd.to_numeric(old.astype(object), errors="coerce")
        a, b = numbers.to_numpy(dtype=np.float64), new.to_numpy(dtype=np.float64)
        if pd.api.types.is_integer_dtype(new):
            return np.asarray((old.to_numpy() != new.to_numpy()) if old.dtype == new.dtype else a != b)
        size = np.abs(b)
        allowed = RELATIVE * np.maximum(np.abs(a), size) + OF_COLUMN * np.nanmax(size, initial=0.0)
        with np.errstate(invalid="ignore"):
            same = (np.abs(a - b) <= allowed) | (old.isna().to_numpy() & np.isnan(b))
        return np.asarray(~same)
    if old.dtype == new.dtype and pd.api.types.is_datetime64_any_dtype(new):
        return np.asarray(old.to_numpy() != new.to_numpy())
    a, b = (column.astype(object).where(column.notna(), None).to_numpy() for column in (old, new))
    wrong = np.asarray(a != b, dtype=bool)
    wrong[wrong] = [str(x) != str(y) for x, y in zip(a[wrong], b[wrong])]
    return wrong


def _of_text(recorded: str, again: str) -> Iterator[Mismatch]:
    old, new = recorded.splitlines(), again.splitlines()
    if len(old) != len(new):
        yield Mismatch("lines", f"{len(old):,} are recorded, {len(new):,} derived", True)
    for number, (a, b) in enumerate(zip(old, new), start=1):
        if a != b:
            start = next((k for k, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
            part = slice(max(start - 20, 0), start + 40)
            yield Mismatch(
                f"line {number}", f"{a[part].strip()!r} is recorded, {b[part].strip()!r} derived", True
            )
            return


def _table(path: Path) -> pd.DataFrame:
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path, keep_default_na=False, na_values=[""])
    except pd.errors.EmptyDataError:
        return pd.DataFrame()
    except Exception as error:  # pyarrow raises many kinds of its own
        raise ValueError(error) from error


def _row_name(table: pd.DataFrame, row: int) -> str:
    """What a reader knows a row by, such as ``fold 1, bar_utc 2024-05-01 10:30``."""
    facts = [f"{name} {table[name].iloc[row]}" for name in ROW_NAMES if name in table.columns]
    return f" ({', '.join(facts)})" if facts else ""


def _short(value: Any) -> str:
    if isinstance(value, float) and not np.isnan(value):
        return f"{value:.10g}"
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "nothing"
    if isinstance(value, Mapping):
        return "{}"
    text = str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
