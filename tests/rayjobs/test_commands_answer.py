"""Commands that end at once say what they did, run as programs, as people run them."""

from __future__ import annotations

import json
import runpy
import sys
from contextlib import contextmanager

import pytest


def run_as_program(module: str, *arguments: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [module, *arguments])
        patch.delitem(sys.modules, module, raising=False)
        with pytest.raises(SystemExit) as ended:
            runpy.run_module(module, run_name="__main__")
    return int(ended.value.code or 0)


def test_a_nudge_says_where_it_was_left(tmp_path, capsys):
    run = tmp_path / "20260101T000000Z-abcdef"
    (run / "checkpoints").mkdir(parents=True)
    (run / "status.json").write_text(json.dumps({"status": "running"}))
    assert run_as_program("rayjobs.nudge", f"run={run}", "lr=x0.5") == 0
    assert "lr=x0.5 left in" in capsys.readouterr().err


def test_a_job_that_is_sent_and_not_followed_is_named_with_its_command_and_its_place(
    monkeypatch, tmp_path, capsys
):
    @contextmanager
    def no_server(cluster):
        yield None

    monkeypatch.setattr("rayjobs.submission.jobs.job_server", no_server)
    monkeypatch.setattr("rayjobs.submission.jobs.send", lambda client, command, settings: "train-planted-1")
    monkeypatch.setattr("rayjobs.submission.upload.check_upload", lambda tree, limit: 1.5)
    arguments = ("job=train", "+experiment=planted_signal", "cluster=address", f"cluster.storage={tmp_path}")
    assert run_as_program("rayjobs.submit", *arguments, "submit.follow=false") == 0
    said = capsys.readouterr().err
    assert "job train-planted-1: python -m rayjobs.train +experiment=planted_signal" in said
    assert f"results go to {tmp_path}/runs" in said


def test_a_command_that_does_not_exist_is_named_beside_those_that_do(capsys):
    assert run_as_program("rayjobs.submit", "stats") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert said.startswith("error: rayjobs.submit stats: there is no such command; did you mean status?")
