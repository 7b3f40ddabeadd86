"""Alignment: bars of several symbols, as read, onto the one grid that a calendar expects.

Axes: T time on the grid, A asset, N rows of one symbol as read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from data.array_types import BoolArray, FloatArray, TimeArray
from data.calendars import (
    BarGrid,
    bar_grid,
    check_window_covered,
    minute,
)
from data.checks.aligned_rows import ended_symbols, in_session, inspect_rows, require_tradable
from data.checks.grid_fit import require_fit
from data.checks.hygiene import (
    Finding,
    HygieneReport,
    clip_rounding,
    find_runs,
    inconsistent_rows,
    require_usable,
    sorted_findings,
)
from data.checks.scan import Suspicions, scan_rows
from data.clock_hours import clock_grid, on_clock, on_hours
from data.dividends import with_lost_dividends
from data.errors import DataError
from data.placement import PlacedRows, laid_out, place_rows
from data.repair_decisions import NO_REPAIRS, Repairs
from data.repairs import (
    Repaired,
    with_filled_gaps,
    within_sessions,
    without_duplicates,
    without_islands,
    without_outliers,
)
from data.schema import BAR_COLUMNS, Panel, utc_instant
from data.taken_out import bars_taken_out


class AlignedBars(NamedTuple):
    """A panel, and what hygiene found on the way."""

    panel: Panel
    hygiene: HygieneReport


def align(
    bars: Mapping[str, pd.DataFrame],
    *,
    calendar: str,
    bar_seconds: int,
    start_utc: str | None = None,
    stop_utc: str | None = None,
    repairs: Repairs = NO_REPAIRS,
    nonpositive: Collection[str] = (),
) -> AlignedBars:
    """Put the bars of each symbol on the calendar's grid, and report every defect.

    Parameters
    ----------
    bars : symbol -> rows as read, in asset order; each indexed by naive UTC label, with float64 columns open,
        high, low, close, volume and any further ones, which become exogenous.
    start_utc, stop_utc : window [start, stop) of labels to keep; None means from the first, to the last bar.
    repairs : what is done with defects beyond reporting them.
    nonpositive : symbols whose prices may be zero and below.

    Raises
    ------
    DataError
        If bars cannot be used (see `data.checks.hygiene`), the window reaches outside the data, most bars lie off
        the grid, or a symbol has no bar in which an order could be filled.
    """
    as_read = {symbol: _in_nanoseconds(rows) for symbol, rows in bars.items()}
    read, findings = without_duplicates(as_read, repairs)
    seen = _scanned(read, nonpositive)
    start, stop = _window(read, calendar, bar_seconds, start_utc, stop_utc)
    kept = _within_window(read, start, stop)
    counts = tuple(
        (s, len(kept[s]) if rows is read[s] else int(((rows.index >= start) & (rows.index < stop)).sum()))
        for s, rows in as_read.items()
    )
    kept, rounded = _without_rounding(kept, seen)
    findings += rounded
    straddling = _on_clock(kept, calendar, bar_seconds)
    if straddling:
        kept = {symbol: on_hours(rows, calendar, bar_seconds) for symbol, rows in kept.items()}
        start = min(start, *(rows.index[0].to_datetime64() for rows in kept.values()))
    on_labels = dict(kept)
    grid = (clock_grid if straddling else bar_grid)(calendar, bar_seconds, start, stop)
    kept, placed, done = _on_grid(kept, seen, grid, calendar, bar_seconds, repairs)
    findings += done
    if start_utc is None or stop_utc is None:
        part = _trimmed(placed, start_utc is None, stop_utc is None)
        grid = BarGrid(bar_utc=grid.bar_utc[part], session=grid.session[part])
        placed = {symbol: found.bars(part) for symbol, found in placed.items()}
    if not len(grid.bar_utc):
        raise DataError(
            f"Calendar {calendar!r} has no bar between {start} and {stop}; check calendar and times."
        )
    for symbol, rows in kept.items():
        findings += inspect_rows(symbol, rows, placed[symbol], seen[symbol], grid, calendar, bar_seconds)
    rejected = {s: inconsistent_rows(rows) for s, rows in kept.items() if seen[s].bounds}
    screened = all(found.sound for found in seen.values())
    panel = _panel(kept, placed, rejected, grid, calendar, bar_seconds, screened, nonpositive)
    require_tradable(panel, kept)
    findings += ended_symbols(panel)
    panel, told = with_lost_dividends(panel, on_labels)
    taken = bars_taken_out(panel, on_labels, kept)
    if repairs.fill_bars:
        panel, filled = with_filled_gaps(panel, repairs.fill_bars)
        findings += filled
    report = HygieneReport(
        rows=counts,
        findings=sorted_findings(findings, list(kept)),
        remarks=(*((_straddling_remark(kept, calendar, bar_seconds),) if straddling else ()), *told),
        repairs=repairs,
        taken_out=taken,
    )
    return AlignedBars(panel, report)


def _in_nanoseconds(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows whose labels need not be converted each time that they are looked at."""
    index = rows.index
    if not isinstance(index, pd.DatetimeIndex) or index.unit == "ns":
        return rows
    return rows.set_axis(index.as_unit("ns"), axis=0)


