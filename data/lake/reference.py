"""Reference tables of a lake: what was listed, what it cost, what was split, as a vendor said of a date."""

from __future__ import annotations

import hashlib
from datetime import date

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
    content = table.to_csv(index=False)
    digest = hashlib.sha256(content.encode()).hexdigest()
    facts = {"source": source, "kind": kind, "as_of": as_of.isoformat(), "checksum": digest}
    facts["ingested_at"] = instant(pd.Timestamp.now("UTC"))  # type: ignore[assignment]
    made = pa.Table.from_pandas(table, preserve_index=False)
    made = made.replace_schema_metadata({**(made.schema.metadata or {}), FACTS: sealed(facts)})
    sink = pa.BufferOutputStream()
    pq.write_table(made, sink, compression="zstd", write_page_checksum=True)
    name = f"{_folder(source, kind, as_of)}/{digest[:20]}.parquet"
    files.write_new(name, sink.getvalue())
    return name


def read_reference(files: LakeFiles, source: str, kind: str, as_of: date) -> pd.DataFrame | None:
    """The table of this date, the newest where a vendor was asked twice; None where it was never asked.

    Raises
    ------
    LakeError
        If a file is not what was written.
    """
    found = []
    for fact in files.files_below(_folder(source, kind, as_of)):
        try:
            table = pq.read_table(pa.BufferReader(files.read(fact.name)), page_checksum_verification=True)
            facts = unsealed((table.schema.metadata or {})[FACTS])
            frame = table.to_pandas()
            digest = hashlib.sha256(frame.to_csv(index=False).encode()).hexdigest()
        except (pa.ArrowException, KeyError, ValueError, OSError) as error:
            raise damaged(files, fact.name) from error
        if digest != facts["checksum"]:
            raise damaged(files, fact.name)
        found.append((facts["ingested_at"], frame))
    return max(found, key=lambda kept: kept[0])[1] if found else None


def _folder(source: str, kind: str, as_of: date) -> str:
    return f"reference/source={source}/kind={kind}/as_of={as_of.isoformat()}"
