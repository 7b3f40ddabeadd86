"""Spans of time, half-open, and what is left of one when others are taken away.

Instants are whole nanoseconds from 1970, UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

SECOND = 1_000_000_000


class Span(NamedTuple):
    """[start, stop), ns."""

    start: int
    stop: int

    @classmethod
    def between(cls, start_utc: pd.Timestamp, stop_utc: pd.Timestamp) -> Span:
        """The span of two instants; naive ones mean UTC."""
        return cls(instant(start_utc), instant(stop_utc))

    @property
    def start_utc(self) -> pd.Timestamp:
        return pd.Timestamp(self.start, unit="ns", tz="UTC")

    @property
    def stop_utc(self) -> pd.Timestamp:
        return pd.Timestamp(self.stop, unit="ns", tz="UTC")


def instant(moment: pd.Timestamp) -> int:
    """Nanoseconds from 1970 of a moment; a naive one means UTC."""
    stamp = pd.Timestamp(moment)
    return int((stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp).as_unit("ns").value)


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same time as ascending spans that do not touch; empty ones are dropped."""
    joined: list[Span] = []
    for span in sorted(spans):
        if span.stop <= span.start:
            continue
        if joined and span.start <= joined[-1].stop:
            joined[-1] = Span(joined[-1].start, max(joined[-1].stop, span.stop))
        else:
            joined.append(span)
    return joined


def without(whole: Span, taken: Iterable[Span]) -> list[Span]:
    """What is left of a span, ascending."""
    left, start = [], whole.start
    for span in merged(taken):
        if span.stop <= start:
            continue
        if span.start >= whole.stop:
            break
        if span.start > start:
            left.append(Span(start, span.start))
        start = max(start, span.stop)
    if start < whole.stop:
        left.append(Span(start, whole.stop))
    return left


def overlap(one: Span, other: Span) -> bool:
    """Whether two spans share an instant."""
    return max(one.start, other.start) < min(one.stop, other.stop)


def inside(instants: NDArray[np.int64], spans: Sequence[Span]) -> NDArray[np.bool_]:
    """(N,) whether each instant lies in one of the spans."""
    joined = merged(spans)
    if not joined:
        return np.zeros(len(instants), dtype=bool)
    starts = np.array([span.start for span in joined])
    stops = np.array([span.stop for span in joined])
    at = np.searchsorted(starts, instants, side="right") - 1
    return (at >= 0) & (instants < stops[np.maximum(at, 0)])


def within(starts: NDArray[np.int64], stops: NDArray[np.int64], spans: Sequence[Span]) -> NDArray[np.bool_]:
    """(N,) whether each [start, stop) lies in one of the spans as a whole."""
    joined = merged(spans)
    if not joined:
        return np.zeros(len(starts), dtype=bool)
    firsts = np.array([span.start for span in joined])
    lasts = np.array([span.stop for span in joined])
    at = np.searchsorted(firsts, starts, side="right") - 1
    return (at >= 0) & (stops <= lasts[np.maximum(at, 0)])


def months(span: Span) -> list[tuple[str, Span]]:
    """The calendar months (UTC) that a span touches, as 2024-01, each with its share of the span."""
    first = np.datetime64(span.start, "ns").astype("datetime64[M]")
    last = np.datetime64(span.stop - 1, "ns").astype("datetime64[M]")
    shares = []
    for month in np.arange(first, last + 1):
        begins = int(month.astype("datetime64[ns]").astype(np.int64))
        ends = int((month + 1).astype("datetime64[ns]").astype(np.int64))
        shares.append((str(month), Span(max(begins, span.start), min(ends, span.stop))))
    return shares
