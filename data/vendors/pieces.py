"""How a request is cut: into days, months or years of UTC, so that the same window is always cut at the same places."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

import pandas as pd

from data.vendors.definition import Adjustment, AnswerRefused, BarRequest

Unit = Literal["day", "month", "year"]
_STEPS = {
    "day": pd.offsets.Day(1),
    "month": pd.offsets.MonthBegin(1),
    "year": pd.offsets.YearBegin(1),
}


def cut(request: BarRequest, unit: Unit) -> tuple[BarRequest, ...]:
    """Pieces of a request that begin and end with units of UTC; the first and last may be parts of one."""
    pieces = []
    start = request.start_utc.tz_convert("UTC")
    stop = request.stop_utc.tz_convert("UTC")
    while start < stop:
        end = min(start.normalize() + _STEPS[unit], stop)
        pieces.append(replace(request, start_utc=start, stop_utc=end))
        start = end
    return tuple(pieces)


def cut_at(request: BarRequest, edges: Iterable[pd.Timestamp]) -> tuple[BarRequest, ...]:
    """Pieces of a request between those of the instants that lie inside it."""
    inside = sorted(edge for edge in set(edges) if request.start_utc < edge < request.stop_utc)
    bounds = [request.start_utc, *inside, request.stop_utc]
    return tuple(replace(request, start_utc=a, stop_utc=b) for a, b in zip(bounds, bounds[1:]))


def require_offered(
    request: BarRequest,
    vendor: str,
    bar_seconds: Sequence[int],
    adjustments: Sequence[Adjustment],
    why: str = "",
) -> None:
    """Raise AnswerRefused if the vendor has no such bar size or adjustment."""
    if request.bar_seconds not in bar_seconds:
        raise AnswerRefused(
            f"{vendor} has no bars of {request.bar_seconds} s for {request.symbol}; it has "
            f"{', '.join(map(str, bar_seconds))}."
        )
    if request.adjustment not in adjustments:
        raise AnswerRefused(
            f"{vendor} has no prices of {request.symbol} with adjustment={request.adjustment}; it has "
            f"{', '.join(adjustments)}.{f' {why}' if why else ''}"
        )
