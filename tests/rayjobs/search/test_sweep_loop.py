"""The driver of a sweep: trials side by side, failures that stay alone, a study that survives its driver."""

from __future__ import annotations

import dataclasses
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from optuna.trial import TrialState
from practice_setup import PRACTICE, practice_program, practice_search, practice_space

from evaluation.ledger.ledger import Ledger
from rayjobs.cluster.session import ray_session
from rayjobs.cluster.settings import ClusterConfig
from rayjobs.search.page.leaderboard import best_trial, num_counted
from rayjobs.search.proposal.studies import RETRY_OF, enqueue_first, open_study, read_study
from rayjobs.search.sweep.engine import run_study
from rayjobs.search.sweep.ledger import LedgerEntries
from rayjobs.search.trial.record import load_returns

HERE = Path(__file__).parent

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def ray_running():
    with ray_session(ClusterConfig.here(num_cpus=2, object_store_mb=100)):
        yield


def run(directory, config, space, observers=(), shares=((0, 0), (1, 0)), seconds=0.0):
    if config.max_concurrent == "auto":
        config = dataclasses.replace(config, max_concurrent=2)
    study = open_study(config, directory, seed=0)
    enqueue_first(study, config.enqueue)
    program = practice_program(seconds)
    return study, run_study(
        study, space, config, shares=shares, directory=directory, observers=observers, **program
    )


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp"])
def test_every_trial_is_run_once_and_scored_on_every_fold(ray_running, tmp_path, sampler):
    config = practice_search(num_trials=6, sampler=sampler)
    study, loop = run(tmp_path, config, practice_space())
    trials = study.get_trials()
    assert [trial.number for trial in trials] == list(range(6))
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    assert len({trial.params["x"] for trial in trials}) == 6
    assert [(row["fold"], row["seed"]) for row in trials[0].user_attrs["folds"]] == [(0, 0), (1, 0)]
    numbers, returns = load_returns(tmp_path, range(6))
    assert (numbers, returns.shape) == (list(range(6)), (512, 6))
    assert loop.running == []


def test_successive_halving_spends_less_on_bad_trials(ray_running, tmp_path):
    config = practice_search(
        num_trials=9, scheduler="asha", enqueue=tuple({"x": 0.3 + 0.05 * i} for i in range(9))
    )
    study, _ = run(tmp_path, config, practice_space())
    states = [trial.state for trial in study.get_trials()]
    assert states[0] == TrialState.COMPLETE  # the best one came first and passed every rung
    assert states.count(TrialState.PRUNED) == 5  # all but the four that are never ended (grace_trials)
    assert best_trial(study).number == 0
    assert all(
        trial.user_attrs["env_steps"] < 2_000
        for trial in study.get_trials()
        if trial.state == TrialState.PRUNED
    )


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("raise", "RuntimeError: practice: this trial raises"),
        ("nan", "returns hold NaN"),
        ("kill", "the worker died"),
    ],
)
def test_a_trial_that_fails_leaves_the_others_untouched(ray_running, tmp_path, fault, error):
    points = tuple({"x": 0.3, "fault": "none" if i != 1 else fault} for i in range(5))
    config = practice_search(num_trials=5, retries=1, enqueue=points)
    study, _ = run(tmp_path, config, practice_space(("none", fault)))
    trials = study.get_trials()
    failed = [trial for trial in trials if trial.state == TrialState.FAIL]
    assert [trial.params["fault"] for trial in failed] == [fault, fault]  # tried again once
    assert error in failed[0].user_attrs["error"]
    assert failed[1].user_attrs[RETRY_OF] == failed[0].number
    assert sum(trial.state == TrialState.COMPLETE for trial in trials) == 4
    assert num_counted(study) == 5


def test_a_training_that_diverges_is_not_tried_again_with_its_seed(ray_running, tmp_path):
    points = ({"x": 0.3, "fault": "diverge"}, {"x": 0.3, "fault": "none"})
    config = practice_search(num_trials=2, retries=3, enqueue=points)
    study, _ = run(tmp_path, config, practice_space(("none", "diverge")))
    states = {trial.params["fault"]: trial.state for trial in study.get_trials()}
    assert states == {"diverge": TrialState.FAIL, "none": TrialState.COMPLETE}
    assert len(study.get_trials()) == 2
    (failed,) = study.get_trials(states=(TrialState.FAIL,))
    assert failed.user_attrs["error"] == "TrainingDiverged: practice: this trial diverges"


