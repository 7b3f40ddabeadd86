"""Whole runs whose gain is what fills owe to the close of their own bar: by its volume, or by what a repair took out.

Four stocks of daily bars, random walks that nobody can earn anything on, held from each open to the close.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_run import make_run

from data.calendars import bar_grid
from envs.checks.leaks import LeakReport
from policies.baselines import SCRIPTED, Schedule
from rayjobs.audit import main as audit

pytestmark = [pytest.mark.runs, pytest.mark.usefixtures("leak_check_aside")]
SESSIONS = bar_grid("NYSE", 86_400, np.datetime64("2014-01-02"), np.datetime64("2019-12-31")).bar_utc
BASE = (
    "data=files", "data.calendar=NYSE", "data.bar_seconds=86400", "instruments=us_stock", "features=exogenous",
    "policy=flip", "costs=venue", "env.sizing.fraction=0.25", "env.episode.bars=48", "walk_forward.train_bars=250",
    "walk_forward.test_bars=600", "walk_forward.embargo_bars=0", "scoring.supervised=[]",
    "scoring.placebo_strategies=0", "scoring.in_sample=false", "context=bars_1d", "risk.flat_at_session_end=last_close",
)  # fmt: skip

CLEAN = LeakReport(cut_bars=(1,), bars_compared=1, findings=())


@pytest.fixture
def long_each_day(monkeypatch):
    """The script `flip` wants to be long at every open."""
    monkeypatch.setitem(SCRIPTED, "flip", lambda panel: Schedule(target_TA=np.ones(panel.close.shape)))


def write_stocks(
    directory: Path, *, volume_share: float = 0.0, crashes: float = 0.0, wrong_ticks: int = 0
) -> list[str]:
    """Stocks of about 60 with a volatility of 1.2 % a day.

    Parameters
    ----------
    volume_share : correlation of the log volume with the return of the same bar.
    crashes : share of the days on which a stock falls by a further 8 %, for which the other days make up.
    wrong_ticks : days of each stock whose close, and low, are a tenth of what they should be.
    """
    directory.mkdir(parents=True, exist_ok=True)
    T = len(SESSIONS)
    for a in range(4):
        drawn = np.random.default_rng(a)
        standard = drawn.standard_normal(T)
        falls = drawn.random(T) < crashes
        step = 0.012 * standard + np.where(falls, -0.08, crashes * 0.08 / (1.0 - crashes))
        close = 60.0 * np.exp(np.cumsum(step))
        opened = np.concatenate([[60.0], close[:-1]])
        mixed = volume_share * standard + np.sqrt(1.0 - volume_share**2) * drawn.standard_normal(T)
        table = pd.DataFrame({"timestamp": pd.DatetimeIndex(SESSIONS).strftime("%Y-%m-%d")}).assign(
            open=opened,
            high=np.maximum(opened, close),
            low=np.minimum(opened, close),
            close=close,
            volume=2e6 * np.exp(0.5 * mixed),
            noise=drawn.standard_normal(T),
        )
        wrong = drawn.choice(np.arange(300, T - 50), wrong_ticks, replace=False)
        table.loc[wrong, ["low", "close"]] *= 0.1
        table.to_csv(directory / f"V{a}.csv", index=False)
    return [*BASE, f"data.path={directory}"]


def verdict_of(run: Path) -> tuple[dict, dict]:
    verdict = json.loads((run / "verdict.json").read_text())
    return verdict, {row["name"]: row for row in verdict["criteria"]}


def about_fills(verdict: dict) -> list[str]:
    return [phrase for phrase in verdict["lowered"] if "fill" in phrase or "data.repair" in phrase]


def test_what_is_bought_by_the_volume_of_the_bar_it_is_bought_in_is_refused(
    tmp_path, long_each_day, monkeypatch
):
    base = tuple(write_stocks(tmp_path / "bars", volume_share=0.5))
    run = make_run(tmp_path, "env.initial_equity=1e9", base=base)
    verdict, rows = verdict_of(run)
    assert rows["sharpe"]["value"] > 1.5
    assert not rows["plausibility"]["pass"]
    assert "how much was traded in the very bars that orders fill in" in rows["plausibility"]["reason"]
    (phrase,) = about_fills(verdict)
    assert "which is not known at its open: by the volume before" in phrase
    monkeypatch.setattr("rayjobs.replay.derived_again.leak_report", lambda *_, **__: CLEAN)
    audit([f"run={run}", "checks=[reproduction]"])
    found = json.loads((run / "audit_report.json").read_text())["checks"]
    assert [row for row in found if row["outcome"] == "fail"] == []


def test_the_same_orders_beside_honest_volumes_are_not(tmp_path, long_each_day):
    run = make_run(
        tmp_path, "env.initial_equity=1e9", base=tuple(write_stocks(tmp_path / "bars", volume_share=0.0))
    )
    verdict, rows = verdict_of(run)
    assert rows["plausibility"]["pass"], rows["plausibility"]["reason"]
    assert about_fills(verdict) == []


def test_a_crash_that_a_repair_takes_out_is_no_gain(tmp_path, long_each_day):
    base = tuple(write_stocks(tmp_path / "bars", crashes=0.02))
    spared, rows = verdict_of(make_run(tmp_path / "spared", "data.repair.outlier_score=5", base=base))
    plain, plain_rows = verdict_of(make_run(tmp_path / "plain", base=base))
    assert rows["sharpe"]["value"] > plain_rows["sharpe"]["value"] + 1.0
    (phrase,) = [phrase for phrase in spared["lowered"] if "taken out by data.repair" in phrase]
    assert "orders were not filled, which spared the record" in phrase
    assert about_fills(plain) == []


def test_few_wrong_ticks_that_a_repair_takes_out_are_said_and_no_more(tmp_path, monkeypatch):
    # Held throughout, so that no order waits for the bars that are wrong.
    monkeypatch.setitem(SCRIPTED, "flip", lambda panel: Schedule(target_TA=np.ones(panel.close.shape)))
    base = tuple(write_stocks(tmp_path / "bars", wrong_ticks=1))
    given = ("data.repair.outlier_score=20", "risk.flat_at_session_end=never")
    verdict, _ = verdict_of(make_run(tmp_path, *given, base=base))
    assert about_fills(verdict) == []
    assert "scored bars were taken out by data.repair" in verdict["headline"]
