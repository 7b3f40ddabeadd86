"""The ledger counts every look however it ended, notices what is changed later, and opens a holdout once."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sql

from evaluation.ledger.ledger import HoldoutOpenedError, Ledger, LedgerUnusable, LookEntry
from evaluation.ledger.records import Record
from evaluation.ledger.store import SETTINGS, TABLES, Store, shown

ENTRY = LookEntry(
    kind="training", study="crypto", identity={"lr": 0.1}, seed=0, data_fingerprint="d1", code_commit="c0"
)


@pytest.fixture(params=["file", "server"])
def place(request, tmp_path):
    """Where a fresh ledger is: a file, or a server whose tables were dropped."""
    if request.param == "file":
        return str(tmp_path / "ledger.sqlite")
    url = request.getfixturevalue("postgres")
    engine = sql.create_engine(url.replace("postgresql:", "postgresql+psycopg:"), connect_args=SETTINGS)
    TABLES.drop_all(engine)
    engine.dispose()
    return url


@pytest.fixture
def ledger(place):
    return Ledger(place)


def entered(ledger, seed=0, **changes):
    return ledger.enter(replace(ENTRY, seed=seed, **changes))


def record(returns, start="2024-01-01", bar_seconds=3600):
    values = np.asarray(returns, dtype=np.float64)
    labels = np.datetime64(start, "s") + np.arange(len(values)) * np.timedelta64(bar_seconds, "s")
    return Record.of(values, labels, bar_seconds)


def test_failed_and_abandoned_looks_count(ledger):
    done, broken, _abandoned = (entered(ledger, seed) for seed in range(3))
    ledger.finish(done, score=1.0, record=record([0.01, -0.01, 0.02]))
    ledger.fail(broken, "out of memory")
    count = ledger.count("crypto")
    assert (count.all, count.finished, count.failed, count.running) == (3, 1, 1, 1)


def test_an_exact_repetition_is_the_same_look_whatever_its_name(place):
    first = entered(Ledger(place), run="r1")
    again = Ledger(place)
    assert entered(again, run="r2", study="another") == first
    (look,) = again.state().looks
    assert look.runs == ("r1", "r2")
    assert entered(again, identity={"lr": 0.2}) != first
    assert entered(again, code_commit="c1") != first
    assert entered(again, data_fingerprint="d2") != first


def test_the_same_run_told_twice_adds_nothing_to_the_chain(ledger):
    number = entered(ledger, run="r1")
    ledger.finish(number, score=0.0, record=record([0.1, 0.2]))
    head = ledger.head()
    assert entered(ledger, run="r1") == number
    ledger.finish(number, score=0.0, record=record([0.1, 0.2]))
    assert ledger.head() == head


def test_a_repetition_that_earns_something_else_is_another_look(ledger):
    # Code that does not repeat to the bit: the better of its results was chosen.
    number = entered(ledger)
    ledger.finish(number, score=0.0, record=record([0.1, 0.2, 0.3]))
    ledger.finish(number, score=0.0, record=record([0.1, 0.2, 0.4]))
    assert ledger.count("crypto").all == 2


def test_a_failed_look_that_is_run_again_and_finishes_is_one(ledger):
    number = entered(ledger, run="r1")
    ledger.fail(number, "out of memory")
    assert entered(ledger, run="r1") == number
    assert ledger.count("crypto").running == 1
    ledger.finish(number, score=0.0, record=record([0.1, 0.2]))
    ledger.fail(number, "the disk is full")  # after it was finished: it stays finished
    assert ledger.count("crypto").finished == 1
    assert ledger.count("crypto").all == 1


def test_deleting_a_run_directory_takes_nothing_from_the_count(tmp_path):
    run = tmp_path / "runs" / "crypto" / "1"
    run.mkdir(parents=True)
    ledger = Ledger(tmp_path / "runs" / "ledger.sqlite")
    entered(ledger)
    shutil.rmtree(run)
    assert ledger.count("crypto").all == 1


def test_returns_and_their_instants_come_back_to_the_bit(ledger):
    kept = record(np.random.default_rng(0).normal(size=50))
    number = entered(ledger)
    ledger.finish(number, score=0.0, record=kept)
    (look,) = ledger.state().looks
    np.testing.assert_array_equal(ledger.returns([look.returns])[look.returns], kept.net_return)
    assert (look.num_bars, look.bar_seconds) == (50, 3600)
    assert ledger.identity(number) == {"lr": 0.1}


def test_a_run_is_sealed_with_the_root_of_its_manifest(ledger):
    assert ledger.seals("r1") == []
    ledger.seal("r1", "root one")
    ledger.seal("r2", "of another")
    ledger.seal("r1", "root two")
    assert ledger.seals("r1") == ["root one", "root two"]


def test_many_writers_lose_no_look_and_keep_the_chain_whole(ledger):
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda seed: entered(ledger, seed), range(40)))
    assert len(set(numbers)) == 40
    assert ledger.state().chain.broken_at is None


WRITER = """
import sys
from dataclasses import replace
sys.path.insert(0, sys.argv[3])
from test_ledger import ENTRY
from evaluation.ledger.ledger import Ledger
ledger = Ledger(sys.argv[1])
for seed in range(25):
    number = ledger.enter(replace(ENTRY, seed=seed, run=sys.argv[2]))
    ledger.enter(replace(ENTRY, seed=seed, identity={"only": sys.argv[2]}))
    ledger.fail(number, "x")
