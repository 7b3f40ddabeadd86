"""Whether a universe by dates foreknows what its members earn: a list of the month that was made at the month's end.

No feature reads who belongs to the universe (`data.universe`), and yet it decides what can be held: the names that were
traded most in a month, dated from its first day, are those that gained. So members are held against the others at every
bar, as a portfolio whose gain an honest list does not have: a list that was published in advance takes in what has
risen already.

Axes: T time, A asset.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from data.array_types import FloatArray
from data.checks.foreknown import EVERY_SYMBOL, NUM_PARTS, Foreknown
from data.checks.unforeseen_returns import log_returns
from data.known_columns import ColumnStatement
from data.schema import Panel
from data.universe import MEMBER

LEAST_EACH = 3
"""Members, and others with bars, without which a bar tells nothing."""
MIN_BARS = 120
"""Bars that tell something, below which nothing is said."""
HONEST_SHARPE, BEYOND_LUCK = 1.5, 4.0
"""Annual, of members over the others before costs, and standard deviations beyond it that luck does not reach. Lists by
momentum, size or volume of the past have less than one."""
LEAST_T_OF_A_PART = 1.0
"""In each part of the history, in the same direction."""


def foreknown_members(
    panel: Panel, statements: Mapping[str, ColumnStatement] | None = None
) -> tuple[Foreknown, ...]:
    """The universe's column as a suspect; none without one, or where it is stated when membership was known.

    Members have equal shares, and so have the others, whose mean is taken off; so is what goes along with the mean of
    all, for lists by risk earn more in a market that rises. That members earn *less* says nothing: those who are not in
    it yet have their rise before them.
    """
    if MEMBER not in panel.exogenous or (statements and MEMBER in statements):
        return ()
    spread, symbols = _members_over_others(panel)
    if len(spread) < MIN_BARS:
        return ()
    years = len(spread) / panel.bars_a_year()
    t, parts = _t(spread), [_t(part) for part in np.array_split(spread, NUM_PARTS)]
    if t < HONEST_SHARPE * float(np.sqrt(years)) + BEYOND_LUCK or min(parts) < LEAST_T_OF_A_PART:
        return ()
    how = (
        f"by who belongs to the universe: at {len(spread):,} bars its members, of {symbols} symbols, earn more than "
        f"the others with a t of {t:.0f}, {t / np.sqrt(years):.1f} a year as a Sharpe ratio, where a list that was "
        f"known in advance has less than {HONEST_SHARPE:g}"
    )
    return (Foreknown(column=MEMBER, symbol=EVERY_SYMBOL, form="", weakest_t=t, how=how),)


def _members_over_others(panel: Panel) -> tuple[FloatArray, int]:
    """(N,) what members earn over the others at bars where both are enough, apart from the market, and of how many."""
    inside = np.zeros(panel.close.shape, dtype=np.bool_)
    inside[1:] = panel.exogenous[MEMBER][:-1] > 0.5  # the column stands at the bar before
    returns = log_returns(panel)
    known = np.isfinite(returns)
    size = np.sqrt(np.nansum(returns**2, axis=0) / np.maximum(known.sum(axis=0), 1))
    scaled = np.nan_to_num(returns / np.where(size > 0.0, size, np.inf))
    counts = [(known & who).sum(axis=1) for who in (inside, ~inside)]
    told = (np.minimum(*counts) >= LEAST_EACH) & (np.arange(panel.num_bars) > 0)
    if not told.any():
        return np.zeros(0), 0
    members, others, market = (
        (scaled * (known & who)).sum(axis=1)[told] / (known & who).sum(axis=1)[told]
        for who in (inside, ~inside, np.ones_like(inside))
    )
    spread, moved = members - others, market - market.mean()
    variance = float(moved @ moved)
    along = float(spread @ moved) / variance if variance > 0.0 else 0.0
    return spread - along * market, int(known.any(axis=0).sum())


def _t(values: FloatArray) -> float:
    """t statistic of the mean; 0 where nothing moves."""
    deviation = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return float(values.mean()) / deviation * float(np.sqrt(len(values))) if deviation > 0.0 else 0.0
