"""Inputs by which the symbols stand in the order of what they will have earned: facts of the day of the download.

Today's market value, membership of today's index, a rating as it stands now, or the level of a price that was adjusted
back for splits which are still to come: merged to every row of a symbol they look like history. Questions along time
find nothing, for it is the symbols that are told apart. What such an input shows at one bar is held as a portfolio from
there to the end: whatever was known in advance is old news soon, and its gain is that of chance.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.stats import rankdata

from data.array_types import FloatArray
from data.checks.foreknown import EVERY_SYMBOL, Foreknown
from data.checks.unforeseen_returns import log_returns
from data.schema import Panel

CUTS = (0.0, 0.25, 0.5)
"""Shares of the bars with values, from the first on, at which the order is taken."""
MIN_SYMBOLS = 5
MIN_BARS = 60
"""Symbols and later bars below which nothing is said."""
MAX_T = 3.5
"""t statistic of the portfolio's mean return from a cut on that chance has once in two thousand cuts."""


def standing_order(name: str, values: FloatArray, panel: Panel) -> tuple[Foreknown, ...]:
    """The input as a suspect, if the order in which its symbols stand at some bar earns to the end.

    The portfolio holds each symbol by its rank, less the mean and what goes along with the symbols' betas to the mean
    of all: in a market that rises long enough, any measure of risk would be accused.

    Parameters
    ----------
    values : (T, A), NaN where unknown.
    """
    if panel.num_assets < MIN_SYMBOLS:
        return ()
    found, returns = None, np.expm1(log_returns(panel))
    for bar in _cuts(values):
        t, symbols = _held_from(values[bar], returns[bar + 1 :])
        if abs(t) > MAX_T and (found is None or abs(t) > abs(found.weakest_t)):
            how = (
                f"by the order of {symbols} symbols at the bar {panel.bar_utc[bar].astype('datetime64[s]')}: held from "
                f"there to the end it earns with |t| of {abs(t):.1f}, whatever the market does"
            )
            found = Foreknown(
                column=name,
                symbol=EVERY_SYMBOL,
                form="",
                weakest_t=t,
                bars=panel.num_bars - 1 - bar,
                how=how,
            )
    return () if found is None else (found,)


def _cuts(values: FloatArray) -> Iterator[int]:
    """Bars at which at least half of the symbols that ever have a value have one."""
    known = np.isfinite(values)
    enough = np.flatnonzero(known.sum(axis=1) * 2 >= max(int(known.any(axis=0).sum()), 1))
    if len(enough):
        yield from sorted({int(enough[int(share * (len(enough) - 1))]) for share in CUTS})


def _held_from(shown_A: FloatArray, later_TA: FloatArray) -> tuple[float, int]:
    """t statistic of the mean of later returns of what ranks at a bar hold, and the number of symbols; 0 if unknown."""
    asked = np.flatnonzero(np.isfinite(shown_A) & (np.isfinite(later_TA).sum(axis=0) >= MIN_BARS))
    if len(asked) < MIN_SYMBOLS:
        return 0.0, 0
    returns = np.nan_to_num(later_TA[:, asked])
    market = returns.mean(axis=1)
    spread = market - market.mean()
    variance = float(spread @ spread)
    betas = spread @ returns / variance if variance > 0.0 else np.zeros(len(asked))
    held = _without(rankdata(shown_A[asked]), np.column_stack([np.ones(len(asked)), betas]))
    size = float(np.abs(held).sum())
    earned = returns @ held
    deviation = float(earned.std(ddof=1))
    if size <= 1e-9 * len(asked) or deviation <= 0.0:
        return 0.0, 0
    return float(earned.mean() / deviation * np.sqrt(len(earned))), len(asked)


def _without(weights: FloatArray, along: FloatArray) -> FloatArray:
    """The part of the weights that is orthogonal to every column."""
    fitted, *_ = np.linalg.lstsq(along, weights, rcond=None)
    return np.asarray(weights - along @ fitted, dtype=np.float64)
