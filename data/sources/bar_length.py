"""The length of bars as the rows themselves show it, against the length that the config says.

Rows on a grid of another length are never put on the config's grid: finer rows would lose bars, coarser ones would
leave most of the grid empty. A thin symbol, which has rows for few of its bars, is another thing: its steps are
multiples of the bar without being multiples of one larger step.

N is the number of rows of a symbol.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.array_types import TimeArray
from data.calendars import ALWAYS_OPEN, DAY_SECONDS, bar_grid, check_bar_seconds, sessions_between
from data.equal_runs import begins_run, run_ends, run_starts
from data.errors import DataError

IntArray = NDArray[np.int64]

FINER_SHARE = 0.1
"""Share of steps below the bar's length at which rows are taken for finer bars."""
COARSER_SHARE = 0.8
"""Share of steps that are multiples of the commonest one at which rows are taken for coarser bars."""
FEW_STEPS, FEW_ROWS = 20, 8
"""With fewer steps than this, all of them must be multiples; fewer rows than this may be those of a thin symbol."""
LONG_RUN = 20
"""Equal steps in a row that a thin symbol does not have by chance."""
_SECOND = 10**9
_NIGHT = 6 * 3600 * _SECOND
_DAY = np.timedelta64(1, "D")
_NAMES = {60: "one minute", 3600: "one hour", DAY_SECONDS: "one day", 7 * DAY_SECONDS: "one week"}


class Spacing(NamedTuple):
    """How far apart rows are: the commonest step, ns, and the share of all steps that it has."""

    step: int
    share: float


def commonest_step(labels: TimeArray) -> Spacing:
    """Return the commonest step between ascending labels (N,), the smaller one of equals; N >= 2."""
    steps, counts = np.unique(np.diff(labels).astype(np.int64), return_counts=True)
    at = int(counts.argmax())
    return Spacing(int(steps[at]), float(counts[at] / counts.sum()))


def check_bar_length(bars: Mapping[str, pd.DataFrame], calendar: str, bar_seconds: int) -> list[str]:
    """Compare the rows of each symbol with the bar length of the config.

    Parameters
    ----------
    bars : symbol -> rows, indexed by naive UTC label. Rows that are not in order of time are left to others.

    Returns
    -------
    A remark for each stretch of rows of another length that is too short to refuse.

    Raises
    ------
    DataError
        If the rows of a symbol are bars of another length; the message names what was found and what to set.
    """
    labels = {symbol: _distinct(rows.index.to_numpy("datetime64[ns]")) for symbol, rows in bars.items()}
    ascending = {s: at for s, at in labels.items() if len(at) > 1 and (np.diff(at) > np.timedelta64(0)).all()}
    if not ascending:
        return []
    steps = _expected_steps(calendar, bar_seconds, min(at[0] for at in ascending.values()))
    expected = steps[0]
    others = {symbol: _other_spacing(at, steps) for symbol, at in ascending.items()}
    fitting = [symbol for symbol, spacing in others.items() if spacing is None and len(ascending[symbol]) > 2]
    remarks = []
    for symbol, at in ascending.items():
        spacing = others[symbol]
        thin = spacing is not None and spacing > expected and len(at) < FEW_ROWS
        if spacing is not None and not thin:
            raise DataError(_sentence(symbol, at, spacing, fitting, calendar, bar_seconds))
        remarks += _told_stretches(symbol, at, steps)
    return remarks


def _distinct(labels: TimeArray) -> TimeArray:
    """Return labels without those that repeat the one before; what becomes of such rows is decided elsewhere."""
    return labels[begins_run(labels)]


def spelled(seconds: float) -> str:
    """Return a length as people read it: '86400 s (one day)'."""
    name = _NAMES.get(int(seconds)) if seconds == int(seconds) else None
    if name is None and seconds > DAY_SECONDS:
        name = f"{seconds / DAY_SECONDS:.3g} days"
    return f"{seconds:.10g} s" + (f" ({name})" if name else "")


def _expected_steps(calendar: str, bar_seconds: int, first: np.datetime64) -> tuple[int, ...]:
    """Return the commonest steps, ns, between the openings and between the closes of the calendar's own bars.

    They are a day where bars are as long as sessions, and differ where the close cuts every second bar short.
    """
    length = bar_seconds * _SECOND
    if calendar == ALWAYS_OPEN:
        return (length,)
    opens = bar_grid(calendar, bar_seconds, first, first + 60 * _DAY).bar_utc
    if len(opens) < 2:
        return (length,)
    sessions = sessions_between(calendar, opens[0], opens[-1] + _DAY)
    ends = np.sort(np.concatenate([sessions.close_utc, sessions.break_start_utc]))  # NaT last
    ends = ends[~np.isnat(ends)]
    cut = ends[np.minimum(np.searchsorted(ends, opens, side="right"), len(ends) - 1)]
    closes = cut if bar_seconds == DAY_SECONDS else np.minimum(opens + np.timedelta64(length, "ns"), cut)
    return commonest_step(opens).step, commonest_step(closes).step


