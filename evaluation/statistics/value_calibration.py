"""Whether a value head expects what then comes: its estimates against the discounted returns that followed.

The return of a step is that of n steps, bootstrapped by the estimate after them (Sutton and Barto, "Reinforcement
Learning", 2nd edition, 2018, equation 7.1). A head that is calibrated has a slope of 1 and an intercept of 0 in the
regression of returns on estimates (Mincer and Zarnowitz, "The Evaluation of Economic Forecasts", NBER, 1969).

Axes: N steps in time order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
LEAST = 20
"""Returns below which nothing is judged."""
WEIGHT_LEFT = 0.05
"""Discount at which a return is cut and the estimate put in the place of the rest."""


@dataclass(frozen=True, kw_only=True)
class ValueCalibration:
    """How estimates and returns go together; NaN where there are too few, or the estimates never differ.

    Attributes
    ----------
    num_returns : steps whose return is known. mean_value, mean_return : over them, in units of the reward.
    slope, intercept : of returns on estimates. correlation : of both. explained : 1 - var(return - value) /
        var(return), 1 for a head that knows, 0 for one that says a constant, negative for one that misleads.
    """

    num_returns: int
    mean_value: float
    mean_return: float
    slope: float
    intercept: float
    correlation: float
    explained: float


def horizon(gamma: float) -> int:
    """Steps after which the discount has fallen to `WEIGHT_LEFT`; at least 1, at most 1,000."""
    if not 0.0 <= gamma <= 1.0:
        raise ValueError(f"gamma is {gamma}; a discount lies from 0 to 1")
    if gamma <= WEIGHT_LEFT:
        return 1
    return 1000 if gamma == 1.0 else min(math.ceil(math.log(WEIGHT_LEFT) / math.log(gamma)), 1000)


def n_step_returns(reward: ArrayLike, value: ArrayLike, gamma: float, steps: int) -> FloatArray:
    """(N,) return of `steps` steps from each step on; NaN where the series ends before, or a value is missing.

    Parameters
    ----------
    reward : (N,) that came after the decision of each step. value : (N,) estimate at that decision.
    """
    rewards, values = np.asarray(reward, np.float64), np.asarray(value, np.float64)
    if rewards.shape != values.shape or rewards.ndim != 1:
        raise ValueError(f"reward is {rewards.shape} and value {values.shape}; give two series of one length")
    found = np.full(len(rewards), np.nan)
    known = len(rewards) - steps
    if known <= 0:
        return found
    weights = gamma ** np.arange(steps)
    windows = np.lib.stride_tricks.sliding_window_view(rewards, steps)[:known]
    found[:known] = windows @ weights + gamma**steps * values[steps:]
    return found


def value_calibration(value: ArrayLike, returns: ArrayLike) -> ValueCalibration:
    """Hold estimates (N,) to the returns (N,) that followed; steps where either is missing are left out."""
    values, came = np.asarray(value, np.float64), np.asarray(returns, np.float64)
    both = np.isfinite(values) & np.isfinite(came)
    values, came = values[both], came[both]
    unknown = float("nan")
    if len(values) < LEAST:
        return ValueCalibration(
            num_returns=len(values), mean_value=unknown, mean_return=unknown, slope=unknown, intercept=unknown,
            correlation=unknown, explained=unknown,
        )  # fmt: skip
    spread, variance = float(values.var()), float(came.var())
    joint = float(np.mean((values - values.mean()) * (came - came.mean())))
    slope = joint / spread if spread > 0.0 else unknown
    return ValueCalibration(
        num_returns=len(values),
        mean_value=float(values.mean()),
        mean_return=float(came.mean()),
        slope=slope,
        intercept=float(came.mean()) - slope * float(values.mean()),
        correlation=joint / (math.sqrt(spread) * math.sqrt(variance))
        if min(spread, variance) > 0.0
        else unknown,
        explained=1.0 - float((came - values).var()) / variance if variance > 0.0 else unknown,
    )
