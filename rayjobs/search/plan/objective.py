"""What a trial is worth: out-of-sample, net of costs, the mean over folds and seeds less a penalty on their spread.

Axes: T bars of one test window.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evaluation.statistics.metrics import performance

FloatArray = NDArray[np.float64]

Direction = Literal["maximize", "minimize"]

METRICS: Mapping[str, Direction] = {
    "sharpe": "maximize",
    "sortino": "maximize",
    "calmar": "maximize",
    "total_return": "maximize",
    "annual_return": "maximize",
    "max_drawdown": "maximize",  # a negative fraction
    "cvar_95": "maximize",  # a negative fraction
    "volatility": "minimize",
    "annual_turnover": "minimize",
}
"""What may be an objective, and which way is better."""

EARNS = ("sharpe", "sortino", "calmar", "total_return", "annual_return")
"""Metrics below zero where a policy loses."""


class ScoreUndefined(RuntimeError):
    """A trial's score is not a number."""


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig:
    """The ``search.objective`` group.

    Parameters
    ----------
    metrics : one, or several for a Pareto front; the first ranks the leaderboard and chooses the winner.
    spread_penalty : standard deviations over folds and seeds that are taken from the mean.
    """

    metrics: tuple[str, ...]
    spread_penalty: float

    def __post_init__(self) -> None:
        if not self.metrics or len(set(self.metrics)) < len(self.metrics):
            raise ValueError(f"metrics are {list(self.metrics)}; give one or more different ones")
        for metric in self.metrics:
            if metric not in METRICS:
                raise ValueError(f"metrics names {metric!r}; known are {', '.join(METRICS)}")
        if self.spread_penalty < 0.0:
            raise ValueError(f"spread_penalty is {self.spread_penalty}; it must be 0 or more")


@dataclass(frozen=True, kw_only=True)
class FoldScore:
    """One fold and seed of a trial, scored on the fold's test window.

    Attributes
    ----------
    fold, seed : which.
    env_steps : trained on so far.
    net_return : (T,) per-bar returns, net of costs; one 0 for each bar after a ruin.
    metrics : the names of `METRICS`; nan where undefined.
    seconds : of training and of scoring, in that order, for this fold and seed so far.
    policy_hash : digest of the weights that were scored.
    from_env_steps : trained on by earlier attempts or a parent, which this one went on from.
    iterations : a row per training iteration so far, as of ``progress.csv``.
    """

    fold: int
    seed: int
    env_steps: int
    net_return: FloatArray
    metrics: Mapping[str, float]
    seconds: tuple[float, float]
    policy_hash: str = ""
    from_env_steps: int = 0
    iterations: tuple[Mapping[str, Any], ...] = ()


def measure(net_return: FloatArray, turnover: float, periods_per_year: float) -> dict[str, float]:
    """The numbers of `METRICS` of one test window.

    Parameters
    ----------
    net_return : (T,) per-bar returns, net of costs.
    turnover : traded notional over equity, summed over the window.
    periods_per_year : bars a year.
    """
    known = performance(net_return, periods_per_year)
    known["annual_turnover"] = turnover * periods_per_year / max(len(net_return), 1)
    return {name: float(known[name]) for name in METRICS}


def score(values: Sequence[float], direction: str, spread_penalty: float) -> float:
    """``mean - spread_penalty * standard deviation`` (ddof=1; 0 for one value); plus, where less is better.

    A policy that never traded has no spread and so no ratio: nan counts as 0, what cash earns. An infinite value is
    refused.

    Raises
    ------
    ScoreUndefined
        For no value, or an infinite one.
    """
    if not len(values):
        raise ScoreUndefined("no fold was scored")
    numbers = np.array([0.0 if math.isnan(value) else value for value in values], dtype=np.float64)
    if not np.isfinite(numbers).all():
        raise ScoreUndefined(f"the scores of the folds are {list(values)}; they must be finite")
    spread = float(numbers.std(ddof=1)) if len(numbers) > 1 else 0.0
    sign = 1.0 if direction == "maximize" else -1.0
    return float(numbers.mean()) - sign * spread_penalty * spread


def objective_values(config: ObjectiveConfig, scores: Sequence[FoldScore]) -> list[float]:
    """One value per objective, over all folds and seeds.

    Raises
    ------
    ScoreUndefined
        If a return is not a number, or a value not finite.
    """
    for one in scores:
        if not np.isfinite(one.net_return).all():
            raise ScoreUndefined(f"fold {one.fold}, seed {one.seed}: returns hold NaN or infinite values")
    return [
        score([one.metrics[metric] for one in scores], METRICS[metric], config.spread_penalty)
        for metric in config.metrics
    ]


def trial_return(scores: Sequence[FoldScore]) -> FloatArray:
    """(N,) returns over all test windows in fold order, the mean over seeds: a column of the study's matrix."""
    by_fold: dict[int, list[FloatArray]] = {}
    for one in scores:
        by_fold.setdefault(one.fold, []).append(one.net_return)
    return np.concatenate([np.mean(by_fold[fold], axis=0) for fold in sorted(by_fold)])
