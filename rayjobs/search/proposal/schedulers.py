"""Which trials end early: decided at each rung from what the study recorded there, so that resuming changes nothing.

A rung is a fraction of the training after which every fold and seed of a trial is scored out of sample.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import optuna

from rayjobs.search.plan.settings import SchedulerConfig


def goes_on(config: SchedulerConfig, study: optuna.Study, rung: int, value: float) -> bool:
    """Whether a trial that scored ``value`` at this rung trains on.

    Parameters
    ----------
    rung : index into ``config.fractions``; the last one is the end of training, never asked about.
    value : the trial's own score there; may be recorded in the study already.
    """
    if config.kind == "none" or rung >= len(config.fractions) - 1:
        return True
    others = [
        trial.intermediate_values[rung]
        for trial in study.get_trials(deepcopy=False)
        if rung in trial.intermediate_values
    ]
    if study.direction == optuna.study.StudyDirection.MINIMIZE:
        value, others = -value, [-other for other in others]
    return (
        among_best(value, others, config.reduction)
        if config.kind == "asha"
        else not_below_median(value, others, config.grace_trials)
    )


def among_best(value: float, recorded: Sequence[float], reduction: int) -> bool:
    """Asynchronous successive halving (Li et al. 2020, "A system for massively parallel hyperparameter tuning").

    A trial goes on if it is among the best 1 / ``reduction`` of all that have reached the rung so far, itself included;
    while these are fewer than ``reduction``, only if it is the best.

    Parameters
    ----------
    recorded : scores at this rung, more is better, this trial's included.
    """
    if math.isnan(value):
        return False
    places = max(1, len(recorded) // reduction)
    return sum(other > value for other in recorded) < places


def not_below_median(value: float, recorded: Sequence[float], grace_trials: int) -> bool:
    """The median rule: a trial goes on unless it is below the median of all that have reached the rung.

    The first ``grace_trials`` always go on.
    """
    if len(recorded) <= grace_trials:
        return True
    ordered = sorted(recorded)
    middle = len(ordered) // 2
    median = ordered[middle] if len(ordered) % 2 else 0.5 * (ordered[middle - 1] + ordered[middle])
    return value >= median
