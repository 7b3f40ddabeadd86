"""Whole runs on files of stocks whose dividends nobody wrote down: shorts that live on ex-dates are not approved."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_run import make_run

from data.calendars import bar_grid
from envs.checks.prefixes import compare_prefixes
from policies.baselines import SCRIPTED, Schedule
from rayjobs.audit import main as audit
from rayjobs.config.compose import compose
from rayjobs.study.config import TRAIN_KEYS, build_train_config
from rayjobs.study.leak_check import simulated_bars
from rayjobs.study.load import load_study

pytestmark = [pytest.mark.runs, pytest.mark.usefixtures("leak_check_aside")]
SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
SESSIONS = bar_grid("NYSE", 86_400, np.datetime64("2018-01-02"), np.datetime64("2021-12-31")).bar_utc
EVE = "eve"
BASE = (
    "data=files", "data.calendar=NYSE", "data.bar_seconds=86400", "instruments=us_stock", "features=exogenous",
    "policy=flip", "costs=venue", "env.sizing.fraction=0.25", "env.episode.bars=48", "walk_forward.train_bars=250",
    "walk_forward.test_bars=350", "walk_forward.embargo_bars=0", "scoring.supervised=[]",
    "scoring.placebo_strategies=0", "scoring.in_sample=false", "context=bars_1d",
)  # fmt: skip


def write_stocks(directory: Path, **kept: bool) -> list[str]:
    """Four quiet walks of about 50 that fall by 1 on each of their ex-dates, one a quarter; kept: further columns."""
    directory.mkdir(parents=True, exist_ok=True)
    for a, symbol in enumerate(SYMBOLS):
        drawn = np.random.default_rng(a)
        ex = np.zeros(len(SESSIONS), dtype=bool)
        ex[20 + 7 * a :: 63] = True
        opened, close, last = np.empty(len(ex)), np.empty(len(ex)), 50.0
        for t in range(len(ex)):
            opened[t] = (last - ex[t]) * np.exp(0.002 * drawn.standard_normal())
            # What is paid out grows back, so that prices stay where they are.
            last = close[t] = opened[t] * np.exp(0.004 * drawn.standard_normal() + 0.02 / 63)
        table = pd.DataFrame({"timestamp": pd.DatetimeIndex(SESSIONS).strftime("%Y-%m-%d")}).assign(
            open=opened,
            high=np.maximum(opened, close),
            low=np.minimum(opened, close),
            close=close,
            volume=1e7,
            eve=np.append(ex[2:], [False, False]).astype(
                float
            ),  # sold short at the next open, bought at that after it
        )
        if kept.get("dividend"):
            table["dividend"] = ex.astype(float)
        table.to_csv(directory / f"{symbol}.csv", index=False)
    return [*BASE, f"data.path={directory}"]


@pytest.fixture
def short_on_eves(monkeypatch):
    """The script `flip` is short over each ex-date, and flat otherwise."""
    monkeypatch.setitem(SCRIPTED, "flip", lambda panel: Schedule(target_TA=-panel.exogenous[EVE]))


def criteria(run: Path) -> tuple[dict, dict]:
    verdict = json.loads((run / "verdict.json").read_text())
    return verdict, {row["name"]: row for row in verdict["criteria"]}


def test_a_script_that_is_short_before_ex_dates_alone_is_refused_by_what_it_may_owe(tmp_path, short_on_eves):
    run = make_run(tmp_path, base=tuple(write_stocks(tmp_path / "bars")))
    verdict, rows = criteria(run)
    assert rows["sharpe"]["pass"], rows["sharpe"]["reason"]
    assert not rows["full_costs"]["pass"]
    assert "held over few nights of a quarter gained" in rows["full_costs"]["reason"]
    assert "give a column dividend" in rows["full_costs"]["reason"]
    assert "dividends of 2.0% a year owed by shorts of AAA" in rows["beats_baselines_stressed"]["reason"]
    assert verdict["headline"].startswith("Refused: shorts of AAA, BBB, CCC and 1 more")


def test_with_the_dividends_in_the_data_it_earns_nothing_and_the_audit_agrees(tmp_path, short_on_eves):
    run = make_run(tmp_path, base=tuple(write_stocks(tmp_path / "bars", dividend=True)))
    _, rows = criteria(run)
    assert not rows["sharpe"]["pass"]
    assert "may be" not in rows["full_costs"]["reason"]
    trades = pd.read_csv(run / "backtest" / "trades.csv")
    assert (trades["direction"] == "short").all()
    assert (trades["dividend_cost"] > 0.0).mean() > 0.95  # the last of a window is closed on the eve
    summary = json.loads((run / "backtest" / "summary.json").read_text())
    assert summary["costs"]["dividend"] == pytest.approx(trades["dividend_cost"].sum())
    audit([f"run={run}", "checks=[costs,trades,metrics]"])
    found = json.loads((run / "audit_report.json").read_text())["checks"]
    assert {row["section"] for row in found} >= {"costs", "trades", "metrics"}
    assert [row for row in found if row["outcome"] == "fail"] == []


def test_the_leak_check_reads_a_market_with_dividends_and_finds_nothing_in_it(tmp_path):
    overrides = write_stocks(tmp_path / "bars", dividend=True)
    values = {k: v for k, v in compose("train", overrides).items() if k in TRAIN_KEYS}
    study, _, _ = load_study(build_train_config(values))
    market = simulated_bars(study)
    assert market.names[-1] == "dividend"
    assert compare_prefixes(market, study.panel, seed=3, max_seconds=2.0).findings == ()