def _scanned(bars: Mapping[str, pd.DataFrame], nonpositive: Collection[str]) -> dict[str, Suspicions]:
    """What the rows of each symbol may have wrong; refuse those that cannot be used."""
    seen = {symbol: scan_rows(rows) for symbol, rows in bars.items()}
    for symbol, rows in bars.items():
        if not len(rows) or seen[symbol].order or seen[symbol].values:
            require_usable(symbol, rows, nonpositive=symbol in nonpositive)
    return seen


def _without_rounding(kept: Mapping[str, pd.DataFrame], seen: Mapping[str, Suspicions]) -> Repaired:
    """Rows whose open and close lie outside of high and low by rounding only, moved onto them."""
    clipped, findings = dict(kept), []
    for symbol, rows in kept.items():
        if seen[symbol].bounds:
            clipped[symbol], moved = clip_rounding(rows)
            findings += find_runs(symbol, "rounded", _labels(rows), moved)
    return Repaired(clipped, findings)


def _within_window(
    bars: Mapping[str, pd.DataFrame], start: np.datetime64, stop: np.datetime64
) -> dict[str, pd.DataFrame]:
    kept = {s: rows.iloc[slice(*rows.index.searchsorted([start, stop]))] for s, rows in bars.items()}
    for symbol, rows in kept.items():
        if not len(rows):
            first, last = bars[symbol].index[[0, -1]]
            raise DataError(
                f"{symbol} has no bar between {start} and {stop}; it has bars from {first} to {last}."
            )
    return kept


class _PlacedBars(NamedTuple):
    rows: dict[str, pd.DataFrame]
    placed: dict[str, PlacedRows]
    findings: list[Finding]


def _on_grid(
    kept: dict[str, pd.DataFrame],
    seen: dict[str, Suspicions],
    grid: BarGrid,
    calendar: str,
    bar_seconds: int,
    repairs: Repairs,
) -> _PlacedBars:
    """The rows that repairs leave, and where they lie; rows that became neighbours are scanned anew, into `seen`."""
    placed = {symbol: place_rows(_labels(rows), grid.bar_utc) for symbol, rows in kept.items()}
    if not len(grid.bar_utc):
        return _PlacedBars(kept, placed, [])
    repaired, findings = _repaired_rows(kept, placed, grid, calendar, bar_seconds, repairs)
    for symbol, rows in repaired.items():
        if rows is not kept[symbol]:
            seen[symbol], placed[symbol] = scan_rows(rows), place_rows(_labels(rows), grid.bar_utc)
    return _PlacedBars(dict(repaired), placed, findings)


def _repaired_rows(
    kept: dict[str, pd.DataFrame],
    placed: Mapping[str, PlacedRows],
    grid: BarGrid,
    calendar: str,
    bar_seconds: int,
    repairs: Repairs,
) -> Repaired:
    """Take out of the rows what the decisions say; refuse rows that do not fit the grid."""
    findings: list[Finding] = []
    before = kept
    if repairs.outside_sessions == "cut":
        inside = {s: in_session(rows.index.to_numpy("datetime64[ns]"), calendar) for s, rows in kept.items()}
        kept, done = within_sessions(kept, grid, inside)
        findings += done
    for symbol, rows in kept.items():
        whole = rows is before[symbol] and placed[symbol].on_grid == len(rows)
        if not whole:
            require_fit(symbol, _labels(rows), grid, calendar, bar_seconds)
    if repairs.outlier_score is not None:
        kept, done = without_outliers(kept, grid, repairs.outlier_score)
        findings += done
    if repairs.island_bars:
        kept, done = without_islands(kept, grid, repairs.island_bars)
        findings += done
    return Repaired(kept, findings)


