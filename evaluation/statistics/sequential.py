"""Whether a mean has changed, asked after every value: a confidence sequence holds at all times together.

Source: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86, 2024, theorem 2
(the predictable plug-in empirical-Bernstein confidence sequence). However often one looks, the true mean lies outside
at any time with probability at most alpha, so that a tripwire may be looked at daily without alarms by patience alone.
Values must lie within known bounds; what lies beyond is cut, which shrinks a difference and never makes one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evaluation.statistics.metrics import as_returns

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class ConfidenceSequence:
    """The interval of the mean after each value; it never grows again.

    Attributes
    ----------
    low, high : (T,) ends after 1, 2, ... values. alpha : probability that it ever misses.
    num_cut : values that lay beyond the bounds.
    """

    low: FloatArray
    high: FloatArray
    alpha: float
    num_cut: int

    def first_beyond(self, mean: float) -> int | None:
        """How many values there were when the interval first left out a mean; None where it never did."""
        outside = np.flatnonzero((self.low > mean) | (self.high < mean))
        return int(outside[0]) + 1 if outside.size else None


def confidence_sequence(values: ArrayLike, *, low: float, high: float, alpha: float) -> ConfidenceSequence:
    """Interval of the mean that holds at all times.

    Parameters
    ----------
    values : (T,) in their order, finite; for live against backtest the differences of paired returns.
    low, high : bounds known beforehand; values beyond are cut.
    alpha : between 0 and 1.

    Raises
    ------
    ValueError
        If the bounds are none, or alpha is no probability.
    """
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"the bounds are {low} and {high}; give two numbers, the smaller first")
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha is {alpha}; it must lie between 0 and 1")
    given = as_returns(values, name="values")
    cut = np.clip(given, low, high)
    x = (cut - low) / (high - low)
    count = np.arange(1, x.size + 1, dtype=np.float64)
    mean = (0.5 + np.cumsum(x)) / (count + 1.0)
    variance = (0.25 + np.cumsum((x - mean) ** 2)) / (count + 1.0)
    before = np.concatenate([[0.25], variance[:-1]])  # what was known before each value
    bet = np.minimum(np.sqrt(2.0 * math.log(2.0 / alpha) / (before * count * np.log1p(count))), 0.5)
    previous = np.concatenate([[0.5], mean[:-1]])
    psi = (-np.log1p(-bet) - bet) / 4.0
    spent = math.log(2.0 / alpha) + np.cumsum(4.0 * (x - previous) ** 2 * psi)
    centre, width = np.cumsum(bet * x) / np.cumsum(bet), spent / np.cumsum(bet)
    lowest = np.maximum.accumulate(np.clip(centre - width, 0.0, 1.0))
    highest = np.minimum.accumulate(np.clip(centre + width, 0.0, 1.0))
    return ConfidenceSequence(
        low=low + (high - low) * lowest,
        high=low + (high - low) * highest,
        alpha=alpha,
        num_cut=int((given != cut).sum()),
    )
