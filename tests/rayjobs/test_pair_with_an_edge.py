"""Two stocks whose spread reverts: trees and PPO find it on the same bars and costs; without it both are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rayjobs.config.exit_codes import ExitCode
from rayjobs.entry import run_entry_point
from rayjobs.train import train

pytestmark = [pytest.mark.slow, pytest.mark.ray]
EDGE = "data.edge={pair: [AMD, NVDA], size: 0.01, half_life_bars: 10, shown: false}"
WAYS = {
    "xgboost": ("+experiment=amd_nvda_trees", "policy=xgboost"),
    "ppo": ("+experiment=amd_nvda", "trainer.total_env_steps=100_000"),
}


def results(folder: Path, *overrides: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Summary and verdict of one run."""
    arguments = [f"run.directory={folder}", "run.experiment=pair", "tracking=none", "cluster.num_cpus=1"]
    assert run_entry_point(train, "train", [*overrides, *arguments]) is ExitCode.DONE
    (run,) = (folder / "pair").iterdir()
    summary = json.loads((run / "backtest" / "summary.json").read_text())
    return summary, json.loads((run / "verdict.json").read_text())


@pytest.mark.parametrize("way", WAYS)
def test_a_spread_that_reverts_is_traded_and_approved_on_a_made_market(tmp_path, way):
    if way == "xgboost":
        pytest.importorskip("xgboost")
    summary, verdict = results(tmp_path, *WAYS[way], EDGE)
    assert verdict["pass"], verdict["headline"]
    assert verdict["synthetic"]
    assert summary["total_return"] > 0.0


@pytest.mark.parametrize("way", WAYS)
def test_without_it_nothing_can_be_earned_and_the_gate_says_no(tmp_path, way):
    if way == "xgboost":
        pytest.importorskip("xgboost")
    _, verdict = results(tmp_path, *WAYS[way])
    assert not verdict["pass"]
