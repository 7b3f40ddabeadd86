"""Short forms of the planted proofs, three seeds each, from the command line to the verdict.

The levels at full length (`python -m rayjobs.train +experiment=planted_signal` and its like) are in the README.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rayjobs.config.exit_codes import ExitCode
from rayjobs.entry import run_entry_point
from rayjobs.train import train

pytestmark = [pytest.mark.slow, pytest.mark.ray]
SEEDS = (0, 1, 2)


def results(folder: Path, experiment: str, *overrides: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Summary and verdict of one run."""
    arguments = [
        f"+experiment={experiment}",
        f"run.directory={folder}",
        "tracking=none",
        "cluster.num_cpus=1",
    ]
    assert run_entry_point(train, "train", [*arguments, *overrides]) is ExitCode.DONE
    (run,) = (folder / experiment).iterdir()
    summary = json.loads((run / "backtest" / "summary.json").read_text())
    return summary, json.loads((run / "verdict.json").read_text())


@pytest.mark.parametrize("seed", SEEDS)
def test_a_visible_signal_is_followed_and_approved(tmp_path, seed):
    summary, verdict = results(tmp_path, "planted_signal", f"seed={seed}", "trainer.total_env_steps=200_000")
    assert 0.85 < summary["oracle_fraction"] <= 1.0
    assert verdict["pass"], verdict["headline"]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_policy_with_memory_learns_what_a_policy_without_cannot_have(tmp_path, seed):
    # One asset, so that the short form is short: the pulses and their delay are those of the full proof.
    short = (
        f"seed={seed}",
        "trainer.total_env_steps=600_000",
        "data.num_assets=1",
        "env.sizing.fraction=1.0",
        "reward.scale=500.0",
    )
    remembering, _ = results(tmp_path / "lstm", "planted_memory", *short)
    forgetting, verdict = results(tmp_path / "mlp", "planted_memory", *short, "policy=mlp")
    assert remembering["oracle_fraction"] > 0.4
    assert forgetting["oracle_fraction"] < 0.1
    assert not verdict["pass"]


@pytest.mark.parametrize("seed", SEEDS)
def test_on_noise_the_policy_stays_out_and_the_gate_says_no(tmp_path, seed):
    summary, verdict = results(tmp_path, "noise", f"seed={seed}", "trainer.total_env_steps=200_000")
    assert summary["time_in_market"] < 0.1
    assert summary["total_return"] < 0.02
    assert not verdict["pass"]


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_learnt_on_some_symbols_carries_over_to_symbols_held_out(tmp_path, seed):
    summary, verdict = results(tmp_path, "planted_symbols", f"seed={seed}", "trainer.total_env_steps=300_000")
    assert summary["unseen_symbols"]["oracle_fraction_kept"] >= 0.9
    assert verdict["pass"], verdict["headline"]


@pytest.mark.parametrize("seed", SEEDS)
def test_an_edge_of_the_trained_symbols_alone_is_refused_by_the_gate_that_demands_both(tmp_path, seed):
    short = (f"seed={seed}", "trainer.total_env_steps=300_000", "data.without_edge=[SYN6,SYN7]")
    summary, verdict = results(tmp_path, "planted_symbols", *short)
    assert summary["oracle_fraction"] > 0.8
    assert not verdict["pass"]
    failed = [c["name"] for c in verdict["criteria"] if c["enforced"] and not c["pass"]]
    assert failed == ["unseen_symbols"]


@pytest.mark.parametrize("seed", SEEDS)
def test_actors_of_their_own_learn_rules_of_their_own_where_one_policy_for_all_cannot(tmp_path, seed):
    short = (f"seed={seed}", "trainer.total_env_steps=300_000")
    own, _ = results(tmp_path / "own", "planted_rules", *short)
    shared, _ = results(
        tmp_path / "shared", "planted_rules", *short, "policy=lstm", "policy.symbol_embedding=false"
    )
    assert own["oracle_fraction"] > 0.8
    assert shared["oracle_fraction"] < 0.5
