"""A run directory says what it was started with and how it ended, and never looks like a result before it is one."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
import yaml

from data.errors import DataError
from rayjobs.config.exit_codes import ExitCode
from rayjobs.config.typed_config import ConfigError
from rayjobs.entry import run_entry_point
from rayjobs.storage import provenance, run_directory
from rayjobs.storage.run_directory import (
    JobFailed,
    RunConfig,
    RunDirectory,
    latest_run,
    list_runs,
    read_status,
)


@pytest.fixture
def create(tmp_path):
    run = RunConfig(experiment="planted", directory=str(tmp_path / "runs"))
    return lambda **config: RunDirectory.create(run, config, seed=3, data_fingerprint="f00d")


def test_the_directory_holds_the_resolved_config_with_its_provenance(create, tmp_path):
    run = create(algo={"lr": 1e-3}, seed=3)
    assert run.path.parent == tmp_path / "runs" / "planted"
    written = yaml.safe_load((run.path / "config.yaml").read_text())
    assert written["algo"] == {"lr": 1e-3}
    assert written["provenance"]["seed"] == 3
    assert written["provenance"]["data_fingerprint"] == "f00d"
    assert written["provenance"]["packages"]["numpy"]
    assert run.config() == {"algo": {"lr": 1e-3}, "seed": 3}


def test_run_ids_sort_by_start_and_runs_of_the_same_second_do_not_meet(create):
    runs = [create(), create(), create()]
    assert len({run.path for run in runs}) == 3
    assert all(run.run_id[:8].isdigit() and run.run_id[15] == "Z" for run in runs)


def test_a_run_that_returns_is_done_and_one_that_is_still_going_is_running(create):
    with create() as run:
        assert read_status(run.path)["status"] == "running"
    assert read_status(run.path)["status"] == "done"


def test_a_run_that_raises_keeps_its_traceback_in_a_log_and_is_failed(create):
    with pytest.raises(JobFailed, match="ZeroDivisionError") as caught, create() as run:
        _ = 1 / 0
    assert caught.value.log == run.path / "error.log"
    assert "1 / 0" in caught.value.log.read_text()
    assert read_status(run.path)["status"] == "failed"
    assert read_status(run.path)["error"] == "ZeroDivisionError: division by zero"


def test_a_job_that_fails_on_a_full_disk_names_the_disk_and_how_to_go_on(
    create, monkeypatch, capsys, tmp_path
):
    made = []

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    def job(config):
        with create() as run:
            made.append(run.path)
            monkeypatch.setattr(Path, "write_text", full)
            monkeypatch.setattr(run_directory, "write_atomically", full)
            full()

    assert run_entry_point(job, "train", [f"run.directory={tmp_path}"]) == ExitCode.FAILED
    said = capsys.readouterr().err
    assert "error: the job failed: OSError: [Errno 28] No space left on device\n" in said
    assert f"go on with: python -m rayjobs.train resume={made[0]}" in said
    assert "before it had a run directory" not in said
    monkeypatch.undo()
    with RunDirectory.resume(made[0]):
        assert read_status(made[0])["status"] == "running"


def test_an_interrupted_run_says_so(create):
    with pytest.raises(KeyboardInterrupt), create() as run:
        raise KeyboardInterrupt
    assert read_status(run.path)["status"] == "interrupted"


def test_bad_input_found_before_anything_was_written_leaves_no_directory(create):
    with pytest.raises(DataError), create() as run:
        raise DataError("BTC has duplicate times")
    assert not run.path.exists()


def test_bad_input_found_later_leaves_a_failed_run(create):
    with pytest.raises(ConfigError), create() as run:
        (run.path / "progress.csv").write_text("env_steps\n1\n")
        raise ConfigError("the fold is longer than the data")
    assert read_status(run.path)["status"] == "failed"


def test_a_failed_run_can_be_resumed_and_a_done_one_cannot(create):
    with pytest.raises(JobFailed), create() as run:
        raise RuntimeError("lost node")
    with RunDirectory.resume(run.path) as again:
        assert read_status(again.path)["status"] == "running"
        assert "error" not in read_status(again.path)
    with pytest.raises(ConfigError, match="is done; there is nothing to resume"):
        RunDirectory.resume(run.path)


def test_the_latest_run_is_the_newest_that_is_done(create, tmp_path):
    with create() as done:
        pass
    create()
    experiment = tmp_path / "runs" / "planted"
    assert latest_run(experiment) == done.path
    assert latest_run(done.path) == done.path
    assert len(list_runs(experiment, status=None)) == 2
    with pytest.raises(ConfigError, match="holds no run with status done"):
        latest_run(tmp_path / "elsewhere")


def test_a_place_that_cannot_be_written_to_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    run = RunConfig(experiment="x", directory=str(tmp_path / "file"))
    with pytest.raises(
        ConfigError, match=r"^cannot write runs to .*; choose another place with run\.directory=PATH$"
    ):
        RunDirectory.create(run, {}, seed=0, data_fingerprint=None)


@pytest.mark.parametrize("name", ["", "../up", "a/b", "a b"])
def test_an_experiment_name_that_is_no_folder_name_is_refused(name):
    with pytest.raises(ValueError, match="it becomes a folder name"):
        RunConfig(experiment=name, directory="runs")


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "summary.json"
    run_directory.write_atomically(path, json.dumps({"sharpe": 1}))
    with pytest.raises(TypeError):
        run_directory.write_atomically(path, 3)
    assert json.loads(path.read_text()) == {"sharpe": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_outside_a_git_checkout_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "_SOURCE", Path(tmp_path))
    assert provenance.git_commit() == (None, None)
