"""Population based training (Jaderberg et al. 2017): members train side by side; at each rung the worst copy the best.

A generation is one rung of all members. A member's part of a generation is a trial of the study, so that everything is
recorded, counted and resumed like any other trial: in the next one it goes on from its own checkpoint with its own
parameters, or, if it was among the worst, from the checkpoint of one of the best with parameters that were moved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from rayjobs.config.typed_config import ConfigError
from rayjobs.search.plan.settings import SchedulerConfig
from rayjobs.search.proposal.studies import GENERATION, MEMBER, PARENT
from rayjobs.search.space.parameter import Parameter
from rayjobs.search.space.search_space import Space

FIXED = (
    "algo.num_envs", "algo.fragment_bars", "algo.sequence_bars", "algo.num_env_runners", "algo.num_learners",
)  # fmt: skip
"""Keys that change the shape of what a checkpoint holds."""


def check_mutable(space: Space) -> None:
    """Only what may change between two rungs can be trained by a population.

    Raises
    ------
    ConfigError
        For a parameter that another checkpoint would not fit.
    """
    for label, parameter in space.parameters.items():
        if parameter.key in FIXED or parameter.key.split(".")[0] not in ("algo", "reward"):
            raise ConfigError(
                f"search.space.{label}: {parameter.key} cannot change while a policy trains, so a population cannot "
                "search it; use keys of algo and reward, or another search"
            )


@dataclass(frozen=True, kw_only=True)
class Heir:
    """How a member goes on: from the checkpoint of trial ``parent``, with these parameters."""

    member: int
    parent: int
    params: Mapping[str, Any]


class Population:
    """Queues one generation after another.

    Parameters
    ----------
    seed : of the draws; with the generation and the member it decides each, so that resuming repeats them.
    """

    def __init__(self, study: optuna.Study, space: Space, config: SchedulerConfig, seed: int) -> None:
        check_mutable(space)
        self._study, self._space, self._config, self._seed = study, space, config, seed

    @property
    def total(self) -> int:
        """Trials of all generations."""
        return self._config.total_members

    def queue_next(self) -> int:
        """Queue the members of the generation that comes next and are not queued yet.

        Returns
        -------
        Trials of all generations so far; unchanged when the last generation is over.
        """
        by_generation = self._generations()
        generation = max(by_generation, default=0)
        if by_generation and self._is_over(by_generation[generation]):
            generation += 1
        if generation < len(self._config.fractions):
            known = {trial.user_attrs[MEMBER] for trial in by_generation.get(generation, [])}
            earlier = by_generation.get(generation - 1, [])
            for heir in self._heirs(generation, earlier):
                if heir.member not in known:
                    attributes = {GENERATION: generation, MEMBER: heir.member, PARENT: heir.parent}
                    self._study.enqueue_trial(dict(heir.params), user_attrs=attributes)
        return self._config.population * min(generation + 1, len(self._config.fractions))

    def _generations(self) -> dict[int, list[FrozenTrial]]:
        found: dict[int, list[FrozenTrial]] = {}
        for trial in self._study.get_trials(deepcopy=False):
            if GENERATION in trial.user_attrs:
                found.setdefault(trial.user_attrs[GENERATION], []).append(trial)
        return found

    def _is_over(self, trials: Sequence[FrozenTrial]) -> bool:
        ended = {t.user_attrs[MEMBER] for t in trials if t.state in (TrialState.COMPLETE, TrialState.FAIL)}
        waiting = any(trial.state in (TrialState.RUNNING, TrialState.WAITING) for trial in trials)
        return len(ended) == self._config.population and not waiting

    def _heirs(self, generation: int, earlier: Sequence[FrozenTrial]) -> list[Heir]:
        if generation == 0:
            return [Heir(member=member, parent=-1, params={}) for member in range(self._config.population)]
        sign = 1.0 if self._study.direction == optuna.study.StudyDirection.MAXIMIZE else -1.0
        complete = {
            trial.user_attrs[MEMBER]: trial for trial in earlier if trial.state == TrialState.COMPLETE
        }
        if not complete:
            raise RuntimeError(
                f"every member of generation {generation - 1} failed; see the errors in trials.csv"
            )
        members = range(self._config.population)
        scores = {m: sign * complete[m].values[0] if m in complete else -np.inf for m in members}
        heirs = []
        for member in members:
            random = np.random.default_rng([self._seed, generation, member])
            source = exploit(member, scores, self._config.quantile, random)
            parent = complete[source]
            params = dict(parent.params)
            if source != member:
                params = explore(params, self._space, self._config, random)
            heirs.append(Heir(member=member, parent=parent.number, params=params))
        return heirs


def exploit(member: int, scores: Mapping[int, float], quantile: float, random: np.random.Generator) -> int:
    """Whose checkpoint the member goes on from: its own, or that of one of the best if it is among the worst.

    Parameters
    ----------
    scores : member -> score, more is better; minus infinity for one that failed, which always copies.
    quantile : share of the members at either end, at least one.
    """
    ranked = sorted(scores, key=lambda name: (scores[name], -name))
    count = min(max(1, round(quantile * len(ranked))), len(ranked) // 2)
    worst, best = ranked[:count], [name for name in ranked[-count:] if np.isfinite(scores[name])]
    if member in worst or not np.isfinite(scores[member]):
        return int(random.choice(best or ranked[-1:]))
    return member


def explore(
    params: Mapping[str, Any], space: Space, config: SchedulerConfig, random: np.random.Generator
) -> dict[str, Any]:
    """Move every parameter: draw it afresh, or multiply it by 1 +- the perturbation; choices move to a neighbour."""
    return {
        label: _draw(space.parameters[label], random)
        if random.random() < config.resample_probability
        else _move(space.parameters[label], value, config.perturbation, random)
        for label, value in params.items()
    }


def _draw(parameter: Parameter, random: np.random.Generator) -> Any:
    if parameter.kind == "categorical":
        return parameter.choices[int(random.integers(len(parameter.choices)))]
    low, high = parameter.bounds
    if parameter.kind == "log_uniform" or parameter.log:
        return _fit(parameter, float(np.exp(random.uniform(np.log(low), np.log(high)))))
    return _fit(parameter, float(random.uniform(low, high)))


def _move(parameter: Parameter, value: Any, perturbation: float, random: np.random.Generator) -> Any:
    up = bool(random.integers(2))
    if parameter.kind == "categorical":
        place = parameter.choices.index(value) + (1 if up else -1)
        return parameter.choices[min(max(place, 0), len(parameter.choices) - 1)]
    low, high = parameter.bounds
    step = abs(value) * perturbation or (high - low) * perturbation / 2  # a number at zero moves by the scale
    return _fit(parameter, value + step if up else value - step)


def _fit(parameter: Parameter, value: float) -> Any:
    """The nearest value that the parameter can have."""
    low, high = parameter.bounds
    step = parameter.step or (1.0 if parameter.kind == "integer" else None)
    if step is not None:
        value = low + step * round((value - low) / step)
    value = min(max(value, low), high)
    return round(value) if parameter.kind == "integer" else value


def lineage(study: optuna.Study, number: int) -> list[FrozenTrial]:
    """The trials whose segments led to this one, from the first generation on, itself last."""
    trials = study.get_trials(deepcopy=False)
    chain = [trials[number]]
    while chain[0].user_attrs.get(PARENT, -1) >= 0:
        chain.insert(0, trials[chain[0].user_attrs[PARENT]])
    return chain