"""


def test_two_processes_at_once_enter_each_look_once(place):
    # Both make the ledger, enter the same 25 looks and 25 of their own: 25 + 2 * 25.
    folder = str(Path(__file__).parent)
    command = [sys.executable, "-c", WRITER, place]
    writers = [subprocess.Popen([*command, name, folder]) for name in ("a", "b")]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0]
    state = Ledger(place).state()
    assert state.chain.broken_at is None
    assert len(state.looks) == 75
    assert sum(set(look.runs) == {"a", "b"} for look in state.looks) == 25


def test_the_file_is_in_write_ahead_mode(tmp_path):
    Ledger(tmp_path / "ledger.sqlite")
    with sqlite3.connect(tmp_path / "ledger.sqlite") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_a_file_that_is_no_ledger_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("not a database, but long enough to be taken for one" * 10)
    with pytest.raises(LedgerUnusable, match="is not a ledger"):
        Ledger(tmp_path / "notes.txt")


def test_a_server_that_cannot_be_reached_is_one_sentence_without_the_password(postgres):
    for place in (
        "postgresql://me:geheim@127.0.0.1:1/db",
        postgres.replace("rayfold:", "nobody:geheim"),
        "postgresql://me:geheim@127.0.0.1:port/db",
    ):
        with pytest.raises(LedgerUnusable) as error:
            Ledger(place)
        assert "geheim" not in str(error.value)
        assert "\n" not in str(error.value)
        assert "postgresql://" in str(error.value)


def test_a_missing_driver_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(LedgerUnusable, match=r"psycopg.*pip install -e '\.\[postgres\]'"):
        Ledger("postgresql://me:geheim@127.0.0.1/db")


def test_a_place_is_shown_without_a_password():
    assert shown("postgresql://me:geheim@h:5432/d") == "postgresql://me@h:5432/d"
    assert shown("postgresql://h/d?password=geheim&sslmode=require") == "postgresql://h/d?sslmode=require"
    assert shown("runs/ledger.sqlite") == "runs/ledger.sqlite"


# Editing, and what is found of it.


def changed(place, *statements):
    store = Store(place)
    with store.writing() as connection:
        for statement in statements:
            connection.execute(sql.text(statement))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_event SET facts = replace(facts, 'training', 'screening') WHERE number = 2",
        "UPDATE ledger_event SET at_utc = '2020-01-01' WHERE number = 2",
        "DELETE FROM ledger_event WHERE number = 2",
        "DELETE FROM ledger_event WHERE number = 1",
        "UPDATE ledger_event SET look = 1 WHERE number = 3",
        "UPDATE ledger_event SET facts = 'nothing' WHERE number = 3",
        "UPDATE rayfold_ledger SET id = 'another'",
    ],
)
def test_what_is_changed_or_taken_out_breaks_the_chain(place, statement):
    ledger = Ledger(place)
    for seed in range(4):
        entered(ledger, seed)
    assert ledger.state().chain.broken_at is None
    changed(place, statement)
    assert Ledger(place).state().chain.broken_at is not None


def test_a_chain_that_was_cut_or_written_anew_does_not_hold_a_head_that_a_run_saw(place):
    ledger = Ledger(place)
    entered(ledger, 0)
    early = ledger.head()
    entered(ledger, 1)
    late = ledger.head()
    assert ledger.state().chain.holds(early)
    assert ledger.state().chain.holds(late)
    changed(place, "DELETE FROM ledger_event WHERE number = 2")
    chain = Ledger(place).state().chain
    assert chain.broken_at is None  # cut at its end: whole in itself
    assert chain.holds(early)
    assert not chain.holds(late)
    entered(Ledger(place), 2)  # another second entry
    assert not Ledger(place).state().chain.holds(late)


def test_content_that_was_changed_is_not_given_out(place, noise_world):
    from data.coverage.coverage import Coverage

    ledger = Ledger(place)
    coverage = Coverage.of(noise_world.panel, slice(0, 100), source="")
    entered(ledger, coverage=coverage)
    (name,) = ledger.state().looks[0].coverages
    assert ledger.coverages([name])[name] == coverage
    other = f"(SELECT content FROM ledger_content WHERE hash <> '{name}' LIMIT 1)"
    changed(place, f"UPDATE ledger_content SET content = {other} WHERE hash = '{name}'")
    assert ledger.coverages([name]) == {}


# Ledgers of earlier releases.


def old_ledger(path):
    with sqlite3.connect(path) as connection:
        connection.executescript(
            """
            CREATE TABLE study (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, created_utc TEXT NOT NULL);
            CREATE TABLE trial (id INTEGER PRIMARY KEY, study INTEGER, started_utc TEXT, finished_utc TEXT, status TEXT,
                seed INTEGER, config TEXT, data_fingerprint TEXT, code_commit TEXT, score REAL, sharpe REAL,
                num_bars INTEGER, first_bar INTEGER, net_return BLOB, error TEXT);
            CREATE TABLE fold (trial INTEGER, fold INTEGER);
            CREATE TABLE holdout_opening (id INTEGER PRIMARY KEY, study INTEGER, opened_utc TEXT, data_fingerprint TEXT,
                first_bar_utc TEXT, last_bar_utc TEXT, code_commit TEXT, purpose TEXT);
            INSERT INTO study VALUES (1, 'crypto', '2025-01-01'), (2, 'crypto/sweep', '2025-01-02');
            INSERT INTO trial VALUES (1, 1, 'a', 'b', 'failed', 0, '{"job": "train", "script": null}', 'd1', 'c0', NULL,
                NULL, NULL, NULL, NULL, 'boom');
            INSERT INTO trial VALUES (2, 2, 'a', NULL, 'running', 0, '{"trial": 0, "overrides": {}}', 'd1', 'c0', NULL,
                NULL, NULL, NULL, NULL, NULL);
            INSERT INTO holdout_opening VALUES (1, 2, 'then', 'd1', 'x', 'y', 'c0', 'the winner');
            """
        )
        import zlib

        blob = zlib.compress(np.array([0.1, 0.2, -0.1]).tobytes())
        connection.execute(
            "INSERT INTO trial VALUES (3, 1, 'a', 'b', 'finished', 1, '{\"job\": \"train\", \"script\": \"flip\"}', "
            "'d1', 'c0', 1.0, 0.4, 3, 50, ?, NULL)",
            (blob,),
        )


def test_an_old_ledger_is_brought_into_the_chain_once(tmp_path):
    old_ledger(tmp_path / "ledger.sqlite")
    Ledger(tmp_path / "ledger.sqlite")
    state = Ledger(tmp_path / "ledger.sqlite").state()
    assert state.chain.broken_at is None
    kinds = [look.kind for look in state.looks]
    assert kinds == ["training", "sweep trial", "scripted policy", "holdout opening"]
    assert [look.status for look in state.looks] == ["failed", "running", "finished", "running"]
    assert {look.data_fingerprint for look in state.looks} == {"d1"}
    with pytest.raises(HoldoutOpenedError, match="the winner"):
        Ledger(tmp_path / "ledger.sqlite").open_holdout(
            replace(ENTRY, kind="holdout opening", study="crypto/sweep"), purpose="again"
        )


def test_a_job_of_an_old_ledger_that_runs_again_is_the_same_look(tmp_path):
    old_ledger(tmp_path / "ledger.sqlite")
    ledger = Ledger(tmp_path / "ledger.sqlite")
    assert entered(ledger, identity={"job": "train", "script": None}) == 1
    assert ledger.count("crypto").all == 2


# The holdout.
def test_a_holdout_is_opened_once_per_study(ledger):
    opening = replace(ENTRY, kind="holdout opening", study="s", identity={})
    ledger.open_holdout(opening, purpose="final verdict")
    with pytest.raises(HoldoutOpenedError, match="opened once only"):
        ledger.open_holdout(replace(opening, code_commit="c1"), purpose="one more look")
    ledger.open_holdout(replace(opening, study="another", code_commit="c1"), purpose="its own")
    assert [look.kind for look in ledger.state().looks] == ["holdout opening"] * 2