def test_the_ledger_has_one_row_per_trial_however_it_ended(ray_running, tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    entries = LedgerEntries(ledger, PRACTICE, bar_utc=None, bar_seconds=60)
    points = tuple({"x": 0.3 + 0.1 * i, "fault": "raise" if i == 1 else "none"} for i in range(4))
    config = practice_search(num_trials=4, scheduler="asha", retries=1, enqueue=points)
    run(tmp_path, config, practice_space(("none", "raise")), [entries])
    count = ledger.count("practice")
    assert (count.all, count.finished, count.failed, count.running) == (4, 3, 1, 0)
    assert [look.num_bars for look in ledger.state().looks if look.returns] == [512] * 3


def test_the_last_trial_gets_the_workers_that_are_free(ray_running, tmp_path):
    config = practice_search(num_trials=1)
    _, loop = run(tmp_path, config, practice_space(), seconds=1.0)
    # Two folds of a second each: one after the other they would take two.
    assert loop.ended[0].seconds < 10
    assert len(loop.ended) == 1


def test_several_objectives_give_a_front(ray_running, tmp_path):
    config = practice_search(num_trials=1)
    objective = type(config.objective)(metrics=("sharpe", "annual_turnover"), spread_penalty=0.0)
    config = practice_search(num_trials=8, sampler="nsga2", objective=objective)
    study, _ = run(tmp_path, config, practice_space())
    assert len(study.best_trials) >= 1
    assert all(len(trial.values) == 2 for trial in study.get_trials())


def test_a_resumed_sampler_does_not_draw_its_first_points_again(ray_running, tmp_path):
    space = practice_space()
    run(tmp_path, practice_search(num_trials=4, sampler="random"), space)
    study, _ = run(tmp_path, practice_search(num_trials=8, sampler="random"), space)
    drawn = [trial.params["x"] for trial in study.get_trials()]
    assert len(drawn) == len(set(drawn)) == 8


@pytest.mark.slow
def test_a_sweep_whose_driver_is_killed_five_times_loses_no_trial_and_runs_none_twice(tmp_path):
    command = [sys.executable, str(HERE / "practice_sweep.py"), str(tmp_path), "16", "3"]
    chance = random.Random(5)
    for _ in range(5):
        driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        begun = _wait_for_trials(tmp_path, driver)
        time.sleep(chance.uniform(0.5, 6.0) if begun else 0.0)
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    subprocess.run(command, check=True, timeout=300, stdout=subprocess.DEVNULL)
    trials = read_study(tmp_path, None).get_trials()
    assert [trial.number for trial in trials] == list(range(16))
    assert {trial.state for trial in trials} <= {TrialState.COMPLETE, TrialState.PRUNED}
    assert all(trial.params.keys() == {"x"} for trial in trials)
    ledger = Ledger(tmp_path / "ledger.sqlite")
    count = ledger.count("practice")
    assert (count.all, count.finished, count.running) == (16, 16, 0)
    sent = sorted((tmp_path / "tracking").iterdir())
    assert len(sent) == 16
    for folder in sent:
        assert (folder / "sent").exists()
        assert len(list(folder.glob("wandb/offline-run-*"))) == 1
    numbers, returns = load_returns(tmp_path, range(16))
    assert (len(numbers), np.isfinite(returns).all()) == (16, True)


def _wait_for_trials(directory: Path, driver: subprocess.Popen[bytes]) -> bool:
    """Until the driver has begun a new trial, so that it is killed at work and not while it starts."""
    known = _num_trials(directory)
    deadline = time.monotonic() + 120
    while driver.poll() is None and time.monotonic() < deadline:
        if _num_trials(directory) > known:
            return True
        time.sleep(0.2)
    return False


def _num_trials(directory: Path) -> int:
    try:
        return (
            len(read_study(directory, None).get_trials(deepcopy=False))
            if (directory / "study.db").exists()
            else 0
        )
    except Exception:  # the driver is about to create it
        return 0
