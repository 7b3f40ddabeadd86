"""What a lake holds of a series: how far it reaches, what is missing of it, what was wrong with it, how large it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from data.array_types import BoolArray, TimeArray
from data.calendars import BarGrid, bar_grid, check_bar_seconds
from data.errors import DataError
from data.lake.bar_names import bar_name
from data.lake.curation import DEFECTS, curated_files, curated_key
from data.lake.files import LakeError
from data.lake.lake import Lake, by_month
from data.lake.listings import KnownListings, ListedSpan, in_listing
from data.lake.parts import RawPart, facts_of, read_part
from data.lake.series import Series
from data.lake.spans import Span, inside, instant, merged, without
from data.membership import among

SHOWN_SESSIONS = 10
"""Dates of sessions without any bar that are named; the others are counted."""


@dataclass(frozen=True, kw_only=True)
class Holding:
    """What is there of one series. Instants are UTC text, None where there is none.

    Parameters
    ----------
    first, last : labels of the first and last bar. fetched_from, fetched_to : what was asked for and answered.
    open_windows : windows between them that were never fetched, as (start, stop).
    rows, rows_delivered, deliveries : bars, rows of all deliveries, and how many those are.
    expected, missing : bars that the calendar has in what was fetched, from the first bar on, and those of them that
        are not there.
    empty_sessions, empty_dates : sessions among them without any bar, and the dates of the first few.
    outside : bars that are not on the calendar's grid.
    defects : kind -> bars, see `data.lake.curation.DEFECTS`.
    raw_bytes, curated_bytes : sizes. uncurated : months whose curated file does not hold the newest deliveries yet.
    damaged : what a check of the checksums found; None where all is as written, or nothing was checked.
    listings_of : whose listings say from when to when the symbol was listed, and as of which day; None where none do.
    listed_on, delisted_on : its first day and its end by them, None where they do not say, or it has not ended.
    beyond_listing : bars of sessions in which it was not listed.
    """

    source: str
    bar: str
    adjustment: str
    symbol: str
    calendar: str
    first: str | None
    last: str | None
    fetched_from: str
    fetched_to: str
    open_windows: tuple[tuple[str, str], ...]
    rows: int
    rows_delivered: int
    deliveries: int
    expected: int
    missing: int
    empty_sessions: int
    empty_dates: tuple[str, ...]
    outside: int
    defects: Mapping[str, int]
    raw_bytes: int
    curated_bytes: int
    uncurated: int
    damaged: str | None
    listings_of: str | None = None
    listed_on: str | None = None
    delisted_on: str | None = None
    beyond_listing: int = 0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def holding(
    lake: Lake,
    series: Series,
    *,
    calendar: str | None = None,
    verify: bool = False,
    listings: KnownListings | None = None,
) -> Holding:
    """Look at one series.

    Parameters
    ----------
    calendar : on which bars are expected; None means the one that was stated when they were stored.
    verify : read every delivery and compare its checksum.
    listings : by which a bar is expected while its symbol was listed; None, or where they do not know it, from its
        first bar on.

    Raises
    ------
    LakeError
        If nothing of it is there, or a file cannot be read.
    """
    parts = lake.parts(series)
    if not parts:
        raise LakeError(f"the lake {lake} holds nothing of {series}; ingest it first.")
    known = calendar or lake.calendar(series)
    damage = _damage(lake, parts) if verify else None
    spans = merged(part.span for part in parts)
    whole = Span(spans[0].start, spans[-1].stop)
    defects, curated_bytes, uncurated = _curated_facts(lake, series, parts)
    labels = np.array([], "datetime64[ns]")
    if damage is None:
        labels = lake.read(series, only_labels=True).rows.index.to_numpy("datetime64[ns]")
    listed = () if listings is None else listings.of(series.symbol)
    expected, there, beyond = _due_bars(known, series, spans, labels, listed)
    empty = empty_sessions(expected, there)
    return Holding(
        source=series.source,
        bar=bar_name(series.bar_seconds),
        adjustment=series.adjustment,
        symbol=series.symbol,
        calendar=known,
        first=_text(labels[0].astype(np.int64)) if len(labels) else None,
        last=_text(labels[-1].astype(np.int64)) if len(labels) else None,
        fetched_from=_text(whole.start),
        fetched_to=_text(whole.stop),
        open_windows=tuple((_text(gap.start), _text(gap.stop)) for gap in without(whole, spans)),
        rows=len(labels),
        rows_delivered=sum(part.rows for part in parts),
        deliveries=len(parts),
        expected=len(there),
        missing=int((~there).sum()),
        empty_sessions=len(empty),
        empty_dates=tuple(str(day) for day in empty[:SHOWN_SESSIONS]),
        outside=len(labels) - int(there.sum()),
        defects=defects,
        raw_bytes=sum(part.size for part in parts),
        curated_bytes=curated_bytes,
        uncurated=uncurated,
        damaged=damage,
        listings_of=f"{listings.source} as of {listings.as_of}" if listings is not None and listed else None,
        listed_on=_iso(listed[0].listed_on) if listed else None,
        delisted_on=_iso(listed[-1].delisted_on) if listed else None,
        beyond_listing=beyond,
    )


class _DueBars(NamedTuple):
    """Bars that are expected, (N,) which of them are there, and how many lie outside of the listings."""

    grid: BarGrid
    there: BoolArray
    beyond: int


def _due_bars(
    calendar: str, series: Series, spans: list[Span], labels: TimeArray, listed: Sequence[ListedSpan]
) -> _DueBars:
    """The bars that are expected of a series: all of the calendar's in what was fetched, or those in its listings."""
    grid = expected_bars(calendar, series.bar_seconds, _since_listed(spans, labels, listed))
    there = among(grid.bar_utc, labels)
    if not listed:
        return _DueBars(grid, there, 0)
    beyond = int((there & ~in_listing(grid.session, listed, last_day=True)).sum())
    due = there | in_listing(grid.session, listed, last_day=False)
    return _DueBars(BarGrid(bar_utc=grid.bar_utc[due], session=grid.session[due]), there[due], beyond)


