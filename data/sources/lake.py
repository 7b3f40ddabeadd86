"""Bars of a lake: what vendors delivered, curated, or made coarser on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd

from data.alignment import AlignedBars
from data.calendars import check_bar_seconds, check_calendar
from data.errors import DataError, nearest_name
from data.futures.chains import chains_of
from data.futures.roll_decisions import FuturesConfig
from data.lake import Lake, Series, Span, bar_name, bar_seconds_of
from data.lake.parts import facts_of
from data.lake.spans import SECOND, inside, instant, merged, without
from data.schema import utc_instant
from data.sources.coarser_bars import coarser
from data.sources.joined_contracts import aligned_bars, refuse_total_return
from data.sources.lake_prices import paid_by_all, priced
from data.sources.left_out import left_out_remark
from data.sources.recorded import RecordedBars
from data.split_factors import with_split_factors
from data.vendors.definition import Adjustment

PRICES: Mapping[str, str] = {
    "as_written": "",
    "total_return": ", grown to total return",
    "cash_dividends": ", grown by splits, dividends in cash",
}
"""What `data.prices` may say -> how the place of the bars tells it."""
_FIRST, _LAST = np.iinfo(np.int64).min // 2, np.iinfo(np.int64).max // 2


@dataclass(frozen=True, kw_only=True)
class LakeConfig(RecordedBars):
    """Which bars of which lake.

    Parameters
    ----------
    lake : folder or URI.
    source_name : the vendor that delivered, or several: what the first was never asked for is taken from the next.
    bar : length of a bar, such as 1m, 30m, 1d.
    made_from : length of the bars that coarser ones are made of; None means bars of this length if the lake has them,
        otherwise of the longest that divides it.
    adjustment : of the prices, as they were ingested.
    calendar : "24/7" or a name of pandas_market_calendars; None means the one that was stated when they were ingested.
    as_of : instant; only what was in the lake then is read. None means now.
    prices : "as_written"; "total_return" from the splits and dividends of the lake, see
        `data.sources.corporate_actions`; or "cash_dividends", grown by splits alone. With the first and the last,
        dividends that the lake knows are paid in cash, see `data.sources.cash_dividends`.
    actions_from : the source whose splits and dividends count; None means the first of `source_name` that has any.
    currency : of the prices; a dividend in another is refused.
    futures : how dated contracts are joined; None joins none.
    symbols, start_utc, stop_utc, columns : see `RecordedBars`; all symbols are in the order of their names.
    """

    lake: str
    source_name: str | tuple[str, ...]
    bar: str
    made_from: str | None
    adjustment: Adjustment
    calendar: str | None
    as_of: str | None
    prices: str = "as_written"  # what configurations that were recorded before these keys existed meant
    actions_from: str | None = None
    currency: str = "USD"
    futures: FuturesConfig | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        names = (self.source_name,) if isinstance(self.source_name, str) else tuple(self.source_name)
        if not names:
            raise DataError("data.source_name is empty; name the vendor whose bars are read.")
        object.__setattr__(self, "source_name", names)
        for name in names:
            Series(source=name, bar_seconds=60, adjustment=self.adjustment, symbol="any")
        seconds = bar_seconds_of(self.bar)
        if self.calendar is not None:
            check_calendar(self.calendar)
            check_bar_seconds(self.calendar, seconds)
        if self.made_from is not None and seconds % bar_seconds_of(self.made_from):
            raise DataError(
                f"data.bar is {self.bar}, which is no multiple of data.made_from={self.made_from}."
            )
        if self.as_of is not None:
            utc_instant(self.as_of)
        if self.prices not in PRICES:
            raise DataError(f"data.prices is {self.prices!r}; it must be one of {', '.join(PRICES)}.")
        refuse_total_return(self.prices, self.futures)
        if self.prices != "as_written" and self.adjustment != "raw":
            raise DataError(
                f"data.prices={self.prices} grows prices as traded, and data.adjustment is {self.adjustment}: splits "
                "would be counted twice; ingest them with adjustment=raw and set data.adjustment=raw."
            )

    @property
    def joins(self) -> bool:
        """Whether dated contracts are joined."""
        return self.futures is not None and self.futures.joins

    @property
    def sources(self) -> tuple[str, ...]:
        """The vendors, first choice first."""
        assert not isinstance(self.source_name, str)
        return self.source_name

    def series(self, source: str, bar_seconds: int, symbol: str) -> Series:
        """The series of a symbol."""
        return Series(source=source, bar_seconds=bar_seconds, adjustment=self.adjustment, symbol=symbol)

    def read(self) -> AlignedBars:
        return read_lake(self)

    @property
    def place(self) -> str:
        finer = f" made of {self.made_from}" if self.made_from and self.made_from != self.bar else ""
        then = f" as of {self.as_of}" if self.as_of else ""
        shown = Lake(self.lake).files.shown
        grown = PRICES[self.prices]
        return (
            f"{'+'.join(self.sources)} {self.bar}{finer}, prices {self.adjustment}{grown},{then} of {shown}"
        )


class _Found(NamedTuple):
    """Rows of one symbol at the length that the lake has, the time they answer for, what is to be told, and lineage."""

    rows: pd.DataFrame
    spans: list[Span]
    remarks: list[str]
    lineage: str


def read_lake(config: LakeConfig) -> AlignedBars:
    """Read, make coarser where asked for, and align; only months of the window are opened.

    Raises
    ------
    DataError
        If the lake lacks a symbol or the bars cannot be used.
    """
    lake = Lake(config.lake)
    held = _held(lake, config)
    every = tuple(sorted({symbol for by_symbol in held.values() for symbol in by_symbol}))
    symbols = config.symbols or every
    if config.futures is not None and config.joins:
        chains = chains_of(every, config.symbols, config.futures)
        symbols = (*(symbol for own in chains.contracts.values() for symbol in own), *chains.alone)
    finer = _length_read(config, held, symbols)
    seconds = bar_seconds_of(config.bar)
    calendar = config.calendar or _calendar(lake, config, finer, symbols)
    check_bar_seconds(calendar, seconds)
    window = _window(config, seconds)
    bars: dict[str, pd.DataFrame] = {}
    remarks: list[str] = []
    lineage: list[tuple[str, str]] = []
    for symbol in symbols:
        found = _read_symbol(lake, config, symbol, finer, window)
        if not len(found.rows) and config.joins and symbol not in config.symbols:
            continue  # a contract that was not listed yet; the roots say where none has bars
        if not len(found.rows):
            raise DataError(
                f"{symbol}: the lake {lake} holds no bar of {bar_name(finer)} of {' or '.join(config.sources)} in the "
                f"window; ingest it: python -m rayjobs.ingest source={config.sources[0]} 'symbols=[{symbol}]' "
                f"bar={bar_name(finer)} start=... end=..."
            )
        remarks += found.remarks
        lineage.append((symbol, found.lineage))
        rows = found.rows
        if finer != seconds:
            made = coarser(
                rows, calendar=calendar, finer_seconds=finer, coarser_seconds=seconds, spans=found.spans
            )
            rows = made.rows
            remarks.append(
                f"{symbol}: {len(made.rows):,} bars of {config.bar} were made of {made.used:,} of {bar_name(finer)}; "
                f"left out were {made.outside:,} outside of sessions, {made.inconsistent:,} inconsistent ones, and "
                f"{made.partial:,} bars of which a part was never fetched or has not happened yet"
            )
        bars[symbol], said = priced(lake, config, symbol, rows, calendar)
        remarks += said
    bars, said = paid_by_all(bars)
    remarks += said
    aligned = aligned_bars(bars, config, config.futures, calendar=calendar, bar_seconds=seconds)
    if config.prices != "as_written":
        aligned = aligned._replace(panel=with_split_factors(aligned.panel, ahead=True))
    remarks += _left_out(lake, config, finer, symbols, held, bars)
    told = (*aligned.hygiene.remarks, *remarks)
    return aligned._replace(hygiene=replace(aligned.hygiene, remarks=told, lineage=tuple(lineage)))


def _window(config: LakeConfig, bar_seconds: int) -> Span:
    """The window of finer labels: the last coarser bar that begins before the stop is read to its end."""
    # A joined series stands on its first contract, wherever the window begins.
    start = (
        _FIRST
        if config.start_utc is None or config.joins
        else int(utc_instant(config.start_utc).astype(np.int64))
    )
    stop = _LAST if config.stop_utc is None else int(utc_instant(config.stop_utc).astype(np.int64))
    # A daily bar begins with its session, so that one day reaches over it.
    return Span(start, stop + bar_seconds * SECOND if config.stop_utc is not None else stop)


def _held(lake: Lake, config: LakeConfig) -> dict[int, set[str]]:
    """Length of a bar, seconds -> symbols that the lake has of it, of any of the sources."""
    held: dict[int, set[str]] = {}
    for source in config.sources:
        for name in lake.files.folders(f"raw/source={source}"):
            seconds = bar_seconds_of(name.removeprefix("bar="))
            found = lake.symbols(config.series(source, seconds, "any"))
            if found:
                held.setdefault(seconds, set()).update(found)
    if not held:
        known = [name.removeprefix("source=") for name in lake.files.folders("raw")]
        raise DataError(
            f"the lake {lake} holds nothing of {' or '.join(config.sources)} with adjustment {config.adjustment}"
            f"{nearest_name(config.sources[0], known)}; it has {', '.join(known) or 'no source at all'}: ingest it "
            "(python -m rayjobs.ingest), or name another with data.source_name."
        )
    return held


def _length_read(config: LakeConfig, held: Mapping[int, set[str]], symbols: Sequence[str]) -> int:
    """The length of the bars that are read, seconds: that of `made_from`, of `bar`, or the longest that divides it."""
    seconds = bar_seconds_of(config.bar)
    if config.made_from is not None:
        lengths = [bar_seconds_of(config.made_from)]
    else:
        lengths = sorted((length for length in held if seconds % length == 0), reverse=True)
    for length in lengths:
        if set(symbols) <= held.get(length, set()):
            return length
    every = sorted({symbol for of_length in held.values() for symbol in of_length})
    for symbol in symbols:
        if symbol not in every:
            raise DataError(
                f"Symbol {symbol!r} is not in the lake {config.lake.partition('?')[0]} of {' or '.join(config.sources)}"
                f"{nearest_name(symbol, every)}; it has {', '.join(every)}."
            )
    has = ", ".join(f"{bar_name(length)} of {len(of_length)}" for length, of_length in sorted(held.items()))
    raise DataError(
        f"the lake has no bars of one length of which {config.bar} can be made for all of {', '.join(symbols)}; it has "
        f"{has} symbols: ingest what is missing, or choose another data.bar."
    )


def _calendar(lake: Lake, config: LakeConfig, bar_seconds: int, symbols: Sequence[str]) -> str:
    stated = {}
    for symbol in symbols:
        source = _first_with(lake, config, bar_seconds, symbol)
        stated[symbol] = lake.calendar(config.series(source, bar_seconds, symbol))
    if len(set(stated.values())) > 1:
        told = ", ".join(f"{symbol} {calendar}" for symbol, calendar in stated.items())
        raise DataError(
            f"the symbols were ingested with different calendars ({told}); state one with data.calendar."
        )
    return next(iter(stated.values()))


def _first_with(lake: Lake, config: LakeConfig, bar_seconds: int, symbol: str) -> str:
    for source in config.sources:
        if symbol in lake.symbols(config.series(source, bar_seconds, symbol)):
            return source
    raise DataError(f"the lake {lake} holds nothing of {symbol}; ingest it first.")


def _read_symbol(lake: Lake, config: LakeConfig, symbol: str, bar_seconds: int, window: Span) -> _Found:
    """Read one symbol; what the first source was never asked for is taken from the next."""
    as_of = None if config.as_of is None else int(utc_instant(config.as_of).astype(np.int64))
    frames: list[pd.DataFrame] = []
    taken: list[Span] = []
    remarks, lineage = [], []
    for source in config.sources:
        reading = lake.read(config.series(source, bar_seconds, symbol), window, as_of)
        labels = reading.rows.index.to_numpy("datetime64[ns]").astype(np.int64)
        rows = reading.rows[~inside(labels, taken)] if taken else reading.rows
        taken = merged([*taken, *reading.spans])
        if not reading.parts:
            continue
        frames.append(rows)
        told = (
            f"{len(rows):,} rows of {reading.parts:,} deliveries of {source}, lineage {reading.lineage[:12]}"
        )
        if reading.uncurated:
            told += f", {reading.uncurated} months of them not curated yet (python -m rayjobs.ingest curate)"
        remarks.append(f"{symbol}: {told}")
        lineage.append(f"{source} sha256:{reading.lineage}")
    filled = [rows for rows in frames if len(rows)]
    joined = pd.concat(filled).sort_index() if len(filled) > 1 else (filled or frames or [pd.DataFrame()])[0]
    gaps = _never_fetched(taken, joined)
    if gaps:
        first = gaps[0]
        remarks.append(
            f"{symbol}: {len(gaps)} windows between its first and last bar were never fetched, the first from "
            f"{first.start_utc:%Y-%m-%d %H:%M} to {first.stop_utc:%Y-%m-%d %H:%M}: bars in them are not known to be "
            "absent; ingest them"
        )
    return _Found(joined, taken, remarks, "; ".join(lineage))


def _never_fetched(spans: Sequence[Span], rows: pd.DataFrame) -> list[Span]:
    if not len(rows):
        return []
    return without(Span(instant(rows.index[0]), instant(rows.index[-1])), spans)


def _left_out(
    lake: Lake,
    config: LakeConfig,
    bar_seconds: int,
    symbols: Sequence[str],
    held: Mapping[int, set[str]],
    bars: Mapping[str, pd.DataFrame],
) -> list[str]:
    """What the choice of symbols leaves out."""
    others = {
        symbol: partial(_last_row, lake, config, bar_seconds, symbol)
        for symbol in sorted(held[bar_seconds] - set(symbols))
    }
    newest = max(rows.index[-1].to_datetime64() for rows in bars.values() if len(rows))
    return left_out_remark(symbols, others, newest, start_utc=config.start_utc, stop_utc=config.stop_utc)


def _last_row(lake: Lake, config: LakeConfig, bar_seconds: int, symbol: str) -> np.datetime64:
    """Day of the last bar of a symbol, at the latest: the end of the last delivery that had any."""
    source = _first_with(lake, config, bar_seconds, symbol)
    series = config.series(source, bar_seconds, symbol)
    filled = [part for part in lake.parts(series) if part.rows]
    if not filled:
        raise DataError(f"the lake {lake} holds no bar of {symbol}.")
    last = max(filled, key=lambda part: part.span.stop)
    rows = lake.read(series, last.span).rows
    if not len(rows):
        raise DataError(f"{symbol}: {facts_of(lake.files, last.name)['source_uri']} holds no usable bar.")
    return np.datetime64(rows.index[-1].to_datetime64(), "ns")
