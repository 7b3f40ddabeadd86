"""By how much one record of returns is ahead of another on the same days, with its interval.

Source: Politis and Romano, "The stationary bootstrap", JASA 89, 1994, drawn on the differences, so that what moves both
records on a day cancels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evaluation.statistics.bootstrap import optimal_block_bars, stationary_indices
from evaluation.statistics.metrics import as_returns

LEAST_DAYS = 2
"""Common days below which no interval exists."""


@dataclass(frozen=True, kw_only=True)
class Margin:
    """Mean difference of daily returns, fraction a day.

    Attributes
    ----------
    mean : ours less theirs; nan without a common day.
    low, high : two-sided interval of the mean; nan with fewer than two common days.
    level : of the interval. num_days : common days.
    """

    mean: float
    low: float
    high: float
    level: float
    num_days: int


def paired_margin(
    ours: ArrayLike,
    theirs: ArrayLike,
    random: np.random.Generator,
    *,
    level: float,
    num_draws: int = 4000,
    mean_block_days: float | None = None,
) -> Margin:
    """Percentile interval of the mean difference under the stationary bootstrap of the paired differences.

    Parameters
    ----------
    ours, theirs : (T,) returns of the same days, finite.
    level : of the two-sided interval, between 0 and 1.
    mean_block_days : None takes `optimal_block_bars` of the differences.

    Raises
    ------
    ValueError
        If the two differ in length, a return is not finite, or the level is none.
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is {level}; it must lie between 0 and 1")
    ours_T, theirs_T = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if ours_T.shape != theirs_T.shape or ours_T.ndim != 1:
        raise ValueError(
            f"the records have {ours_T.shape} and {theirs_T.shape} returns; give one of each per common day"
        )
    if not ours_T.size:
        return Margin(mean=math.nan, low=math.nan, high=math.nan, level=level, num_days=0)
    difference_T = as_returns(ours_T, name="ours") - as_returns(theirs_T, name="theirs")
    mean = float(difference_T.mean())
    if difference_T.size < LEAST_DAYS:
        return Margin(mean=mean, low=math.nan, high=math.nan, level=level, num_days=difference_T.size)
    block = optimal_block_bars(difference_T) if mean_block_days is None else mean_block_days
    drawn_BT = stationary_indices(difference_T.size, block, num_draws, random)
    means_B = difference_T[drawn_BT].mean(axis=1)
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(means_B, [tail, 1.0 - tail])
    return Margin(mean=mean, low=float(low), high=float(high), level=level, num_days=difference_T.size)


def common_days(
    ours: tuple[NDArray[np.datetime64], NDArray[np.float64]],
    theirs: tuple[NDArray[np.datetime64], NDArray[np.float64]],
) -> tuple[NDArray[np.datetime64], NDArray[np.float64], NDArray[np.float64]]:
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
