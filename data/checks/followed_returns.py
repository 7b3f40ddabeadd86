"""Prices that nobody trades at: averages, net asset values, appraisals, composite or stale closes.

Such a price takes in what happened over several bars, so that a return goes on as those before it did, in every part
of the history. A market where money can be made may do so as well, but hardly by more than a few Sharpe ratios a year:
what is asked is the rank correlation of a bar's return with the sum of the 1, 2, 3, 5 and 10 before it. Returns that go
*against* those before them are left alone: every traded price bounces between bid and ask.

Axes: T time, A asset.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.array_types import FloatArray
from data.checks.foreknown import MIN_BARS, NUM_PARTS
from data.checks.lead_correlations import standardised_ranks
from data.checks.unforeseen_returns import log_returns
from data.schema import Panel

BARS_BEFORE = (1, 2, 3, 5, 10)
"""Numbers of earlier returns that are summed."""
GROSS_SHARPE = 3.0
"""Annual, before costs: what trading one symbol by its own last few returns may earn in a market; honest ones have
less than two. The least correlation that is named is this over the root of the bars of a year."""
LEAST_CORRELATION = 0.1
"""Of short bars, of which a year has many."""
LEAST_T, LEAST_T_OF_A_PART = 6.0, 1.5
"""Of all bars, and of each part, in the same direction."""


@dataclass(frozen=True, kw_only=True)
class FollowedReturns:
    """A symbol whose returns follow their own past.

    Attributes
    ----------
    symbol : its name. bars : how many earlier returns were summed, where the correlation is largest.
    correlation : rank correlation with the return after them. t : of it.
    """

    symbol: str
    bars: int
    correlation: float
    t: float

    @property
    def fact(self) -> str:
        """What was seen, and the question that it raises."""
        before = "the bar before" if self.bars == 1 else f"the {self.bars} bars before"
        return (
            f"returns follow those of {before} in every part of the history (correlation {self.correlation:.2f}, t of "
            f"{self.t:.0f}): are these averages, net asset values or stale prices, at which nobody trades?"
        )

    def __str__(self) -> str:
        return f"{self.symbol}: {self.fact}"


def followed_returns(panel: Panel) -> tuple[FollowedReturns, ...]:
    """The symbols of a panel whose returns follow their own past by more than those of a market do."""
    returns_TA, least = log_returns(panel), least_correlation(panel.periods_per_year)
    found = (_followed(returns_TA[:, a], symbol, least) for a, symbol in enumerate(panel.symbols))
    return tuple(one for one in found if one is not None)


def least_correlation(periods_per_year: float) -> float:
    """The correlation below which nothing is said: bars of a year -> what `GROSS_SHARPE` comes to in one bar."""
    return max(LEAST_CORRELATION, GROSS_SHARPE / float(np.sqrt(periods_per_year)))


def _followed(returns: FloatArray, symbol: str, least: float) -> FollowedReturns | None:
    """The number of bars with the largest t, if it is enough. Bars without a return are left out of the sequence."""
    known = returns[np.isfinite(returns)]
    if len(known) < NUM_PARTS * (MIN_BARS + max(BARS_BEFORE)):
        return None
    ranks, _ = standardised_ranks(known)
    total = np.concatenate([[0.0], np.cumsum(ranks)])
    best: FollowedReturns | None = None
    for bars in BARS_BEFORE:
        before, after = total[bars:-1] - total[: -bars - 1], ranks[bars:]
        correlation, t = _correlation(before, after)
        parts = [
            _correlation(*pair)[1]
            for pair in zip(np.array_split(before, NUM_PARTS), np.array_split(after, NUM_PARTS))
        ]
        if correlation < least or t < LEAST_T or min(parts) < LEAST_T_OF_A_PART:
            continue
        if best is None or t > best.t:
            best = FollowedReturns(symbol=symbol, bars=bars, correlation=correlation, t=t)
    return best


def _correlation(before: FloatArray, after: FloatArray) -> tuple[float, float]:
    """Correlation, and its t where the size of returns comes in waves: by White's variance."""
    x, y = before - before.mean(), after - after.mean()
    spread = float(x.std() * y.std())
    products = x * y
    error = float(np.sqrt((products**2).sum()))
    if not spread > 0.0 or not error > 0.0:
        return 0.0, 0.0
    return float(products.mean()) / spread, float(products.sum()) / error
