"""Resampling that keeps serial dependence: stationary-bootstrap intervals and tests of superior performance.

Sources: Politis and Romano, "The stationary bootstrap", JASA 89, 1994; Politis and White, "Automatic
block-length selection", Econometric Reviews 23, 2004, with the correction of Patton, Politis and White, 2009; White,
"A reality check for data snooping", Econometrica 68, 2000; Hansen, "A test for superior predictive ability", Journal of
Business and Economic Statistics 23, 2005.
Axes: T bars, N strategies, B draws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evaluation.statistics.metrics import as_returns

FloatArray = NDArray[np.float64]
MAX_CELLS = 20_000


def optimal_block_bars(returns: ArrayLike) -> float:
    """Mean block length for the stationary bootstrap of a mean, bars, at least 1 (Patton, Politis and White, 2009)."""
    values = as_returns(returns)
    size = values.size
    if size < 8 or np.ptp(values) == 0.0:
        return 1.0
    run = max(5, int(math.sqrt(math.log10(size))))  # lags in a row that must be insignificant
    longest = math.ceil(math.sqrt(size)) + run
    covariance = _autocovariance(values, min(longest, size - 1))
    threshold = 2.0 * math.sqrt(math.log10(size) / size)
    insignificant = np.abs(covariance[1:] / covariance[0]) < threshold
    bandwidth = len(covariance) - 1
    for start in range(len(insignificant) - run + 1):
        if insignificant[start : start + run].all():
            bandwidth = 2 * max(start, 1)
            break
    bandwidth = min(bandwidth, len(covariance) - 1)
    lags = np.arange(1, bandwidth + 1)
    taper = np.minimum(1.0, 2.0 * (1.0 - lags / bandwidth))
    spread = 2.0 * float(np.sum(taper * lags * covariance[1 : bandwidth + 1]))
    variance = covariance[0] + 2.0 * float(np.sum(taper * covariance[1 : bandwidth + 1]))
    if variance <= 0.0:
        return 1.0
    block = (spread**2 / variance**2) ** (1.0 / 3.0) * size ** (1.0 / 3.0)
    return float(min(max(block, 1.0), math.ceil(min(3.0 * math.sqrt(size), size / 3.0))))


def _autocovariance(values: FloatArray, longest: int) -> FloatArray:
    centred = values - values.mean()
    size = 1 << (2 * len(values) - 1).bit_length()
    spectrum = np.fft.rfft(centred, size)
    return np.fft.irfft(spectrum * np.conj(spectrum), size)[: longest + 1] / len(values)


def stationary_indices(
    num_bars: int, mean_block_bars: float, num_draws: int, random: np.random.Generator
) -> NDArray[np.int64]:
    """(B, T) bar indices: blocks of geometric length that start anywhere and wrap around the end."""
    if num_bars < 1 or num_draws < 1 or mean_block_bars < 1.0:
        raise ValueError(
            f"num_bars {num_bars}, num_draws {num_draws} and mean_block_bars {mean_block_bars} must be at least 1"
        )
    starts = random.integers(0, num_bars, size=(num_draws, num_bars))
    begins = random.random((num_draws, num_bars)) < 1.0 / mean_block_bars
    begins[:, 0] = True
    position = np.arange(num_bars)
    begun_at = np.maximum.accumulate(np.where(begins, position, 0), axis=1)
    return (np.take_along_axis(starts, begun_at, axis=1) + position - begun_at) % num_bars


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A two-sided confidence interval; nan where undefined."""

    low: float
    high: float
    level: float
    mean_block_bars: float


def sharpe_interval(
    returns: ArrayLike,
    random: np.random.Generator,
    *,
    level: float = 0.95,
    num_draws: int = 1000,
    mean_block_bars: float | None = None,
    periods_per_year: float = 1.0,
) -> Interval:
    """Percentile interval of the Sharpe ratio under the stationary bootstrap.

    Parameters
    ----------
    returns : (T,) per-bar returns.
    mean_block_bars : None takes `optimal_block_bars`.
    periods_per_year : for annualising both ends.

    Notes
    -----
    A series longer than `MAX_CELLS` bars is drawn in cells of several neighbouring bars (the oldest bars that fill no
    cell are left out), which keeps dependence inside a cell and costs no more however long the series is.
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is {level}; it must lie between 0 and 1")
    values = as_returns(returns)
    block = optimal_block_bars(values) if mean_block_bars is None else mean_block_bars
    if values.size < 2 or np.ptp(values) == 0.0:
        return Interval(low=math.nan, high=math.nan, level=level, mean_block_bars=block)
    draws = _drawn_sharpes(values, block, num_draws, random)
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(draws, [tail, 1.0 - tail]) * math.sqrt(periods_per_year)
    return Interval(low=float(low), high=float(high), level=level, mean_block_bars=block)


def _drawn_sharpes(
    values: FloatArray, block: float, num_draws: int, random: np.random.Generator
) -> FloatArray:
    """(B,) per-bar Sharpe ratios of bootstrap draws, from the sums of cells of neighbouring bars."""
    per_cell = math.ceil(values.size / MAX_CELLS)
    num_cells = values.size // per_cell
    cells = values[values.size - num_cells * per_cell :].reshape(num_cells, per_cell)
    centre = cells.mean()
    first, second = (cells - centre).sum(axis=1), ((cells - centre) ** 2).sum(axis=1)
    size, parts = num_cells * per_cell, []
    at_once = max(1, 2_000_000 // num_cells)
    for start in range(0, num_draws, at_once):
        count = min(at_once, num_draws - start)
        chosen = stationary_indices(num_cells, max(block / per_cell, 1.0), count, random)
        shift = first[chosen].sum(axis=1) / size
        deviation = np.sqrt(np.maximum(second[chosen].sum(axis=1) - size * shift**2, 0.0) / (size - 1))
        parts.append(np.divide(centre + shift, deviation, out=np.zeros(count), where=deviation > 0.0))
    return np.concatenate(parts)
