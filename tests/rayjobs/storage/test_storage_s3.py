"""Runs at a URI, against an S3-compatible server on loopback: written while they run, brought back, gone on with."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from s3_server import s3_server

from rayjobs.config.typed_config import ConfigError
from rayjobs.storage.mirror import StorageFailed, StorageMirror
from rayjobs.storage.uri import Storage, fetch, join, local_copy, local_directory, uri_of

pytest.importorskip("moto.server")
ROOT = Path(__file__).resolve().parents[3]


class BreakingLine:
    """A line to a server, on a port of its own, which can be cut: connections drop, and new ones are refused."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._whole = threading.Event()
        self._whole.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Drop what is open, and whatever comes."""
        self._whole.clear()
        for connection in self._open:
            with contextlib.suppress(OSError):  # it may have ended already
                connection.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def mend(self) -> None:
        self._whole.set()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._listener.accept()
            except OSError:
                return
            if not self._whole.is_set():
                here.close()
                continue
            there = socket.create_connection(("127.0.0.1", self._target))
            self._open += [here, there]
            for one, other in ((here, there), (there, here)):
                threading.Thread(target=_pump, args=(one, other), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while piece := source.recv(65536):
            target.sendall(piece)
    except OSError:
        pass
    finally:
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def server():
    """A port of moto's S3, in a process of its own."""
    with s3_server() as port:
        yield port


@pytest.fixture
def line(server):
    line = BreakingLine(server)
    yield line
    line.mend()
    line.close()


