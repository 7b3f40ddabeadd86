"""When a column is known: what the user states of it in the data config, and the delay that follows from it.

A bar is known at its close, and so is every column of it, unless the user states otherwise:

    data:
      columns:
        vendor_score: {known_after: 1 bar}   # delivered a bar later: bar t's value is first seen at the close of t + 1
        earnings: {released_in: 45 days}     # dated by its period (a quarter's end), and published so much later

`0 bars` states in writing that the column is known at the close of its own bar. `N bars` moves the column N bars later
before anything reads it; `N days` moves it by the calendar: the value that stands in a bar is first seen at the close
of the first bar that opens N days or more after it, and stays until the next one's time has come.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from data.array_types import FloatArray, TimeArray
from data.charged_columns import CHARGED_BY
from data.errors import DataError, nearest_name
from data.schema import BAR_COLUMNS, Panel

KNOWN_AFTER = re.compile(r"(\d{1,6}) bars?")
RELEASED_IN = re.compile(r"(\d{1,5}) days?")
CLOSE = "close"
"""Name under which a scripted policy's own input, the bars, is stated."""
OPEN, HIGH, LOW = "open", "high", "low"
"""Names under which the prices are stated that orders fill at."""
PRICES = (CLOSE, OPEN, HIGH, LOW)
"""Of which it can be stated that trades took place at them."""


@dataclass(frozen=True, kw_only=True)
class ColumnStatement:
    """What a user states of one column.

    Parameters
    ----------
    known_after : "0 bars", "1 bar", "2 bars", ...: bars after the close of its own bar at which a value is known.
    released_in : "1 day", "45 days", ...: days after the bar in which a value stands (the end of the period that it
        tells of) at which it is published; instead of `known_after`.
    traded : of the close: trades took place at these prices, although their returns follow their own past
        (`checks.followed_returns`). Of high and low: they did where orders of a policy fill inside of bars, although a
        score hangs on it (`evaluation.scoring.inside_fills`). Of the open: they did, although what follows it does
        follow the past.
    """

    known_after: str | int | None = None
    released_in: str | int | None = None
    traded: bool = False

    def __post_init__(self) -> None:
        if (self.known_after is None) == (self.released_in is None):
            raise ValueError(
                f"known_after is {self.known_after!r} and released_in is {self.released_in!r}; state one of the two: "
                "known_after: 1 bar, or released_in: 45 days"
            )
        if self.released_in is not None:
            if not isinstance(self.released_in, str) or not RELEASED_IN.fullmatch(self.released_in.strip()):
                raise ValueError(
                    f"released_in is {self.released_in!r}; write how many days after the date that it stands at the "
                    "column is published: 1 day, 45 days, ..."
                )
            return
        if not isinstance(self.known_after, str) or not KNOWN_AFTER.fullmatch(self.known_after.strip()):
            raise ValueError(
                f"known_after is {self.known_after!r}; write how many bars after the close of its own bar the column "
                "is known: 0 bars, 1 bar, 2 bars, ..."
            )

    @property
    def bars(self) -> int:
        """Number of bars; 0 where days are stated."""
        return 0 if self.known_after is None else int(str(self.known_after).split()[0])

    @property
    def days(self) -> int:
        """Number of days; 0 where bars are stated."""
        return 0 if self.released_in is None else int(str(self.released_in).split()[0])

    @property
    def words(self) -> str:
        """What is stated, after "known after"."""
        after = f"{self.released_in} (released_in)" if self.known_after is None else str(self.known_after)
        return f"{after}, and its prices were traded at" if self.traded else after


def delayed_columns(panel: Panel, statements: Mapping[str, ColumnStatement]) -> Panel:
    """The panel with each column moved as many bars or days later as is stated; the same panel where nothing moves.

    Raises
    ------
    DataError
        If a column that is to be moved is not in the data, is what the simulator charges by, or would move off the end.
    """
    moves = {name: one for name, one in statements.items() if one.bars or one.days}
    columns = dict(panel.exogenous)
    for name, one in moves.items():
        key = "released_in" if one.days else "known_after"
        stated = f"data.columns.{name}.{key} is {getattr(one, key)!r}"
        if name not in columns:
            raise DataError(
                f"{stated}, but the data have no column {name!r}{nearest_name(name, list(columns))}; beyond OHLCV they "
                f"have {', '.join(columns) or 'none'}, and a feature is delayed in its own function."
            )
        if name in CHARGED_BY:
            raise DataError(
                f"{stated}, but the simulator charges by {name} at the bar it stands in; move it under another name "
                "for the policy, and leave this one."
            )
        span = int((panel.bar_utc[-1] - panel.bar_utc[0]) / np.timedelta64(1, "D"))
        if one.bars >= panel.num_bars or one.days > span:
            raise DataError(
                f"{stated}, but the data have {panel.num_bars} bars of {span} days only; nothing of it would be left."
            )
        moved = (
            released(columns[name], panel.bar_utc, one.days) if one.days else shifted(columns[name], one.bars)
        )
        columns[name] = moved
    return replace(panel, exogenous=columns) if moves else panel


def shifted(values: FloatArray, bars: int) -> FloatArray:
    """(T, ...) values moved `bars` rows later; NaN in the rows that are left empty."""
    moved = np.full_like(values, np.nan)
    moved[bars:] = values[: len(values) - bars]
    return moved


def released(values: FloatArray, bar_utc: TimeArray, days: int) -> FloatArray:
    """(T, A) values as they are known when each is published `days` after the bar that it stands in.

    In a bar stands the last value that was published by its open, of those that came out since the bar before the last
    that is known; where none came out (a holiday, a weekend), what stood there before. NaN before the first.
    """
    out = np.searchsorted(
        bar_utc, bar_utc - np.timedelta64(days, "D"), side="right"
    )  # rows published by each bar
    since = np.append(0, out[:-1])
    known = np.where(np.isfinite(values), np.arange(1, len(values) + 1)[:, None], 0)
    newest = np.maximum.accumulate(known, axis=0)[np.maximum(out - 1, 0)]  # counted from 1
    fresh = newest > since[:, None]
    told = np.where(fresh, np.take_along_axis(values, np.maximum(newest - 1, 0), axis=0), np.nan)
    last_told = np.maximum.accumulate(np.where(out > since, np.arange(len(out)), 0))
    return np.where((out > 0)[:, None], told[last_told], np.nan)


def check_statements(
    statements: Mapping[str, ColumnStatement], panel: Panel, feature_names: Sequence[str]
) -> None:
    """Raise DataError for a statement about something that is neither a column of the data nor a feature."""
    known = list(dict.fromkeys([*panel.exogenous, *feature_names, *BAR_COLUMNS]))
    for name in statements:
        if name not in known:
            raise DataError(
                f"data.columns.{name}: there is no column or feature of this name{nearest_name(name, known)}; "
                f"there are {', '.join(known)}."
            )
        if statements[name].traded and name not in PRICES:
            raise DataError(
                f"data.columns.{name}.traded is true, but only prices are traded at; state it of {', '.join(PRICES)}, "
                f"and of {name} when it is known."
            )


def statements_of(source: object) -> Mapping[str, ColumnStatement]:
    """The statements of a source's config; none for a synthetic market, whose law says all."""
    return getattr(source, "columns", {})
