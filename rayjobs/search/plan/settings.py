"""Settings of a search (``conf/search``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rayjobs.search.plan.objective import EARNS, METRICS, Direction, ObjectiveConfig
from rayjobs.search.space.parameter import Parameter


@dataclass(frozen=True, kw_only=True)
class SamplerConfig:
    """What proposes the next trial.

    Parameters
    ----------
    kind : tpe (multivariate), gp, cmaes, nsga2 (several objectives), random, or grid.
    startup_trials : trials drawn at random before the model is asked.
    population : nsga2: trials of a generation.
    grid_points : grid: values of a parameter that has more.
    """

    kind: Literal["tpe", "gp", "cmaes", "nsga2", "random", "grid"]
    startup_trials: int
    population: int
    grid_points: int

    def __post_init__(self) -> None:
        for name, least in (("startup_trials", 0), ("population", 2), ("grid_points", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least {least}")


@dataclass(frozen=True, kw_only=True)
class SchedulerConfig:
    """Which trials end early, or learn from others.

    Parameters
    ----------
    kind : none; pbt (population based training); or one of Optuna's pruners: asha (asynchronous successive halving),
        hyperband, median, percentile, patient (median, once a trial has stopped improving), wilcoxon (signed ranks of
        the folds' scores beside the best trial's).
    rungs : fractions of the training after which a trial is scored on the validation folds and may end.
    reduction : asha, hyperband: one in this many goes on at each rung.
    grace_trials : trials that are never ended, before there is something to compare with.
    percentile : percentile: the share of the trials that goes on, 0 to 100.
    patience : patient: rungs without a better score before the median is asked.
    p_threshold : wilcoxon: p-value below which a trial counts as worse than the best one.
    population : pbt: members that train side by side.
    quantile : pbt: share of the members that copy one of the same share at the top.
    perturbation : pbt: factor by which a copied number moves, up or down.
    resample_probability : pbt: probability that a copied parameter is drawn afresh instead.
    """

    kind: Literal["none", "asha", "hyperband", "median", "percentile", "patient", "wilcoxon", "pbt"]
    rungs: tuple[float, ...]
    reduction: int
    grace_trials: int
    percentile: float
    patience: int
    p_threshold: float
    population: int
    quantile: float
    perturbation: float
    resample_probability: float

    def __post_init__(self) -> None:
        inside = all(0.0 < rung < 1.0 for rung in self.rungs)
        if not inside or list(self.rungs) != sorted(set(self.rungs)):
            raise ValueError(
                f"rungs are {list(self.rungs)}; give fractions of the training, ascending, between 0 and 1"
            )
        if self.kind != "none" and not self.rungs:
            raise ValueError(f"rungs is empty; scheduler {self.kind} needs at least one")
        for name, least in (("reduction", 2), ("grace_trials", 0), ("patience", 0), ("population", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least {least}")
        if not 0.0 < self.percentile < 100.0:
            raise ValueError(f"percentile is {self.percentile}; it must lie between 0 and 100")
        if not 0.0 < self.p_threshold < 1.0:
            raise ValueError(f"p_threshold is {self.p_threshold}; it must lie between 0 and 1")
        if not 0.0 < self.quantile <= 0.5:
            raise ValueError(f"quantile is {self.quantile}; it must lie above 0 and not above 0.5")
        if not 0.0 < self.perturbation < 1.0:
            raise ValueError(f"perturbation is {self.perturbation}; it must lie between 0 and 1")
        if not 0.0 <= self.resample_probability <= 1.0:
            raise ValueError(f"resample_probability is {self.resample_probability}; it is a probability")

    @property
    def total_members(self) -> int:
        """pbt: trials of all generations."""
        return self.population * len(self.fractions)

    @property
    def fractions(self) -> tuple[float, ...]:
        """Fractions of the training at which a trial is scored; the last is the whole."""
        return (1.0,) if self.kind == "none" else (*self.rungs, 1.0)


@dataclass(frozen=True, kw_only=True)
class TrialScoringConfig:
    """How a trial's test windows are run.

    Parameters
    ----------
    rows : parts of a test window that run side by side; 1 runs it in one piece.
    overlap_bars : bars that each part trades through before its own, to come into the state of a single run.
    """

    rows: int
    overlap_bars: int

    def __post_init__(self) -> None:
        for name in ("rows", "overlap_bars"):
            if getattr(self, name) < 1:
                raise ValueError(f"search.scoring.{name} is {getattr(self, name)}; it must be at least 1")


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """The ``search`` group.

    Parameters
    ----------
    num_trials : trials in all, enqueued ones included, repeats of failed ones not.
    max_concurrent : trials side by side; auto fills the cluster.
    seeds : seeds of the training that each trial is scored over.
    retries : how often a failed trial is tried again.
    time_budget_s : seconds after which no trial is begun and those under way end where they are; None for no limit.
    target_score : stop as soon as a trial reaches this score; None never.
    stagnant_trials : stop after this many complete trials without a better one; None never.
    holdout_bars : sealed bars at the end; auto keeps the last test window, or half of it where there is one only.
    storage : database URL of Optuna's study; None for a SQLite file in the study's directory.
    open_holdout : judge the winner on the holdout at the end; auto does unless its validation score is negative.
    enqueue : configurations to try first, by parameter label.
    """

    num_trials: int
    max_concurrent: int | Literal["auto"]
    seeds: tuple[int, ...]
    retries: int
    time_budget_s: float | None
    target_score: float | None
    stagnant_trials: int | None
    holdout_bars: int | Literal["auto"]
    storage: str | None
    open_holdout: bool | Literal["auto"]
    enqueue: tuple[Mapping[str, Any], ...]
    objective: ObjectiveConfig
    scoring: TrialScoringConfig
    sampler: SamplerConfig
    scheduler: SchedulerConfig
    space: Mapping[str, Parameter | None]

    def __post_init__(self) -> None:
        if self.num_trials < 1:
            raise ValueError(f"search.num_trials is {self.num_trials}; it must be at least 1")
        if self.max_concurrent != "auto" and self.max_concurrent < 1:
            raise ValueError(f"search.max_concurrent is {self.max_concurrent}; it must be auto or at least 1")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise ValueError(f"search.seeds are {list(self.seeds)}; give one or more different whole numbers")
        if self.retries < 0:
            raise ValueError(f"search.retries is {self.retries}; it must be 0 or more")
        for name, least in (("time_budget_s", 1), ("stagnant_trials", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"search.{name} is {value}; it must be null or at least {least}")
        if self.holdout_bars != "auto" and self.holdout_bars < 1:
            raise ValueError(f"search.holdout_bars is {self.holdout_bars}; it must be auto or at least 1")
        if self.scheduler.kind == "pbt" and (self.enqueue or self.sampler.kind == "grid"):
            raise ValueError(
                "search.scheduler.kind is pbt, which draws its own members; leave search.enqueue empty and the sampler "
                "random"
            )
        several = len(self.objective.metrics) > 1
        if several and self.scheduler.kind != "none":
            raise ValueError(
                f"search.scheduler.kind is {self.scheduler.kind} with objectives {', '.join(self.objective.metrics)}; "
                "trials with several objectives cannot be ranked half-way, use search.scheduler.kind=none"
            )
        if several and self.sampler.kind not in ("nsga2", "tpe", "random", "grid"):
            raise ValueError(
                f"search.sampler.kind is {self.sampler.kind} with {len(self.objective.metrics)} objectives; use nsga2"
            )

    def opens_holdout_for(self, score: float) -> bool:
        """Whether a winner with this validation score is judged on the holdout.

        Of metrics that say nothing about profit (drawdown, volatility, turnover) any score will do.
        """
        if self.open_holdout == "auto":
            return score >= 0.0 or self.objective.metrics[0] not in EARNS
        return self.open_holdout

    @property
    def total_trials(self) -> int:
        """Trials in all; a population runs its generations, whatever ``num_trials`` says."""
        return self.scheduler.total_members if self.scheduler.kind == "pbt" else self.num_trials

    @property
    def directions(self) -> list[Direction]:
        """What is better, per objective."""
        return [METRICS[metric] for metric in self.objective.metrics]
