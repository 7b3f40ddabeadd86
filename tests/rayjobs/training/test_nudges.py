"""Nudges: what they say, who takes them, and when."""

from __future__ import annotations

import json

import pytest

from rayjobs.config.compose import compose
from rayjobs.config.exit_codes import ExitCode
from rayjobs.entry import run_entry_point
from rayjobs.nudge import nudge
from rayjobs.training.nudges import NUDGES_FILE, Nudge, NudgeInbox, write_nudge


@pytest.mark.parametrize(("text", "factor"), [("x0.5", 0.5), ("x2", 2.0), ("5e-4", 0.5), ("0.002", 2.0)])
def test_a_nudge_multiplies_or_sets_the_learning_rate(text, factor):
    assert Nudge(learning_rate=text, fold=None).factor(current=1e-3) == pytest.approx(factor)


@pytest.mark.parametrize("text", ["half", "x", "-1e-3", "x0", "0.5x", ""])
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match="write lr=x0.5"):
        Nudge(learning_rate=text, fold=None)


def test_a_fold_takes_what_is_for_it_once_and_again_at_the_same_iteration_after_a_crash(tmp_path):
    folder = tmp_path / "fold_01"
    folder.mkdir()
    inbox = NudgeInbox(folder, fold=1)
    assert inbox.take(1) == []
    write_nudge(tmp_path, Nudge(learning_rate="x0.5", fold=None))
    write_nudge(tmp_path, Nudge(learning_rate="x0.2", fold=0))
    write_nudge(tmp_path, Nudge(learning_rate="x0.1", fold=1))
    assert [one.learning_rate for one in inbox.take(2)] == ["x0.5", "x0.1"]
    assert inbox.take(3) == []
    resumed = NudgeInbox(folder, fold=1)
    assert resumed.take(1) == []
    assert [one.learning_rate for one in resumed.take(2)] == ["x0.5", "x0.1"]


def test_a_line_that_is_still_being_written_is_left_for_later(tmp_path):
    folder = tmp_path / "fold_00"
    folder.mkdir()
    line = json.dumps({"learning_rate": "x0.5", "fold": None})
    (tmp_path / NUDGES_FILE).write_text(line[:10])
    inbox = NudgeInbox(folder, fold=0)
    assert inbox.take(1) == []
    (tmp_path / NUDGES_FILE).write_text(line + "\n")
    assert len(inbox.take(2)) == 1


def run_directory(tmp_path, status):
    run = tmp_path / "20260101T000000Z-abcdef"
    (run / "checkpoints").mkdir(parents=True)
    (run / "status.json").write_text(json.dumps({"status": status}))
    return run


def test_the_command_leaves_a_nudge_for_a_running_job(tmp_path):
    run = run_directory(tmp_path, "running")
    assert run_entry_point(nudge, "nudge", [f"run={run}", "lr=x0.5"]) == ExitCode.DONE
    (line,) = (run / "checkpoints" / NUDGES_FILE).read_text().splitlines()
    assert json.loads(line) == {"learning_rate": "x0.5", "fold": None}


@pytest.mark.parametrize(
    ("status", "lr", "words"),
    [("done", "x0.5", "is not running, its status is done"), ("running", "fast", "write lr=x0.5")],
)
def test_a_nudge_that_nobody_can_take_is_one_sentence(tmp_path, capsys, status, lr, words):
    run = run_directory(tmp_path, status)
    assert run_entry_point(nudge, "nudge", [f"run={run}", f"lr={lr}"]) == ExitCode.BAD_INPUT
    assert words in " ".join(capsys.readouterr().err.split())


def test_every_key_of_the_configuration_is_explained():
    assert set(compose("nudge", ["run=x", "lr=x0.5"])) == {"run", "lr", "fold"}
