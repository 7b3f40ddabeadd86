"""Writes one file: under a temporary name first, then renamed into place, so that a half-written one is never seen.

An undefined number is null in JSON and an empty cell in CSV. Times are bar labels in UTC.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from data.plain_values import plain


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that replaces it when the block ends well and vanishes when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write strict JSON (no NaN, no infinity), indented."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(plain(content), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _arrow(table: pd.DataFrame) -> pa.Table:
    columns = {}
    for name in table.columns:
        column = pa.Array.from_pandas(table[name])
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("ns"), safe=False).cast(pa.timestamp("ns", tz="UTC"))
        columns[name] = column
    return pa.table(columns)


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a CSV with ISO times to the second (all bars start on one) and empty cells for undefined numbers."""
    data = _arrow(table)
    for index, field in enumerate(data.schema):
        if pa.types.is_timestamp(field.type):
            data = data.set_column(index, field.name, data.column(index).cast(pa.timestamp("s", tz="UTC")))
        elif pa.types.is_floating(field.type):
            values = data.column(index)
            finite = pa.compute.is_finite(values)
            data = data.set_column(index, field.name, pa.compute.if_else(finite, values, None))
        elif pa.types.is_dictionary(field.type):
            data = data.set_column(index, field.name, data.column(index).cast(pa.string()))
    with replacing(path) as temporary:
        options = pyarrow.csv.WriteOptions(quoting_style="needed")
        pyarrow.csv.write_csv(data, temporary, options)


def write_parquet(path: Path, table: pd.DataFrame) -> None:
    """Write Parquet (zstd), times as UTC nanoseconds."""
    with replacing(path) as temporary:
        pyarrow.parquet.write_table(_arrow(table), temporary, compression="zstd")
