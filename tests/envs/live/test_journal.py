"""The journal: what was written is there after a kill, once, and in the hands of one process."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from envs.live.broker import BrokerError, Fill, Order
from envs.live.journal import Journal
from envs.live.orders import TrackedOrder

NOW = datetime(2024, 6, 3, 14, tzinfo=UTC)
ROOT = Path(__file__).parents[3]


def tracked(name="a"):
    order = Order(client_order_id=name, symbol="SPY", units=-2.5, kind="limit", limit_price=100.25, group="g")
    return TrackedOrder(order=order, venue_order_id="7", status="planned", planned_utc=NOW)


def fill(commission=None, revision=1):
    return Fill(
        execution_id="x1",
        revision=revision,
        client_order_id="a",
        symbol="SPY",
        units=-2.5,
        price=100.25,
        commission=commission,
        filled_utc=NOW,
    )


def test_orders_fills_and_the_baseline_come_back_as_they_were(tmp_path):
    with Journal(tmp_path / "j", "ibkr/paper") as journal:
        assert journal.baseline() is None
        journal.begin({"TSLA": 3.0})
        journal.plan([tracked()])
        working = replace(tracked(), status="working", permanent_id="19", told_units=1.0, reason="held")
        journal.update(working)
        journal.book(fill())
        journal.book(fill(commission=0.35))
        journal.book(fill(commission=9.0))
        journal.book(fill(revision=2))
        journal.note(NOW, "trouble", "the line broke")
    with Journal(tmp_path / "j", "ibkr/paper") as journal:
        assert journal.baseline() == {"TSLA": 3.0}
        assert journal.orders() == [working]
        assert journal.fills() == [fill(commission=0.35), fill(revision=2)]
        assert journal.events() == [(NOW.isoformat(), "trouble", "the line broke")]


def test_an_order_is_planned_once_and_a_bracket_wholly_or_not_at_all(tmp_path):
    with Journal(tmp_path / "j", "b") as journal:
        journal.plan([tracked("a")])
        with pytest.raises(sqlite3.IntegrityError):
            journal.plan([tracked("b"), tracked("a")])
        assert [t.order.client_order_id for t in journal.orders()] == ["a"]
        with pytest.raises(BrokerError, match="baseline already"):
            journal.begin({})
            journal.begin({})


def test_a_second_process_and_another_book_are_refused(tmp_path):
    with (
        Journal(tmp_path / "j", "ibkr/paper"),
        pytest.raises(BrokerError, match="stop that one first"),
    ):
        Journal(tmp_path / "j", "ibkr/paper")
    with pytest.raises(BrokerError, match="not of 'ibkr/live'"):
        Journal(tmp_path / "j", "ibkr/live")


def test_every_commit_is_forced_to_the_disk(tmp_path):
    with Journal(tmp_path / "j", "b") as journal:
        assert journal._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert journal._db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_what_was_planned_before_a_kill_is_there_after_it(tmp_path):
    script = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_journal import tracked
from envs.live.journal import Journal
journal = Journal(Path(sys.argv[1]), "b")
for n in range(10**6):
    journal.plan([tracked(f"n{n}")])
    print(n, flush=True)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "j"), str(Path(__file__).parent)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    for _ in range(20):
        process.stdout.readline()
    time.sleep(0.003)
    process.send_signal(signal.SIGKILL)
    told = [20 + len(process.stdout.read().splitlines())][0]
    process.wait()
    process.stdout.close()
    with Journal(tmp_path / "j", "b") as journal:
        names = [t.order.client_order_id for t in journal.orders()]
    assert names == [f"n{n}" for n in range(len(names))]
    assert told <= len(names) <= told + 1
