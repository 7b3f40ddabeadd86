"""Every experiment that is shipped runs from the command line to a verdict, at a budget that teaches nothing."""

from __future__ import annotations

import json

import pytest

from rayjobs.config.exit_codes import ExitCode
from rayjobs.entry import run_entry_point
from rayjobs.train import train

pytestmark = [pytest.mark.slow, pytest.mark.ray]
STAND_INS = (
    "mes_intraday",
    "us_stocks_core",
    "us_stocks_low_price",
    "gld_execution",
    "amd_nvda",
    "amd_nvda_trees",
    "mnq_5m",
    "bybit_perps",
    "equities_cross_section",
)


@pytest.mark.parametrize("experiment", STAND_INS)
def test_an_experiment_on_a_stand_in_ends_with_a_report_and_a_verdict_that_names_it(tmp_path, experiment):
    arguments = [
        f"+experiment={experiment}",
        "+debug=smoke",
        f"run.directory={tmp_path}",
        "cluster.num_cpus=1",
    ]
    # One fold where there are more: that all fit their data is a fast test of its own.
    arguments += [] if experiment == "gld_execution" else ["walk_forward.only_fold=0"]
    assert run_entry_point(train, "train", arguments) is ExitCode.DONE
    (run,) = (tmp_path / experiment).iterdir()
    verdict = json.loads((run / "verdict.json").read_text())
    assert not verdict["pass"]
    assert verdict["synthetic"]
    assert "stand-in" in verdict["headline"]
    assert "stand-in" in (run / "report.html").read_text()
    assert (run / "backtest" / "trades.csv").exists()
