"""Speed and spending are read from the lines that the two progress displays print."""

from __future__ import annotations

import io
import re
from types import SimpleNamespace

import pytest
from ray.job_submission import JobStatus
from rich.console import Console

from rayjobs.monitoring.progress import ProgressDisplay, TrainingProgress
from rayjobs.submission.job_status import print_job, spending


def _display(*reports: tuple[int, int, float]) -> str:
    console = Console(file=io.StringIO(), width=400)
    with ProgressDisplay(2, console=console, seconds_between_lines=0.0) as display:
        for fold, env_steps, speed in reports:
            display.update(
                TrainingProgress(
                    fold=fold,
                    env_steps=env_steps,
                    total_env_steps=20_000,
                    env_steps_per_second=speed,
                    episode_return=None,
                    approx_kl=None,
                    clip_fraction=None,
                    entropy=None,
                    explained_variance=None,
                )
            )
    return console.file.getvalue()


def test_a_job_that_has_said_nothing_has_spent_nothing():
    spent = spending("starting\n")
    assert (spent.env_steps, spent.env_steps_per_second, spent.folds, spent.trials) == (0, None, 0, 0)


def test_the_last_line_of_each_fold_counts_and_speeds_of_running_folds_add_up():
    spent = spending(_display((0, 5_000, 900.0), (1, 4_000, 1_100.0), (0, 10_000, 1_000.0)))
    assert spent.env_steps == 14_000  # 10,000 of fold 0 and 4,000 of fold 1
    assert spent.env_steps_per_second == 2_100.0
    assert spent.folds == 2


def test_a_fold_that_is_done_no_longer_counts_as_speed():
    assert spending(_display((0, 20_000, 900.0), (1, 4_000, 1_100.0))).env_steps_per_second == 1_100.0
    assert spending(_display((0, 20_000, 900.0))).env_steps_per_second is None


def test_trials_add_up_and_a_failed_one_counts_as_ended():
    log = (
        "trial    0 complete score +0.100  4,096 env steps in 10 s  lr=1  [1 done]\n"
        "trial    1 pruned   score +0.100  2,048 env steps in 5 s  lr=1  [1 done]\n"
        "trial    2 failed   the worker died; will be tried again\n"
    )
    spent = spending(log)
    assert (spent.env_steps, spent.trials) == (6_144, 3)
    assert spent.env_steps_per_second == 6_144 / 15  # of the trainings, one after another


@pytest.mark.parametrize("columns", ["60", "80", "200"])
def test_what_is_known_of_a_job_stands_a_line_each_at_any_width(columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    told = SimpleNamespace(
        status=JobStatus.SUCCEEDED,
        entrypoint="python -m rayjobs.train +experiment=planted_signal trainer.total_env_steps=20000 " * 3,
        start_time=1_700_000_000_000,
        end_time=None,
        message="Job finished successfully.",
    )
    client = SimpleNamespace(
        get_job_info=lambda job_id: told,
        get_job_logs=lambda job_id: _display((0, 20_000, 900.0), (1, 4_000, 1_100.0)),
    )
    print_job(client, "train-abc")
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= int(columns)
    facts = {
        "job": "train-abc",
        "status": "SUCCEEDED",
        "started": "2023-11-14 22:13:20Z",
        "env steps": "24,000",
        "steps per s": "1,100",
        "folds reported": "2",
        "trials ended": "0",
        "message": "Job finished successfully.",
    }
    for name, value in facts.items():
        assert re.search(rf"^{name} +{value}", shown, re.MULTILINE), name
