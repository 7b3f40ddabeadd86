"""Coarser bars from finer ones: counted from the open of each session, of what happened inside of each, and no more.

A coarser bar holds the finer ones whose whole time lies in it. It opens with the first and closes with the last of
them, so it is known at its own close and not before; none crosses a session, a break or a day.

N finer rows, T coarser bars.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.array_types import BoolArray, FloatArray, TimeArray
from data.calendars import ALWAYS_OPEN, DAY_SECONDS, bar_grid, check_bar_seconds, sessions_between
from data.charged_columns import FUNDING_RATE
from data.checks.hygiene import clip_rounding, inconsistent_rows
from data.dividends import DIVIDEND
from data.equal_runs import run_ends, run_starts
from data.errors import DataError
from data.lake.bar_names import bar_name
from data.lake.spans import Span, within
from data.last_known import last_known_row
from data.schema import FURTHER_PRICES, PRICE_COLUMNS

SUMMED = frozenset({"volume", "trades", "num_trades", "trade_count", "turnover", "quote_volume", DIVIDEND})
"""Columns of which a coarser bar has the sum: quantities, and payments in cash."""
AVERAGED = frozenset({FUNDING_RATE})
"""Columns of which a coarser bar has the mean: rates that the simulator charges at each of its funding instants."""
WEIGHTED = frozenset(FURTHER_PRICES)
"""Columns of which a coarser bar has the mean weighted by volume. Of all others it has the last known value."""
_DAY = np.timedelta64(1, "D")


class CoarserBars(NamedTuple):
    """Rows of coarser bars, and what became of the finer ones.

    Attributes
    ----------
    rows : indexed by the opening instants of the coarser bars. used : number of finer rows in them.
    outside : finer rows while the calendar is closed, or across the end of a bar; left out.
    inconsistent : finer rows whose high or low does not bound open and close; left out.
    partial : coarser bars of which a part was never fetched, or has not happened yet; left out with their rows.
    """

    rows: pd.DataFrame
    used: int
    outside: int
    inconsistent: int
    partial: int


def check_divides(calendar: str, finer_seconds: int, coarser_seconds: int) -> None:
    """Raise DataError unless bars of the one length can be made of bars of the other."""
    check_bar_seconds(calendar, coarser_seconds)
    if coarser_seconds % finer_seconds or finer_seconds >= coarser_seconds:
        raise DataError(
            f"bars of {bar_name(coarser_seconds)} cannot be made of bars of {bar_name(finer_seconds)}; the one must be "
            "a multiple of the other."
        )


def coarser(
    rows: pd.DataFrame, *, calendar: str, finer_seconds: int, coarser_seconds: int, spans: Sequence[Span]
) -> CoarserBars:
    """Make coarser bars.

    Parameters
    ----------
    rows : (N,) finer bars, indexed by naive UTC label, ascending and unique, with float64 columns open, high, low,
        close, volume and others.
    spans : for which time the finer bars are known to be all there are; a coarser bar that reaches out of them would
        be made of a part of its time, and is left out.

    Raises
    ------
    DataError
        If the one length is no multiple of the other.
    """
    check_divides(calendar, finer_seconds, coarser_seconds)
    empty = rows.iloc[:0]
    if not len(rows):
        return CoarserBars(empty, 0, 0, 0, 0)
    labels = rows.index.to_numpy("datetime64[ns]")
    opens, closes = _bounds(calendar, coarser_seconds, labels[0], labels[-1])
    if not len(opens):
        return CoarserBars(empty, 0, len(rows), 0, 0)
    at = np.maximum(np.searchsorted(opens, labels, side="right") - 1, 0)
    ends = labels + np.timedelta64(finer_seconds, "s")
    # A session may end inside a finer bar (13:00 with bars of an hour from 9:30): the bar is the session's last.
    inside = (labels >= opens[at]) & (labels < closes[at])
    longer = inside & (ends > closes[at])
    inside &= ~longer | _last_of_session(opens, closes)[at]
    inside &= ~_at_rest(calendar, labels)
    rows, _ = clip_rounding(rows)
    wrong = inconsistent_rows(rows) & inside
    whole = within(opens.astype(np.int64), closes.astype(np.int64), spans)
    kept = inside & ~wrong & whole[at]
    partial = len(np.unique(at[inside & ~whole[at]]))
    made = _aggregated(rows[kept], at[kept], opens)
    return CoarserBars(made, int(kept.sum()), int((~inside).sum()), int(wrong.sum()), partial)


def _bounds(
    calendar: str, bar_seconds: int, first: np.datetime64, last: np.datetime64
) -> tuple[TimeArray, TimeArray]:
    """Opening and closing instants (T,) of every coarser bar around the rows."""
    grid = bar_grid(calendar, bar_seconds, first - 2 * _DAY, last + np.timedelta64(1, "ns")).bar_utc
    closes = grid + np.timedelta64(bar_seconds, "s")
    if calendar == ALWAYS_OPEN or not len(grid):
        return grid, closes
    found = sessions_between(calendar, first - 3 * _DAY, last + 3 * _DAY)
    ends = np.concatenate([found.close_utc, found.break_start_utc])
    ends = np.sort(ends[~np.isnat(ends)])
    if bar_seconds == DAY_SECONDS:
        ends = np.sort(found.close_utc)
        return grid, ends[np.searchsorted(ends, grid, side="right")]
    return grid, np.minimum(closes, ends[np.searchsorted(ends, grid, side="right")])


def _at_rest(calendar: str, labels: TimeArray) -> BoolArray:
    """(N,) whether a label lies in the break of a session, over which a bar of one day reaches."""
    if calendar == ALWAYS_OPEN:
        return np.zeros(len(labels), dtype=bool)
    found = sessions_between(calendar, labels[0] - _DAY, labels[-1] + _DAY)
    if not len(found.session):
        return np.zeros(len(labels), dtype=bool)
    at = np.maximum(np.searchsorted(found.open_utc, labels, side="right") - 1, 0)
    # Comparisons with NaT, where a session has no break, are false.
    rests: BoolArray = (labels >= found.break_start_utc[at]) & (labels < found.break_end_utc[at])
    return rests


def _last_of_session(opens: TimeArray, closes: TimeArray) -> BoolArray:
    """(T,) whether the next bar does not begin where this one ends."""
    found: BoolArray = np.concatenate([opens[1:] > closes[:-1], [True]])
    return found


def _aggregated(rows: pd.DataFrame, bar_of_row: NDArray[np.int64], opens: TimeArray) -> pd.DataFrame:
    """One row for each coarser bar that has finer ones."""
    if not len(rows):
        return rows
    starts, ends = run_starts(bar_of_row), run_ends(bar_of_row)
    values: Mapping[str, FloatArray] = {name: rows[name].to_numpy(np.float64) for name in rows.columns}
    made: dict[str, FloatArray] = {
        "open": values["open"][starts],
        "high": np.maximum.reduceat(values["high"], starts),
        "low": np.minimum.reduceat(values["low"], starts),
        "close": values["close"][ends],
    }
    for name in rows.columns:
        if name not in PRICE_COLUMNS:
            made[name] = _of_column(str(name), values[name], values["volume"], starts, ends)
    labels = pd.DatetimeIndex(opens[bar_of_row[starts]], name=rows.index.name)
    return pd.DataFrame({name: made[name] for name in rows.columns}, index=labels)


def _of_column(
    name: str, values: FloatArray, volume: FloatArray, starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> FloatArray:
    known = np.isfinite(values)
    any_known = np.maximum.reduceat(known, starts)
    if name in SUMMED:
        return np.where(any_known, np.add.reduceat(np.where(known, values, 0.0), starts), np.nan)
    if name in AVERAGED:
        count = np.add.reduceat(known.astype(np.float64), starts)
        total = np.add.reduceat(np.where(known, values, 0.0), starts)
        return np.divide(total, count, out=np.full(len(starts), np.nan), where=any_known)
    if name in WEIGHTED:
        weight = np.where(known, volume, 0.0)
        total = np.add.reduceat(weight, starts)
        paid = np.add.reduceat(np.where(known, values, 0.0) * weight, starts)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(total > 0.0, paid / total, np.nan)
    latest = last_known_row(known)[ends]
    return np.where(latest >= starts, values[np.maximum(latest, 0)], np.nan)
