"""Pruning: who goes on at a rung, as Optuna's pruners decide from the study's record."""

from __future__ import annotations

import dataclasses

import optuna
import pytest
from practice_setup import practice_search

from rayjobs.search.proposal.pruning import RUNG_SCORES, RungPruning, distinct_rungs


class Rungs:
    """A study whose trials report to a `RungPruning`; ``reach`` says whether the trial goes on."""

    def __init__(self, kind, **changes):
        scheduler = practice_search(scheduler=kind).scheduler
        self.config = dataclasses.replace(scheduler, **{"grace_trials": 0, **changes})
        self.study = optuna.create_study(direction="maximize")
        self.pruning = RungPruning(self.config, self.study)

    def reach(self, value, rung=0, trial=None, shares=()):
        trial = trial or self.study.ask()
        if shares:
            trial.set_user_attr(RUNG_SCORES, {str(rung): list(shares)})
        trial.report(value, rung)
        return self.pruning.goes_on(trial.number, rung)


def test_successive_halving_lets_the_best_third_of_those_at_the_rung_go_on():
    rungs = Rungs("asha", reduction=3)
    # The first is the best so far; of fewer than 3 only the best goes on; of 6 the best two, and equals are not worse.
    values = [1.0, 0.5, 2.0, 0.1, 0.2, 1.0, 2.0, float("nan")]
    assert [rungs.reach(value) for value in values] == [True, False, True, False, False, True, True, False]


def test_every_rung_is_decided_among_those_that_came_to_it():
    rungs = Rungs("asha", reduction=4)
    first, second = rungs.study.ask(), rungs.study.ask()
    assert rungs.reach(1.0, 0, first)
    assert rungs.reach(2.0, 0, second)
    assert rungs.reach(5.0, 1, first)
    assert not rungs.reach(4.0, 1, second)


def test_the_first_trials_are_let_go_on_and_are_compared_with_later():
    rungs = Rungs("asha", reduction=4, grace_trials=3)
    assert [rungs.reach(value) for value in (3.0, 2.0, 1.0, 2.5, 3.5)] == [True, True, True, False, True]


def test_hyperband_spares_some_brackets_the_first_rung():
    rungs = Rungs("hyperband", reduction=2)
    falling = [rungs.reach(-float(value)) for value in range(40)]
    # Successive halving alone would let the first of these go on, and no other.
    assert 5 < sum(falling) < 35


@pytest.mark.parametrize(
    ("kind", "changes", "lowest_kept"), [("median", {}, 3.0), ("percentile", {"percentile": 20.0}, 5.0)]
)
def test_a_trial_is_compared_with_complete_ones_at_the_same_rung(kind, changes, lowest_kept):
    rungs = Rungs(kind, **changes)
    for value in (1.0, 2.0, 3.0, 4.0, 5.0):
        trial = rungs.study.ask()
        trial.report(value, 0)
        rungs.study.tell(trial, value)
    assert rungs.reach(lowest_kept)
    assert not rungs.reach(lowest_kept - 1.1)


def test_a_trial_that_still_improves_is_not_compared():
    rungs = Rungs("patient", patience=1)
    for value in (4.0, 5.0):
        trial = rungs.study.ask()
        for rung in range(4):
            trial.report(value, rung)
        rungs.study.tell(trial, value)
    trial = rungs.study.ask()
    assert [rungs.reach(value, rung, trial) for rung, value in enumerate((1.0, 2.0, 1.0))] == [
        True,
        True,
        True,
    ]
    assert not rungs.reach(1.0, 3, trial)  # worse than two rungs ago, and below the median


def test_folds_are_compared_one_by_one_with_those_of_the_best_trial():
    rungs = Rungs("wilcoxon", p_threshold=0.1)
    assert rungs.reach(0.0, shares=[0.0] * 5)  # there is no best one yet
    best = rungs.study.ask()
    best.set_user_attr(RUNG_SCORES, {"0": [1.0, 5.0, 2.0, 4.0, 3.0]})
    rungs.study.tell(best, 3.0)
    # Worse on every fold: the probability of that by luck is 1 / 2^5.
    assert not rungs.reach(2.5, shares=[0.5, 4.4, 1.3, 3.2, 2.1])
    # The mean is lower still, but by one fold alone.
    assert rungs.reach(1.0, shares=[1.1, 5.2, 2.3, 4.4, -8.0])


@pytest.mark.parametrize(
    ("num_iterations", "kept"),
    [
        (100, (0.125, 0.5)),
        (4, (0.125, 0.5)),
        (2, (0.5,)),
        (1, ()),
    ],  # after 12 and 50; 1 and 2; 1 and 1; 1 and 1
)
def test_rungs_that_fall_on_the_same_iteration_are_one(num_iterations, kept):
    assert distinct_rungs((0.125, 0.5), num_iterations) == kept
