"""Performance of one series of simple, net, per-bar returns, and of a set of closed trades.

Conventions: the equity curve starts at 1.0 and that 1.0 counts as a peak. Ruin is absorbing: once a return
reaches -1 the curve stays at zero. A metric that is not defined (no data, zero variance, no losing trade) is
``nan``, never 0 and never infinite. Drawdown, value at risk and conditional value at risk are negative
fractions when they are losses.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


def as_returns(returns: ArrayLike, *, name: str = "returns") -> FloatArray:
    """Check one series of numbers and give it as a float64 array of shape (T,).

    Raises
    ------
    ValueError
        If it is not one-dimensional, or holds NaN or infinite values.
    """
    values = np.asarray(returns, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"{name} has shape {values.shape}; give one series of shape (T,)")
    if not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).sum())
        raise ValueError(f"{name} holds {bad} values that are NaN or infinite; repair those bars first")
    return values


def _periods(periods_per_year: float) -> float:
    if not (math.isfinite(periods_per_year) and periods_per_year > 0):
        raise ValueError(f"periods_per_year is {periods_per_year}; it must be positive (252 for daily bars)")
    return float(periods_per_year)


def _finite(value: float) -> float:
    return float(value) if math.isfinite(value) else math.nan


def equity_curve(returns: ArrayLike) -> FloatArray:
    """Equity after each bar, starting from 1.0: shape (T + 1,); zero after ruin."""
    values = as_returns(returns)
    growth = np.maximum(1.0 + values, 0.0)
    return np.concatenate(([1.0], np.cumprod(growth)))


def drawdown_curve(returns: ArrayLike) -> FloatArray:
    """Equity over its running peak, less one: shape (T + 1,), first value 0.0, never positive."""
    equity = equity_curve(returns)
    return equity / np.maximum.accumulate(equity) - 1.0


def total_return(returns: ArrayLike) -> float:
    """Compound return over the whole series; nan when it is empty."""
    values = as_returns(returns)
    return float(equity_curve(values)[-1] - 1.0) if values.size else math.nan


def annual_return(returns: ArrayLike, *, periods_per_year: float) -> float:
    """Compound annual growth rate, ``equity_T ** (periods_per_year / T) - 1``; -1.0 after ruin.

    nan when the series is empty, or when so few bars are compounded that the result is not finite.
    """
    years_inverse = _periods(periods_per_year)
    values = as_returns(returns)
    if values.size == 0:
        return math.nan
    final = equity_curve(values)[-1]
    if final <= 0.0:
        return -1.0
    with np.errstate(over="ignore"):
        return _finite(np.expm1(np.log(final) * years_inverse / values.size))


def volatility(returns: ArrayLike, *, periods_per_year: float = 1.0) -> float:
    """Standard deviation (ddof=1) times the root of the periods per year; nan below two bars."""
    scale = math.sqrt(_periods(periods_per_year))
    values = as_returns(returns)
    if values.size < 2:
        return math.nan
    return 0.0 if np.ptp(values) == 0.0 else float(values.std(ddof=1) * scale)


def sharpe_ratio(returns: ArrayLike, *, periods_per_year: float = 1.0) -> float:
    """Mean over standard deviation (ddof=1), times the root of the periods per year.

    With the default of one period per year this is the per-bar Sharpe ratio that PSR and DSR take.
    nan below two bars and for constant returns. Source: Sharpe (1994), "The Sharpe ratio", eq. 6.
    """
    scale = math.sqrt(_periods(periods_per_year))
    values = as_returns(returns)
    if values.size < 2 or np.ptp(values) == 0.0:
        return math.nan
    deviation = values.std(ddof=1)
    return _finite(values.mean() / deviation * scale) if deviation > 0.0 else math.nan


def sortino_ratio(returns: ArrayLike, *, periods_per_year: float = 1.0) -> float:
    """Mean over the semideviation ``sqrt(mean(min(r, 0) ** 2))`` taken over all T bars, annualised by the
    root.

    nan when the series is empty or holds no loss. Source: Sortino and Price (1994), target return zero.
    """
    scale = math.sqrt(_periods(periods_per_year))
    values = as_returns(returns)
    if values.size == 0:
        return math.nan
    semideviation = math.sqrt(float(np.mean(np.minimum(values, 0.0) ** 2)))
    return _finite(values.mean() / semideviation * scale) if semideviation > 0.0 else math.nan


def max_drawdown(returns: ArrayLike) -> float:
    """Deepest fall from a peak, a fraction in [-1, 0]; a loss on the first bar counts. nan when empty."""
    values = as_returns(returns)
    return float(drawdown_curve(values).min()) if values.size else math.nan


def average_drawdown(returns: ArrayLike) -> float:
    """Mean, over the episodes under water, of each episode's depth: a fraction in [-1, 0].

    0.0 when equity never falls below a peak; nan when the series is empty.
    """
    values = as_returns(returns)
    if values.size == 0:
        return math.nan
    drawdown = drawdown_curve(values)
    under = drawdown < 0.0
    starts = np.flatnonzero(under[1:] & ~under[:-1]) + 1
    return float(np.mean(_episode_minima(drawdown, starts))) if starts.size else 0.0


def _episode_minima(drawdown: FloatArray, starts: NDArray[np.intp]) -> FloatArray:
    # Between two episodes the curve is 0.0, so the minimum from one start to the next is that episode's
    # depth.
    return np.minimum.reduceat(drawdown, starts)


def calmar_ratio(returns: ArrayLike, *, periods_per_year: float) -> float:
    """Annual return over the depth of the maximum drawdown; nan without a drawdown. Source: Young (1991)."""
    growth = annual_return(returns, periods_per_year=periods_per_year)
    depth = -max_drawdown(returns)
    return _finite(growth / depth) if depth > 0.0 else math.nan


def recovery_factor(returns: ArrayLike) -> float:
    """Total return over the depth of the maximum drawdown; nan without a drawdown."""
    depth = -max_drawdown(returns)
    return _finite(total_return(returns) / depth) if depth > 0.0 else math.nan


def _check_level(level: float) -> float:
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is {level}; it must lie between 0 and 1 (0.05 for the worst 5 % of bars)")
    return float(level)


def value_at_risk(returns: ArrayLike, *, level: float = 0.05) -> float:
    """Empirical ``level`` quantile of the returns, linear interpolation. nan when empty."""
    tail = _check_level(level)
    values = as_returns(returns)
    return float(np.quantile(values, tail)) if values.size else math.nan


def conditional_value_at_risk(returns: ArrayLike, *, level: float = 0.05) -> float:
    """Mean of the returns at or below the value at risk: negative when it is a loss. nan when empty."""
    tail = _check_level(level)
    values = as_returns(returns)
    if values.size == 0:
        return math.nan
    # Interpolation may round one step below the smallest return; that return is then the tail.
    threshold = max(float(np.quantile(values, tail)), float(values.min()))
    return float(values[values <= threshold].mean())


def information_ratio(returns: ArrayLike, benchmark: ArrayLike, *, periods_per_year: float = 1.0) -> float:
    """Sharpe ratio of the difference of two return series of one length (T,). nan for equal series."""
    ours, theirs = as_returns(returns), as_returns(benchmark, name="benchmark")
    if ours.shape != theirs.shape:
        raise ValueError(
            f"returns has {ours.size} bars but benchmark has {theirs.size}; both must cover the same bars"
        )
    return sharpe_ratio(ours - theirs, periods_per_year=periods_per_year)


def profit_factor(trade_pnl: ArrayLike) -> float:
    """Sum of the gains over the sum of the losses of closed trades, net of costs. nan if none lost."""
    pnl = as_returns(trade_pnl, name="trade_pnl")
    losses = -float(pnl[pnl < 0.0].sum())
    return float(pnl[pnl > 0.0].sum()) / losses if losses > 0.0 else math.nan


def win_rate(trade_pnl: ArrayLike) -> float:
    """Fraction of closed trades with a net gain, in [0, 1]. nan without trades."""
    pnl = as_returns(trade_pnl, name="trade_pnl")
    return float(np.mean(pnl > 0.0)) if pnl.size else math.nan


def expectancy(trade_pnl: ArrayLike) -> float:
    """Mean net gain of a closed trade, in the unit of the input. nan without trades."""
    pnl = as_returns(trade_pnl, name="trade_pnl")
    return float(pnl.mean()) if pnl.size else math.nan


def performance(net_return: FloatArray, periods_per_year: float) -> dict[str, float]:
    """Every metric of a return series, by the names used in summary.json."""
    annual = {"periods_per_year": periods_per_year}
    return {
        "total_return": total_return(net_return),
        "annual_return": annual_return(net_return, **annual),
        "volatility": volatility(net_return, **annual),
        "sharpe": sharpe_ratio(net_return, **annual),
        "sortino": sortino_ratio(net_return, **annual),
        "calmar": calmar_ratio(net_return, **annual),
        "max_drawdown": max_drawdown(net_return),
        "average_drawdown": average_drawdown(net_return),
        "recovery_factor": recovery_factor(net_return),
        "var_95": value_at_risk(net_return, level=0.05),
        "cvar_95": conditional_value_at_risk(net_return, level=0.05),
    }
