"""What two records on the same bars differ by, with an interval that keeps both serial and mutual dependence.

Both records are drawn with the same blocks of bars (stationary bootstrap, see `bootstrap`), so that what moves them
together cancels, as it does in the difference of their returns. A bar may be a day as well.
Axes: T bars, B draws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evaluation.statistics.bootstrap import MAX_CELLS, optimal_block_bars, stationary_indices
from evaluation.statistics.metrics import as_returns, sharpe_ratio

FloatArray = NDArray[np.float64]
LEAST_BARS = 8
"""Common bars below which no interval exists: fewer say nothing of how they hang together."""


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """First less second; nan where undefined.

    Attributes
    ----------
    sharpe, mean : difference of the Sharpe ratios, and of the mean returns a year; ``_low`` and ``_high`` the ends of
        their percentile intervals, nan below `LEAST_BARS`.
    level : of the two-sided intervals.
    num_bars : that both cover. mean_block_bars : of the bootstrap.
    """

    sharpe: float
    sharpe_low: float
    sharpe_high: float
    mean: float
    mean_low: float
    mean_high: float
    level: float
    num_bars: int
    mean_block_bars: float


def paired_difference(
    first: ArrayLike,
    second: ArrayLike,
    random: np.random.Generator,
    *,
    periods_per_year: float = 1.0,
    level: float = 0.95,
    num_draws: int = 1000,
    mean_block_bars: float | None = None,
) -> PairedDifference:
    """Difference of two records on the same bars and its bootstrap interval.

    Parameters
    ----------
    first, second : (T,) per-bar returns of the same bars, in the same order.
    level : of the two-sided percentile interval.
    mean_block_bars : None takes `optimal_block_bars` of the differences.

    Notes
    -----
    A series longer than `MAX_CELLS` bars is drawn in cells of neighbouring bars; the oldest bars that fill no cell are
    left out of the intervals alone.

    Raises
    ------
    ValueError
        If the two differ in length, a return is not finite, or ``level`` is no probability.
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is {level}; it must lie between 0 and 1")
    ours, theirs = as_returns(first, name="the first record"), as_returns(second, name="the second record")
    if ours.shape != theirs.shape:
        raise ValueError(
            f"the records have {ours.size} and {theirs.size} bars; give returns of the same bars"
        )
    year = periods_per_year
    block = optimal_block_bars(ours - theirs) if mean_block_bars is None else mean_block_bars
    sharpe = sharpe_ratio(ours, periods_per_year=year) - sharpe_ratio(theirs, periods_per_year=year)
    mean = float((ours - theirs).mean()) * year if ours.size else math.nan
    ends = (math.nan,) * 4
    if ours.size >= LEAST_BARS:
        draws = _draws(np.stack([ours, theirs]), block, num_draws, random)
        tails = [(1.0 - level) / 2.0, (1.0 + level) / 2.0]
        by_sharpe = draws[0][np.isfinite(draws[0])] * math.sqrt(year)
        low_high = np.quantile(by_sharpe, tails) if by_sharpe.size else np.full(2, np.nan)
        ends = (*low_high.tolist(), *np.quantile(draws[1] * year, tails).tolist())
    return PairedDifference(
        sharpe=float(sharpe),
        sharpe_low=ends[0],
        sharpe_high=ends[1],
        mean=mean,
        mean_low=ends[2],
        mean_high=ends[3],
        level=level,
        num_bars=int(ours.size),
        mean_block_bars=block,
    )


def _draws(
    pair_2T: FloatArray, block: float, num_draws: int, random: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """(B,) differences per bar of Sharpe ratios, nan where one does not move, and of means."""
    per_cell = math.ceil(pair_2T.shape[1] / MAX_CELLS)
    num_cells = pair_2T.shape[1] // per_cell
    cells = pair_2T[:, pair_2T.shape[1] - num_cells * per_cell :].reshape(2, num_cells, per_cell)
    centre = cells.mean(axis=(1, 2))
    shifted = cells - centre[:, None, None]
    first, second = shifted.sum(axis=2), (shifted**2).sum(axis=2)
    size, sharpes, means = num_cells * per_cell, [], []
    at_once = max(1, 2_000_000 // num_cells)
    for start in range(0, num_draws, at_once):
        count = min(at_once, num_draws - start)
        chosen = stationary_indices(num_cells, max(block / per_cell, 1.0), count, random)
        shift = first[:, chosen].sum(axis=2) / size
        spread = np.maximum(second[:, chosen].sum(axis=2) - size * shift**2, 0.0) / (size - 1)
        drawn = centre[:, None] + shift
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(spread > 0.0, drawn / np.sqrt(spread), np.nan)
        sharpes.append(ratio[0] - ratio[1])
        means.append(drawn[0] - drawn[1])
    return np.concatenate(sharpes), np.concatenate(means)


def common_days(
    ours: tuple[NDArray[np.datetime64], FloatArray],
    theirs: tuple[NDArray[np.datetime64], FloatArray],
) -> tuple[NDArray[np.datetime64], FloatArray, FloatArray]:
    """The days that both records have, and each one's returns there.

    Parameters
    ----------
    ours, theirs : (N,) days, each once, and (N,) returns.

    Raises
    ------
    ValueError
        If a record has a day twice.
    """
    for days, _ in (ours, theirs):
        if len(np.unique(days)) != len(days):
            raise ValueError("a record has a day twice; give one return a day")
    days, at_ours, at_theirs = np.intersect1d(ours[0], theirs[0], return_indices=True)
    return days, np.asarray(ours[1])[at_ours], np.asarray(theirs[1])[at_theirs]
