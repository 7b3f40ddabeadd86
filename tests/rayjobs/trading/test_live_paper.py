"""Paper trading on live bars of a vendor, by the real clock: one decision a second, and on after an interruption."""

from __future__ import annotations

import json
import time

import numpy as np
import pandas as pd
import pytest
from sealed_run import make_sealed_run

from rayjobs.config.exit_codes import ExitCode
from rayjobs.trade import main
from rayjobs.trading.loop import TradingLoop

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("leak_check_aside")]
LIVE = (
    "broker=paper", "source=local", "source.local.vendor=second_bars:SecondBars", "source.local.calendar='24/7'",
    "feed.history_days=0.005", "feed.settle_s=0.05", "feed.poll_s=0.1", "feed.missing_after_s=5",
    "feed.late_after_s=3", "feed.room_days=4",
)  # fmt: skip


def stop_after(patch, is_enough):
    """Interrupt after the bar at which `is_enough` of all bars so far."""
    step, ticks = TradingLoop.step, []

    def cut(loop):
        if ticks and is_enough(ticks):
            raise KeyboardInterrupt
        ticks.append(step(loop))
        return ticks[-1]

    patch.setattr(TradingLoop, "step", cut)


def test_bars_of_a_vendor_are_traded_as_they_close_and_what_was_missed_meanwhile_comes_first(
    tmp_path, monkeypatch
):
    run = make_sealed_run(
        tmp_path, "gate.enforced=[num_trades]", "gate.min_trades=1", "data.bar_seconds=1", "policy=mlp"
    )
    with monkeypatch.context() as patch:
        stop_after(patch, lambda ticks: len(ticks) == 5)
        assert main([f"policy={run}", f"directory={tmp_path}", *LIVE]) is ExitCode.INTERRUPTED
    (trading,) = (tmp_path / "trading").iterdir()
    first = pd.read_csv(trading / "latency.csv")
    assert len(first) == 5
    time.sleep(4.0)
    with monkeypatch.context() as patch:
        stop_after(patch, lambda ticks: not ticks[-1].arrival.late)
        assert main([f"resume={trading}"]) is ExitCode.INTERRUPTED
    table = pd.read_csv(trading / "latency.csv", parse_dates=["bar_utc"])
    num_bars = len(table)
    assert (np.diff(table["bar_utc"]) == np.timedelta64(1, "s")).all()  # no bar is missing, none comes twice
    assert table["late"].iloc[5]  # it closed while nobody was there
    assert table["late"].iloc[5:-1].all()
    assert not table["late"].iloc[-1]
    equity = pd.read_csv(trading / "equity.csv")
    assert len(equity) == num_bars
    assert json.loads((trading / "daily.json").read_text())["risk"]["equity"] > 0
