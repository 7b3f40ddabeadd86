"""The queue of a study's trials: attempts at a trial follow each other, whenever the driver is killed."""

from __future__ import annotations

import optuna
import pytest
from optuna.trial import TrialState
from practice_setup import practice_search, practice_space

from rayjobs.search.proposal.studies import ATTEMPT, PASSED, RETRY_OF, TrialQueue


@pytest.fixture
def study():
    return optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))


def test_an_attempt_that_failed_is_followed_by_one_with_its_parameters(study):
    queue = TrialQueue(study, practice_space(), 2)
    first, params = queue.next()
    first.set_user_attr(PASSED, 0)
    second, again = queue.try_again(first, "lost")
    assert again == params
    assert second.user_attrs == {RETRY_OF: 0, ATTEMPT: 1, PASSED: 0}
    third, _ = queue.try_again(second, "lost")
    assert third.user_attrs == {RETRY_OF: 0, ATTEMPT: 2, PASSED: 0}
    assert [trial.state for trial in study.get_trials()] == [TrialState.FAIL] * 2 + [TrialState.RUNNING]
    assert queue.remaining == 1  # attempts do not count


def test_a_driver_that_was_killed_before_it_queued_the_next_attempt_leaves_it_to_the_one_after_it(
    study, monkeypatch
):
    queue = TrialQueue(study, practice_space(), 1)
    trial, params = queue.next()

    def killed(failed):
        raise SystemExit

    monkeypatch.setattr(queue, "_queue_repeat", killed)
    with pytest.raises(SystemExit):
        queue.try_again(trial, "lost")
    for _ in range(2):  # and is queued once, however often drivers are killed
        later = TrialQueue(study, practice_space(), 1)
        assert later.remaining == 1
    repeat, again = later.next()
    assert (again, repeat.user_attrs[RETRY_OF]) == (params, 0)
    assert later.next() is None


@pytest.mark.parametrize(
    ("setting", "metric", "score", "opens"),
    [
        ("auto", "sharpe", 0.1, True),
        ("auto", "sharpe", -0.1, False),
        ("auto", "max_drawdown", -0.1, True),  # always negative
        (True, "sharpe", -0.1, True),
        (False, "sharpe", 0.1, False),
    ],
)
def test_a_winner_that_loses_does_not_open_the_holdout_unless_told_to(setting, metric, score, opens):
    objective = type(practice_search().objective)(metrics=(metric,), spread_penalty=0.0)
    search = practice_search(open_holdout=setting, objective=objective)
    assert search.opens_holdout_for(score) is opens
