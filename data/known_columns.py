"""When a column is known: what the user states of it in the data config, and the delay that follows from it.

A bar is known at its close, and so is every column of it, unless the user states otherwise:

    data:
      columns:
        vendor_score: {known_after: 1 bar}   # delivered a bar later: bar t's value is first seen at the close of t + 1

`0 bars` states in writing that the column is known at the close of its own bar. `N bars` moves the column N bars later
before anything reads it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from data.array_types import FloatArray
from data.errors import DataError, nearest_name
from data.schema import BAR_COLUMNS, Panel
from data.traded_prices import COLUMNS as ROLL_COLUMNS
from data.universe import MEMBER

KNOWN_AFTER = re.compile(r"(\d{1,6}) bars?")
CLOSE = "close"
"""Name under which a scripted policy's own input, the bars, is stated."""
CHARGED_BY = ("funding_rate", "split_factor", *ROLL_COLUMNS, MEMBER)
"""Columns that the simulator charges and adjusts by, at the bar they stand in."""


@dataclass(frozen=True, kw_only=True)
class ColumnStatement:
    """What a user states of one column.

    Parameters
    ----------
    known_after : "0 bars", "1 bar", "2 bars", ...: bars after the close of its own bar at which a value is known.
    traded : of the close alone: trades took place at these prices, although their returns follow their own past
        (`checks.followed_returns`).
    """

    known_after: str | int
    traded: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.known_after, str) or not KNOWN_AFTER.fullmatch(self.known_after.strip()):
            raise ValueError(
                f"known_after is {self.known_after!r}; write how many bars after the close of its own bar the column "
                "is known: 0 bars, 1 bar, 2 bars, ..."
            )

    @property
    def bars(self) -> int:
        """Number of bars."""
        return int(str(self.known_after).split()[0])

    @property
    def words(self) -> str:
        """What is stated, after "known after"."""
        return f"{self.known_after}, and its prices were traded at" if self.traded else str(self.known_after)


def delayed_columns(panel: Panel, statements: Mapping[str, ColumnStatement]) -> Panel:
    """The panel with each column moved as many bars later as is stated; the same panel where nothing moves.

    Raises
    ------
    DataError
        If a column that is to be moved is not in the data, is what the simulator charges by, or would move off the end.
    """
    moves = {name: one.bars for name, one in statements.items() if one.bars}
    columns = dict(panel.exogenous)
    for name, bars in moves.items():
        stated = f"data.columns.{name}.known_after is {statements[name].known_after!r}"
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
        if bars >= panel.num_bars:
            raise DataError(
                f"{stated}, but the data have {panel.num_bars} bars only; nothing of it would be left."
            )
        columns[name] = shifted(columns[name], bars)
    return replace(panel, exogenous=columns) if moves else panel


def shifted(values: FloatArray, bars: int) -> FloatArray:
    """(T, ...) values moved `bars` rows later; NaN in the rows that are left empty."""
    moved = np.full_like(values, np.nan)
    moved[bars:] = values[: len(values) - bars]
    return moved


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
        if statements[name].traded and name != CLOSE:
            raise DataError(
                f"data.columns.{name}.traded is true, but only prices are traded at; state it of {CLOSE}, and of "
                f"{name} when it is known."
            )


def statements_of(source: object) -> Mapping[str, ColumnStatement]:
    """The statements of a source's config; none for a synthetic market, whose law says all."""
    return getattr(source, "columns", {})
