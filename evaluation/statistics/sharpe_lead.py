"""By how much one record's Sharpe ratio is above another's on the same bars, and how sure that is.

A Sharpe ratio is a mean over its own deviation; to first order it moves with each bar by the bar's influence,
``z - S / 2 (z**2 - 1)`` with ``z`` the standardised return and ``S`` the ratio per bar. The lead's error is that of the
mean difference of two influences over blocks of time (`time_blocks`): what moves both records together cancels, fat
tails and neighbours that are alike count. Sources: Jobson and Korkie, "Performance hypothesis testing with the Sharpe
and Treynor measures", Journal of Finance 36, 1981; Ledoit and Wolf, "Robust performance hypothesis testing with the
Sharpe ratio", Journal of Empirical Finance 15, 2008, who find errors from autocovariances too small, as ours were:
where neighbours are a little alike they found a lead that is none in 8 to 11 of 100 studies, and 20 blocks in 6.
Axes: T bars.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr

from evaluation.statistics.metrics import as_returns, sharpe_ratio
from evaluation.statistics.time_blocks import block_mean

FloatArray = NDArray[np.float64]
ROUNDING = 1e-9
"""Per bar: a lead no larger than what rounding makes of two equal records is none."""
NUM_BLOCKS = 20
"""Blocks of time at most."""


@dataclass(frozen=True, kw_only=True)
class SharpeLead:
    """First less second; nan where the first does not move.

    Attributes
    ----------
    lead : difference of the annual Sharpe ratios; a second record that does not move counts as 0.
    error : standard error of it. num_blocks : of time, that it was measured over.
    """

    lead: float
    error: float
    num_blocks: int

    @property
    def confidence(self) -> float:
        """At which a one-sided test just finds that the lead is above zero, 0 to 1; 0.5 without a lead."""
        if math.isnan(self.lead):
            return math.nan
        return float(stdtr(self.num_blocks - 1, self.lead / self.error)) if self.error > 0.0 else 0.5


def sharpe_lead(first: ArrayLike, second: ArrayLike, *, periods_per_year: float = 1.0) -> SharpeLead:
    """Compare two records of the same bars.

    Parameters
    ----------
    first, second : (T,) per-bar returns of the same bars, in the same order.

    Raises
    ------
    ValueError
        If the two differ in length, or a return is not finite.
    """
    ours, theirs = as_returns(first, name="the first record"), as_returns(second, name="the second record")
    if ours.shape != theirs.shape:
        raise ValueError(
            f"the records have {ours.size} and {theirs.size} bars; give returns of the same bars"
        )
    own = sharpe_ratio(ours)
    if math.isnan(own):
        return SharpeLead(lead=math.nan, error=math.nan, num_blocks=0)
    other = sharpe_ratio(theirs)
    lead = own - (0.0 if math.isnan(other) else other)
    scale = math.sqrt(periods_per_year)
    moved = block_mean(_influence(ours, own) - _influence(theirs, other), NUM_BLOCKS)
    if abs(lead) <= ROUNDING:
        return SharpeLead(lead=0.0, error=moved.error * scale, num_blocks=moved.num_blocks)
    return SharpeLead(
        lead=lead * scale, error=max(moved.error, ROUNDING) * scale, num_blocks=moved.num_blocks
    )


def _influence(returns: FloatArray, sharpe: float) -> FloatArray:
    """(T,) by how much each bar moves the per-bar Sharpe ratio, times T; 0 of a record that does not move."""
    if math.isnan(sharpe):
        return np.zeros_like(returns)
    standard = (returns - returns.mean()) / returns.std(ddof=0)
    return np.asarray(standard - 0.5 * sharpe * (standard**2 - 1.0))
