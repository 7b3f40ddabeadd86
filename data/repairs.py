"""Repairs, as decided (`data.repair_decisions`): of duplicates, outliers, islands, hours beside sessions, and gaps.

Every bar that is taken out or made is counted in a finding.

Axes: T time on the grid, A asset, N rows of one symbol.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from data.array_types import BoolArray, FloatArray
from data.calendars import ALWAYS_OPEN, DAY_SECONDS, BarGrid
from data.checks.hygiene import Finding, find_runs
from data.errors import DataError
from data.last_known import last_known_row
from data.membership import among
from data.repair_decisions import Repairs
from data.schema import BAR_COLUMNS, PRICE_COLUMNS, Panel

FILLED = "filled"
"""Column of a panel with filled gaps: 1 where a bar was made, 0 where it was recorded."""
SCALE_BARS, SCALE_EVERY = 100, 20
"""Returns before a bar that the robust standard deviation of an outlier's score is taken from, and how often it is."""
TO_SIGMA = 1.4826
"""Median absolute deviation to standard deviation, for normal returns."""


class Repaired(NamedTuple):
    """Rows per symbol, and what was done to them."""

    rows: dict[str, pd.DataFrame]
    findings: list[Finding]


def without_duplicates(bars: Mapping[str, pd.DataFrame], repairs: Repairs) -> Repaired:
    """Keep the first of several rows of one time, where that is decided; they stand one after another."""
    if repairs.duplicates == "refuse":
        return Repaired(dict(bars), [])
    kept, findings = {}, []
    for symbol, rows in bars.items():
        again = rows.index.duplicated(keep="first")
        kept[symbol] = rows[~again] if again.any() else rows
        if again.any():
            labels = rows.index.to_numpy("datetime64[ns]")
            names = list(BAR_COLUMNS)
            first = rows[names].iloc[last_known_row(~again)].to_numpy()
            differ = int((first != rows[names].to_numpy()).any(axis=1)[again].sum())
            note = f"{int(again.sum()):,} in all, of which {differ:,} differ from the row that was kept"
            found = find_runs(symbol, "duplicate", labels, again)
            findings += [replace(found[0], note=note), *found[1:]]
    return Repaired(kept, findings)


def within_sessions(
    rows: Mapping[str, pd.DataFrame], grid: BarGrid, inside: Mapping[str, BoolArray]
) -> Repaired:
    """Cut the rows that lie in no session.

    Parameters
    ----------
    inside : symbol -> (N,) True for rows in a session.

    Raises
    ------
    DataError
        If nothing of a symbol is left.
    """
    kept, findings = {}, []
    for symbol, table in rows.items():
        labels = table.index.to_numpy("datetime64[ns]")
        keep = inside[symbol] | among(labels, grid.bar_utc)
        if not keep.any():
            raise DataError(
                f"{symbol} has no row within the calendar's sessions; check calendar and time zone."
            )
        kept[symbol] = table[keep] if not keep.all() else table
        findings += find_runs(symbol, "outside_session", labels, ~keep)
    return Repaired(kept, findings)


def without_outliers(rows: Mapping[str, pd.DataFrame], grid: BarGrid, score: float) -> Repaired:
    """Take out bars that lie beyond `score` robust standard deviations of the returns before them.

    Causal: a bar is judged by the bars before it. Only steps from bar to bar within a session are judged (from
    day to day
    where bars are days), so that nights are not taken for outliers. After one outlier the next bar is never
    one: a price
    that stays where it went loses its first bar only.
    """
    kept, findings = {}, []
    for symbol, table in rows.items():
        flagged = _outliers(table, grid, score)
        kept[symbol] = table[~flagged] if flagged.any() else table
        labels = table.index.to_numpy("datetime64[ns]")
        findings += find_runs(symbol, "outlier", labels, flagged)
    return Repaired(kept, findings)


