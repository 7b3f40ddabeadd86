"""W&B online, against a local double of its HTTP API: what a run holds, one run after a kill, and an outage.

The double speaks the protocol of `wandb` as it is installed; `wandb-core`, which sends, is the real one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from wandb_double import WandbDouble

HERE = Path(__file__).parent
NAME = "20260101T000000Z-abcdef"

pytestmark = pytest.mark.slow


@pytest.fixture
def service(monkeypatch, tmp_path):
    with WandbDouble() as double:
        for name, value in double.environment.items():
            monkeypatch.setenv(name, value)
        (tmp_path / NAME).mkdir()
        yield double
    assert double.unknown == []


def environment():
    """Ours, without the service that `wandb` may have started for this process."""
    return {name: value for name, value in os.environ.items() if not name.startswith("WANDB_SERVICE")}


def begin(directory, *arguments):
    command = [sys.executable, str(HERE / "tracked_job.py"), str(directory), *arguments]
    return subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True)


def job(directory, *arguments, expect=0):
    """Run the job to its end; what it said."""
    running = begin(directory, *arguments)
    _, said = running.communicate(timeout=90)
    assert running.returncode == expect, said
    return said


def sync(*folders):
    command = [str(Path(sys.executable).parent / "wandb"), "sync", *map(str, folders)]
    return subprocess.run(
        command, env=environment(), timeout=90, capture_output=True, text=True, check=True
    ).stderr


def test_a_run_holds_the_nested_configuration_its_kind_and_a_short_name(service, tmp_path):
    job(tmp_path / NAME, "1", "3")
    run = service.runs[NAME]
    assert run.config["algo"] == {"gamma": 0.9, "learning_rate": {"initial": 1e-3}}
    facts = run.facts
    assert (facts["displayName"], facts["groupName"], facts["jobType"]) == ("abcdef", "noise", "train")
    assert facts["tags"] == ["desk", "noise"]
    assert run.curve("fold_0/kl") == [0.1, 0.2, 0.3]
    assert run.curve("fold_0/env_steps") == [100, 200, 300]
    assert run.summary["sharpe"] == 1.5
    assert (run.exit_code, run.begun) == (0, 1)


def test_after_a_kill_it_is_the_same_run_without_a_point_twice(service, tmp_path):
    running = begin(tmp_path / NAME, "1", "5", "pause")
    wait_for(lambda: NAME in service.runs and service.runs[NAME].curve("fold_0/kl") == [0.1, 0.2, 0.3])
    running.kill()
    running.communicate(timeout=30)
    job(tmp_path / NAME, "1", "5")  # what came before is logged again
    assert list(service.runs) == [NAME]
    assert service.runs[NAME].curve("fold_0/env_steps") == [100, 200, 300, 400, 500]
    assert service.runs[NAME].exit_code == 0


def test_a_trial_that_was_sent_by_half_goes_on_where_that_ended(service, tmp_path):
    job(tmp_path / NAME, "1", "1", "trial")
    job(tmp_path / NAME, "1", "2", "trial")
    run = service.runs[f"{NAME}-t00007"]
    assert run.curve("fold_0/kl") == [0.1, 0.2]
    assert (run.facts["jobType"], run.begun) == ("trial", 2)
    assert not [name for name in run.summary if name == "fold_0/kl"]  # curves are no final numbers
    assert run.summary["sharpe"] == 1.5


def test_an_outage_on_the_way_loses_nothing(service, tmp_path):
    running = begin(tmp_path / NAME, "1", "3", "pause")
    wait_for(lambda: (tmp_path / NAME / "paused").exists())
    with service.outage():
        (tmp_path / NAME / "go").touch()
        wait_for(lambda: service.refused >= 2)
    _, said = running.communicate(timeout=90)
    assert running.returncode == 0, said
    assert service.runs[NAME].curve("fold_0/kl") == [0.1, 0.2, 0.3]
    assert service.runs[NAME].summary["sharpe"] == 1.5


def wait_for(happened):
    deadline = time.monotonic() + 60.0
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_where_the_service_is_away_at_the_start_the_run_is_kept_and_can_be_sent_later(
    service, tmp_path, monkeypatch
):
    with service.outage():
        said = job(tmp_path / NAME, "1", "2")
    assert "the run is kept offline" in said
    assert NAME not in service.runs
    monkeypatch.delenv("WANDB_MODE")
    sync(tmp_path / NAME / "wandb")
    assert service.runs[NAME].curve("fold_0/kl") == [0.1, 0.2]
    assert service.runs[NAME].config["seed"] == 3


def test_what_a_killed_and_a_resumed_job_kept_offline_becomes_one_run_by_one_command(
    service, tmp_path, monkeypatch
):
    monkeypatch.setenv("WANDB_MODE", "offline")
    job(tmp_path / NAME, "1", "3", "kill", expect=-9)
    time.sleep(1.1)  # folders are named by the second
    job(tmp_path / NAME, "1", "5")
    monkeypatch.delenv("WANDB_MODE")
    sync(tmp_path / NAME / "wandb")
    assert list(service.runs) == [NAME]
    assert service.runs[NAME].curve("fold_0/kl") == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert service.runs[NAME].summary["sharpe"] == 1.5
