"""Curation: from the deliveries of a month to one bar an instant, the newest word of the vendor on each.

A function of the parts of one month and of nothing else: the name of what it writes is a hash of their names and of
`TRANSFORM`. So a curated file is either what these deliveries give, or it is not the one that is looked for; and memory
is bounded by a month of one symbol.

What it decides is counted in the facts of the file (`DEFECTS`) and shown by the inventory. It repairs nothing: bars
that are inconsistent or jump are kept and counted, and alignment reports them (`data.checks.hygiene`).

N rows of a month.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from data.array_types import BoolArray
from data.checks.hygiene import inconsistent_rows, jumping_rows
from data.lake.files import FileFact, LakeError, LakeFiles
from data.lake.parts import RawPart, moments, read_part, to_parquet
from data.lake.series import Series
from data.schema import BAR_COLUMNS, PRICE_COLUMNS

TRANSFORM = "curated-1"
"""What is done to deliveries, and its version: another one makes every curated file anew."""
DEFECTS: Mapping[str, str] = {
    "repeated": "delivered more than once with the same values; kept once",
    "contradicted": "delivered again with other values; the newest is kept",
    "withdrawn": "not in a newer delivery of their window; kept",
    "unpriced": "without one of the four prices; dropped",
    "volume_unknown": "without a volume; kept with volume 0, so that nothing is filled in them",
    "not_positive": "a price of zero or below; kept",
    "inconsistent": "high or low does not bound open and close; kept",
    "zero_volume": "no volume; kept",
    "jumps": "a price beyond 1.5 times of the one it should be near; kept",
}
_NAME = re.compile(r"^(.*/(\d{6})_[0-9a-f]{20})_([0-9a-f]{20})\.parquet$")


@dataclass(frozen=True, kw_only=True)
class CuratedMonth:
    """One bar an instant.

    Parameters
    ----------
    rows : indexed by naive UTC label, ascending and unique; float64 columns.
    part_of_row : (N,) which of the deliveries each row is from. parts : (source_uri, ingested_at in ns) of each.
    defects : how many bars of each kind of `DEFECTS`.
    """

    rows: pd.DataFrame
    part_of_row: np.ndarray
    parts: tuple[tuple[str, int], ...]
    defects: Mapping[str, int]


def curated_key(series: Series, month: str, parts: Sequence[RawPart]) -> str:
    """How the name of what these deliveries of a month become begins: their number, and a digest of their names."""
    digests = " ".join(sorted(part.digest for part in parts))
    digest = hashlib.sha256(f"{TRANSFORM} {series.folder} {month} {digests}".encode()).hexdigest()[:20]
    return f"curated/{series.folder}/month={month}/{len(parts):06d}_{digest}"


def curated_files(files: LakeFiles, folder: str) -> dict[str, FileFact]:
    """Key of `curated_key` -> file, of what is curated below a folder of ``curated``."""
    found = {}
    for fact in files.files_below(f"curated/{folder}"):
        match = _NAME.match(fact.name)
        if match is not None:
            found[match[1]] = fact
    return found


def read_curated(files: LakeFiles, name: str) -> pa.Buffer:
    """The bytes of a curated file, once they are those that its name says.

    Raises
    ------
    LakeError
        If they are not.
    """
    content = files.read(name)
    match = _NAME.match(name)
    if match is None or _digest(content) != match[3]:
        raise LakeError(
            f"{name} of the lake {files.shown} is not what was written there (its checksum differs): remove that file; "
            "it is made again from raw."
        )
    return content


def curate_month(files: LakeFiles, parts: Sequence[RawPart]) -> CuratedMonth:
    """Make one bar an instant of the deliveries of one month.

    Raises
    ------
    LakeError
        If a part is not what was written.
    """
    read = [(part, *read_part(files, part)) for part in parts]
    read.sort(key=lambda found: (found[2]["ingested_at"], found[0].digest))
    origins = tuple((facts["source_uri"], int(facts["ingested_at"])) for _, _, facts in read)
    defects = dict.fromkeys(DEFECTS, 0)
    frames = [rows for _, rows, _ in read]
    part_of_row = np.repeat(np.arange(len(frames)), [len(rows) for rows in frames])
    filled = [rows for rows in frames if len(rows)]
    rows = pd.concat(filled) if len(filled) > 1 else (filled or frames)[0]
    labels = rows.index.to_numpy("datetime64[ns]").astype(np.int64)
    if len(filled) > 1:
        defects["withdrawn"] = _withdrawn(labels, part_of_row, [part for part, _, _ in read])
        order = np.lexsort((part_of_row, labels))
        rows, part_of_row, labels = rows.iloc[order], part_of_row[order], labels[order]
        again = np.concatenate(
            [labels[1:] == labels[:-1], [False]]
        )  # a newer row of the same instant follows
        differs = _differs_from_next(rows)
        defects["contradicted"] = int((again & differs).sum())
        defects["repeated"] = int((again & ~differs).sum())
        rows, part_of_row = rows[~again], part_of_row[~again]
    rows, kept = _priced(rows, defects)
    _count(rows, defects)
    return CuratedMonth(rows=rows, part_of_row=part_of_row[kept], parts=origins, defects=defects)


def write_month(files: LakeFiles, series: Series, month: str, parts: Sequence[RawPart]) -> bool:
    """Curate a month and put it into ``curated``; False if it is there already. Older versions of it are dropped.

    Raises
    ------
    LakeError
        If a part is not what was written, or the storage cannot be written to.
    """
    key, there = (
        curated_key(series, month, parts),
        curated_files(files, f"{series.folder}/month={month}"),
    )
    if key not in there:
        content = _to_parquet(curate_month(files, parts), key, parts)
        files.write_new(f"{key}_{_digest(content)}.parquet", content)
    for other, fact in there.items():
        count = int(other.rsplit("/", 1)[1].partition("_")[0])
        if other != key and count <= len(parts):  # one of more deliveries is of a process that saw them
            files.delete(fact.name)
    return key not in there


def _to_parquet(made: CuratedMonth, key: str, parts: Sequence[RawPart]) -> pa.Buffer:
    count = len(made.rows)
    transform = f"{TRANSFORM}:{key.rsplit('_', 1)[1]}"
    ingested = np.array([moment for _, moment in made.parts], np.int64)
    origin = {
        "source_uri": pa.DictionaryArray.from_arrays(
            pa.array(made.part_of_row.astype(np.int32)), pa.array([uri for uri, _ in made.parts], pa.string())
        ),
        "ingested_at": moments(ingested[made.part_of_row]),
        "transform_id": pa.DictionaryArray.from_arrays(
            pa.array(np.zeros(count, np.int32)), pa.array([transform], pa.string())
        ),
    }
    labels = made.rows.index.to_numpy("datetime64[ns]").astype(np.int64)
    facts = {
        "transform_id": transform,
        "inputs": sorted(part.digest for part in parts),
        "rows_in": sum(part.rows for part in parts),
        "rows": count,
        "first": int(labels[0]) if count else None,
        "last": int(labels[-1]) if count else None,
        "defects": dict(made.defects),
    }
    return to_parquet(made.rows, origin, facts)


def _digest(content: pa.Buffer) -> str:
    return hashlib.sha256(content).hexdigest()[:20]


def _withdrawn(labels: np.ndarray, part_of_row: np.ndarray, parts: Sequence[RawPart]) -> int:
    """Count instants of older deliveries that a newer one answers for without having them."""
    count = 0
    for newer in range(1, len(parts)):
        span = parts[newer].span
        told = (labels >= span.start) & (labels < span.stop)
        before = np.unique(labels[told & (part_of_row < newer)])
        count += int((~np.isin(before, labels[told & (part_of_row == newer)])).sum())
    return count


def _differs_from_next(rows: pd.DataFrame) -> BoolArray:
    """(N,) whether a row has another value than the next one in a column that both have."""
    values = rows.to_numpy(np.float64)
    with np.errstate(invalid="ignore"):
        differs = (values[:-1] != values[1:]) & ~(np.isnan(values[:-1]) | np.isnan(values[1:]))
    # A bar's own columns are always delivered: one that is unknown in one delivery only differs.
    own = [rows.columns.get_loc(name) for name in BAR_COLUMNS]
    unknown = np.isnan(values[:, own])
    found: BoolArray = np.concatenate(
        [differs.any(axis=1) | (unknown[:-1] != unknown[1:]).any(axis=1), [False]]
    )
    return found


def _priced(rows: pd.DataFrame, defects: dict[str, int]) -> tuple[pd.DataFrame, BoolArray]:
    """Drop rows that are no bars, and give those without a volume none."""
    prices = rows[list(PRICE_COLUMNS)].to_numpy(np.float64)
    priced: BoolArray = np.isfinite(prices).all(axis=1)
    defects["unpriced"] = int((~priced).sum())
    rows = rows if priced.all() else rows[priced]
    silent = np.isnan(rows["volume"].to_numpy(np.float64))
    defects["volume_unknown"] = int(silent.sum())
    if silent.any():
        rows = rows.assign(volume=rows["volume"].fillna(0.0))
    return rows, priced


def _count(rows: pd.DataFrame, defects: dict[str, int]) -> None:
    if not len(rows):
        return
    prices = rows[list(PRICE_COLUMNS)].to_numpy(np.float64)
    positive = (prices > 0.0).all(axis=1)
    defects["not_positive"] = int((~positive).sum())
    defects["inconsistent"] = int(inconsistent_rows(rows).sum())
    defects["zero_volume"] = int((rows["volume"].to_numpy() == 0.0).sum())
    sound = rows if positive.all() else rows[positive]
    defects["jumps"] = int(jumping_rows(sound).sum()) if len(sound) else 0
