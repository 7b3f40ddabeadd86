"""What a dialect is: how the files of one maker are known, and what their columns, numbers, times and labels mean.

Names of columns are compared in `plain` form: lower case, words joined by one underscore, marks such as <> left off.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

ROLES = (
    "timestamp", "date", "time", "close_time", "milliseconds_of_day", "open", "high", "low", "close", "volume",
    "tick_volume", "up_volume", "down_volume", "adjusted_close", "symbol", "instrument", "second_time",
)  # fmt: skip
"""What a column may be, beside a further one that is handed on under a name of its own. `instrument` is a number that
stands for the symbol; `second_time` says the same as the timestamp."""
LEFT_OUT, ONE_VALUE = "left out", "one value"
"""A column that is not handed on, and one that must not change within a file."""
ZONE_OPEN = "times without an offset are those of data.timezone, else UTC"
"""What is said of makers whose times have no zone that is known."""
Prices = Literal["as written", "1e-4", "1e-9 if whole", "1e-4 if packed"]
"""In which unit a file writes prices. "if whole": the maker writes whole numbers in it, and decimals otherwise; "if
packed": whole numbers in a zip are taken for it, and others cannot be told."""

Rows = Sequence[Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """The files of one maker.

    Parameters
    ----------
    name : as a sentence names it: "Binance's klines".
    requires, lacks : columns that a header must have, and must not have; empty for files without one.
    order : columns of a file without a header, in their order; empty for files with one.
    fits : whether the first rows of a file without a header are this maker's; None if only the file's name tells.
    file_name : what the name of a file without a header must match; a group `symbol` in it names the instrument.
    folders : what folders above must be called, in lower case.
    columns : column -> one of `ROLES`, `LEFT_OUT`, `ONE_VALUE`, or another name to hand it on by; those that
        are not here
        go by the names that many use (`roles`).
    prices : unit of the prices.
    zone : IANA zone of times without an offset where the maker fixes it; None leaves it to `data.timezone`.
    zone_sure : False if others write such files too, in other zones: on 24/7, where nothing shows it, the user
        must say.
    labels : "open" or "close" where the maker fixes which instant of its bar a row is labelled by.
    note : what else is worth saying of such files.
    """

    name: str
    requires: frozenset[str] = frozenset()
    lacks: frozenset[str] = frozenset()
    order: tuple[str, ...] = ()
    fits: Callable[[Rows], bool] | None = None
    file_name: re.Pattern[str] | None = None
    folders: frozenset[str] = frozenset()
    columns: Mapping[str, str] = field(default_factory=dict)
    prices: Prices = "as written"
    zone: str | None = None
    zone_sure: bool = True
    labels: Literal["open", "close"] | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if bool(self.requires) == bool(self.order):
            raise ValueError(
                f"{self.name}: give either the columns of its header or the order of its columns."
            )
        known = {*self.requires, *self.order}
        if self.order and {*self.columns} - known:
            raise ValueError(
                f"{self.name}: {sorted({*self.columns} - known)} are not in its order of columns."
            )


def plain(name: str) -> str:
    """Return a column's name in the form in which names are compared: 'Close/Last' is close_last."""
    bare = re.sub(r"^\d+[a-z]?\.\s+", "", str(name).strip().lower().strip("<>\"' "))
    return re.sub(r"[^\w%#]+|__+", "_", re.sub(r"[^\w%#]+", "_", bare)).strip("_")


def whole(field: str, *digits: int) -> bool:
    """True if a field is a whole number without sign, of one of these numbers of digits."""
    return field.isdecimal() and len(field) in digits


def is_date(field: str, pattern: str) -> bool:
    """True if a field is a date, or a date and a time, that matches."""
    return re.fullmatch(pattern, field) is not None


def is_real(field: str) -> bool:
    """True if a field is a number with a point or without."""
    try:
        float(field)
    except ValueError:
        return False
    return True


def are_prices(rows: Rows, first: int) -> bool:
    """True if the four columns from `first` on are open, high, low, close in every row."""
    for row in rows:
        if len(row) < first + 4 or not all(is_real(field) for field in row[first : first + 4]):
            return False
        opened, high, low, close = (float(field) for field in row[first : first + 4])
        slack = 1e-9 * abs(high)
        if high + slack < max(opened, close) or low - slack > min(opened, close):
            return False
    return bool(rows)
