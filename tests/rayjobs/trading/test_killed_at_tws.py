"""The loop at the double of TWS is killed at 50 random points of its orders' lives: nothing is doubled or lost."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from clocked_market import ClockedMarket, wait_until
from priced_run import at_tws
from reconciled_run import assert_reconciles
from sealed_run import make_sealed_run
from trade_process import ROOT, trading_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400), pytest.mark.usefixtures("leak_check_aside")]
KILLS = 50
CONNECTED = "connected to TWS"
OPEN = ("planned", "in_flight", "working", "cancelling")


class Parts:
    """Lets the venue fill what waits, a part at a time, so that orders live for a while."""

    def __init__(self, market: ClockedMarket) -> None:
        self._market, self._ended = market, threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Nothing is filled any more."""
        self._ended.set()
        self._thread.join(10.0)

    def _go_on(self) -> None:
        def fill(venue) -> None:
            for one in self._market.listings:
                venue.book.fill_sizes[one.con_id] = deque([60.0] * 50)
                venue.book.match(one.con_id)

        while not self._ended.wait(0.08):
            self._market.tws.do(fill)


class Forker:
    """The process that forks the command; see `forked_trading`."""

    def __init__(self, run: Path, log: Path) -> None:
        self._log = log
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("forked_trading.py")), str(run)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log.with_suffix(".forker").open("wb"),
            text=True,
            cwd=log.parent,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )
        assert self._answer() == "ready", log.with_suffix(".forker").read_text()

    def start(self, words: list[str], die_at: int | None = None, when: str = "before") -> int:
        """Start the command; its process's number."""
        asked = {"words": words, "log": str(self._log), "die_at": die_at, "when": when}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return int(self._answer())

    def ended(self) -> int:
        """Wait for its end: the exit code, negative where a signal ended it."""
        return int(self._answer())

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _answer(self) -> str:
        return self._process.stdout.readline().strip()


def open_orders(run: Path) -> int:
    """Orders of the journal that were not done when its process died."""
    with closing(sqlite3.connect(f"file:{run / 'journal.sqlite'}?mode=ro", uri=True)) as journal:
        marks = ", ".join("?" * len(OPEN))
        return journal.execute(f"SELECT count(*) FROM orders WHERE status IN ({marks})", OPEN).fetchone()[0]


def fills_of(run: Path) -> pd.DataFrame:
    """execution_id, symbol, units of every fill of the journal, in its latest correction."""
    with closing(sqlite3.connect(f"file:{run / 'journal.sqlite'}?mode=ro", uri=True)) as journal:
        query = "SELECT execution_id, symbol, units FROM fills ORDER BY revision"
        return pd.read_sql_query(query, journal).drop_duplicates("execution_id", keep="last")


def test_after_fifty_kills_positions_journal_and_venue_agree(tmp_path):
    policy = make_sealed_run(
        tmp_path,
        "gate.enforced=[num_trades]",
        "gate.min_trades=1",
        "data.num_bars=4200",
        "walk_forward.test_bars=3000",
    )
    random, log = np.random.default_rng(5), tmp_path / "said.log"
    with ClockedMarket() as market:
        parts, forker = Parts(market), Forker(policy, log)
        try:
            place = at_tws(market.tws.port)
            words = [f"policy={policy}", "fold=0", *place, "feed.kind=history", "feed.speed=14400"]
            words.append(f"directory={tmp_path}")
            with_orders = 0
            for number in range(KILLS):
                by_point = number % 5 != 4
                point = int(random.integers(2, 90)) if by_point else None
                pid = forker.start(words, point, "before" if random.random() < 0.5 else "after")
                if not by_point:
                    time.sleep(float(random.uniform(2.0, 5.0)))
                    os.kill(pid, signal.SIGKILL)
                assert forker.ended() == -signal.SIGKILL, log.read_text()[-4000:]
                run = trading_run(tmp_path)
                if run is not None:
                    words = [f"resume={run}", "broker=ibkr", "broker.account=DU1234567"]
                    if (run / "journal.sqlite").is_file():
                        with_orders += open_orders(run) > 0
            connected = log.read_text().count(CONNECTED)
            pid = forker.start(words)
            wait_until(lambda: log.read_text().count(CONNECTED) > connected, 60.0, "it does not connect")
            before = len(market.executions())
            wait_until(lambda: len(market.executions()) > before + 5, 60.0, "it does not trade any more")
            parts.end()
            time.sleep(1.0)
            os.kill(pid, signal.SIGTERM)
            assert forker.ended() == 130, log.read_text()[-4000:]
            assert_reconciles(market, run)  # what was on its way when it was stopped is found
            assert_agree(market, run)
            assert with_orders >= KILLS // 4
            assert b"DU1234567" not in log.read_bytes()
        finally:
            forker.close()


def assert_agree(market: ClockedMarket, run: Path) -> None:
    """Every order exists once, every fill is in the journal and in the books, and their sum is what is held."""
    executions, names = market.executions(), [name for name in market.order_names() if name]
    assert len(names) == len(set(names))
    fills = fills_of(run)
    assert set(fills["execution_id"]) == {execution for execution, _, _ in executions}
    held, units = fills.groupby("symbol")["units"].sum(), market.units()
    for symbol in ("SYN0", "SYN1"):
        assert held.get(symbol, 0.0) == pytest.approx(units.get(symbol, 0.0), abs=1e-6)
    booked = pd.read_csv(run / "executions.csv")  # up to the last bar that was written
    assert booked["execution_id"].is_unique
    assert set(booked["execution_id"]) <= set(fills["execution_id"])
