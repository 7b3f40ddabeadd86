"""Reference tables of a lake: what was listed, what it cost, what was split, as a vendor said of a date."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from data.lake.files import LakeFiles
from data.lake.parts import FACTS, damaged, sealed, unsealed
from data.lake.spans import instant


def write_reference(files: LakeFiles, source: str, kind: str, as_of: date, table: pd.DataFrame) -> str:
    """Keep a table; one that is there already stays.

    Parameters
    ----------
    kind : such as universe, listings, splits. as_of : the date that the vendor was asked about.

    Returns
    -------
    The name of the file.

    Raises
    ------
    LakeError
        If the storage cannot be written to.
    """
    facts = {"source": source, "kind": kind, "as_of": as_of.isoformat()}
    return write_table(files, _folder(source, kind, as_of), "", table, facts)


def read_reference(files: LakeFiles, source: str, kind: str, as_of: date) -> pd.DataFrame | None:
    """The table of this date, the newest where a vendor was asked twice; None where it was never asked.

    Raises
    ------
    LakeError
        If a file is not what was written.
    """
    found = [read_table(files, fact.name) for fact in files.files_below(_folder(source, kind, as_of))]
    return max(found, key=lambda kept: kept[0]["ingested_at"])[1] if found else None


def newest_reference(files: LakeFiles, source: str, kind: str) -> tuple[date, pd.DataFrame] | None:
    """The table of the latest date that a vendor was asked about, and that date; None where it was never asked.

    Raises
    ------
    LakeError
        If a file is not what was written.
    """
    begin = f"reference/source={source}/kind={kind}"
    dates = [name.removeprefix("as_of=") for name in files.folders(begin) if name.startswith("as_of=")]
    for told in sorted(dates, reverse=True):
        as_of = date.fromisoformat(told)
        table = read_reference(files, source, kind, as_of)
        if table is not None:  # the writer may have been killed before there was a file
            return as_of, table
    return None


def write_table(
    files: LakeFiles, folder: str, begin: str, table: pd.DataFrame, facts: Mapping[str, Any]
) -> str:
    """Put a table into a folder under a name that is `begin` and a digest of it; return the name.

    The digest is over the table and not over `facts`, so that the same answer is one file. A file that is there stays.
    """
    digest = _digest(table)
    sealed_facts = {**facts, "checksum": digest, "ingested_at": instant(pd.Timestamp.now("UTC"))}
    made = pa.Table.from_pandas(table, preserve_index=False)
    made = made.replace_schema_metadata({**(made.schema.metadata or {}), FACTS: sealed(sealed_facts)})
    sink = pa.BufferOutputStream()
    pq.write_table(made, sink, compression="zstd", write_page_checksum=True)
    name = f"{folder}/{begin}{digest[:20]}.parquet"
    files.write_new(name, sink.getvalue())
    return name


def read_table(files: LakeFiles, name: str) -> tuple[Mapping[str, Any], pd.DataFrame]:
    """The facts and the table of a file.

    Raises
    ------
    LakeError
        If it is not what was written.
    """
    try:
        table = pq.read_table(pa.BufferReader(files.read(name)), page_checksum_verification=True)
        facts = unsealed((table.schema.metadata or {})[FACTS])
        frame = table.to_pandas()
        digest = _digest(frame)
    except (pa.ArrowException, KeyError, ValueError, OSError) as error:
        raise damaged(files, name) from error
    if digest != facts["checksum"] or not name.endswith(f"{digest[:20]}.parquet"):
        raise damaged(files, name)
    return facts, frame


def _digest(table: pd.DataFrame) -> str:
    return hashlib.sha256(table.to_csv(index=False).encode()).hexdigest()


def _folder(source: str, kind: str, as_of: date) -> str:
    return f"reference/source={source}/kind={kind}/as_of={as_of.isoformat()}"
