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


@dataclass(frozen=True, kw_only=True)
class SuperiorityTest:
    """p-values of 'no strategy beats the benchmark': Hansen's consistent one and White's reality check.

    `reality_check` recentres every strategy (White), `consistent` only those not clearly worse (Hansen), which keeps
    the test from being blunted by adding hopeless strategies.
    """

    consistent: float
    reality_check: float
    best: int
    mean_block_bars: float


def superior_predictive_ability(
    excess_TN: ArrayLike,
    random: np.random.Generator,
    *,
    num_draws: int = 1000,
    mean_block_bars: float | None = None,
) -> SuperiorityTest:
    """Test whether the best of N strategies beats a benchmark, given that N were tried.

    Parameters
    ----------
    excess_TN : (T, N) returns of each strategy less the benchmark's, on the same bars.
    mean_block_bars : None takes the longest `optimal_block_bars` of the columns.

    Returns
    -------
    p-values: small when the best column's mean is larger than chance among N would make it. Columns without variance
    are left out; nan when none is left.
    """
    excess = np.asarray(excess_TN, dtype=np.float64)
    if excess.ndim != 2 or excess.shape[0] < 8 or not np.isfinite(excess).all():
        raise ValueError(f"excess_TN has shape {excess.shape} or holds NaN; give (T >= 8 bars, N strategies)")
    moving = np.ptp(excess, axis=0) > 0.0
    if not moving.any():
        return SuperiorityTest(consistent=math.nan, reality_check=math.nan, best=-1, mean_block_bars=1.0)
    columns = np.flatnonzero(moving)
    values = excess[:, columns]
    size, number = values.shape
    block = mean_block_bars
    if block is None:
        block = max(optimal_block_bars(values[:, k]) for k in range(number))
    mean_N = values.mean(axis=0)
    drawn_BN = _bootstrap_means(values, block, num_draws, random)
    scale_N = np.array([long_run_deviation(values[:, k], block) for k in range(number)])
    statistic = float((math.sqrt(size) * mean_N / scale_N).max())
    hopeless = mean_N < -scale_N * math.sqrt(2.0 * math.log(math.log(size)) / size)
    centres = {"consistent": np.where(hopeless, 0.0, mean_N), "reality_check": mean_N}
    p_values = {}
    for name, centre in centres.items():
        draws = (math.sqrt(size) * (drawn_BN - centre) / scale_N).max(axis=1)
        p_values[name] = float(np.mean(np.maximum(draws, 0.0) >= max(statistic, 0.0)))
    best = int(columns[int(np.argmax(mean_N / scale_N))])
    return SuperiorityTest(**p_values, best=best, mean_block_bars=float(block))


def long_run_deviation(values: FloatArray, block: float) -> float:
    """Root of T times the variance of the stationary bootstrap's mean, in closed form (Politis and Romano, lemma 1)."""
    size = len(values)
    covariance = _autocovariance(values, size - 1)
    lag, stay = np.arange(1, size), 1.0 - 1.0 / block
    weight = (1.0 - lag / size) * stay**lag + lag / size * stay ** (size - lag)
    return math.sqrt(max(covariance[0] + 2.0 * float(weight @ covariance[1:]), np.finfo(float).tiny))


def _bootstrap_means(
    values_TN: FloatArray, block: float, num_draws: int, random: np.random.Generator
) -> FloatArray:
    """(B, N) means of bootstrap draws, via how often each bar was drawn."""
    size = len(values_TN)
    means = []
    at_once = max(1, 2_000_000 // size)
    for start in range(0, num_draws, at_once):
        indices = stationary_indices(size, block, min(at_once, num_draws - start), random)
        counts = np.stack([np.bincount(row, minlength=size) for row in indices])
        means.append(counts @ values_TN / size)
    return np.concatenate(means)
