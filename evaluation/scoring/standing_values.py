"""How long a value of an input stands: a figure of the hour, the session or the week, on every bar of it.

A bar later such a figure says what it said, so that it is late by as long as it stands. Files miss a bar here and
there, and figures come with noise, so it is not asked whether a value stays the same to the bit: what is asked is
whether it wanders within a period, from its first half to its second, as it does from one period to the next. What is
measured bar by bar does, be it slow or fast.

Axes: T time, K series.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.array_types import FloatArray
from data.checks.lead_correlations import standardised_ranks
from data.equal_runs import begins_run
from data.last_known import last_known_row

Int64Array = NDArray[np.int64]
WEEK, SESSION, HOUR = "week", "session", "hour"
MOST_WITHIN = 0.25
"""Mean size of the change from half to half of a period over that from period to period, up to which a value stands. Of
a random walk it is 0.4 and more, of what returns to its mean above 1."""
DUST = 1e-9
"""Of ranks of spread 1: less is rounding."""
MIN_PERIODS = 20
"""With two known bars and more, of all series together, below which only equal values stand."""
BARS_ASKED = 20_000
"""The last bars, which are enough to tell."""
LEAST_NEW = 0.5
"""Share of weeks, or of hours, that must have another value than the one before: what changes once a quarter stands for
no week."""
DAY = "day"
REPEATED = 0.5
"""Share of the bars that show the value of the bar before, from which on days of any zone are asked for."""
MONDAY = 3
"""Days from 1970-01-01, a Thursday, back to the start of its week."""


def period_starts(
    session_T: NDArray[np.int32], bar_utc_T: NDArray[np.datetime64]
) -> dict[str, NDArray[np.bool_]]:
    """Name of a period -> (T,) whether a bar is its first one, the longest period first."""
    days = bar_utc_T.astype("datetime64[D]").astype(np.int64)
    hours = bar_utc_T.astype("datetime64[h]").astype(np.int64)
    return {
        WEEK: begins_run((days + MONDAY) // 7),
        SESSION: begins_run(session_T),
        **{f"{DAY} (from {hour:02d}:00 UTC)": begins_run((hours - hour) // 24) for hour in range(24)},
        **{f"stretch of {length} hours": begins_run(hours // length) for length in (12, 8, 4)},
        HOUR: begins_run(hours),
    }


def standing_for(values: NDArray[Any], starts: dict[str, NDArray[np.bool_]]) -> str | None:
    """The longest period for which values (T, ...) stand; None where they change from bar to bar, or never.

    Days that begin at another hour than sessions are asked for where most bars show what the one before did: figures
    that were merged by a date, whatever its zone.
    """
    recent = slice(max(len(values) - BARS_ASKED, 0), len(values))
    part = np.asarray(values[recent], dtype=np.float64).reshape(len(values[recent]), -1)
    day = _day_of(part, {name: each[recent] for name, each in starts.items() if name.startswith(DAY)})
    for period, starts_T in starts.items():
        if period.startswith(DAY) and period != day:
            continue
        if stands(part, starts_T[recent], least_new=0.0 if period == SESSION else LEAST_NEW):
            return period
    return None


def _day_of(values_TK: FloatArray, days: dict[str, NDArray[np.bool_]]) -> str | None:
    """The day at whose first bar most values change; None where they change at most bars."""
    changed = np.zeros(len(values_TK))
    changed[1:] = ((values_TK[1:] != values_TK[:-1]) & ~np.isnan(values_TK[1:])).mean(axis=1)
    if not days or changed.mean() > 1.0 - REPEATED:
        return None
    return max(days, key=lambda name: float(changed[days[name]].sum()))


def stands(values: NDArray[Any], starts_T: NDArray[np.bool_], *, least_new: float = 0.0) -> bool:
    """Whether (T, ...) values stay as they are within periods, some of which have several bars, and change at all.

    Parameters
    ----------
    starts_T : whether a bar is the first of its period. least_new : share of periods with another value than the last.
    """
    inside = np.flatnonzero(~starts_T)
    columns = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
    if not len(inside) or _same(columns[1:], columns[:-1]):
        return False
    halves = [_halves(column, starts_T) for column in columns.T]
    if least_new > 0.0 and not _mostly_new(halves, least_new):
        return False
    if _same(columns[inside], columns[inside - 1]):
        return True
    if sum(len(first) for first, _ in halves) < MIN_PERIODS:
        return False
    within = np.mean([float(np.abs(second - first).mean()) for first, second in halves if len(first) > 1])
    between = np.mean([float(np.abs(_changes(*pair)).mean()) for pair in halves if len(pair[0]) > 1])
    return bool(between > 0.0 and within <= MOST_WITHIN * between)


def late_by(period_starts_T: NDArray[np.bool_]) -> Int64Array:
    """(T,) last bar of the period before; of the first period the first bar."""
    return np.maximum(last_known_row(period_starts_T) - 1, 0)


def longest(period_starts_T: NDArray[np.bool_]) -> int:
    """Bars of the longest period."""
    edges = np.flatnonzero(period_starts_T[1:]) + 1
    return int(np.diff([0, *edges.tolist(), len(period_starts_T)]).max())


def _same(ours: FloatArray, theirs: FloatArray) -> bool:
    return bool(((ours == theirs) | (np.isnan(ours) & np.isnan(theirs))).all())


def _halves(column: FloatArray, starts_T: NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    """Means of the ranks in the first and in the second half of each period with two known bars and more."""
    ranks, known = standardised_ranks(column)
    at = np.flatnonzero(known)
    period = np.cumsum(starts_T)[at]
    starts = np.flatnonzero(np.diff(period, prepend=-1) != 0)
    lengths = np.diff(np.append(starts, len(at)))
    kept = lengths >= 2
    starts, lengths = starts[kept], lengths[kept]
    total = np.concatenate([[0.0], np.cumsum(ranks[at])])
    middle = starts + lengths // 2
    first = (total[middle] - total[starts]) / np.maximum(middle - starts, 1)
    second = (total[starts + lengths] - total[middle]) / np.maximum(starts + lengths - middle, 1)
    return first, second


def _changes(first: FloatArray, second: FloatArray) -> FloatArray:
    """Of the mean, from each period to the next."""
    return np.diff((first + second) / 2.0)


def _mostly_new(halves: list[tuple[FloatArray, FloatArray]], least: float) -> bool:
    changed = [np.abs(_changes(*pair)) > DUST for pair in halves]
    number = sum(len(each) for each in changed)
    return number > 0 and sum(int(each.sum()) for each in changed) >= least * number
