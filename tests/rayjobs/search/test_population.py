"""Population based training: who copies whom, and how parameters move."""

from __future__ import annotations

import dataclasses

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState
from practice_setup import practice_search

from rayjobs.config.typed_config import ConfigError
from rayjobs.search.proposal.population import Population, exploit, explore, lineage
from rayjobs.search.proposal.studies import GENERATION, MEMBER, PARENT
from rayjobs.search.space.parameter import Parameter
from rayjobs.search.space.search_space import Space

SPACE = Space(
    {
        "lr": Parameter(key="algo.learning_rate.initial", kind="log_uniform", low=1e-4, high=1e-2),
        "weight": Parameter(key="reward.turnover", kind="uniform", low=0.0, high=1.0),
        "epochs": Parameter(key="algo.epochs", kind="categorical", choices=(1, 2, 4)),
    }
)
SCHEDULER = dataclasses.replace(
    practice_search().scheduler,
    kind="pbt",
    rungs=(0.5,),
    population=4,
    quantile=0.25,
    resample_probability=0.0,
)


def test_the_worst_quarter_copies_the_best_quarter():
    scores = {0: 1.0, 1: 4.0, 2: 2.0, 3: 3.0}
    random = np.random.default_rng(0)
    assert [exploit(member, scores, 0.25, random) for member in range(4)] == [1, 1, 2, 3]


def test_a_member_that_failed_always_copies():
    scores = {0: 1.0, 1: 4.0, 2: -np.inf, 3: -np.inf}
    random = np.random.default_rng(0)
    assert exploit(2, scores, 0.25, random) == 1
    assert exploit(3, scores, 0.25, random) == 1
    assert exploit(0, scores, 0.25, random) == 0


def test_numbers_move_by_the_perturbation_and_choices_to_a_neighbour():
    params = {"lr": 1e-3, "weight": 0.5, "epochs": 2}
    moved = [explore(params, SPACE, SCHEDULER, np.random.default_rng(seed)) for seed in range(40)]
    assert {round(one["lr"], 6) for one in moved} == {0.0008, 0.0012}
    assert {round(one["weight"], 6) for one in moved} == {0.4, 0.6}
    assert {one["epochs"] for one in moved} == {1, 4}


def test_nothing_moves_outside_the_space():
    params = {"lr": 1e-2, "weight": 0.0, "epochs": 4}
    for seed in range(40):
        moved = explore(params, SPACE, SCHEDULER, np.random.default_rng(seed))
        SPACE.check_point(moved, "here")


def test_a_number_at_zero_can_leave_it():
    params = {"lr": 1e-3, "weight": 0.0, "epochs": 2}
    assert any(
        explore(params, SPACE, SCHEDULER, np.random.default_rng(seed))["weight"] > 0 for seed in range(10)
    )


def test_what_a_checkpoint_cannot_take_over_is_refused():
    space = Space({"units": Parameter(key="policy.core_units", kind="categorical", choices=(32, 64))})
    with pytest.raises(ConfigError, match=r"policy\.core_units cannot change while a policy trains"):
        Population(optuna.create_study(direction="maximize"), space, SCHEDULER, 0)


def test_generations_follow_each_other_and_a_killed_driver_queues_none_twice():
    study = optuna.create_study(direction="maximize")
    population = Population(study, SPACE, SCHEDULER, seed=0)
    assert population.queue_next() == 4
    assert Population(study, SPACE, SCHEDULER, seed=0).queue_next() == 4  # resumed before any ran
    assert len(study.get_trials()) == 4
    for score in (1.0, 4.0, 2.0, 3.0):
        trial = study.ask()
        SPACE.suggest(trial)
        study.tell(trial, score)
    assert population.queue_next() == 8
    assert Population(study, SPACE, SCHEDULER, seed=0).queue_next() == 8
    heirs = study.get_trials()[4:]
    assert [trial.user_attrs[GENERATION] for trial in heirs] == [1, 1, 1, 1]
    assert [trial.user_attrs[MEMBER] for trial in heirs] == [0, 1, 2, 3]
    assert [trial.user_attrs[PARENT] for trial in heirs] == [1, 1, 2, 3]  # the worst goes on from the best
    best = study.get_trials()[1].params
    assert heirs[1].system_attrs["fixed_params"] == best
    assert heirs[0].system_attrs["fixed_params"] != best
    for score in (1.0, 4.0, 2.0, 3.0):
        trial = study.ask()
        SPACE.suggest(trial)
        study.tell(trial, score)
    assert population.queue_next() == 8  # the last rung was reached
    assert {trial.state for trial in study.get_trials()} == {TrialState.COMPLETE}
    assert [trial.number for trial in lineage(study, 4)] == [1, 4]
