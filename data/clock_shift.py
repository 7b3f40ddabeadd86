"""Symbols whose clock seems to be off: their returns go with those of the others some bars earlier or later.

Markets that move together do so in the same bar. A symbol that follows the others by one bar is labelled by closes
among symbols labelled by opens, or was written on another clock; a policy would be paid for what is known already.

T bars, A assets.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from data.calendars import DAY_SECONDS
from data.schema import FloatArray, Panel

MIN_BARS = 400
MAX_BARS = 50_000
"""Bars looked at, the last ones."""
MAX_LAG = 48
"""Lags looked at, bars, and no more than a day."""
CORRELATION = 0.3
"""A correlation that noise does not reach: six standard errors at `MIN_BARS`, more with more bars."""
TIMES = 3.0
"""How many times larger it must be than that of the same bar."""


class ClockShift(NamedTuple):
    """`symbol` is `lag_bars` behind the others (before them if negative); correlations there and in the same bar."""

    symbol: str
    lag_bars: int
    correlation: float
    same_bar: float


def clock_shifts(panel: Panel) -> list[ClockShift]:
    """Return the symbols whose returns go with the mean return of the others at another lag than 0, far better."""
    if panel.num_assets < 2 or panel.num_bars < MIN_BARS:
        return []
    returns = _standardised_returns(panel.close[-MAX_BARS:])
    total = returns.sum(axis=1)
    most = min(MAX_LAG, max(1, DAY_SECONDS // panel.bar_seconds))
    found = []
    for a, symbol in enumerate(panel.symbols):
        others = total - returns[:, a]
        by_lag = {lag: _correlation(returns[:, a], others, lag) for lag in range(-most, most + 1)}
        best = max(by_lag, key=lambda lag: by_lag[lag])
        if best and by_lag[best] > CORRELATION and by_lag[best] > TIMES * abs(by_lag[0]):
            found.append(ClockShift(symbol, best, by_lag[best], by_lag[0]))
    return found


def _standardised_returns(close: FloatArray) -> FloatArray:
    """Return (T - 1, A) log returns over their robust size, at most five of it; 0 where one is not known."""
    returns = np.diff(np.log(close), axis=0)
    known = np.isfinite(returns)
    returns = np.where(known, returns, 0.0)
    size = np.array(
        [np.abs(r[k]).mean() if k.any() else 0.0 for r, k in zip(returns.T, known.T, strict=True)]
    )
    scaled = returns / np.where(size > 0.0, size, 1.0)
    result: FloatArray = np.clip(scaled, -5.0, 5.0)
    return result


def _correlation(one: FloatArray, others: FloatArray, lag: int) -> float:
    """Return the correlation of `one` at t with `others` at t - lag; 0 where either never moves."""
    x, y = (one[lag:], others[: len(others) - lag]) if lag >= 0 else (one[:lag], others[-lag:])
    x, y = x - x.mean(), y - y.mean()
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / scale if scale > 0.0 else 0.0
