"""A finding of the foreknowledge checks: an input that tells what is still to come, and what it takes to be accused."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

MAX_T = 10.0
"""The t statistic beyond which, in every part of the bars, no honest input gets."""
NUM_PARTS = 4
MIN_BARS = 20
"""Bars of a part with both numbers known, below which nothing is said."""
FURTHEST_SHARE = 0.2
"""Largest lead that is looked at, as a share of a part's bars."""
MOST_BARS_AHEAD = 5_000
EVERY_SYMBOL = "all symbols"


@dataclass(frozen=True, kw_only=True)
class Foreknown:
    """A column under suspicion.

    Attributes
    ----------
    column, symbol : names; `symbol` may be `EVERY_SYMBOL`, or a pair, such as "S0 against S1".
    form : "" for the column as it is, else what was made of it.
    weakest_t : the t statistic of the part in which it is smallest in size; of all bars where `how` is given.
    bars_ahead : which bar's return it ranks; 1 is the next.
    bars : how many bars' returns together, from that one on.
    kind : "column", or "feature".
    how : the evidence in words, where it is not a t statistic in every part.
    """

    column: str
    symbol: str
    form: str
    weakest_t: float
    bars_ahead: int = 1
    bars: int = 1
    kind: str = "column"
    how: str = ""

    def __str__(self) -> str:
        what = f"{self.form} of " if self.form else ""
        whose = (
            "the next bar's return" if self.bars_ahead == 1 else f"the return {self.bars_ahead} bars ahead"
        )
        if self.bars > 1:
            whose = f"the returns {self.bars_ahead} to {self.bars_ahead + self.bars - 1} bars ahead"
        how = self.how or f"with |t| of {abs(self.weakest_t):.0f} or more in every part"
        return f"{what}{self.kind} {self.column!r} ({self.symbol}) ranks {whose} {how}: known at the close?"


def furthest_lead(lengths: Iterable[int]) -> int:
    """Largest lead that is looked at in parts of so many bars."""
    return min(int(FURTHEST_SHARE * min(lengths)), MOST_BARS_AHEAD)
