"""A series of the lake: one symbol's bars of one length from one source, and the folders that it lies in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import get_args
from urllib.parse import quote, unquote

from data.errors import DataError
from data.lake.bar_names import bar_name, bar_seconds_of
from data.vendors.definition import Adjustment

_SOURCE = re.compile(r"[a-z0-9][a-z0-9_.-]*")
_FOLDER = re.compile(r"source=([^/]+)/bar=([^/]+)/adjustment=([^/]+)/symbol=([^/]+)")


@dataclass(frozen=True, kw_only=True, order=True)
class Series:
    """What names a series.

    Parameters
    ----------
    source : name of the vendor's entry in ``conf/source``: lower-case letters, digits, '_', '-' and '.'.
    bar_seconds : length of a bar, seconds.
    adjustment : of the prices, see `data.vendors.definition.BarRequest`.
    symbol : as the user writes it; any text.
    """

    source: str
    bar_seconds: int
    adjustment: Adjustment
    symbol: str

    def __post_init__(self) -> None:
        if not _SOURCE.fullmatch(self.source):
            raise DataError(
                f"source is {self.source!r}; use lower-case letters, digits, '_', '-' and '.': it becomes a folder."
            )
        if self.adjustment not in get_args(Adjustment):
            raise DataError(
                f"adjustment is {self.adjustment!r}; it must be one of {', '.join(get_args(Adjustment))}."
            )
        if not self.symbol.strip():
            raise DataError("a symbol is empty; name each asset.")

    @property
    def folder(self) -> str:
        """Its place below ``raw`` and ``curated``; a symbol's own slashes and colons are escaped."""
        return (
            f"source={self.source}/bar={bar_name(self.bar_seconds)}/adjustment={self.adjustment}/"
            f"symbol={quote(self.symbol, safe='')}"
        )

    @classmethod
    def of_folder(cls, folder: str) -> Series | None:
        """The series of a path that begins like `folder`; None where it is none."""
        match = _FOLDER.match(folder)
        if match is None:
            return None
        source, bar, adjustment, symbol = match.groups()
        return cls(
            source=source,
            bar_seconds=bar_seconds_of(bar),
            adjustment=adjustment,  # type: ignore[arg-type]  # checked above
            symbol=unquote(symbol),
        )

    def __str__(self) -> str:
        return f"{self.symbol} {bar_name(self.bar_seconds)} of {self.source} ({self.adjustment})"
