"""Prices that nobody trades at: averages, net asset values, appraisals, composite or stale closes and opens.

Such a price takes in what happened over several bars, so that a return goes on as those before it did, in every part
of the history. A market where money can be made may do so as well, but hardly by more than a few Sharpe ratios a year:
what is asked is the rank correlation of a bar's return with the sum of the 1, 2, 3, 5 and 10 before it. Returns that go
*against* those before them are left alone: every traded price bounces between bid and ask.

Orders fill at opens, so these are asked by themselves: what follows an open (to its close, and to the next open) and
what the closes of the symbol and of the others had done by the close before. An open that lags goes on as they did. One
that runs too far comes back; there the last return, whose bounce may still stand in the open, is left out.

Axes: T time, A asset.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.array_types import FloatArray
from data.checks.foreknown import MIN_BARS, NUM_PARTS
from data.checks.lead_correlations import standardised_ranks
from data.checks.unforeseen_returns import log_returns
from data.known_columns import CLOSE, OPEN
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
    correlation : rank correlation with the return after them. t : of it, 0 or more.
    price : whose: "close", or "open" for what follows an open.
    leader : whose returns it follows, where all symbols were asked together (`checks.followed_together`).
    """

    symbol: str
    bars: int
    correlation: float
    t: float
    price: str = CLOSE
    leader: str = ""

    @property
    def fact(self) -> str:
        """What was seen, and the question that it raises."""
        if self.leader:
            return (
                f"what comes after their opens follows {self.leader} returns of the last {self.bars} bar"
                f"{'' if self.bars == 1 else 's'} to the close before, a little in each and surely in all (t of "
                f"{self.t:.0f} over all bars): are these opens stale, or yesterday's closes?"
            )
        before = "the bar before" if self.bars == 1 else f"the {self.bars} bars before"
        seen = f"in every part of the history (correlation {self.correlation:.2f}, t of {self.t:.0f})"
        if self.price == CLOSE:
            return (
                f"returns follow those of {before} {seen}: are these averages, net asset values or stale prices, at "
                "which nobody trades?"
            )
        does = "follows" if self.correlation > 0.0 else "takes back"
        return (
            f"what comes after an open {does} the returns of {before} {seen}: are these opens stale, or quotes at "
            "which nobody trades?"
        )

    def __str__(self) -> str:
        return f"{self.symbol}: {self.fact}"


def followed_returns(panel: Panel) -> tuple[FollowedReturns, ...]:
    """The symbols of a panel whose returns follow their own past by more than those of a market do.

    Of a symbol whose closes are named already its opens are not asked, which mostly follow from them.
    """
    returns_TA, least = log_returns(panel), least_correlation(panel.bars_a_year())
    found: list[FollowedReturns | None] = []
    ranks_TA = np.stack([standardised_ranks(column)[0] for column in returns_TA.T], axis=1)
    after_TA = after_opens(panel)
    for a, symbol in enumerate(panel.symbols):
        found.append(_followed(returns_TA[:, a], symbol, least))
        if found[-1] is not None:
            continue
        others = np.delete(ranks_TA, a, axis=1)
        pasts = [ranks_TA[:, a], *([others.mean(axis=1)] if others.shape[1] else [])]
        asked = [_opened(past, after[:, a], symbol, least) for past in pasts for after in after_TA]
        found.append(max((one for one in asked if one is not None), key=lambda one: one.t, default=None))
    return tuple(one for one in found if one is not None)


def least_correlation(periods_per_year: float) -> float:
    """The correlation below which nothing is said: bars of a year -> what `GROSS_SHARPE` comes to in one bar."""
    return max(LEAST_CORRELATION, GROSS_SHARPE / float(np.sqrt(periods_per_year)))


def after_opens(panel: Panel) -> tuple[FloatArray, FloatArray]:
    """(T, A) log returns from each bar's open to its close, and to the next open; NaN where one is missing."""
    panel = panel.positive()
    opened = np.log(panel.open)
    following = np.full(opened.shape, np.nan)
    following[:-1] = np.diff(opened, axis=0)
    return np.log(panel.close) - opened, following


def _followed(returns: FloatArray, symbol: str, least: float) -> FollowedReturns | None:
    """The number of bars with the largest t, if it is enough. Bars without a return are left out of the sequence."""
    known = returns[np.isfinite(returns)]
    if len(known) < NUM_PARTS * (MIN_BARS + max(BARS_BEFORE)):
        return None
    ranks, _ = standardised_ranks(known)
    total = np.concatenate([[0.0], np.cumsum(ranks)])
    best: FollowedReturns | None = None
    for bars in BARS_BEFORE:
        best = _larger(best, total[bars:-1] - total[: -bars - 1], ranks[bars:], symbol, bars, least)
    return best


def _opened(past: FloatArray, after: FloatArray, symbol: str, least: float) -> FollowedReturns | None:
    """The same for what follows an open.

    Parameters
    ----------
    past : (T,) ranks of returns to the close of each bar, 0 where unknown.
    after : (T,) return that follows the open of each, NaN where unknown.
    """
    kept = np.isfinite(after)
    if kept.sum() < NUM_PARTS * (MIN_BARS + max(BARS_BEFORE) + 1):
        return None
    ranks, _ = standardised_ranks(after[kept])
    total = np.concatenate([[0.0], np.cumsum(past[kept])])
    best: FollowedReturns | None = None
    for bars in BARS_BEFORE:
        before = total[bars:-1] - total[: -bars - 1]
        best = _larger(best, before, ranks[bars:], symbol, bars, least, OPEN)
        best = _larger(best, -before[:-1], ranks[bars + 1 :], symbol, bars, least, OPEN, sign=-1.0)
    return best


def _larger(
    best: FollowedReturns | None,
    before: FloatArray,
    after: FloatArray,
    symbol: str,
    bars: int,
    least: float,
    price: str = CLOSE,
    sign: float = 1.0,
) -> FollowedReturns | None:
    """The finding with the larger t; a new one only if it is enough, of all bars and in each part."""
    correlation, t = _correlation(before, after)
    parts = [
        _correlation(*pair)[1]
        for pair in zip(np.array_split(before, NUM_PARTS), np.array_split(after, NUM_PARTS))
    ]
    if correlation < least or t < LEAST_T or min(parts) < LEAST_T_OF_A_PART:
        return best
    if best is not None and t <= best.t:
        return best
    return FollowedReturns(symbol=symbol, bars=bars, correlation=sign * correlation, t=t, price=price)


def _correlation(before: FloatArray, after: FloatArray) -> tuple[float, float]:
    """Correlation, and its t where the size of returns comes in waves: by White's variance."""
    x, y = before - before.mean(), after - after.mean()
    spread = float(x.std() * y.std())
    products = x * y
    error = float(np.sqrt((products**2).sum()))
    if not spread > 0.0 or not error > 0.0:
        return 0.0, 0.0
    return float(products.mean()) / spread, float(products.sum()) / error
