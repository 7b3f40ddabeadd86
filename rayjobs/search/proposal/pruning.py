"""Which trials end early: Optuna's pruners, asked at each rung from what the study recorded there.

A rung is a fraction of the training after which every fold and seed of a trial is scored out of sample. The record is
the study's, so that a resumed sweep decides as one that was never interrupted.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from rayjobs.search.plan.settings import SchedulerConfig

RUNG_SCORES = "rung_scores"
"""Attribute of a trial: rung -> its score on each fold and seed, for pruners that compare these one by one."""


def make_pruner(config: SchedulerConfig) -> optuna.pruners.BasePruner:
    """Build the pruner.

    Successive halving and Hyperband think in resources that grow by ``reduction`` from rung to rung; rung r is told to
    them as the resource ``reduction ** r``, whatever fraction of the training it is.
    """
    grace = config.grace_trials
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if config.kind == "asha":
            return optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=config.reduction)
        if config.kind == "hyperband":
            return optuna.pruners.HyperbandPruner(
                min_resource=1,
                max_resource=config.reduction ** len(config.rungs),
                reduction_factor=config.reduction,
            )
        if config.kind == "median":
            return optuna.pruners.MedianPruner(n_startup_trials=grace)
        if config.kind == "percentile":
            return optuna.pruners.PercentilePruner(config.percentile, n_startup_trials=grace)
        if config.kind == "patient":
            median = optuna.pruners.MedianPruner(n_startup_trials=grace)
            return optuna.pruners.PatientPruner(median, patience=config.patience)
        if config.kind == "wilcoxon":
            return optuna.pruners.WilcoxonPruner(p_threshold=config.p_threshold)
    return optuna.pruners.NopPruner()


class RungPruning:
    """Decides at a rung whether a trial trains on.

    Parameters
    ----------
    study : its record; the trial's score at the rung is reported to it first.
    """

    def __init__(self, config: SchedulerConfig, study: optuna.Study) -> None:
        self._config, self._study = config, study
        self._pruner = make_pruner(config)

    @property
    def compares_shares(self) -> bool:
        """The pruner compares scores of folds and seeds one by one, so they are kept under `RUNG_SCORES`."""
        return self._config.kind == "wilcoxon"

    def goes_on(self, number: int, rung: int) -> bool:
        """Whether the trial trains on after this rung.

        The first ``grace_trials`` always do: what comes later is compared with trials that were trained to the end.

        Parameters
        ----------
        rung : index into ``config.fractions``; the last one is the end of training, never asked about.
        """
        trial = self._study.get_trials(deepcopy=False)[number]
        pruned = self._pruner.prune(*self._shown(trial, rung))
        return number < self._config.grace_trials or not pruned

    def _shown(self, trial: FrozenTrial, rung: int) -> tuple[optuna.Study, FrozenTrial]:
        """The study and the trial as the pruner is to see them."""
        if self._config.kind in ("asha", "hyperband"):
            shown = copy.copy(trial)
            shown.intermediate_values = {self._config.reduction**rung: trial.intermediate_values[rung]}
            return self._study, shown
        if self.compares_shares:
            return self._beside_best(trial, rung)
        return self._study, trial

    def _beside_best(self, trial: FrozenTrial, rung: int) -> tuple[optuna.Study, FrozenTrial]:
        """A study of the best trial alone, with its scores at this rung, and the trial with its own."""
        maximize = self._study.direction == StudyDirection.MAXIMIZE
        view = optuna.create_study(direction="maximize" if maximize else "minimize")
        complete = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        known = [one for one in complete if str(rung) in one.user_attrs.get(RUNG_SCORES, {})]
        if known:
            best = (max if maximize else min)(known, key=lambda one: float(one.values[0]))
            steps = dict(enumerate(best.user_attrs[RUNG_SCORES][str(rung)]))
            view.add_trial(create_trial(value=best.values[0], intermediate_values=steps))
        shown = copy.copy(trial)
        shown.intermediate_values = dict(enumerate(trial.user_attrs[RUNG_SCORES][str(rung)]))
        return view, shown


def distinct_rungs(rungs: Sequence[float], num_iterations: int) -> tuple[float, ...]:
    """The rungs without those that fall on the iteration of a later one, or on the last of all."""
    iterations = [max(1, round(fraction * num_iterations)) for fraction in (*rungs, 1.0)]
    return tuple(
        fraction for place, fraction in enumerate(rungs) if iterations[place] < iterations[place + 1]
    )
