"""The loop is killed (SIGKILL) with orders at the venue, again and again, and ends as one that never was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sealed_run import make_sealed_run

from envs.live.journal import Journal

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("leak_check_aside")]
SCRIPT = (
    "broker.script={delay_bars: 1, partial_share: 0.5, reject_share: 0.1, half_spread_bps: 1.0, commission_bps: 1.0, "
    "seed: 0}"
)
KILLS = 4


def loop(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "rayjobs.trade", *arguments], cwd=Path.cwd())


def test_a_loop_that_is_killed_at_any_moment_ends_with_the_fills_of_one_that_was_not(tmp_path):
    run = make_sealed_run(tmp_path)
    begun = [f"policy={run}", "broker=replay", SCRIPT]
    assert loop(*begun, f"directory={tmp_path / 'whole'}").wait() == 0
    (whole,) = (tmp_path / "whole" / "trading").iterdir()
    arguments = [*begun, f"directory={tmp_path / 'cut'}", "feed.speed=60000"]  # 30 ms a bar
    random = np.random.default_rng(1)
    for _ in range(KILLS):
        process = loop(*arguments)
        while not list((tmp_path / "cut").glob("trading/*/journal.sqlite-wal")):
            time.sleep(0.05)
            assert process.poll() is None
        (cut,) = (tmp_path / "cut" / "trading").iterdir()
        time.sleep(float(random.uniform(0.3, 2.0)))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        arguments = [f"resume={cut}"]
    assert loop(*arguments).wait() == 0
    for name in ("decisions.parquet", "returns.parquet", "equity.csv"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes(), name
    mine, theirs = (pd.read_csv(place / "executions.csv") for place in (cut, whole))
    columns = ["filled_utc", "symbol", "units", "price", "commission"]
    assert mine[columns].equals(theirs[columns])
    with Journal(cut / "journal.sqlite", f"replay/{cut.name}") as journal:
        orders = journal.orders()
        assert len({tracked.order.client_order_id for tracked in orders}) == len(orders)
        assert {fill.execution_id for fill in journal.fills()} == set(mine["execution_id"])
