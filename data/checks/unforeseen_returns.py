"""What is left of each return when all is taken away that the past of the prices says of it.

A market may trend or revert by itself, and then an honest average of past prices ranks later returns well. What such
an average can know is taken out: the rank of a return is regressed on those of its symbol's own returns over one to two
hundred bars before, and of the other symbols' mean. An input that ranks the rest knows something that no price told.

Axes: T time, A asset.
"""

from __future__ import annotations

import numpy as np

from data.array_types import FloatArray
from data.checks.lead_correlations import RankedSeries, standardised_ranks
from data.schema import Panel

OWN_BARS = (1, 2, 5, 10, 20, 50, 100, 200)
"""Bars before, over which a symbol's own returns are summed."""
LEVEL_BARS = (5, 20, 100)
"""Bars before, from whose mean level the last one's distance is taken: what returns to its mean falls from above it."""
OTHERS_BARS = (1, 2, 5, 20)
"""The same for the mean of the other symbols."""
LONGEST_SHARE = 0.1
"""Longest sum, as a share of the bars."""


def log_returns(panel: Panel) -> FloatArray:
    """(T, A) log return of each bar, close to close; NaN where one of its two closes is missing."""
    now = np.full(panel.close.shape, np.nan)
    now[1:] = np.diff(np.log(panel.positive().close), axis=0)
    return now


def unforeseen_returns(returns_TA: FloatArray) -> FloatArray:
    """Ranks (T, A) of returns, standardised, less their regression on earlier returns; NaN where unknown."""
    out = np.full(returns_TA.shape, np.nan)
    most = LONGEST_SHARE * len(returns_TA)
    ranked = RankedSeries.of(returns_TA)
    for a in range(returns_TA.shape[1]):
        rank, known = standardised_ranks(returns_TA[:, a])
        past = [_sum_before(ranked.values[:, a], bars) for bars in OWN_BARS if bars <= most]
        level = np.cumsum(ranked.values[:, a])
        for bars in LEVEL_BARS:
            if bars <= most:
                past.append(_sum_before(ranked.values[:, a], len(level)) - _sum_before(level, bars) / bars)
        if returns_TA.shape[1] > 1:
            others = ranked.mean_of_others(a).values[:, 0]
            past += [_sum_before(others, bars) for bars in OTHERS_BARS if bars <= most]
        if past and known.sum() > 0:
            regressors = np.stack(past, axis=1)[known]
            rank[known] -= regressors @ np.linalg.lstsq(regressors, rank[known], rcond=None)[0]
        out[known, a] = rank[known]
    return out


def _sum_before(values: FloatArray, bars: int) -> FloatArray:
    """(T,) sum of the `bars` values before each one, fewer at the start."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    at = np.arange(len(values))
    return total[at] - total[np.maximum(at - bars, 0)]