def _outliers(rows: pd.DataFrame, grid: BarGrid, score: float) -> BoolArray:
    """Return (N,) True for outliers; rows off the grid are not judged."""
    labels = rows.index.to_numpy("datetime64[ns]")
    at = np.searchsorted(grid.bar_utc, labels)
    at = np.minimum(at, len(grid.bar_utc) - 1)
    on = (grid.bar_utc[at] == labels) & (rows["low"].to_numpy() > 0.0)  # what has no logarithm is not judged
    daily = len(grid.session) < 2 or bool((np.diff(grid.session) > 0).all())
    session = grid.session[at]
    with np.errstate(invalid="ignore", divide="ignore"):
        prices = np.log(rows[list(PRICE_COLUMNS)].to_numpy())
    flagged = np.zeros(len(rows), dtype=np.bool_)
    returns: list[float] = []
    last: int | None = None  # the last bar that was kept
    just_flagged, sigma = False, 0.0
    for i in np.flatnonzero(on):
        judged = last is not None and (daily or session[last] == session[i])
        if judged and last is not None:
            distance = float(np.abs(prices[i] - prices[last, 3]).max())
            if sigma > 0.0 and distance > score * sigma and not just_flagged:
                flagged[i] = just_flagged = True
                continue
            if not just_flagged:
                returns.append(float(prices[i, 3] - prices[last, 3]))
                if len(returns) >= SCALE_BARS and len(returns) % SCALE_EVERY == 0:
                    sigma = TO_SIGMA * _absolute_median(returns[-SCALE_BARS:])
        last, just_flagged = int(i), False
    return flagged


def _absolute_median(returns: list[float]) -> float:
    values: FloatArray = np.asarray(returns)
    return float(np.median(np.abs(values - np.median(values))))


def without_islands(rows: Mapping[str, pd.DataFrame], grid: BarGrid, fewest: int) -> Repaired:
    """Take out runs of fewer than `fewest` bars of the grid between missing ones; runs at either end count as well."""
    kept, findings = {}, []
    for symbol, table in rows.items():
        labels = table.index.to_numpy("datetime64[ns]")
        here = among(grid.bar_utc, labels)
        edges = np.diff(np.concatenate([[False], here, [False]]).astype(np.int8))
        starts, stops = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
        short = np.zeros(len(here), dtype=np.bool_)
        for start, stop in zip(starts, stops, strict=True):
            short[start:stop] = stop - start < min(fewest, len(here))
        dropped = among(labels, grid.bar_utc[short])
        if dropped.all():
            raise DataError(
                f"{symbol}: no run of bars is as long as data.repair.island_bars={fewest}; nothing would be left of it."
            )
        kept[symbol] = table[~dropped] if dropped.any() else table
        findings += find_runs(symbol, "island", grid.bar_utc, short)
    return Repaired(kept, findings)


def with_filled_gaps(panel: Panel, most: int) -> tuple[Panel, list[Finding]]:
    """Return the panel with the first `most` bars of each gap at the last close, and a finding per run.

    A gap lies between two known bars; within a session where the calendar has nights. Filled bars have volume
    0 and are not
    tradable, and the column `filled` marks them. Nothing is filled after an asset's last bar.
    """
    shape = panel.close.shape
    nights = panel.calendar != ALWAYS_OPEN and panel.bar_seconds < DAY_SECONDS
    made = np.zeros(shape, dtype=np.bool_)
    rows = np.arange(shape[0])
    findings: list[Finding] = []
    for a, symbol in enumerate(panel.symbols):
        known = np.isfinite(panel.close[:, a])
        if not known.any():
            continue
        last = last_known_row(known)
        final = int(np.flatnonzero(known)[-1])
        near = ~known & (last >= 0) & (rows - last <= most) & (rows < final)
        near &= (panel.session[np.maximum(last, 0)] == panel.session) | (not nights)
        made[:, a] = near
        findings += find_runs(symbol, "filled", panel.bar_utc, near)
    close = panel.last_close()
    prices: dict[str, Any] = {name: np.where(made, close, getattr(panel, name)) for name in PRICE_COLUMNS}
    if FILLED in panel.exogenous:
        raise DataError(
            f"The data have a column {FILLED!r} of their own; rename it, or set data.repair.fill_bars=0."
        )
    return replace(panel, **prices, exogenous={**panel.exogenous, FILLED: made.astype(np.float64)}), findings
