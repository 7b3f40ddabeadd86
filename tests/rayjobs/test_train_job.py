"""The whole training job: the same numbers again, folds alone or in any order, the gate's evidence in its files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from evaluation.ledger.ledger import Ledger
from policies.exported_policy import TrainedPolicy
from rayjobs.audit import main as audit
from rayjobs.cluster.session import ray_session
from rayjobs.cluster.settings import ClusterConfig
from rayjobs.config.compose import compose
from rayjobs.config.exit_codes import ExitCode
from rayjobs.evaluate import main as evaluate
from rayjobs.storage.run_directory import JobFailed
from rayjobs.train import train

pytestmark = [pytest.mark.ray, pytest.mark.slow]

SHORT = (
    "+experiment=planted_signal", "data.num_bars=2600", "walk_forward.train_bars=1000", "walk_forward.test_bars=400",
    "walk_forward.embargo_bars=10", "env.episode.bars=48", "trainer.total_env_steps=3072", "trainer.validation_every=2",
    "algo.num_envs=16", "algo.fragment_bars=32", "algo.minibatch_steps=256", "scoring.supervised=[]",
)  # fmt: skip
SCRIPT = (*SHORT, "policy=momentum_sign")


@pytest.fixture(scope="module", autouse=True)
def ray_running():
    with ray_session(ClusterConfig.here(num_cpus=2, object_store_mb=200)):
        yield


@pytest.fixture(autouse=True)
def one_commit(monkeypatch):
    """Two runs of a test count as runs of one code, though somebody may commit between them."""
    monkeypatch.setattr("rayjobs.study.looks.entered.code_version", lambda provenance: "c0")


def job(directory: Path, *overrides: str) -> Path:
    """Run a training job that must end well; its run directory."""
    assert train(compose("train", [*overrides, f"run.directory={directory}"])) in (
        ExitCode.DONE,
        ExitCode.GATE_SAID_NO,
    )
    return max((directory / "planted_signal").iterdir())


def read(run: Path, name: str):
    return json.loads((run / name).read_text())


def returns(run: Path, fold: int | None = None) -> pd.DataFrame:
    table = pd.read_parquet(run / "walk_forward" / "returns.parquet")
    return table if fold is None else table[table["fold"] == fold].reset_index(drop=True)


def criterion(run: Path, name: str):
    return next(row for row in read(run, "verdict.json")["criteria"] if row["name"] == name)


def test_the_same_job_twice_gives_the_same_files_and_counts_once(tmp_path):
    first, again = job(tmp_path, *SHORT), job(tmp_path, *SHORT)
    assert first != again
    for name in ("backtest/summary.json", "verdict.json", "progress.csv", "walk_forward/folds.csv"):
        assert (first / name).read_bytes() == (again / name).read_bytes()
    assert read(again, "backtest/summary.json")["num_trials"] == 1
    other = job(tmp_path, *SHORT, "algo.gamma=0.9")
    assert read(other, "backtest/summary.json")["looks"]["kinds"] == {"training": 2}
    assert "2 looks at these bars (2 trainings; " in criterion(other, "deflated_sharpe")["reason"]
    ledger = Ledger(tmp_path / "ledger.sqlite")
    assert ledger.count("planted_signal").finished == 2


def test_a_fold_alone_equals_the_fold_in_sequence_bit_for_bit(tmp_path):
    whole = job(tmp_path, *SHORT)
    alone = job(tmp_path, *SHORT, "walk_forward.only_fold=2")
    assert returns(whole)["fold"].nunique() == 3
    pd.testing.assert_frame_equal(
        returns(whole, 2)[["fold", "bar_utc", "net_return"]],
        returns(alone)[["fold", "bar_utc", "net_return"]],
        check_exact=True,
    )
    hashes = [pd.read_csv(run / "walk_forward" / "folds.csv").set_index("fold") for run in (whole, alone)]
    assert hashes[0].loc[2, "policy_hash"] == hashes[1].loc[2, "policy_hash"]


def test_the_order_of_the_folds_changes_no_number(tmp_path):
    forward = job(tmp_path, *SCRIPT)
    backward = job(tmp_path, *SCRIPT, "walk_forward.fold_order=[2,0,1]")
    assert (forward / "backtest/summary.json").read_bytes() == (
        backward / "backtest/summary.json"
    ).read_bytes()
    assert (forward / "verdict.json").read_bytes() == (backward / "verdict.json").read_bytes()


def test_costs_left_out_are_told_and_refused(tmp_path):
    free = job(tmp_path, *SCRIPT, "scoring.cost_factor=0")
    assert read(free, "backtest/summary.json")["total_cost"] == 0.0
    assert read(free, "backtest/summary.json")["cost_factor"] == 0.0
    assert criterion(free, "full_costs")["pass"] is False
    assert read(free, "verdict.json")["headline"].startswith("Refused: the multiple of the configured costs")
    assert "x0 of those configured" in (free / "report.html").read_text()


def test_a_feature_that_reads_ahead_is_trained_on_but_never_approved(tmp_path):
    cheat = "+features.specs.cheat={name: 'cheating_features:NEXT_RETURN', params: {ahead_bars: 1}}"
    run = job(tmp_path, *SCRIPT, cheat)
    assert criterion(run, "leak_check")["pass"] is False
    assert "feature 'next_return_1'" in read(run, "verdict.json")["headline"]


def test_every_seed_is_trained_and_the_first_stays_the_headline(tmp_path):
    one = job(tmp_path, *SHORT, "walk_forward.only_fold=0")
    three = job(tmp_path, *SHORT, "walk_forward.only_fold=0", "trainer.num_seeds=2")
    assert read(one, "backtest/summary.json")["sharpe"] == read(three, "backtest/summary.json")["sharpe"]
    assert "the only seed" in criterion(one, "all_seeds_positive")["reason"]
    assert "2 seeds" in criterion(three, "all_seeds_positive")["reason"]
    worst = criterion(three, "all_seeds_positive")["value"]
    assert worst <= read(three, "backtest/summary.json")["total_return"]


def test_placebo_markets_show_how_often_the_gate_would_pass_noise(tmp_path):
    run = job(
        tmp_path,
        *SHORT,
        "walk_forward.only_fold=0",
        "scoring.placebo_runs=2",
        "scoring.placebo_env_steps=1024",
    )
    assert criterion(run, "placebo")["value"] == 0.0
    assert "2 placebo markets" in criterion(run, "placebo")["reason"]
    assert not (run / "placebo").exists()


def test_a_failed_training_counts_as_a_trial(tmp_path):
    with pytest.raises(JobFailed):
        job(tmp_path, *SHORT, "algo.kl_limit=1e-12")
    assert Ledger(tmp_path / "ledger.sqlite").count("planted_signal").failed == 1
    assert read(job(tmp_path, *SHORT), "backtest/summary.json")["num_trials"] == 2


def test_a_training_of_two_seeds_in_another_order_of_folds_is_derived_again_to_the_last_entry(tmp_path):
    run = job(tmp_path, *SHORT, "trainer.num_seeds=2", "walk_forward.fold_order=[2,0,1]")
    assert audit([f"run={run}", "checks=[manifest,data,trades,metrics,reproduction]"]) is ExitCode.DONE
    checks = read(run, "audit_report.json")["checks"]
    assert {check["outcome"] for check in checks} == {"pass"}


def test_training_again_gives_the_scored_weights_and_tells_planted_ones(tmp_path):
    run = job(tmp_path, *SHORT, "trainer.num_seeds=2", "walk_forward.only_fold=1")
    assert audit([f"run={run}", "checks=[retraining]"]) is ExitCode.DONE
    (check,) = read(run, "audit_report.json")["checks"]
    assert (check["check"], check["outcome"]) == ("fold 1", "pass")
    # The other seed's policy in place of the first's, with a table made to fit: only training again tells.
    planted = TrainedPolicy.load(run / "seed_1" / "checkpoints" / "fold_01" / "best")
    planted.save(run / "checkpoints" / "fold_01" / "best")
    folds = run / "walk_forward" / "folds.csv"
    table = pd.read_csv(folds, dtype=str, keep_default_na=False)
    table.assign(policy_hash=planted.policy_hash).to_csv(folds, index=False)
    assert audit([f"run={run}", "checks=[retraining]"]) is ExitCode.FAILED
    (check,) = read(run, "audit_report.json")["checks"]
    assert "training again gives other weights" in check["detail"]


def test_a_policy_that_was_planted_into_a_copy_of_a_run_is_named_in_every_verdict_on_it(tmp_path):
    honest = job(tmp_path, *SHORT, "walk_forward.only_fold=1")
    other = job(tmp_path, *SHORT, "walk_forward.only_fold=1", "seed=7")
    # Under another id, with every file made to fit.
    copy = honest.parent / f"{honest.name[:-2]}zz"
    shutil.copytree(honest, copy, symlinks=True)
    config = (copy / "config.yaml").read_text()
    (copy / "config.yaml").write_text(config.replace(honest.name, copy.name))
    planted = TrainedPolicy.load(other / "checkpoints" / "fold_01" / "best")
    (checkpoint,) = (copy / "checkpoints" / "fold_01").glob("iteration_*")
    for place in (checkpoint / "best", copy / "checkpoints" / "fold_01" / "best"):
        planted.save(place)
    record = json.loads((checkpoint / "training.json").read_text())
    (checkpoint / "training.json").write_text(json.dumps(record | {"best": planted.policy_hash}))
    status = json.loads((copy / "status.json").read_text())
    (copy / "status.json").write_text(json.dumps(status | {"status": "failed"}))
    train(compose("train", [f"resume={copy}", f"run.directory={tmp_path}"]))
    strayed = "the training of fold 1, seed 0 went on from files that the ledger does not hold of this run"
    before = "the same configuration, data, code and seed gave other weights before (fold 1, seed 0)"
    assert {strayed, before} <= set(read(copy, "verdict.json")["lowered"])
    assert not {strayed, before} & set(read(honest, "verdict.json")["lowered"])
    assert audit([f"run={copy}", "checks=[manifest,reproduction]"]) is ExitCode.DONE
    evaluate([f"run={copy}", f"directory={tmp_path}/again"])
    (scored,) = tmp_path.glob("again/**/verdict.json")
    assert {strayed, before} <= set(json.loads(scored.read_text())["lowered"])


def test_a_losing_seed_is_not_forgotten_on_other_windows(tmp_path):
    job(tmp_path, *SHORT, "trainer.num_seeds=2")
    # The first fold is trained on the same bars, whatever is scored after it.
    alone = job(tmp_path, *SHORT, "walk_forward.test_bars=500")
    assert "worst of 2 seeds (seed 1 by another job)" in criterion(alone, "all_seeds_positive")["reason"]
    assert audit([f"run={alone}", "checks=[reproduction]"]) is ExitCode.DONE


def test_a_run_that_was_stopped_and_goes_on_is_not_doubted(tmp_path):
    overrides = [
        *SHORT,
        "walk_forward.only_fold=1",
        "trainer.checkpoint_every=1",
        f"run.directory={tmp_path}",
    ]
    with pytest.raises(JobFailed), pytest.MonkeyPatch.context() as patch:
        stop_after_training(patch)
        train(compose("train", overrides))
    run = max((tmp_path / "planted_signal").iterdir())
    assert train(compose("train", [f"resume={run}"])) in (ExitCode.DONE, ExitCode.GATE_SAID_NO)
    assert not any("weights" in one or "went on" in one for one in read(run, "verdict.json")["lowered"])


def stop_after_training(patch: pytest.MonkeyPatch) -> None:
    """Let the job fail once its folds are trained, before anything is judged."""

    def fail(*_: object) -> None:
        raise RuntimeError("stopped")

    patch.setattr("rayjobs.study.evidence.trial_evidence", fail)