def _on_clock(kept: Mapping[str, pd.DataFrame], calendar: str, bar_seconds: int) -> bool:
    """True if the rows of every symbol are bars on the clock's hours, beside sessions that open at another minute."""
    return all(
        on_clock(rows.index.to_numpy("datetime64[ns]"), calendar, bar_seconds) for rows in kept.values()
    )


def _straddling_remark(kept: Mapping[str, pd.DataFrame], calendar: str, bar_seconds: int) -> str:
    first = next(iter(kept.values())).index[0]
    return (
        f"bars of {bar_seconds} s on the hours of the clock (the first at {minute(first.to_datetime64())} "
        "UTC): the first "
        f"of each session of calendar {calendar!r} begins before the open, and is labelled by its hour; "
        "where there are "
        "extended hours, its open is a price from before the open"
    )


def _window(
    bars: Mapping[str, pd.DataFrame],
    calendar: str,
    bar_seconds: int,
    start_utc: str | None,
    stop_utc: str | None,
) -> tuple[np.datetime64, np.datetime64]:
    first = min(rows.index[0] for rows in bars.values()).to_datetime64().astype("datetime64[ns]")
    last = max(rows.index[-1] for rows in bars.values()).to_datetime64().astype("datetime64[ns]")
    step = np.timedelta64(bar_seconds, "s").astype("timedelta64[ns]")
    start = first if start_utc is None else utc_instant(start_utc)
    stop = last + step if stop_utc is None else utc_instant(stop_utc)
    check_window_covered(calendar, bar_seconds, start, stop, first, last)
    return start, stop


def _labels(rows: pd.DataFrame) -> TimeArray:
    labels: TimeArray = rows.index.to_numpy("datetime64[ns]")
    return labels


def _trimmed(placed: Mapping[str, PlacedRows], head: bool, tail: bool) -> slice:
    """The part of the grid that begins and ends with a bar that is there, where the window was left open."""
    there = [found for found in placed.values() if found.on_grid]
    if not there:
        return slice(0, 0)
    return slice(
        int(min(found.first_bar[0] for found in there)) if head else 0,
        int(max(found.first_bar[-1] + found.length[-1] for found in there)) if tail else None,
    )


def _panel(
    kept: Mapping[str, pd.DataFrame],
    placed: Mapping[str, PlacedRows],
    rejected: Mapping[str, BoolArray],
    grid: BarGrid,
    calendar: str,
    bar_seconds: int,
    screened: bool,
    nonpositive: Collection[str],
) -> Panel:
    """The panel of rows; of those that are rejected (N,) only the columns beside prices and volume are taken."""
    every = list(placed.values())
    sound = [
        found.without(rejected[symbol]) if symbol in rejected else found for symbol, found in placed.items()
    ]

    def column(name: str) -> FloatArray:
        values = [
            np.ascontiguousarray(rows[name].to_numpy(), np.float64) if name in rows else None
            for rows in kept.values()
        ]
        own = name in BAR_COLUMNS
        return laid_out(values, sound if own else every, 0.0 if name == "volume" else np.nan)

    names = list(dict.fromkeys(name for rows in kept.values() for name in rows.columns))
    columns = {name: column(name) for name in names}
    # Prices of a row are finite, so that a bar without volume 0 has them.
    tradable = columns["volume"] > 0.0
    tradable.flags.writeable = False
    return Panel(
        symbols=tuple(kept),
        bar_utc=grid.bar_utc,
        **{name: columns[name] for name in BAR_COLUMNS},
        tradable=tradable,
        session=grid.session,
        calendar=calendar,
        bar_seconds=bar_seconds,
        exogenous={name: values for name, values in columns.items() if name not in BAR_COLUMNS},
        screened=screened,
        nonpositive=tuple(nonpositive),
    )