def _other_spacing(labels: TimeArray, expected: tuple[int, ...]) -> int | None:
    """Return the step of rows that are bars of another length than expected, ns; None if they may be of this one."""
    steps = np.diff(labels).astype(np.int64)
    found = commonest_step(labels).step
    if found in expected:
        return None
    if found < expected[0]:
        return found if (steps < min(expected)).mean() > FINER_SHARE else None
    multiples = float((steps % found == 0).mean())
    if multiples >= (1.0 if len(steps) < FEW_STEPS else COARSER_SHARE):
        return found
    months = np.median(steps) > 4 * DAY_SECONDS * _SECOND > expected[0] and len(steps) >= 4
    return found if months else None


def _sentence(
    symbol: str, labels: TimeArray, step: int, fitting: list[str], calendar: str, bar_seconds: int
) -> str:
    found = f"{symbol}: most of its {len(labels):,} rows are {spelled(step / _SECOND)} apart"
    if fitting:
        return (
            f"{found}, but those of {fitting[0]} are {spelled(bar_seconds)} apart, as data.bar_seconds says; give all "
            "symbols bars of one length."
        )
    asked = f"{found}, but data.bar_seconds is {bar_seconds}"
    seconds = step / _SECOND
    try:
        if seconds != int(seconds):
            raise DataError("bars are whole seconds long")
        check_bar_seconds(calendar, int(seconds))
    except DataError:
        return f"{asked}, and such bars are not supported: give bars whose length divides a day (60, 1800, 86400 s)."
    weekdays = ((labels.astype("datetime64[D]").astype(np.int64) + 3) % 7) < 5  # 1970-01-01 was a Thursday
    exchange = (
        "; as no row lies on a weekend, also set data.calendar to that of the exchange, such as NYSE"
        if calendar == ALWAYS_OPEN and weekdays.all() and labels[-1] - labels[0] > 7 * _DAY
        else ""
    )
    return f"{asked}; set data.bar_seconds={int(seconds)}, or give the bars that were meant{exchange}."


class _Stretch(NamedTuple):
    """Rows [first, last] that are `step` ns apart."""

    first: int
    last: int
    step: int


def _told_stretches(symbol: str, labels: TimeArray, expected: tuple[int, ...]) -> list[str]:
    """Say where rows of another length lie among those of the expected one; refuse where they are many."""
    found = _stretches(labels, expected) + (_daily_stretches(labels) if expected[0] < _NIGHT else [])
    told = [
        f"{symbol}: from {_minute(labels[part.first])} to {_minute(labels[part.last])} the rows are "
        f"{spelled(part.step / _SECOND)} apart, elsewhere {spelled(expected[0] / _SECOND)}"
        for part in found
    ]
    if sum(part.last - part.first for part in found) > FINER_SHARE * len(labels):
        raise DataError(f"{told[0]}; give bars of one length, or the part that has one.")
    return told


def _stretches(labels: TimeArray, expected: tuple[int, ...]) -> list[_Stretch]:
    """Find `LONG_RUN` equal steps in a row, nights and weekends left aside."""
    steps = np.diff(labels).astype(np.int64)
    inside = np.flatnonzero(steps < max(_NIGHT, 2 * expected[0] + 1))
    kept = steps[inside]
    return [
        _Stretch(int(inside[i]), int(inside[j - 1]) + 1, int(kept[i]))
        for i, j in _runs(kept)
        if kept[i] not in expected
    ]


def _daily_stretches(labels: TimeArray) -> list[_Stretch]:
    """Find `LONG_RUN` days in a row, of those that have rows, with one row each at the same time of day."""
    days, first, counts = np.unique(labels.astype("datetime64[D]"), return_index=True, return_counts=True)
    time_of_day = (labels[first] - days).astype(np.int64)
    alone = np.where(counts == 1, time_of_day, -1)
    return [
        _Stretch(int(first[i]), int(first[j - 1]), DAY_SECONDS * _SECOND)
        for i, j in _runs(alone)
        if alone[i] >= 0
    ]


def _runs(values: IntArray) -> list[tuple[int, int]]:
    """Return [start, stop) of each run of at least `LONG_RUN` equal values."""
    starts, stops = run_starts(values), run_ends(values) + 1
    return [(int(i), int(j)) for i, j in zip(starts, stops, strict=True) if j - i >= LONG_RUN]


def _minute(instant: np.datetime64) -> str:
    return str(np.datetime_as_string(instant, unit="m")).replace("T", " ")