def expected_bars(calendar: str, bar_seconds: int, spans: list[Span]) -> BarGrid:
    """Every bar of the calendar whose label lies in one of the spans; none where bars do not fit the calendar."""
    if not spans:
        return BarGrid(bar_utc=np.array([], "datetime64[ns]"), session=np.array([], np.int32))
    grid = _grid(calendar, bar_seconds, spans[0].start, spans[-1].stop)
    kept = inside(grid.bar_utc.astype(np.int64), spans)
    return BarGrid(bar_utc=grid.bar_utc[kept], session=grid.session[kept])


@lru_cache(maxsize=64)  # symbols of one source were mostly fetched for one window
def _grid(calendar: str, bar_seconds: int, start: int, stop: int) -> BarGrid:
    check_bar_seconds(calendar, bar_seconds)
    return bar_grid(calendar, bar_seconds, np.datetime64(start, "ns"), np.datetime64(stop, "ns"))


def empty_sessions(expected: BarGrid, there: np.ndarray) -> TimeArray:
    """Dates (datetime64[D]) of the sessions that have no bar at all."""
    sessions = np.unique(expected.session)
    return sessions[~np.isin(sessions, expected.session[there])].astype("datetime64[D]")


def empty_windows(lake: Lake, series: Series, calendar: str, since: pd.Timestamp) -> list[Span]:
    """Fetched windows, from an instant on, of whole sessions without any bar: a vendor may have filled them since."""
    spans = merged(
        Span(max(span.start, instant(since)), span.stop)
        for span in lake.fetched(series)
        if span.stop > instant(since)
    )
    if not spans:
        return []
    labels = lake.read(series, Span(spans[0].start, spans[-1].stop), only_labels=True).rows.index
    expected = expected_bars(calendar, series.bar_seconds, spans)
    there = among(expected.bar_utc, labels.to_numpy("datetime64[ns]"))
    empty = np.isin(expected.session, empty_sessions(expected, there).astype(np.int32))
    found = []
    for session in np.unique(expected.session[empty]):
        bars = expected.bar_utc[expected.session == session].astype(np.int64)
        found.append(Span(int(bars[0]), int(bars[-1]) + series.bar_seconds * 1_000_000_000))
    return merged(found)


def _curated_facts(lake: Lake, series: Series, parts: list[RawPart]) -> tuple[dict[str, int], int, int]:
    """Defects of the curated months, their bytes, and how many months are not curated yet."""
    curated = curated_files(lake.files, series.folder)
    defects = dict.fromkeys(DEFECTS, 0)
    total = uncurated = 0
    for month, of_month in by_month(parts):
        key = curated_key(series, month, of_month)
        if key not in curated:
            uncurated += 1
            continue
        total += curated[key].size
        for kind, bars in facts_of(lake.files, curated[key].name)["defects"].items():
            defects[kind] = defects.get(kind, 0) + int(bars)
    return defects, total, uncurated


def _damage(lake: Lake, parts: list[RawPart]) -> str | None:
    for part in parts:
        try:
            read_part(lake.files, part)
        except DataError as error:
            return str(error)
    return None


def _since_listed(spans: list[Span], labels: TimeArray, listed: Sequence[ListedSpan]) -> list[Span]:
    """The spans in which bars may be expected; from the first label on where nobody says when a symbol was listed."""
    if listed and listed[0].listed_on is not None:
        return spans
    if not len(labels):
        return []
    first = int(labels[0].astype(np.int64))
    return [Span(max(span.start, first), span.stop) for span in spans if span.stop > first]


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _text(moment: int) -> str:
    return f"{pd.Timestamp(int(moment), unit='ns'):%Y-%m-%dT%H:%M:%SZ}"
