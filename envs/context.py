"""Causal market context that sizing, barriers and costs read: ATR, volatility, average daily volume, funding, splits.

Axes: T time, S symbol.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.schema import Panel
from envs.instruments import Instrument
from envs.kernel import columns as c
from envs.validation import require_range

FloatArray = NDArray[np.float64]
SECONDS_PER_YEAR = 365.25 * 86_400.0


@dataclass(frozen=True, kw_only=True)
class ContextConfig:
    """Windows of the context, in bars.

    Attributes
    ----------
    atr_bars : mean of true ranges. volatility_bars : standard deviation of log returns. adv_bars : mean volume.
    """

    atr_bars: int
    volatility_bars: int
    adv_bars: int

    def __post_init__(self) -> None:
        for name in ("atr_bars", "volatility_bars", "adv_bars"):
            require_range("context", name, getattr(self, name), 2, 1_000_000)

    @property
    def lookback_bars(self) -> int:
        """Bars before t that row t reads."""
        return max(self.atr_bars, self.volatility_bars, self.adv_bars)


def rolling_mean(values: FloatArray, bars: int) -> FloatArray:
    """Mean of the last `bars` rows (fewer at the start). values: (T, S), no NaN; returns the same shape.

    Each block of `bars` rows is summed apart, so an entry depends on its own window only, to the bit: a running
    sum over the whole history would carry rounding from far away, and a rolling one would need care with scale.
    """
    if bars > 512:
        return _block_mean(values, bars)
    padded = np.concatenate([np.zeros((bars - 1, values.shape[1])), values])
    total = np.zeros_like(values)
    for lag in range(bars):
        total += padded[lag : lag + len(values)]
    return total / np.minimum(np.arange(1, len(values) + 1), bars)[:, None]


def _block_mean(values: FloatArray, bars: int) -> FloatArray:
    length, width = values.shape
    blocks = -(-length // bars)
    padded = np.zeros(((blocks + 1) * bars, width))
    padded[bars : bars + length] = values
    grid = padded.reshape(blocks + 1, bars, width)
    prefix = np.cumsum(grid, axis=1)
    suffix = np.cumsum(grid[:, ::-1], axis=1)[:, ::-1]
    total = prefix[1:].copy()
    total[:, :-1] += suffix[:-1, 1:]
    mean = total.reshape(blocks * bars, width)[:length]
    return mean / np.minimum(np.arange(1, length + 1), bars)[:, None]


def true_range(high: FloatArray, low: FloatArray, mark: FloatArray) -> FloatArray:
    """Wilder's true range against the last known close; high - low on the first bar. (T, S), price units."""
    previous = np.concatenate([mark[:1], mark[:-1]])
    return np.maximum(high, previous) - np.minimum(low, previous)


def log_returns(mark: FloatArray) -> FloatArray:
    """Log change of the last known close; 0 where it is not known yet. (T, S)."""
    returns = np.zeros_like(mark)
    known = (mark[1:] > 0) & (mark[:-1] > 0)
    np.divide(mark[1:], mark[:-1], out=returns[1:], where=known)
    np.log(returns[1:], out=returns[1:], where=known)
    return returns


def funding_rates(panel: Panel, instruments: Mapping[str, Instrument]) -> FloatArray:
    """Rate charged on what is held into bar t: that of the funding instants in (label t - 1, label t]. (T, S).

    A panel column "funding_rate" is the rate of an instant; its value at the last bar closed before counts.
    """
    hours = panel.bar_utc.astype("datetime64[s]").astype(np.int64) / 3600.0
    rates = np.zeros((panel.num_bars, panel.num_assets))
    column = panel.exogenous.get("funding_rate")
    for s, symbol in enumerate(panel.symbols):
        interval = instruments[symbol].funding_hours
        if interval <= 0:
            continue
        instants = np.diff(np.floor(hours / interval), prepend=np.floor(hours[0] / interval))
        rate = np.full(panel.num_bars, instruments[symbol].funding_rate)
        if column is not None:
            known = np.where(np.isfinite(column[:, s]), column[:, s], rate)
            rate[1:] = known[:-1]
        rates[:, s] = instants * rate
    return rates


def elapsed_years(panel: Panel) -> FloatArray:
    """Years from label t - 1 to label t, 0 for the first bar. (T,)."""
    seconds = panel.bar_utc.astype("datetime64[s]").astype(np.int64).astype(np.float64)
    return np.diff(seconds, prepend=seconds[0]) / SECONDS_PER_YEAR


def write_context(
    bars: FloatArray, panel: Panel, instruments: Mapping[str, Instrument], config: ContextConfig,
    bars_per_session: float,
) -> None:  # fmt: skip
    """Fill the context columns of the kernel's bar array (T, S, K): in each bar's row what is known before it opens."""
    mark, known = bars[..., c.MARK], bars[1:]
    atr = rolling_mean(true_range(bars[..., c.HIGH], bars[..., c.LOW], mark), config.atr_bars)
    returns = log_returns(mark)
    mean = rolling_mean(returns, config.volatility_bars)
    square = rolling_mean(returns**2, config.volatility_bars)
    known[..., c.ATR] = atr[:-1]
    known[..., c.VOLATILITY] = np.sqrt(np.maximum(square - mean**2, 0.0))[:-1]
    known[..., c.ADV] = rolling_mean(bars[..., c.VOLUME], config.adv_bars)[:-1] * bars_per_session
    bars[..., c.FUNDING] = funding_rates(panel, instruments)
    split = panel.exogenous.get("split_factor")
    bars[..., c.SPLIT] = 1.0
    if split is not None:
        known[..., c.SPLIT] = np.where(np.isfinite(split) & (split > 0), split, 1.0)[:-1]
