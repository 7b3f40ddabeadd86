"""What every source of recorded bars has: a window, statements on its columns, and a way to be read.

The built-in ones are named in `RECORDED` of the package.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from data.alignment import AlignedBars
from data.context_symbols import ContextSymbol
from data.known_columns import ColumnStatement
from data.repair_decisions import NO_REPAIRS, Repairs


@dataclass(frozen=True, kw_only=True)
class RecordedBars(ABC):
    """Bars that were recorded somewhere. A source is a subclass: its fields are the keys of the group ``data``.

    Parameters
    ----------
    symbols : which, in the order of the asset axis; empty means all.
    start_utc, stop_utc : window [start, stop) of bar labels; None means all.
    columns : column or feature -> when it is known, see `data.known_columns`; older runs have none.
    repair : what is done with defects, handed to `data.alignment.align`; older runs have none done.
    context_symbols : name -> symbol that is read beside the traded ones; older runs have none.
    allow_nonpositive_prices : symbols whose prices may be zero and below, "*" for all; older runs have none. A job adds
        those whose instrument allows it.
    universe : file of symbol, from, to: when each may be held, see `data.universe`; None for all, always.
    """

    symbols: tuple[str, ...]
    start_utc: str | None
    stop_utc: str | None
    columns: Mapping[str, ColumnStatement] = field(default_factory=dict)
    repair: Repairs = NO_REPAIRS
    context_symbols: Mapping[str, ContextSymbol] = field(default_factory=dict)
    allow_nonpositive_prices: tuple[str, ...] = ()
    universe: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "symbols", tuple(self.symbols))
        object.__setattr__(self, "allow_nonpositive_prices", tuple(self.allow_nonpositive_prices))

    @abstractmethod
    def read(self) -> AlignedBars:
        """Read the bars and put them on their calendar's grid (`data.alignment.align`).

        Raises
        ------
        data.errors.DataError
            If the bars cannot be used; one sentence says what was found and what to do.
        """

    @property
    @abstractmethod
    def place(self) -> str:
        """Where the bars come from, in a few words; equal for equal bars. The ledger writes it down."""
