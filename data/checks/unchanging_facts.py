"""Facts that never change and yet order the symbols by what they earned: of the day of the download, not of each bar.

Today's market value, membership of today's index, a rating as it stands now: merged to every row of a symbol they look
like history, no question along time finds them, and a policy that reads them holds what has risen.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import spearmanr

from data.array_types import FloatArray
from data.checks.foreknown import EVERY_SYMBOL, Foreknown
from data.checks.unforeseen_returns import log_returns
from data.schema import Panel

MIN_SYMBOLS = 8
"""Symbols with a value below which no order is beyond chance."""
MAX_P = 1e-3
"""Probability, two-sided, of such an order of the symbols by chance (Spearman's rank correlation)."""


def unchanging_facts(name: str, values: FloatArray, panel: Panel) -> tuple[Foreknown, ...]:
    """The input as a suspect, if each symbol has one value throughout and they rank the symbols' mean returns.

    Parameters
    ----------
    values : (T, A), NaN where unknown. Symbols without any value, or without ten returns, are left out.
    """
    known = np.isfinite(values)
    low = np.where(known, values, np.inf).min(axis=0, initial=np.inf)
    high = np.where(known, values, -np.inf).max(axis=0, initial=-np.inf)
    some = known.any(axis=0)
    if some.sum() < MIN_SYMBOLS or (low[some] != high[some]).any() or np.ptp(low[some]) == 0.0:
        return ()
    returns = log_returns(panel)
    asked = np.flatnonzero(some & (np.isfinite(returns).sum(axis=0) >= 10))
    if len(asked) < MIN_SYMBOLS or np.ptp(low[asked]) == 0.0:
        return ()
    mean = np.nanmean(returns[:, asked], axis=0)
    found = spearmanr(low[asked], mean)
    if not found.pvalue < MAX_P:
        return ()
    correlation = float(found.statistic)
    size = np.sqrt((len(asked) - 2) / max(1.0 - correlation**2, 1e-12))
    how = (
        f"from the first bar to the last: it never changes and orders {len(asked)} symbols by what they earned "
        f"(rank correlation {correlation:.2f})"
    )
    return (
        Foreknown(
            column=name,
            symbol=EVERY_SYMBOL,
            form="",
            weakest_t=float(correlation * size),
            bars_ahead=1,
            bars=panel.num_bars - 1,
            how=how,
        ),
    )
