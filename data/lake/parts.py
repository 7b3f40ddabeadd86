"""Parts of a series: what a file's name says of it, and the bars and facts that it holds.

A part of ``raw`` answers for a window of one month: all bars that the vendor had of it when it was asked, which may be
none. Its name is START_STOP_ROWS_HASH, the hash of its content and of the part that it followed, so that one delivery
that is stored twice is one file.

N rows of a part.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from data.lake.files import FileFact, LakeError, LakeFiles
from data.lake.spans import SECOND, Span, instant

LABEL = "timestamp_utc"
ORIGIN_COLUMNS = ("source_uri", "ingested_at", "transform_id")
"""Columns of every file that say where a row comes from."""
FACTS = b"rayfold"
"""Key of a file's metadata under which its facts stand, as JSON."""
_NAME = re.compile(r"month=(\d{4}-\d\d)/(\d{8}T\d{6})Z_(\d{8}T\d{6})Z_(\d+)_([0-9a-f]{20})\.parquet$")


@dataclass(frozen=True, kw_only=True)
class RawPart:
    """What the name of a part of ``raw`` says.

    Parameters
    ----------
    name : relative to the lake. size : bytes.
    month : such as 2024-01. span : the window that it answers for. rows : number of its bars.
    digest : of its content and its predecessor's.
    """

    name: str
    size: int
    month: str
    span: Span
    rows: int
    digest: str

    @classmethod
    def of(cls, fact: FileFact) -> RawPart | None:
        """The part of this name; None where the file is none."""
        match = _NAME.search(fact.name)
        if match is None:
            return None
        month, start, stop, rows, digest = match.groups()
        return cls(
            name=fact.name,
            size=fact.size,
            month=month,
            span=Span(instant(pd.Timestamp(start)), instant(pd.Timestamp(stop))),
            rows=int(rows),
            digest=digest,
        )


def raw_name(folder: str, month: str, span: Span, rows: int, digest: str) -> str:
    """The name of a part of ``raw`` below the lake."""
    if span.start % SECOND or span.stop % SECOND:
        raise ValueError(f"the window {span.start_utc} to {span.stop_utc} does not lie on whole seconds")
    start, stop = (f"{moment:%Y%m%dT%H%M%S}Z" for moment in (span.start_utc, span.stop_utc))
    return f"raw/{folder}/month={month}/{start}_{stop}_{rows}_{digest}.parquet"


def content_digest(header: Mapping[str, Any], rows: pd.DataFrame) -> str:
    """SHA-256 (hex) of what was delivered: a header, the labels, and each column by its name."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    digest.update(rows.index.to_numpy("datetime64[ns]").astype(np.int64).tobytes())
    for name in rows.columns:
        values = rows[name].to_numpy(np.float64)
        digest.update(str(name).encode())
        # One bit pattern for every NaN.
        digest.update(np.where(np.isnan(values), np.nan, values).tobytes())
    return digest.hexdigest()


def chained_digest(content: str, predecessor: str | None) -> str:
    """The hash of a part's name: of its content after what was known before; a return to an older state is news."""
    return hashlib.sha256(f"{content} after {predecessor or 'nothing'}".encode()).hexdigest()[:20]


def to_parquet(rows: pd.DataFrame, origin: Mapping[str, pa.Array], facts: Mapping[str, Any]) -> Any:
    """Return the bytes of a file.

    Parameters
    ----------
    rows : indexed by naive UTC label; float64 columns.
    origin : one array (N,) for each of `ORIGIN_COLUMNS`.
    facts : put into the file's metadata.
    """
    columns = {LABEL: pa.array(rows.index.to_numpy("datetime64[ns]"), pa.timestamp("ns", tz="UTC"))}
    for name in rows.columns:
        values = rows[name].to_numpy(np.float64)
        columns[str(name)] = pa.array(values, pa.float64())
    columns.update({name: origin[name] for name in ORIGIN_COLUMNS})
    table = pa.table(columns).replace_schema_metadata({FACTS: sealed(facts)})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return sink.getvalue()


def constant(value: str, count: int) -> pa.Array:
    """(N,) one text, stored once."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([value], pa.string()))


def moments(values_ns: Sequence[int] | np.ndarray) -> pa.Array:
    """(N,) instants, UTC."""
    return pa.array(np.asarray(values_ns, np.int64), pa.timestamp("ns", tz="UTC"))


def sealed(facts: Mapping[str, Any]) -> bytes:
    """Facts as they are written, after a digest of them, as they are no part of the content that is compared."""
    text = json.dumps(dict(facts))
    return f"{hashlib.sha256(text.encode()).hexdigest()[:20]} {text}".encode()


def unsealed(written: bytes) -> dict[str, Any]:
    """Facts as they were before `sealed`.

    Raises
    ------
    ValueError
        If they are not what was written.
    """
    digest, _, text = written.decode().partition(" ")
    if digest != hashlib.sha256(text.encode()).hexdigest()[:20]:
        raise ValueError("the facts of the file are not what was written")
    facts: dict[str, Any] = json.loads(text)
    return facts


def facts_of(files: LakeFiles, name: str) -> dict[str, Any]:
    """The facts that a file was written with; reads its end only.

    Raises
    ------
    LakeError
        If it is no file of a lake.
    """
    try:
        with files.open(name) as source:
            metadata = pq.read_metadata(source).metadata or {}
            facts = unsealed(metadata[FACTS])
    except (pa.ArrowException, KeyError, ValueError, OSError) as error:
        raise damaged(files, name) from error
    return facts


def read_part(files: LakeFiles, part: RawPart) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read a part of ``raw`` as it was delivered, and its facts.

    Returns
    -------
    Rows indexed by naive UTC label with the columns of the delivery, and the facts, `ingested_at` and `source_uri`
    among them.

    Raises
    ------
    LakeError
        If the content is not what was written.
    """
    try:
        # The pages' own checksums cover where rows come from as well, which the digest does not.
        table = pq.read_table(pa.BufferReader(files.read(part.name)), page_checksum_verification=True)
        facts = unsealed((table.schema.metadata or {})[FACTS])
        rows = to_rows(table)
        content = content_digest(facts["header"], rows)
    except (pa.ArrowException, KeyError, ValueError, OSError) as error:
        raise damaged(files, part.name) from error
    if content != facts["checksum"] or chained_digest(content, facts["predecessor"]) != part.digest:
        raise damaged(files, part.name)
    return rows, facts


def to_rows(table: pa.Table) -> pd.DataFrame:
    """Bars as the sources take them: naive UTC labels and float64 columns; where rows come from is left aside."""
    names = [name for name in table.column_names if name not in (LABEL, *ORIGIN_COLUMNS)]
    labels = table.column(LABEL).cast(pa.timestamp("ns")).to_numpy()
    columns = {name: table.column(name).to_numpy() for name in names}
    return pd.DataFrame(columns, index=pd.DatetimeIndex(labels, name=LABEL), dtype=np.float64)


def damaged(files: LakeFiles, name: str) -> LakeError:
    """The error of a file that is not what was written under its name."""
    return LakeError(
        f"{name} of the lake {files.shown} is not what was written there (its checksum differs, or it cannot be read): "
        "remove that file, and ingest its window again."
    )