@pytest.fixture
def uri(line, monkeypatch, tmp_path, request):
    """A new bucket behind the breaking line, and a cache of this test's own."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("RAYFOLD_CACHE", str(tmp_path / "cache"))
    from pyarrow.fs import S3FileSystem

    endpoint = f"127.0.0.1:{line.port}"
    bucket = f"bucket-{abs(hash(request.node.name)) % 10**8}"
    S3FileSystem(
        endpoint_override=endpoint, scheme="http", region="us-east-1", allow_bucket_creation=True
    ).create_dir(bucket)
    return f"s3://{bucket}/runs?scheme=http&endpoint_override={endpoint}&region=us-east-1"


def write(folder: Path, name: str, text: str = "x") -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def wait_until(condition, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("rayjobs.storage.mirror.INTERVAL_SECONDS", 0.1)
    monkeypatch.setattr("rayjobs.storage.mirror.FIRST_WAIT_SECONDS", 0.1)


def test_a_uri_keeps_its_query_at_the_end_and_has_a_folder_here(monkeypatch, tmp_path):
    monkeypatch.setenv("RAYFOLD_CACHE", str(tmp_path))
    assert join("s3://b/runs?scheme=http", "exp", "id") == "s3://b/runs/exp/id?scheme=http"
    assert join("runs", "exp") == "runs/exp"
    local = local_directory("s3://b/runs?scheme=http")
    assert local == tmp_path / "storage" / "s3" / "b" / "runs"
    assert uri_of(local / "exp", "s3://b/runs?scheme=http") == "s3://b/runs/exp?scheme=http"
    assert uri_of(Path("runs/exp"), "runs") is None


def test_an_unknown_scheme_is_one_sentence():
    with pytest.raises(ConfigError, match="cannot use the storage ftp://host/x"):
        Storage("ftp://host/x")


def test_what_is_written_arrives_while_the_block_runs_and_all_of_it_at_its_end(uri, tmp_path):
    run = tmp_path / "run"
    write(run, "config.yaml", "seed: 3")
    with StorageMirror(run, uri, patience_s=30.0):
        wait_until(lambda: Storage(uri).names() == ["config.yaml"])
        write(run, "progress.csv", "a,b")
        write(run, ".hidden", "half written")
    assert Storage(uri).names() == ["config.yaml", "progress.csv"]
    assert fetch(uri, tmp_path / "back") == 2
    assert (tmp_path / "back" / "progress.csv").read_text() == "a,b"


def test_only_whole_checkpoints_come_back_and_dropped_ones_are_dropped_there(uri, tmp_path):
    run = tmp_path / "run"
    write(run, "iteration_000001/weights", "one")
    write(run, "iteration_000001/training.json", "{}")
    with StorageMirror(run, uri, patience_s=30.0) as mirror:
        wait_until(lambda: mirror.last_good_checkpoint() == "iteration_000001")
        write(run, "iteration_000002/weights", "two")  # its record is not there yet
        wait_until(lambda: "iteration_000002/weights" in Storage(uri).names())
        fetch(uri, tmp_path / "early")
        assert not (tmp_path / "early" / "iteration_000002").exists()
        assert (tmp_path / "early" / "iteration_000001" / "weights").read_text() == "one"
        write(run, "iteration_000002/training.json", "{}")
        wait_until(lambda: mirror.last_good_checkpoint() == "iteration_000002")
        for name in ("weights", "training.json"):
            (run / "iteration_000001" / name).unlink()
    assert Storage(uri).names() == ["iteration_000002/training.json", "iteration_000002/weights"]


def test_a_dropped_connection_is_outlived(uri, line, tmp_path):
    run = tmp_path / "run"
    write(run, "first", "1")
    with StorageMirror(run, uri, patience_s=60.0) as mirror:
        wait_until(lambda: Storage(uri).names() == ["first"])
        line.cut()
        write(run, "second", "2" * 300_000)
        time.sleep(1.0)
        mirror.check()  # not yet given up
        line.mend()
    assert Storage(uri).names() == ["first", "second"]


@pytest.mark.slow
def test_storage_that_stays_away_stops_the_job_and_names_the_last_good_checkpoint(uri, line, tmp_path):
    run = tmp_path / "run"
    write(run, "iteration_000004/training.json", "{}")
    with (
        pytest.raises(
            StorageFailed,
            match=r"cannot write to s3://.*checkpoint there: iteration_000004.*resume=",
        ),
        StorageMirror(run, uri, patience_s=1.0) as mirror,
    ):
        wait_until(lambda: mirror.last_good_checkpoint() is not None)
        line.cut()
        write(run, "iteration_000005/training.json", "{}")
        while True:
            mirror.check()
            time.sleep(0.05)


def test_a_database_in_use_arrives_between_two_transactions(uri, tmp_path):
    import sqlite3

    run = tmp_path / "run"
    run.mkdir()
    writer = sqlite3.connect(run / "study.db")
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute("CREATE TABLE trial (n)")
    writer.execute("INSERT INTO trial VALUES (1)")
    writer.commit()
    with StorageMirror(run, uri, patience_s=30.0):
        writer.execute("INSERT INTO trial VALUES (2)")  # not committed
        wait_until(lambda: Storage(uri).names() == ["study.db"])
    fetch(uri, tmp_path / "back")
    rows = sqlite3.connect(tmp_path / "back" / "study.db").execute("SELECT n FROM trial").fetchall()
    writer.close()
    assert rows == [(1,)]


def test_two_machines_that_write_to_one_uri_at_once_lose_no_look(uri, tmp_path, monkeypatch):
    from evaluation.ledger.records import LookEntry
    from evaluation.ledger.state import merged_looks
    from rayjobs.storage.ledger_place import open_ledger
    from rayjobs.storage.mirror import mirrored

    config = {"run": {"directory": uri}, "cluster": {"storage_patience_s": 30.0}}

    def looked(cache: str, *seeds: int):
        monkeypatch.setenv("RAYFOLD_CACHE", str(tmp_path / cache))
        ledger = open_ledger(uri + "/ledger.sqlite")  # as ${run.directory}/ledger.sqlite gives it
        run = local_directory(uri) / "experiment" / cache
        run.mkdir(parents=True, exist_ok=True)
        with mirrored(run, config):
            for seed in seeds:
                ledger.enter(
                    LookEntry(
                        kind="training",
                        study="s",
                        identity={},
                        seed=seed,
                        data_fingerprint="d",
                        code_commit="c",
                        run=f"{cache} {seed}",
                    )
                )
        return ledger

    def counted(ledger) -> int:
        return len(merged_looks([one.state() for one in (ledger, *ledger.beside())]))

    first = looked("first", 0, 1)
    second = looked("second", 1, 2)  # seed 1 is the same look again
    assert counted(second) == 3
    monkeypatch.setenv("RAYFOLD_CACHE", str(tmp_path / "first"))
    assert counted(first) == 3
    assert sum(name.startswith("ledgers/") for name in Storage(uri).names()) == 2


def test_nothing_at_a_uri_is_one_sentence(uri):
    with pytest.raises(ConfigError, match="nothing lies at s3://"):
        local_copy(join(uri, "experiment", "20260101T000000Z-abcdef"))


@pytest.mark.ray
@pytest.mark.slow
def test_a_run_at_a_uri_is_killed_and_gone_on_with_on_a_machine_that_has_nothing(uri, line, tmp_path):
    small = [
        "+experiment=planted_signal",
        "tracking=none",
        "data.num_bars=3000",
        "walk_forward=single_fold",
        "walk_forward.train_bars=2000",
        "walk_forward.test_bars=500",
        "env.episode.bars=48",
        "algo.num_envs=16",
        "algo.fragment_bars=32",
        "algo.minibatch_steps=256",
        "trainer.total_env_steps=32768",
        "trainer.checkpoint_every=1",
        "gate.enforce=false",
        "cluster.num_cpus=1",
        f"run.directory='{uri}'",
    ]

    def train(*arguments: str, cache: str, **options) -> subprocess.Popen:
        environment = os.environ | {"RAYFOLD_CACHE": str(tmp_path / cache), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "rayjobs.train", *arguments]
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True, **options
        )

    whole = train(*small, cache="undisturbed", stdout=subprocess.DEVNULL)
    error = whole.communicate(timeout=600)[1]
    assert whole.returncode == 0, error[-3000:]
    names = Storage(uri).names()
    (first,) = {name.split("/")[1] for name in names if name.startswith("planted_signal/")}
    assert f"planted_signal/{first}/report.html" in names
    assert json.loads(_read(uri, f"planted_signal/{first}/status.json", tmp_path))["status"] == "done"

    killed = train(*small, cache="first", stdout=subprocess.DEVNULL)

    def checkpoint() -> str | None:
        found = [n for n in Storage(uri).names() if first not in n and n.endswith("/training.json")]
        return next((name for name in found if int(re.search(r"iteration_(\d+)", name)[1]) >= 3), None)

    wait_until(lambda: checkpoint() is not None, seconds=600)
    line.cut()
    time.sleep(2.0)  # the run goes on without its storage
    line.mend()
    assert killed.poll() is None
    killed.kill()
    killed.communicate()
    run = checkpoint().split("/checkpoints/")[0]
    resumed = train(f"resume='{join(uri, *run.split('/'))}'", cache="second", stdout=subprocess.DEVNULL)
    error = resumed.communicate(timeout=600)[1]
    assert resumed.returncode == 0, error[-3000:]
    assert "going on after iteration" in error or "env steps" in error
    ours, theirs = (
        json.loads(_read(uri, f"{place}/backtest/summary.json", tmp_path))
        for place in (run, f"planted_signal/{first}")
    )
    assert ours["total_return"] == theirs["total_return"]
    assert ours["sharpe"] == theirs["sharpe"]


def _read(uri: str, name: str, folder: Path) -> str:
    Storage(uri).download(name, folder / "read")
    return (folder / "read").read_text()
