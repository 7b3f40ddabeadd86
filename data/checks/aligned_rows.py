"""What is wrong with rows beside the grid that their calendar expects, and with the panel that is made of them.

Axes: T time on the grid, A asset, N rows of one symbol as read.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from data.array_types import BoolArray, TimeArray
from data.calendars import (
    ALWAYS_OPEN,
    DAY_SECONDS,
    BarGrid,
    minute,
    sessions_between,
)
from data.checks.hygiene import (
    Finding,
    find_runs,
    findings_of_runs,
    inconsistent_rows,
)
from data.checks.jumps import find_jumps
from data.checks.scan import Suspicions
from data.errors import DataError
from data.placement import PlacedRows
from data.schema import Panel


def inspect_rows(
    symbol: str,
    rows: pd.DataFrame,
    placed: PlacedRows,
    seen: Suspicions,
    grid: BarGrid,
    calendar: str,
    bar_seconds: int,
) -> list[Finding]:
    """Everything worth reporting of one symbol's rows, and of the bars of the grid that it has none for."""
    labels: TimeArray = rows.index.to_numpy("datetime64[ns]")
    findings = findings_of_runs(symbol, "missing", grid.bar_utc, *placed.missing())
    if seen.bounds:
        findings += find_runs(symbol, "inconsistent", labels, inconsistent_rows(rows))
    if seen.silent:
        findings += find_runs(symbol, "zero_volume", labels, rows["volume"].to_numpy() == 0.0)
    if seen.jumps:
        findings += find_jumps(symbol, labels, rows)
    if placed.on_grid < len(labels):
        beside = ~placed.row_is_on_grid(len(labels))
        closed = beside.copy()
        closed[beside] = ~in_session(labels[beside], calendar)
        findings += find_runs(symbol, "outside_session", labels, closed)
        findings += find_runs(symbol, "off_grid", labels, beside & ~closed)
    return findings + _shifted_sessions(symbol, labels, calendar, bar_seconds)


def _shifted_sessions(symbol: str, labels: TimeArray, calendar: str, bar_seconds: int) -> list[Finding]:
    """Find days whose first bar is one hour (a daylight-saving step) before or after the session's open."""
    if calendar == ALWAYS_OPEN or bar_seconds >= DAY_SECONDS:
        return []
    found = sessions_between(
        calendar, labels[0] - np.timedelta64(1, "D"), labels[-1] + np.timedelta64(1, "D")
    )
    hour = np.timedelta64(1, "h")
    at = np.searchsorted(labels, found.open_utc - hour)
    first = labels[np.minimum(at, len(labels) - 1)] - found.open_utc
    end = np.searchsorted(labels, found.close_utc + hour) - 1
    last = labels[np.maximum(end, 0)] - found.close_utc
    late = (first == hour) & (last >= np.timedelta64(0, "ns"))
    early = (first == -hour) & (last < -np.timedelta64(30, "m"))
    return find_runs(symbol, "shifted_session", found.open_utc, late | early)


def in_session(labels: TimeArray, calendar: str) -> BoolArray:
    """(N,) whether a label lies in a session of the calendar, outside of its break."""
    if not len(labels):
        return np.zeros(0, dtype=bool)
    found = sessions_between(calendar, labels[0], labels[-1] + np.timedelta64(1, "ns"))
    if not len(found.session):
        return np.zeros(len(labels), dtype=bool)
    at = np.searchsorted(found.open_utc, labels, side="right") - 1
    inside = (at >= 0) & (labels < found.close_utc[at])
    resting = (labels >= found.break_start_utc[at]) & (labels < found.break_end_utc[at])
    return inside & ~resting


def require_tradable(panel: Panel, kept: Mapping[str, pd.DataFrame]) -> None:
    """Raise DataError if an order for a symbol could not be filled in any bar."""
    for a, symbol in enumerate(panel.symbols):
        if panel.tradable[:, a].any():
            continue
        rows = kept[symbol]
        idle = (rows["volume"] == 0.0).mean()
        cause = (
            "volume is 0 in every row, and without volume no order can be filled: give a file with volumes (a count of "
            "ticks serves)"
            if idle == 1.0
            else "each of its rows is inconsistent, off the calendar's grid or without volume: correct the source"
        )
        raise DataError(
            f"{symbol} can never be traded from {minute(panel.bar_utc[0])} to {minute(panel.bar_utc[-1])}: {cause}, or "
            "leave it out with data.symbols."
        )


def ended_symbols(panel: Panel) -> list[Finding]:
    """Find symbols whose last tradable bar lies before the last session of the panel."""
    found = []
    for a, symbol in enumerate(panel.symbols):
        last = panel.num_bars - 1 - int(np.argmax(panel.tradable[::-1, a]))
        if panel.session[last] < panel.session[-1]:
            found.append(
                Finding(
                    symbol=symbol,
                    kind="ends",
                    first_utc=panel.bar_utc[last],
                    last_utc=panel.bar_utc[-1],
                    bars=panel.num_bars - 1 - last,
                )
            )
    return found
