"""From the values that a vendor sent to the rows of a delivery: types, instants, order and window are checked exactly.

Prices stay as they were sent, whatever they are worth: what is doubtful about a bar is found later, in the lake and by
`data.checks`. What is no bar at all (text where a number is documented, an instant in the wrong unit, two different
bars of one instant, bars of another length than was asked for) is a `MalformedAnswer`: nothing of the answer is kept.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from data.array_types import FloatArray
from data.calendars import DAY_SECONDS
from data.schema import BAR_COLUMNS
from data.vendors.definition import BarRequest, Delivery, MalformedAnswer
from data.vendors.failures import quote

log = logging.getLogger(__name__)

Unit = Literal["s", "ms", "ns", "text"]
_PER_SECOND = {"s": 1, "ms": 1_000, "ns": 1_000_000_000}
_EARLIEST, _LATEST = pd.Timestamp("1900-01-01", tz="UTC"), pd.Timestamp("2200-01-01", tz="UTC")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_LONGEST_EVENLY_SPACED = 3600
"""Longer bars than an hour are counted from a local midnight by some vendors, and DST makes one of them shorter."""


def numbers(
    values: Sequence[Any], name: str, vendor: str, *, text: bool = False, gaps: bool = False
) -> FloatArray:
    """Numbers (N,) float64 from what JSON or a client gave.

    Parameters
    ----------
    text : the vendor documents numbers written as text.
    gaps : null is documented, and becomes NaN.

    Raises
    ------
    MalformedAnswer
        If a value is of another type, no number, or not finite.
    """
    for kind in {type(value) for value in values}:
        if issubclass(kind, (int, float, np.number)) and kind is not bool:
            continue
        if (kind is str and text) or (kind is type(None) and gaps):
            continue
        wrong = next(value for value in values if type(value) is kind)
        raise MalformedAnswer(
            f"{vendor} sent {name}={quote(repr(wrong))} of type {kind.__name__} where it documents a number"
        )
    if text:
        for value in values:
            if isinstance(value, str) and not _NUMBER.fullmatch(value):
                raise MalformedAnswer(f"{vendor} sent {name}={quote(repr(value))}, which is no number")
    found = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    known = np.array([value is not None for value in values], dtype=bool)
    if not np.isfinite(found[known]).all():
        raise MalformedAnswer(f"{vendor} sent a {name} that is not finite")
    return found


def instants(values: Sequence[Any], unit: Unit, vendor: str) -> pd.DatetimeIndex:
    """Instants (N,), UTC, from counts since 1970 or ISO 8601 text with a zone.

    Raises
    ------
    MalformedAnswer
        If a value is of another type, or lies outside of 1900 to 2200: then the unit is another one.
    """
    if unit == "text":
        return _parsed(values, vendor)
    for value in values:
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if not whole and not (isinstance(value, float) and value.is_integer()):
            raise MalformedAnswer(
                f"{vendor} sent the time {quote(repr(value))}, where it documents whole {unit}"
            )
    counts = np.array([int(value) for value in values], dtype=object)
    low, high = (int(edge.timestamp()) * _PER_SECOND[unit] for edge in (_EARLIEST, _LATEST))
    if len(counts) and (counts.min() < low or counts.max() > high):
        raise MalformedAnswer(f"{vendor} sent the time {counts.max()}, which is no date if it counts {unit}")
    return (
        pd.DatetimeIndex(counts.astype(np.int64).astype(f"datetime64[{unit}]"))
        .as_unit("ns")
        .tz_localize("UTC")
    )


def _parsed(values: Sequence[Any], vendor: str) -> pd.DatetimeIndex:
    if any(not isinstance(value, str) for value in values):
        wrong = next(value for value in values if not isinstance(value, str))
        raise MalformedAnswer(f"{vendor} sent the time {quote(repr(wrong))}, where it documents text")
    try:
        parsed = pd.DatetimeIndex(pd.to_datetime(list(values), utc=True, format="ISO8601")).as_unit("ns")
    except (ValueError, OverflowError) as error:
        raise MalformedAnswer(f"{vendor} sent a time that is no date: {quote(str(error))}") from None
    if len(parsed) and (parsed.isna().any() or parsed.min() < _EARLIEST or parsed.max() > _LATEST):
        raise MalformedAnswer(f"{vendor} sent a time that is no date: {parsed.max()}")
    return parsed


def delivery(
    piece: BarRequest,
    labels: pd.DatetimeIndex,
    columns: Mapping[str, FloatArray],
    *,
    vendor: str,
    source_uri: str,
    calls: int,
    over_by: pd.Timestamp,
) -> Delivery:
    """Rows of a piece in order, inside its window, and over.

    Parameters
    ----------
    labels : (N,) opening instants as sent, in any order.
    columns : name -> (N,); open, high, low, close and volume are among them.
    over_by : opening of the first bar that may still change (`data.vendors.clock.over_by`).

    Raises
    ------
    MalformedAnswer
        If two rows of one instant differ, bars are not of the length that was asked for, a volume is negative, or no
        row of many lies anywhere near the window.
    """
    names = [*BAR_COLUMNS, *(name for name in columns if name not in BAR_COLUMNS)]
    rows = pd.DataFrame(
        {name: columns[name] for name in names}, index=labels.as_unit("ns").rename("timestamp_utc")
    )
    _require_near(rows, vendor, piece)
    stop = min(piece.stop_utc, over_by)
    # Cut before it is compared: some vendors send the day that runs twice, at its opening and as of now.
    rows = _in_order(rows[(rows.index >= piece.start_utc) & (rows.index < stop)], vendor, piece)
    _require_length(rows, vendor, piece)
    if (rows["volume"] < 0).any():
        raise MalformedAnswer(f"{vendor} sent a negative volume of {piece.symbol}")
    complete_to = max(over_by, piece.start_utc) if over_by < piece.stop_utc else None
    return Delivery(rows=rows, source_uri=source_uri, calls=calls, complete_to_utc=complete_to)


def nothing_yet(piece: BarRequest, source_uri: str) -> Delivery:
    """The delivery of a piece whose first bar is not over: nobody has to be asked."""
    empty = pd.DatetimeIndex([], tz="UTC", dtype="datetime64[ns, UTC]", name="timestamp_utc")
    rows = pd.DataFrame({name: np.empty(0) for name in BAR_COLUMNS}, index=empty)
    return Delivery(rows=rows, source_uri=source_uri, calls=0, complete_to_utc=piece.start_utc)


def _in_order(rows: pd.DataFrame, vendor: str, piece: BarRequest) -> pd.DataFrame:
    """Sorted; a row that was sent twice (at the edge of two pages) counts once."""
    if rows.index.is_monotonic_increasing and rows.index.is_unique:
        return rows
    rows = rows.sort_index(kind="stable")
    once = rows[~rows.reset_index().duplicated().to_numpy()]
    if not once.index.is_unique:
        twice = once.index[once.index.duplicated()][0]
        raise MalformedAnswer(f"{vendor} sent two different bars of {piece.symbol} for {twice}")
    return once


def _require_near(rows: pd.DataFrame, vendor: str, piece: BarRequest) -> None:
    margin = pd.Timedelta(seconds=DAY_SECONDS + piece.bar_seconds)
    outside = (rows.index < piece.start_utc - margin) | (rows.index >= piece.stop_utc + margin)
    if not outside.any():
        return
    span = f"{vendor} sent bars of {piece.symbol} from {rows.index.min()} to {rows.index.max()}"
    if outside.all():
        raise MalformedAnswer(f"{span}, asked for {piece.start_utc} to {piece.stop_utc}")
    log.warning(
        "%s, asked for %s to %s; %d rows outside are left out",
        span,
        piece.start_utc,
        piece.stop_utc,
        outside.sum(),
    )


def _require_length(rows: pd.DataFrame, vendor: str, piece: BarRequest) -> None:
    """Raise if the labels show that bars are not of the length that was asked for."""
    if piece.bar_seconds >= DAY_SECONDS or not len(rows):
        return
    at = rows.index.asi8 // 1_000_000_000
    odd = rows.index.asi8 % 60_000_000_000 != 0
    if odd.any():
        raise MalformedAnswer(
            f"{vendor} sent a bar of {piece.symbol} that opens at {rows.index[odd][0]}, no whole minute"
        )
    if piece.bar_seconds <= _LONGEST_EVENLY_SPACED and (np.diff(at) < piece.bar_seconds).any():
        raise MalformedAnswer(
            f"{vendor} sent bars of {piece.symbol} that are {np.diff(at).min()} s apart, not {piece.bar_seconds} s"
        )
