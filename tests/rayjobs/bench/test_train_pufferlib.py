"""The process of PufferLib: it answers, it ends when it is closed, and with the suite whatever becomes of that."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from rayjobs.bench import train_pufferlib, train_suite
from rayjobs.bench.train_pufferlib import PufferLib
from rayjobs.bench.train_workload import TrainWorkload

ANSWERS = """
import json, signal, sys
{first}
for line in sys.stdin:
    print(json.dumps({{"cpu": 1.0, "wall": 2.0 if line.strip() == "train" else 3.0}}), flush=True)
"""
DEAF = ANSWERS.format(first="signal.signal(signal.SIGTERM, signal.SIG_IGN)")
ANSWERS = ANSWERS.format(first="")


@pytest.fixture
def worker(tmp_path, monkeypatch):
    """Starts a process that answers as PufferLib's does; every one has ended after the test."""
    monkeypatch.setattr(train_pufferlib, "install", lambda folder: None)
    monkeypatch.setattr(train_pufferlib, "CLOSE_SECONDS", 0.2)
    started = []

    def start(text: str) -> PufferLib:
        script = tmp_path / "worker.py"
        script.write_text(text)
        monkeypatch.setattr(train_pufferlib, "WORKER", script)
        started.append(PufferLib(TrainWorkload(), tmp_path))
        return started[-1]

    yield start
    for one in started:
        one._process.kill()
        one._process.wait()


def test_it_answers_a_batch_and_has_ended_when_it_is_closed(worker):
    peer = worker(ANSWERS)
    assert peer.iterate() == (1.0, 2.0)
    assert peer.sample_only() == (1.0, 3.0)
    peer.close()
    assert peer._process.returncode is not None
    peer.close()  # closing twice does nothing


def test_a_process_that_does_not_listen_is_killed(worker):
    peer = worker(DEAF)
    assert peer.iterate() == (1.0, 2.0)
    peer.close()
    assert peer._process.returncode == -9


def test_a_process_that_answers_nothing_is_said_and_has_ended(worker):
    with ExitStack() as processes:
        peer = worker("raise SystemExit(3)")
        processes.callback(peer.close)
        with pytest.raises(ValueError, match="ended with exit code 3"):
            peer.iterate()
    assert peer._process.returncode == 3


class _Idle:
    """A contender that does nothing."""

    def __init__(self, *_, **__):
        pass

    def iterate(self):
        pass

    sample_only = iterate


def test_the_suite_ends_it_when_a_contender_fails(worker, monkeypatch):
    peer = worker(ANSWERS)
    monkeypatch.setattr(train_suite.ray, "init", lambda **_: None)
    monkeypatch.setattr(train_suite.ray, "shutdown", lambda: None)
    monkeypatch.setattr(train_suite, "StockRLlib", _Idle)
    monkeypatch.setattr(train_suite, "RecurrentSB3", _Idle)
    monkeypatch.setattr(train_suite, "PufferLib", lambda workload, folder: peer)

    def broken(*_):
        raise RuntimeError("no room")

    monkeypatch.setattr(train_suite, "_contenders", broken)
    with pytest.raises(RuntimeError, match="no room"):
        train_suite.run({"units": 8, "rounds": 1, "peers": True, "cache_dir": "unused", "workers": False})
    assert peer._process.returncode is not None
