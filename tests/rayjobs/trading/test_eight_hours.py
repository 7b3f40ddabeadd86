"""Eight hours of minutes at 60 times life at TWS, a fault every few seconds: no bar is missed, memory is flat."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from clocked_market import ClockedMarket, wait_until
from priced_run import at_tws
from reconciled_run import assert_reconciles
from sealed_run import make_sealed_run
from test_killed_at_tws import Parts
from trade_process import TradeProcess, trading_run
from tws.faults import Fault

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500), pytest.mark.usefixtures("leak_check_aside")]
BARS, SPEED = 480, 60.0
WARM_S = 60.0
"""Seconds after which what was allocated once stands."""


class Faults:
    """Lets something go wrong at the double every few seconds, as drawn from a seed."""

    def __init__(self, market: ClockedMarket, seed: int) -> None:
        self._tws, self._random = market.tws, np.random.default_rng(seed)
        self._ended, self.counts = threading.Event(), dict.fromkeys(self.kinds, 0)
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self._thread.start()

    kinds = ("drop", "restart", "away", "1101", "1102", "cut", "duplicate", "lost")

    def end(self) -> None:
        """Nothing goes wrong any more."""
        self._ended.set()
        self._thread.join(30.0)

    def _go_on(self) -> None:
        while not self._ended.wait(float(self._random.uniform(2.0, 8.0))):
            kind = str(self._random.choice(self.kinds))
            self.counts[kind] += 1
            self._befall(kind)

    def _befall(self, kind: str) -> None:
        tws, random = self._tws, self._random
        if kind == "drop":
            tws.drop_clients()
        elif kind == "restart":
            tws.restart()
        elif kind == "away":
            tws.go_down()
            time.sleep(float(random.uniform(0.5, 3.0)))
            tws.come_up()
        elif kind in ("1101", "1102"):
            tws.do(lambda venue: venue.lose_connectivity())
            time.sleep(float(random.uniform(0.2, 2.0)))
            tws.restore_connectivity(data_lost=kind == "1101", deliver=bool(random.random() < 0.5))
        elif kind == "cut":
            how = str(random.choice(["cut_before", "cut_half", "cut_after"]))
            tws.plan(Fault(do=how, nth=int(random.integers(1, 30))))
        elif kind == "duplicate":
            tws.plan(Fault(do="duplicate", message="execDetails", direction="out"))
        else:
            tws.plan(Fault(do="drop", message="execDetails", direction="out"))


class Memory(threading.Thread):
    """Resident memory of a process, MB, once a second. pid : of the process."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._path, self.seen = Path(f"/proc/{pid}/statm"), []
        self.start()

    def run(self) -> None:
        while self._path.exists():
            try:
                self.seen.append(int(self._path.read_text().split()[1]) * 4096 / 1e6)
            except (OSError, IndexError):
                return
            time.sleep(1.0)


def test_eight_hours_with_faults_miss_no_bar_and_hold_no_more_memory(tmp_path):
    policy = make_sealed_run(
        tmp_path, "gate.enforced=[num_trades]", "gate.min_trades=1", "data.bar_seconds=60", "data.num_bars=1600",
        f"walk_forward.test_bars={BARS}",
    )  # fmt: skip
    with ClockedMarket() as market:
        parts = Parts(market)
        place = at_tws(market.tws.port)
        process = TradeProcess(
            tmp_path / "said.log", f"policy={policy}", "fold=0", f"directory={tmp_path}", *place,
            "feed.kind=history", f"feed.speed={SPEED}",
        )  # fmt: skip
        try:
            run = process.until(lambda: trading_run(tmp_path), 90.0)
            process.until(lambda: len(market.executions()) > 2, 60.0)
            memory, faults, since = Memory(process.pid), Faults(market, seed=3), time.monotonic()
            wait_until(lambda: process.is_over, BARS * 60.0 / SPEED + 120.0)
            took_s = time.monotonic() - since
            faults.end()
            assert process.ended(1.0) == 0, process.said()
            bars = pd.read_csv(run / "latency.csv", parse_dates=["bar_utc"])
            assert len(bars) == BARS
            assert (np.diff(bars["bar_utc"]) == np.timedelta64(60, "s")).all()
            assert took_s == pytest.approx(BARS * 60.0 / SPEED, rel=0.15)
            assert all(count > 0 for count in faults.counts.values()), faults.counts
            seen = np.array(memory.seen)
            early, late = seen[int(WARM_S) : int(2 * WARM_S)].mean(), seen[-int(WARM_S) :].mean()
            assert late - early < 20.0, (early, late)
            told = json.loads((run / "trading.json").read_text())
            assert told["latency_p50_ms"] < 1000.0
        finally:
            parts.end()
            process.kill()
        assert_reconciles(market, run)
