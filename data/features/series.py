"""Series that many features are made of: log prices, returns, ranges, volumes; computed once for each part of a panel.

Axes: T time, A asset.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import numpy as np

from data.array_types import BoolArray, FloatArray
from data.features.plan import codes
from data.features.plan.graph import Series
from data.features.window_moments import CoMoments, trailing_comoments
from data.features.window_sums import window_mean
from data.schema import Panel

Result = TypeVar("Result")
SHARED = "_shared_series"
"""Where a part of a panel keeps its series: only parts that are computed once and dropped have one."""


def shared(function: Callable[..., Result]) -> Callable[..., Result]:
    """Let a function of a panel and plain arguments run once for each part of a panel that keeps series."""

    @wraps(function)
    def once(panel: Panel, *arguments: Any) -> Result:
        kept: dict[Any, Any] | None = panel.__dict__.get(SHARED)
        if kept is None:
            return function(panel, *arguments)
        key = (function, arguments)
        if key not in kept:
            kept[key] = function(panel, *arguments)
        return kept[key]

    return once


def before(values: FloatArray, bars: int = 1) -> FloatArray:
    """Return the values `bars` rows earlier; the first rows repeat the first one.

    They lie before a feature's lookback, where nothing is shown: a known value there lets windows take their quick way.
    """
    if isinstance(values, Series):
        return values.before(bars)
    out = np.empty(values.shape)
    out[:bars] = values[0]
    out[bars:] = values[:-bars]
    return out


def difference(values: FloatArray, bars: int = 1) -> FloatArray:
    """Return values[t] - values[t - bars]; the first rows are 0, or NaN where their value is not known (see
    `before`).
    """
    if isinstance(values, Series):
        return values - values.before(bars)
    out = np.empty(values.shape)
    out[:bars] = values[:bars] - values[:bars]
    np.subtract(values[bars:], values[:-bars], out=out[bars:])
    return out


def quotient(numerator: FloatArray, denominator: FloatArray, still: float = 0.0) -> FloatArray:
    """Return numerator / denominator, `still` where the denominator is 0; NaN where one of them is not known."""
    if isinstance(numerator, Series) or isinstance(denominator, Series):
        series = numerator if isinstance(numerator, Series) else denominator
        return series.graph.step(codes.QUOTIENT, numerator, denominator, real=(still,))[0]
    flat = denominator == 0.0
    if not flat.any():
        return numerator / denominator
    filled = np.where(np.isnan(numerator), np.nan, still)
    return np.where(flat, filled, numerator / np.where(flat, 1.0, denominator))


@shared
def known(panel: Panel) -> BoolArray:
    """(T, A) True where there is a bar."""
    return ~np.isnan(panel.close)


@shared
def volume_known(panel: Panel) -> FloatArray:
    """(T, A) volume, NaN at a missing bar."""
    return np.where(known(panel), panel.volume, np.nan)


@shared
def log_close(panel: Panel) -> FloatArray:
    """(T, A) log close."""
    return np.log(panel.close)


@shared
def log_high(panel: Panel) -> FloatArray:
    """(T, A) log high."""
    return np.log(panel.high)


@shared
def log_low(panel: Panel) -> FloatArray:
    """(T, A) log low."""
    return np.log(panel.low)


@shared
def log_open(panel: Panel) -> FloatArray:
    """(T, A) log open."""
    return np.log(panel.open)


@shared
def change(panel: Panel, bars: int = 1) -> FloatArray:
    """(T, A) log return over `bars` bars, nights included."""
    return difference(log_close(panel), bars)


@shared
def step(panel: Panel) -> FloatArray:
    """(T, A) close[t] - close[t - 1], currency."""
    return difference(panel.close)


@shared
def gains(panel: Panel) -> FloatArray:
    """(T, A) the rise of the close, 0 where it fell."""
    return np.maximum(step(panel), 0.0)


@shared
def losses(panel: Panel) -> FloatArray:
    """(T, A) the fall of the close, 0 where it rose."""
    return np.maximum(-step(panel), 0.0)


@shared
def bar_range(panel: Panel) -> FloatArray:
    """(T, A) high - low, currency."""
    return panel.high - panel.low


@shared
def log_range(panel: Panel) -> FloatArray:
    """(T, A) log(high / low)."""
    return log_high(panel) - log_low(panel)


@shared
def body(panel: Panel) -> FloatArray:
    """(T, A) close - open, currency."""
    return panel.close - panel.open


@shared
def full_range(panel: Panel) -> FloatArray:
    """(T, A) Wilder's true range (1978), nights included; NaN at a missing bar, and after one."""
    last = before(panel.close)
    return np.maximum(panel.high, last) - np.minimum(panel.low, last)


@shared
def typical_price(panel: Panel) -> FloatArray:
    """(T, A) (high + low + close) / 3."""
    return (panel.high + panel.low + panel.close) / 3.0


@shared
def money(panel: Panel) -> FloatArray:
    """(T, A) typical price times volume, currency; NaN at a missing bar."""
    return typical_price(panel) * panel.volume


@shared
def mean_square(panel: Panel, window_bars: int) -> FloatArray:
    """(T, A) mean of squared one-bar log returns over the window, nights included."""
    return window_mean(_squares(panel), window_bars)


@shared
def _squares(panel: Panel) -> FloatArray:
    return change(panel, 1) ** 2


@shared
def lagged_moments(panel: Panel, window_bars: int, lag_bars: int) -> CoMoments:
    """Moments of one-bar log returns (y) and of those `lag_bars` earlier (x) over the window."""
    returns = change(panel, 1)
    return trailing_comoments(before(returns, lag_bars), returns, window_bars)


def of_assets(panel: Panel, flags: tuple[bool, ...]) -> BoolArray:
    """Return (1, A) a flag of each asset, the same at every bar."""
    if isinstance(panel.close, Series):
        return panel.of_assets(flags)
    return np.array(flags, dtype=bool)[None]


def row_sum(values: FloatArray) -> FloatArray:
    """Return (T, 1) the sum over the assets of each bar, one column after another, so that a row is added up in the
    same order wherever it stands.
    """
    if isinstance(values, Series):
        return values.step(codes.ROW_SUM, whole=(0,))
    total = np.array(values[:, :1], dtype=np.float64)
    for a in range(1, values.shape[1]):
        total += values[:, a : a + 1]
    return total
