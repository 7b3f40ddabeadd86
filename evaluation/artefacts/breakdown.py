"""Where the returns came from: by market regime and by hour of day, and how much money the edge can carry.

Regimes are described after the fact, from the bars of the test windows; no decision is made on them. Axes: N scored
bars, A asset.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.scoring.walk_forward import WalkForwardResult
from evaluation.statistics import metrics

FloatArray = NDArray[np.float64]


def market_return(result: WalkForwardResult) -> FloatArray:
    """(T,) mean return of the assets from one last known close to the next, whole panel; 0 at the first bar."""
    close = result.panel.positive().last_close()
    with np.errstate(invalid="ignore", divide="ignore"):
        change = close[1:] / close[:-1] - 1.0
    known = np.isfinite(change)
    mean = np.where(known, change, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return np.concatenate(([0.0], mean))


def rolling_sum(values: FloatArray, window_bars: int) -> FloatArray:
    """Sum over the last `window_bars` values, fewer at the start; same length."""
    total = np.concatenate(([0.0], np.cumsum(values)))
    stop = np.arange(1, len(values) + 1)
    return total[stop] - total[np.maximum(stop - window_bars, 0)]


def session_bars(result: WalkForwardResult) -> int:
    """Median number of bars in a session, at least 2."""
    return max(int(np.median(np.unique(result.panel.session, return_counts=True)[1])), 2)


def regimes(result: WalkForwardResult) -> dict[str, NDArray[np.bool_]]:
    """(N,) masks of the scored bars: volatility above or below its median, market in trend or in a range.

    Volatility is the root mean square of the market's returns over the five sessions before the bar; trend is the
    absolute sum of those returns over the sum of their absolute values (Kaufman's efficiency ratio).
    """
    moves = market_return(result)
    window = 5 * session_bars(result)
    before = np.maximum(result.bar - 1, 0)
    volatility = np.sqrt(rolling_sum(moves**2, window))[before]
    path = rolling_sum(np.abs(moves), window)[before]
    drift = np.abs(rolling_sum(moves, window)[before])
    efficiency = np.divide(drift, path, out=np.zeros_like(path), where=path > 0.0)
    loud, directed = volatility > np.median(volatility), efficiency > np.median(efficiency)
    return {"high volatility": loud, "low volatility": ~loud, "trend": directed, "range": ~directed}


def _part(returns: FloatArray, periods: float) -> dict[str, Any]:
    return {
        "num_bars": int(returns.size),
        "mean_return": float(returns.mean()) if returns.size else math.nan,
        "sum_return": float(returns.sum()),
        "sharpe": metrics.sharpe_ratio(returns, periods_per_year=periods),
    }


def by_regime(result: WalkForwardResult) -> dict[str, dict[str, Any]]:
    """Regime -> bars, mean and sum of net returns, annualised Sharpe ratio."""
    periods = result.periods_per_year
    return {name: _part(result.net_return[mask], periods) for name, mask in regimes(result).items()}


def by_hour(result: WalkForwardResult) -> dict[str, dict[str, Any]]:
    """Hour of day in UTC ("00" to "23", those that occur) -> the same."""
    periods = result.periods_per_year
    labels = result.panel.bar_utc[result.bar]
    hours = labels.astype("datetime64[h]").astype(np.int64) % 24
    return {f"{hour:02d}": _part(result.net_return[hours == hour], periods) for hour in np.unique(hours)}


def impact_rate(result: WalkForwardResult, *, impact_coefficient: float = 1.0) -> float:
    """Square-root-law impact that the fills would have cost, as a mean fraction of equity per bar.

    Each fill costs ``notional * coefficient * daily volatility * sqrt(units / mean daily volume)`` (Almgren et al.,
    2005; Toth et al., 2011), whatever impact was simulated. nan where the data have no volume.
    """
    panel, bars = result.panel, result.bar
    days = len(bars) / session_bars(result)
    volume_A = panel.volume[bars].sum(axis=0) / max(days, 1e-9)
    close = panel.positive().last_close()[bars]
    with np.errstate(invalid="ignore", divide="ignore"):
        moves = np.diff(np.log(close), axis=0)
    daily_A = (
        np.sqrt(np.nanmean(moves**2, axis=0) * session_bars(result))
        if len(moves)
        else np.zeros(close.shape[1])
    )
    paid = 0.0
    for fold in result.folds:
        recording = fold.recording
        fills = recording.fills
        slot = recording.symbols[fills.asset]
        if not (volume_A[slot] > 0.0).all():
            return math.nan
        size = np.abs(fills.units)
        notional_share = _traded_share(
            recording.turnover,
            recording.bar,
            fills.filled_bar,
            size * fills.price * recording.multiplier[fills.asset],
        )
        paid += float(
            np.sum(notional_share * impact_coefficient * daily_A[slot] * np.sqrt(size / volume_A[slot]))
        )
    return paid / len(bars)


def _traded_share(turnover_N: FloatArray, bar_N: Any, filled_bar: Any, notional: FloatArray) -> FloatArray:
    """(R,) each fill's notional over equity: the bar's turnover shared out by notional."""
    if not len(filled_bar):
        return np.zeros(0)
    step = np.searchsorted(bar_N, filled_bar)
    total = np.bincount(step, weights=notional, minlength=len(bar_N))
    return turnover_N[step] * notional / total[step]


def capacity(result: WalkForwardResult, *, impact_coefficient: float = 1.0) -> float:
    """Account size at which square-root impact would take half of the net return, in account currency.

    Impact as a fraction of equity grows with the root of the account, so the account of the backtest may grow by
    ``(half of the net return / impact at today's size) ** 2``. nan without a positive return, trades or volume.
    """
    earned = float(result.net_return.mean())
    rate = impact_rate(result, impact_coefficient=impact_coefficient)
    if not (earned > 0.0 and rate > 0.0):
        return math.nan
    start = float(np.mean([fold.recording.equity[0] for fold in result.folds]))
    return start * (0.5 * earned / rate) ** 2
