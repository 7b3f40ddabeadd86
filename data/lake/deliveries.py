"""Storing deliveries: what a vendor sent for a piece becomes one part of ``raw`` for each month that it answers for.

N rows of a delivery.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from data.lake.files import LakeFiles
from data.lake.parts import (
    RawPart,
    chained_digest,
    constant,
    content_digest,
    facts_of,
    moments,
    raw_name,
    to_parquet,
)
from data.lake.series import Series
from data.lake.spans import SECOND, Span, instant, months, overlap
from data.schema import BAR_COLUMNS
from data.vendors.definition import BarRequest, Delivery, MalformedAnswer

AS_DELIVERED = "delivered-1"
"""`transform_id` of rows of ``raw``: nothing was done to them."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What became of a delivery.

    Parameters
    ----------
    written : names of parts that are new. rows : bars in them.
    known : bars of windows that were known already, with the same values.
    to_utc : up to where the piece is answered for now; its start where nothing of it is certain yet.
    """

    written: tuple[str, ...]
    rows: int
    known: int
    to_utc: pd.Timestamp


def checked_rows(piece: BarRequest, delivery: Delivery) -> pd.DataFrame:
    """The rows of a delivery with naive UTC labels and float64 columns, once they are what the protocol says.

    Raises
    ------
    MalformedAnswer
        If labels are out of order, repeated or outside of the piece, or a column is missing or not numeric.
    """
    rows, where = delivery.rows, f"{delivery.source_uri}: {piece.symbol}"
    if not len(rows):
        return pd.DataFrame(columns=list(BAR_COLUMNS), index=pd.DatetimeIndex([]), dtype=np.float64)
    if not isinstance(rows.index, pd.DatetimeIndex):
        raise MalformedAnswer(f"{where}: the rows are indexed by {rows.index.dtype}, not by instants.")
    labels = rows.index if rows.index.tz is None else rows.index.tz_convert("UTC").tz_localize(None)
    labels = labels.as_unit("ns")
    steps = np.diff(labels.to_numpy().astype(np.int64))
    if labels.hasnans or (steps <= 0).any():
        raise MalformedAnswer(f"{where}: the instants of the rows do not ascend.")
    asked = Span.between(piece.start_utc, piece.stop_utc)
    if instant(labels[0]) < asked.start or instant(labels[-1]) >= asked.stop:
        raise MalformedAnswer(
            f"{where}: rows from {labels[0]} to {labels[-1]} came for the window {piece.start_utc} to {piece.stop_utc}."
        )
    missing = [name for name in BAR_COLUMNS if name not in rows.columns]
    if missing or rows.columns.has_duplicates:
        raise MalformedAnswer(
            f"{where}: the rows have the columns {list(rows.columns)}, not each of {BAR_COLUMNS}."
        )
    others = sorted(str(name) for name in rows.columns if name not in BAR_COLUMNS)
    columns = {}
    for name in (*BAR_COLUMNS, *others):
        if not pd.api.types.is_numeric_dtype(rows[name]):
            raise MalformedAnswer(f"{where}: the column {name} is {rows[name].dtype}, not numbers.")
        columns[name] = rows[name].to_numpy(dtype=np.float64, na_value=np.nan)
    return pd.DataFrame(columns, index=labels)


def answered(piece: BarRequest, delivery: Delivery, now_utc: pd.Timestamp, settle_seconds: float) -> Span:
    """The window that a delivery answers for: what may still change, or has not happened yet, is not in it.

    Parameters
    ----------
    now_utc : when it came. settle_seconds : how long after its close a bar may still be changed by the vendor.
    """
    latest = instant(now_utc) - int(settle_seconds * SECOND)
    if delivery.complete_to_utc is None:
        # The vendor does not say: a bar is over when its length is, which is late for a day of an exchange.
        stops = [instant(piece.stop_utc), latest - piece.bar_seconds * SECOND]
    else:
        stops = [instant(piece.stop_utc), latest, instant(delivery.complete_to_utc)]
    return Span(instant(piece.start_utc), min(stops) // SECOND * SECOND)


def store_delivery(
    files: LakeFiles,
    series: Series,
    piece: BarRequest,
    delivery: Delivery,
    known: Sequence[RawPart],
    *,
    now_utc: pd.Timestamp,
    settle_seconds: float,
    calendar: str,
) -> Stored:
    """Put a delivery into ``raw``; a kill at any moment leaves whole parts, and each answers for its window.

    Parameters
    ----------
    known : the parts of the series that are there.
    calendar : that the series trades on, kept with it.

    Raises
    ------
    MalformedAnswer
        If the delivery is not what the protocol says; nothing of it is kept.
    LakeError
        If the storage cannot be written to.
    """
    rows = checked_rows(piece, delivery)
    span = answered(piece, delivery, now_utc, settle_seconds)
    if span.stop <= span.start:
        return Stored(written=(), rows=0, known=0, to_utc=span.start_utc)
    labels = rows.index.to_numpy("datetime64[ns]").astype(np.int64)
    written, new, same = [], 0, 0
    for month, share in months(span):
        low, high = np.searchsorted(labels, [share.start, share.stop])
        part = rows.iloc[low:high]
        before = [p for p in known if p.month == month and overlap(p.span, share)]
        name = _store_month(files, series, month, share, part, delivery, before, now_utc, calendar)
        if name is None:
            same += len(part)
        else:
            written.append(name)
            new += len(part)
    return Stored(written=tuple(written), rows=new, known=same, to_utc=span.stop_utc)


def _store_month(
    files: LakeFiles,
    series: Series,
    month: str,
    span: Span,
    rows: pd.DataFrame,
    delivery: Delivery,
    before: Sequence[RawPart],
    now_utc: pd.Timestamp,
    calendar: str,
) -> str | None:
    """Write one part; None if the newest word on its whole window is this one already."""
    header = {"series": series.folder, "start": span.start, "stop": span.stop}
    content = content_digest(header, rows)
    facts_before = sorted(
        ((facts_of(files, part.name), part) for part in before),
        key=lambda found: (found[0]["ingested_at"], found[1].digest),
    )
    moment, predecessor = instant(now_utc), None
    if facts_before:
        newest, part = facts_before[-1]
        if newest["checksum"] == content:
            return None
        # A clock that runs behind that of an earlier writer must not make this delivery the older one.
        moment, predecessor = max(moment, newest["ingested_at"] + 1), part.digest
    digest = chained_digest(content, predecessor)
    facts = {
        "header": header,
        "checksum": content,
        "predecessor": predecessor,
        "ingested_at": moment,
        "source_uri": delivery.source_uri,
        "transform_id": AS_DELIVERED,
        "calendar": calendar,
    }
    origin = {
        "source_uri": constant(delivery.source_uri, len(rows)),
        "ingested_at": moments(np.full(len(rows), moment)),
        "transform_id": constant(AS_DELIVERED, len(rows)),
    }
    name = raw_name(series.folder, month, span, len(rows), digest)
    return name if files.write_new(name, to_parquet(rows, origin, facts)) else None
