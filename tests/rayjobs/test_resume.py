"""Which run `resume` names, and when it may not be gone on with."""

from __future__ import annotations

import json
import os
import socket

import pytest
import yaml

from rayjobs.resume import check_same_data, run_to_resume
from rayjobs.typed_config import ConfigError


def a_run(root, name, status, *, pid=0, fingerprint="a" * 64):
    run = root / "some_experiment" / name
    run.mkdir(parents=True)
    facts = {"status": status, "host": socket.gethostname(), "pid": pid}
    (run / "status.json").write_text(json.dumps(facts))
    (run / "config.yaml").write_text(yaml.safe_dump({"provenance": {"data_fingerprint": fingerprint}}))
    return run


def values(root, resume):
    return {"resume": resume, "run": {"experiment": "some_experiment", "directory": str(root)}}


EARLIER, LATER = "20260101T000000Z-aaaaaa", "20260102T000000Z-bbbbbb"
GONE = 2**22 + 1  # beyond the largest process id


def test_without_resume_a_new_run_is_started(tmp_path):
    assert run_to_resume(values(tmp_path, None)) is None


def test_latest_is_the_newest_run_that_is_not_done(tmp_path):
    killed = a_run(tmp_path, EARLIER, "running", pid=GONE)
    a_run(tmp_path, LATER, "done")
    assert run_to_resume(values(tmp_path, "latest")) == killed


@pytest.mark.parametrize("status", ["failed", "interrupted"])
def test_a_run_that_failed_or_was_interrupted_can_be_named(tmp_path, status):
    run = a_run(tmp_path, EARLIER, status)
    assert run_to_resume(values(tmp_path, str(run))) == run


def test_a_run_that_cannot_be_gone_on_with_is_one_sentence(tmp_path):
    done = a_run(tmp_path, EARLIER, "done")
    with pytest.raises(ConfigError, match="is done; there is nothing to go on with"):
        run_to_resume(values(tmp_path, str(done)))
    with pytest.raises(ConfigError, match="holds no run that was stopped"):
        run_to_resume(values(tmp_path, "latest"))
    with pytest.raises(ConfigError, match="not a run directory"):
        run_to_resume(values(tmp_path, str(tmp_path / "nowhere")))
    alive = a_run(tmp_path, LATER, "running", pid=os.getppid())
    with pytest.raises(ConfigError, match=f"process {os.getppid()} still works on"):
        run_to_resume(values(tmp_path, str(alive)))


def test_other_bars_than_the_run_was_started_with_are_refused(tmp_path):
    run = a_run(tmp_path, EARLIER, "failed")
    check_same_data(run, "a" * 64)
    with pytest.raises(ConfigError, match="put the old data back or start a new run"):
        check_same_data(run, "b" * 64)
