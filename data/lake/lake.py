"""A lake: storing deliveries, knowing what was fetched, curating, and reading bars back."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from data.lake.curation import curate_month, curated_files, curated_key, read_curated, write_month
from data.lake.deliveries import Stored, store_delivery
from data.lake.files import LakeError, LakeFiles
from data.lake.parts import LABEL, ORIGIN_COLUMNS, RawPart, facts_of, to_rows
from data.lake.series import Series
from data.lake.spans import Span, merged, overlap
from data.schema import BAR_COLUMNS

if TYPE_CHECKING:
    from data.vendors.definition import BarRequest, Delivery

READERS = 8
"""Files of a lake that are read side by side."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Bars of a series, and where they come from.

    Parameters
    ----------
    rows : indexed by naive UTC label, ascending and unique; float64 columns.
    spans : what the deliveries that were read answer for; a bar outside of them was never asked for.
    parts : number of deliveries. lineage : SHA-256 (hex) over their digests, which are those of their contents.
    uncurated : months that had to be made from ``raw``, as ``curated`` has no file of just these deliveries.
    """

    rows: pd.DataFrame
    spans: tuple[Span, ...]
    parts: int
    lineage: str
    uncurated: int


class Lake:
    """A lake at a folder or URI; it is made by the first thing that is stored.

    Parameters
    ----------
    place : folder, or a URI as in `data.lake.files`.
    """

    def __init__(self, place: str) -> None:
        self.files = LakeFiles(place)

    def __str__(self) -> str:
        return self.files.shown

    def series(self) -> list[Series]:
        """Every series of which something was stored."""
        levels = ["raw"]
        for _ in ("source", "bar", "adjustment", "symbol"):
            levels = [f"{level}/{name}" for level in levels for name in self.files.folders(level)]
        found = (Series.of_folder(level.removeprefix("raw/")) for level in levels)
        return sorted(series for series in found if series is not None)

    def symbols(self, like: Series) -> list[str]:
        """Symbols of the source, bar length and adjustment of a series."""
        base = f"raw/{like.folder.rsplit('/', 1)[0]}"
        found = (Series.of_folder(f"{base}/{name}".removeprefix("raw/")) for name in self.files.folders(base))
        return sorted(series.symbol for series in found if series is not None)

    def parts(self, series: Series, as_of: int | None = None) -> list[RawPart]:
        """The deliveries of a series, by name.

        Parameters
        ----------
        as_of : only those that were there at this instant, ns; None means all.
        """
        found = [RawPart.of(fact) for fact in self.files.files_below(f"raw/{series.folder}")]
        parts = [part for part in found if part is not None]
        return [p for p in parts if as_of is None or facts_of(self.files, p.name)["ingested_at"] <= as_of]

    def fetched(self, series: Series) -> list[Span]:
        """The watermarks: what was asked for and answered. They are the windows of what is there, and nothing else."""
        return merged(part.span for part in self.parts(series))

    def store(
        self,
        series: Series,
        piece: BarRequest,
        delivery: Delivery,
        *,
        now_utc: pd.Timestamp,
        settle_seconds: float,
        calendar: str,
    ) -> Stored:
        """Put a delivery into ``raw``; see `data.lake.deliveries.store_delivery`."""
        return store_delivery(
            self.files,
            series,
            piece,
            delivery,
            self.parts(series),
            now_utc=now_utc,
            settle_seconds=settle_seconds,
            calendar=calendar,
        )

    def curate(self, series: Series) -> int:
        """Bring ``curated`` up to date with ``raw``, a month at a time; return how many months were made.

        Raises
        ------
        LakeError
            If a part is not what was written, or the storage cannot be written to.
        """
        made = 0
        for month, parts in by_month(self.parts(series)):
            made += write_month(self.files, series, month, parts)
        return made

    def calendar(self, series: Series) -> str:
        """The calendar that was stated when the newest delivery of a series was stored.

        Raises
        ------
        LakeError
            If nothing of the series is there.
        """
        parts = self.parts(series)
        if not parts:
            raise LakeError(f"the lake {self} holds nothing of {series}; ingest it first.")
        return str(facts_of(self.files, parts[-1].name)["calendar"])

    def read(
        self,
        series: Series,
        span: Span | None = None,
        as_of: int | None = None,
        *,
        only_labels: bool = False,
    ) -> Reading:
        """Read the bars of a series; only the months of the window are opened.

        Parameters
        ----------
        span : window of labels; None means all.
        as_of : what was known at this instant, ns; None means now.
        only_labels : leave the columns away; where a month is not curated yet, they may be there.

        Raises
        ------
        LakeError
            If a file is not what was written.
        """
        known = self.parts(series, as_of)
        parts = [part for part in known if span is None or overlap(part.span, span)]
        wanted = {part.month for part in parts}
        curated = curated_files(self.files, series.folder) if parts else {}
        ready, frames = [], []
        for month, of_month in by_month([part for part in known if part.month in wanted]):
            key = curated_key(series, month, of_month)  # of all deliveries of a month, as it was curated
            if key in curated:
                ready.append(curated[key].name)
            else:
                frames.append(curate_month(self.files, of_month).rows)
        if ready:
            try:
                frames.append(read_months(self.files, ready, span, only_labels))
            except LakeError:
                # A delivery came meanwhile, and its month was curated anew under another name.
                if all(self.files.size(name) is not None for name in ready):
                    raise
                return self.read(series, span, as_of, only_labels=only_labels)
        return Reading(
            rows=_joined(frames, span),
            spans=tuple(merged(part.span for part in parts)),
            parts=len(parts),
            lineage=lineage_of(parts),
            uncurated=len(frames) - bool(ready),
        )


def by_month(parts: Sequence[RawPart]) -> list[tuple[str, list[RawPart]]]:
    """Parts by their month, ascending."""
    ordered = sorted(parts, key=lambda part: part.month)
    return [(month, list(group)) for month, group in groupby(ordered, key=lambda part: part.month)]


def lineage_of(parts: Sequence[RawPart]) -> str:
    """One digest (SHA-256, hex) over the digests of deliveries, whatever their order."""
    return hashlib.sha256(" ".join(sorted(part.digest for part in parts)).encode()).hexdigest()


def read_months(
    files: LakeFiles, names: Sequence[str], span: Span | None, only_labels: bool = False
) -> pd.DataFrame:
    """Read curated files as one table, each once its content is what its name says.

    Raises
    ------
    LakeError
        If a file cannot be read, or is not what was written.
    """
    import pyarrow as pa
    import pyarrow.dataset as ds

    with ThreadPoolExecutor(max_workers=min(len(names), READERS)) as readers:  # object storage answers slowly
        contents = list(readers.map(lambda name: read_curated(files, name), names))
    layout = ds.ParquetFileFormat()
    fragments = [layout.make_fragment(pa.BufferReader(content)) for content in contents]
    schema = pa.unify_schemas([fragment.physical_schema for fragment in fragments])
    columns = [name for name in schema.names if name not in ORIGIN_COLUMNS]
    condition = None
    if span is not None:
        label = ds.field(LABEL)
        condition = (label >= pa.scalar(span.start, pa.timestamp("ns", tz="UTC"))) & (
            label < pa.scalar(span.stop, pa.timestamp("ns", tz="UTC"))
        )
    dataset = ds.FileSystemDataset(fragments, schema, layout)
    return to_rows(dataset.to_table(columns=[LABEL] if only_labels else columns, filter=condition))


def _joined(frames: list[pd.DataFrame], span: Span | None) -> pd.DataFrame:
    """Frames of different months as one, ascending and cut to the window."""
    filled = [rows for rows in frames if len(rows)]
    if not filled:
        return pd.DataFrame(
            columns=list(BAR_COLUMNS), index=pd.DatetimeIndex([], name=LABEL), dtype=np.float64
        )
    rows = filled[0] if len(filled) == 1 else pd.concat(filled)
    if not rows.index.is_monotonic_increasing:
        rows = rows.sort_index()
    if span is not None:
        labels = rows.index.to_numpy("datetime64[ns]").astype(np.int64)
        low, high = np.searchsorted(labels, [span.start, span.stop])
        rows = rows.iloc[low:high]
    return rows
