"""The half spread that bars show of themselves: closes at bid or ask bounce, and ranges of two bars hold one spread.

Who buys at the next open after a close at the bid earns the bounce, which nobody gets: a market order pays the spread.
Two estimates are made, which err in different ways, and the smaller counts: a market that goes back by itself looks
like a bounce to the first and not to the second.

Sources: Roll, "A simple implicit measure of the effective bid-ask spread in an efficient market", Journal of Finance
39, 1984; Corwin and Schultz, "A simple way to estimate bid-ask spreads from daily high and low prices", Journal of
Finance 67, 2012. Of the second, negative values of pairs of bars are kept, so that without a spread the mean is not
above zero.

Axes: T time, A asset.
"""

from __future__ import annotations

import math

import numpy as np

from data.array_types import FloatArray
from data.checks.foreknown import NUM_PARTS
from data.checks.unforeseen_returns import log_returns
from data.schema import Panel

LEAST_T, LEAST_T_OF_A_PART = 6.0, 1.5
"""Of the bounce, over all bars and in each part, without which there is none."""
MIN_BARS = 250
OF_RANGES = 3.0 - 2.0 * math.sqrt(2.0)


def half_spreads_bps(panel: Panel) -> FloatArray:
    """(A,) half spread of each symbol, basis points of the price; 0 where bars show none beyond chance."""
    panel = panel.positive()
    returns = log_returns(panel)
    ranges = np.log(panel.high), np.log(panel.low)
    found = np.zeros(panel.num_assets)
    for a in range(panel.num_assets):
        bounce = _bounce(returns[:, a])
        if bounce > 0.0:
            found[a] = 1e4 * min(bounce, _of_ranges(ranges[0][:, a], ranges[1][:, a]))
    return found


def _bounce(returns: FloatArray) -> float:
    """Roll's half spread, the root of minus the covariance of a return with the one before; 0 where it is chance."""
    both = np.isfinite(returns[1:]) & np.isfinite(returns[:-1])
    if both.sum() < MIN_BARS:
        return 0.0
    now, before = returns[1:][both], returns[:-1][both]
    products = (now - now.mean()) * (before - before.mean())
    parts = [_t(part) for part in np.array_split(products, NUM_PARTS)]
    if _t(products) > -LEAST_T or max(parts) > -LEAST_T_OF_A_PART:
        return 0.0
    return math.sqrt(-float(products.mean()))


def _of_ranges(high: FloatArray, low: FloatArray) -> float:
    """Corwin's and Schultz's half spread: the mean over neighbouring bars, at least 0."""
    known = np.isfinite(high + low)
    both = known[1:] & known[:-1]
    if both.sum() < MIN_BARS:
        return 0.0
    squares = (high - low) ** 2
    beta = (squares[1:] + squares[:-1])[both]
    gamma = ((np.maximum(high[1:], high[:-1]) - np.minimum(low[1:], low[:-1])) ** 2)[both]
    alpha = float(np.mean((np.sqrt(2.0 * beta) - np.sqrt(beta)) / OF_RANGES - np.sqrt(gamma / OF_RANGES)))
    return max(math.tanh(alpha / 2.0), 0.0)


def _t(values: FloatArray) -> float:
    """t statistic of the mean, the sum being measured by its own squares."""
    error = float(np.sqrt((values**2).sum()))
    return float(values.sum()) / error if error > 0.0 else 0.0
