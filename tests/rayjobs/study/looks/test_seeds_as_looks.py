"""Seeds that one job trained beside its own are looks for whoever takes the best of them later."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from sealed_run import make_sealed_run

from rayjobs.audit import main as audit
from rayjobs.config.exit_codes import ExitCode
from rayjobs.evaluate import main as evaluate

pytestmark = pytest.mark.runs


def kinds(run: Path) -> dict[str, int]:
    return json.loads((run / "verdict.json").read_text())["looks"]["kinds"]


def test_the_best_of_many_seeds_is_deflated_for_all_of_them(tmp_path):
    several = make_sealed_run(tmp_path, "trainer.num_seeds=3")
    assert kinds(several) == {"training": 1}  # seed 0 is its headline, whatever the others earn
    assert kinds(make_sealed_run(tmp_path, "trainer.num_seeds=3")) == {"training": 1}
    assert kinds(make_sealed_run(tmp_path, "seed=2")) == {"training": 1, "other seed": 2}
    shutil.rmtree(tmp_path / "small")
    assert kinds(make_sealed_run(tmp_path, "seed=7")) == {"training": 2, "other seed": 2}


def test_seeds_of_other_jobs_are_judged_beside_a_seed_that_is_asked_for_alone(tmp_path):
    make_sealed_run(tmp_path, "trainer.num_seeds=3")
    alone = make_sealed_run(tmp_path, "trainer.num_seeds=1")
    assert kinds(alone) == {"training": 1, "other seed": 2}
    evidence = json.loads((alone / "evidence.json").read_text())
    assert (set(evidence["seeds"]), set(evidence["other_jobs_seeds"])) == ({"0"}, {"1", "2"})
    criteria = json.loads((alone / "verdict.json").read_text())["criteria"]
    assert any("worst of 3 seeds (seed 1 and seed 2 by other jobs)" in one["reason"] for one in criteria)
    assert audit([f"run={alone}", "checks=[reproduction]"]) is ExitCode.DONE
    evaluate([f"run={alone}", f"directory={tmp_path}/again"])
    (scored,) = tmp_path.glob("again/**/evidence.json")
    assert set(json.loads(scored.read_text())["other_jobs_seeds"]) == {"1", "2"}
    saved_less = make_sealed_run(tmp_path, "trainer.checkpoint_every=11")  # changes no policy
    assert kinds(saved_less) == {"training": 1, "other seed": 2}
    other = make_sealed_run(tmp_path, "algo.gamma=0.5", "env.sizing.fraction=0.4")
    assert json.loads((other / "evidence.json").read_text())["other_jobs_seeds"] == {}


def test_seeds_count_without_the_ledger_too(tmp_path):
    make_sealed_run(tmp_path, "trainer.num_seeds=3")
    for path in tmp_path.glob("ledger.sqlite*"):
        path.unlink()
    # Three looks on the disk; untrained policies of all seeds are one, so the first is this one again.
    assert kinds(make_sealed_run(tmp_path, "seed=2")) == {"training": 3}
