"""A scripted allocation's run, from its configuration to its audit, under limits that would sell what it holds."""

from __future__ import annotations

import json
import logging

import pandas as pd
import pytest
from small_run import make_run

from rayjobs.audit import main
from rayjobs.config.exit_codes import ExitCode

pytestmark = pytest.mark.runs

LIMITS = ("risk=guarded", "env=weights", "env.action.rebalance_band=0.3", "risk.max_gross_exposure=0.5")


@pytest.mark.parametrize("name", ["buy_and_hold", "equal_weight"])
def test_the_audit_of_a_scripted_allocation_finds_nothing(tmp_path, name):
    run = make_run(tmp_path, f"policy={name}", *LIMITS)
    checks = "checks=[data,execution,costs,metrics,reproduction]"
    code = main((f"run={run}", checks))
    report = json.loads((run / "audit_report.json").read_text())
    assert [c for c in report["checks"] if c["outcome"] == "fail"] == []
    assert code == ExitCode.DONE
    fills = pd.read_parquet(run / "walk_forward" / "fills.parquet")
    if name == "buy_and_hold":  # two assets, bought and sold once in each of two folds
        assert fills["reason"].value_counts().to_dict() == {"signal": 4, "window_end": 4}


def test_the_terminal_shows_each_baselines_turnover(tmp_path, capsys):
    make_run(tmp_path, "policy=buy_and_hold")
    shown = capsys.readouterr().out
    assert "annual turnover" in shown
    assert "volatility targeted" in shown


def test_baselines_of_an_account_below_one_lot_say_so(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        run = make_run(tmp_path, "+instruments.symbols={SYN0: {kind: ES}}", "env.initial_equity=1000")
    assert "does not pay for one lot of each asset" in caplog.text
    summary = json.loads((run / "backtest" / "summary.json").read_text())
    assert summary["baselines"]["buy_and_hold"]["turnover"] > 2.0
