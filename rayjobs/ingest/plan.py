"""What is still to be fetched: the request of each symbol, less what the lake answers for, cut into pieces.

The plan is made anew from the lake by each run, so that a run that was killed is gone on with by the same command.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, zip_longest

import pandas as pd

from data.errors import one_line
from data.lake import Lake, Series, Span
from data.lake.parts import facts_of
from data.lake.spans import merged, without
from data.vendors.definition import AnswerRefused, BarRequest, Vendor
from rayjobs.ingest.keys import without_keys
from rayjobs.ingest.settings import IngestSettings

WITNESS_DAYS = 7


@dataclass(kw_only=True, eq=False)
class Piece:
    """A piece of a request on its way.

    Parameters
    ----------
    request : what is asked for.
    tries : failures so far. not_before : clock of the pacing from which on it may be asked for again, s.
    refused_by : sources that cannot give it, or were given up. why : what was said last.
    witness : only compared with what is there, to see whether adjusted prices were revised.
    """

    request: BarRequest
    tries: int = 0
    not_before: float = 0.0
    refused_by: dict[str, str] = field(default_factory=dict)
    why: str = ""
    witness: bool = False


def series_of(settings: IngestSettings, source: str, symbol: str) -> Series:
    """The series that a symbol's bars of a source belong to."""
    return Series(
        source=source, bar_seconds=settings.bar_seconds, adjustment=settings.adjustment, symbol=symbol
    )


def whole_request(settings: IngestSettings, symbol: str, now_utc: pd.Timestamp) -> BarRequest | None:
    """The request of a symbol, up to now at the latest; None if it lies in the future."""
    start = settings.require_request()
    stop = now_utc.floor("s") if settings.stop_utc is None else min(settings.stop_utc, now_utc.floor("s"))
    if stop <= start:
        return None
    return BarRequest(
        symbol=symbol,
        bar_seconds=settings.bar_seconds,
        start_utc=start,
        stop_utc=stop,
        adjustment=settings.adjustment,
    )


def open_windows(lake: Lake, settings: IngestSettings, request: BarRequest) -> list[BarRequest]:
    """What no source of the run has answered for yet."""
    if settings.refetch:
        return [request]
    spans = chain.from_iterable(
        lake.fetched(series_of(settings, source, request.symbol)) for source in settings.sources
    )
    left = without(Span.between(request.start_utc, request.stop_utc), spans)
    return [windowed(request, span) for span in left]


def windowed(request: BarRequest, span: Span) -> BarRequest:
    """The request of another window."""
    return replace(request, start_utc=span.start_utc, stop_utc=span.stop_utc)


def pieces_of(vendors: Mapping[str, Vendor], request: BarRequest) -> list[Piece]:
    """The pieces of a request as the first vendor cuts it that has such bars.

    Where none has, one piece that says what each of them said.
    """
    refused: dict[str, str] = {}
    for name, vendor in vendors.items():
        try:
            return [
                Piece(request=piece, refused_by=dict(refused), why="; ".join(refused.values()))
                for piece in vendor.pieces(request)
            ]
        except AnswerRefused as error:
            refused[name] = without_keys(one_line(error))
    return [Piece(request=request, refused_by=refused, why="; ".join(refused.values()))]


def newest_first(pieces: Sequence[Piece]) -> list[Piece]:
    """The newest piece of a symbol before the others, which stay in order: whoever has a symbol has that one."""
    return [*pieces[-1:], *pieces[:-1]]


def in_turn(of_symbols: Sequence[Sequence[Piece]]) -> list[Piece]:
    """Pieces of symbols in turn, so that a run that ends early has something of each."""
    return [piece for turn in zip_longest(*of_symbols) for piece in turn if piece is not None]


def witness_of(lake: Lake, settings: IngestSettings, symbol: str) -> Piece | None:
    """A window that is asked for again before adjusted bars are added to: a split since then changes all before it.

    It is the end of what has not been fetched anew for the longest time, so that a revision that was stored in part is
    found as well. None where prices are not adjusted, or nothing is there.
    """
    if settings.adjustment == "raw" or settings.refetch:
        return None
    source = next(iter(settings.sources))
    series = series_of(settings, source, symbol)
    newest: dict[Span, tuple[int, str]] = {}
    for part in lake.parts(series):
        if part.rows:
            moment = int(facts_of(lake.files, part.name)["ingested_at"])
            newest[part.span] = max(newest.get(part.span, (0, "")), (moment, part.name))
    if not newest:
        return None
    oldest = min(newest, key=lambda span: (newest[span][0], -span.stop))
    rows = lake.read(series, oldest).rows
    if not len(rows):
        return None
    last = rows.index[-1].tz_localize("UTC") + pd.Timedelta(seconds=settings.bar_seconds)
    start = max(oldest.start_utc, last - pd.Timedelta(days=WITNESS_DAYS))
    request = BarRequest(
        symbol=symbol,
        bar_seconds=settings.bar_seconds,
        start_utc=start,
        stop_utc=min(oldest.stop_utc, last),
        adjustment=settings.adjustment,
    )
    return Piece(request=request, witness=True)


def fetched_extent(lake: Lake, settings: IngestSettings, symbol: str) -> list[Span]:
    """All that was ever fetched of a symbol by the sources of the run."""
    return merged(
        chain.from_iterable(lake.fetched(series_of(settings, source, symbol)) for source in settings.sources)
    )
