"""`/metrics`: Prometheus can read it, its numbers are those of the runs, and on an open host it takes the token."""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3

import pytest
from made_runs import make_run, write_live
from prometheus_client.parser import text_string_to_metric_families
from test_server import HOSTILE, TOKEN, opened

from rayjobs.monitoring.trading_snapshot import TradingSnapshot, ask_to_stop, write_snapshot
from rayjobs.pages.metrics import trial_states

RUNNING = {"status": "running", "pid": os.getpid(), "host": socket.gethostname()}


def told(root, *, remote=False, headers=None, path="/metrics"):
    async def ask():
        async with opened(root, remote=remote) as client:
            answer = await client.get(path, headers=headers or {})
            return answer.status, answer.headers, await answer.text()

    return asyncio.run(ask())


def samples(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_runs_verdicts_and_what_trains_are_counted(tmp_path):
    make_run(tmp_path, "one/20260101T000000Z-aaaaaa", passed=True)
    make_run(tmp_path, "one/20260102T000000Z-bbbbbb", passed=False)
    make_run(tmp_path, "one/20260103T000000Z-cccccc", status="failed")
    training = make_run(tmp_path, "two/20260104T000000Z-dddddd", **RUNNING)
    write_live(
        training,
        {
            "fold": 0,
            "iteration": 1,
            "env_steps": 250,
            "approx_kl": 0.01,
            "env_steps_per_second": 50.0,
            "utc": "2026-01-04",
        },
    )
    status, headers, text = told(tmp_path)
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=")
    found = samples(text)
    assert found["rayfold_runs", ("run", "done")] == 2
    assert found["rayfold_runs", ("run", "failed")] == 1
    assert found["rayfold_runs", ("run", "running")] == 1
    assert found["rayfold_verdicts", ("run", "approved")] == 1
    assert found["rayfold_verdicts", ("run", "refused")] == 1
    name = ("two", "two/20260104T000000Z-dddddd")
    assert found["rayfold_run_progress_ratio", name] == 0.25
    assert found["rayfold_run_remaining_seconds", name] == 15.0
    assert found["rayfold_run_approx_kl", name] == 0.01
    assert not [key for key in found if key[0] == "rayfold_run_explained_variance"]


def test_trading_is_told_with_what_is_held_and_whether_it_was_asked_to_stop(tmp_path):
    run = make_run(tmp_path, "one/trading/20260101T000000Z-aaaaaa", **RUNNING)
    write_snapshot(
        run,
        TradingSnapshot(
            written_utc="2026-01-01T00:00:00Z", bar_utc="2026-01-01T00:00:00Z", mode="paper", equity=101_000.5,
            positions={"BTC": -0.25, HOSTILE + '"\n': 2.0}, limits={"daily_loss": 0.4}, latency_ms={"p99": 3.5},
        ),
    )  # fmt: skip
    found = samples(told(tmp_path)[2])
    name = "one/trading/20260101T000000Z-aaaaaa"
    assert found["rayfold_trading_equity", ("paper", name)] == 101_000.5
    assert found["rayfold_trading_position_units", (name, "BTC")] == -0.25
    assert found["rayfold_trading_position_units", (name, HOSTILE + '"\n')] == 2.0
    assert found["rayfold_trading_limit_used_ratio", ("daily_loss", name)] == 0.4
    assert found["rayfold_trading_decision_milliseconds", ("p99", name)] == 3.5
    assert found["rayfold_trading_snapshot_age_seconds", (name,)] > 0
    assert found["rayfold_trading_halted", (name,)] == 0.0
    assert not [key for key in found if key[0] == "rayfold_trading_pnl_day"]  # not known: no number at all
    ask_to_stop(run, "a test")
    assert samples(told(tmp_path)[2])["rayfold_trading_halted", (name,)] == 1.0


def test_trials_of_a_running_sweep_are_counted_by_state(tmp_path):
    study = make_run(tmp_path, "one/sweeps/20260101T000000Z-aaaaaa", **RUNNING)
    with sqlite3.connect(study / "study.db") as database:
        database.execute("CREATE TABLE trials (state VARCHAR(8))")
        database.executemany("INSERT INTO trials VALUES (?)", [("COMPLETE",)] * 3 + [("PRUNED",)])
    found = samples(told(tmp_path)[2])
    assert found["rayfold_trials", ("one/sweeps/20260101T000000Z-aaaaaa", "complete")] == 3
    assert found["rayfold_trials", ("one/sweeps/20260101T000000Z-aaaaaa", "pruned")] == 1
    assert trial_states(tmp_path / "none.db") == {}
    (tmp_path / "broken.db").write_text("no database")
    assert trial_states(tmp_path / "broken.db") == {}


def test_optunas_database_has_the_table_that_is_counted(tmp_path):
    optuna = pytest.importorskip("optuna")
    study = optuna.create_study(storage=f"sqlite:///{tmp_path / 'study.db'}")
    study.enqueue_trial({"x": 1})
    study.tell(study.ask(), 1.0)
    study.ask()
    assert trial_states(tmp_path / "study.db") == {"complete": 1, "running": 1}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": f"Basic {TOKEN}"}, 401),
        ({"Authorization": f"Bearer {TOKEN}"}, 200),
    ],
)
def test_an_open_host_asks_prometheus_for_the_token(tmp_path, headers, status):
    assert told(tmp_path, remote=True, headers=headers)[0] == status


def test_a_bearer_may_read_and_changes_nothing(tmp_path):
    make_run(tmp_path, "one/20260101T000000Z-aaaaaa")

    async def ask():
        async with opened(tmp_path, remote=True) as client:
            answer = await client.post(
                "/api/note",
                json={"id": "one/20260101T000000Z-aaaaaa", "tags": ["x"]},
                headers={"Authorization": f"Bearer {TOKEN}"},
            )
            return answer.status

    assert asyncio.run(ask()) == 403
