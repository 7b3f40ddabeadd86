"""The audit of a finished run: nothing is found where nothing is wrong, and each planted lie is found and named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from sealed_run import make_sealed_run as make_run

from policies.contract import facts_hash
from policies.exported_policy import TrainedPolicy
from rayjobs.audit import main
from rayjobs.config.exit_codes import ExitCode

pytestmark = pytest.mark.runs


@pytest.fixture(scope="module")
def honest(tmp_path_factory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def run(honest, tmp_path) -> Path:
    """A copy to tamper with."""
    return Path(shutil.copytree(honest, tmp_path / honest.name))


def run_audit(*arguments: str) -> ExitCode:
    return main(arguments)


def failures(run: Path, *checks: str) -> dict[str, str]:
    """section, check -> what was found, of the checks that failed; the exit code must agree."""
    code = run_audit(f"run={run}", f"checks=[{','.join(checks)}]" if checks else "checks=all")
    report = json.loads((run / "audit_report.json").read_text())
    found = {f"{c['section']}, {c['check']}": c["detail"] for c in report["checks"] if c["outcome"] == "fail"}
    assert code == (ExitCode.FAILED if found else ExitCode.DONE)
    assert report["pass"] is not bool(found)
    return found


def change_table(path: Path, change) -> None:
    """Read a CSV or Parquet file, change it in place, and write it back as it was written."""
    parquet = path.suffix == ".parquet"
    table = pd.read_parquet(path) if parquet else pd.read_csv(path)
    change(table)
    table.to_parquet(path) if parquet else table.to_csv(path, index=False)


def change_json(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_an_honest_run_passes_every_check_and_leaves_both_reports(honest, capsys):
    assert failures(honest) == {}
    assert "Nothing wrong was found" in capsys.readouterr().out
    text = (honest / "audit_report.md").read_text()
    for section in (
        "Data and splits",
        "Leak",
        "Normalisation",
        "Execution",
        "Costs",
        "Metrics",
        "Reproduction",
        "Ppo settings",
        "Callbacks",
        "Warnings",
    ):
        assert f"## {section}" in text
    checks = json.loads((honest / "audit_report.json").read_text())["checks"]
    assert sum(check["outcome"] == "pass" for check in checks) >= 25
    assert not [check for check in checks if check["outcome"] == "skip"]


def test_a_changed_fill_price_is_found_by_price_and_by_equity(run):
    def change(fills):
        row = fills.index[fills["reason"] == "signal"][3]
        fills.loc[row, "price"] *= 0.999

    change_table(run / "walk_forward" / "fills.parquet", change)
    found = failures(run, "execution", "costs")
    assert "1 of" in found["execution, prices"]
    assert "are not at a price of their bar" in found["execution, prices"]
    assert "costs, equity" in found


def test_a_fill_on_the_bar_of_its_decision_is_found(run):
    def change(fills):
        fills["decided_utc"] = fills["decided_utc"].where(fills.index != 5, fills["filled_utc"])

    change_table(run / "walk_forward" / "fills.parquet", change)
    assert set(failures(run, "execution")) == {"execution, decided before filled"}


def test_a_training_window_that_reaches_into_the_gap_is_found(run):
    def change(folds):
        later = pd.to_datetime(folds["train_last_utc"]) + pd.Timedelta(minutes=30) * 49
        folds["train_last_utc"] = later.dt.strftime("%Y-%m-%dT%H:%M:%SZ")

    change_table(run / "walk_forward" / "folds.csv", change)
    found = failures(run, "data")
    assert found["data and splits, purge and embargo"].startswith(
        "fold 0 leaves 0 bars between training and test"
    )
    assert "fold 0 is recorded as train [0, 549)" in found["data and splits, configured windows"]


def test_test_windows_that_overlap_are_found(run):
    def change(folds):
        for name in ("test_first_utc", "test_last_utc"):
            folds.loc[1, name] = folds.loc[0, name]

    change_table(run / "walk_forward" / "folds.csv", change)
    found = failures(run, "data")
    assert "test windows of folds 0 and 1 overlap" in found["data and splits, overlap"]
    assert "data and splits, scored bars" in found


def test_other_bars_than_the_recorded_ones_are_found(run):
    values = yaml.safe_load((run / "config.yaml").read_text())
    values["data"]["seed"] += 1
    (run / "config.yaml").write_text(yaml.safe_dump(values))
    found = failures(run, "data", "execution", "costs")
    assert {"data and splits, fingerprint", "execution, prices", "costs, equity"} <= set(found)


def rewritten_contract(run: Path, change) -> None:
    """Change fold 0's contract and sign it anew, as one who hides something would."""
    path = run / "checkpoints" / "fold_00" / "best" / "policy.json"
    facts = json.loads(path.read_text())
    facts.pop("contract_hash")
    change(facts)
    path.write_text(json.dumps(facts | {"contract_hash": facts_hash(facts)}))


def rewritten_standardiser(run: Path, change) -> None:
    rewritten_contract(run, lambda facts: change(facts["standardiser"]))


def shortened(facts) -> None:
    """The training bars end a day earlier than they did."""
    for entry in facts["origin"]["seen"]:
        for one in entry["coverage"]["symbols"]:
            one["last_utc"] = "2020-01-09T00:00:00Z"


def emptied(facts) -> None:
    facts["origin"]["seen"] = []


def unknown(facts) -> None:
    facts["origin"] = None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (shortened, "its standardiser bars are not those of the fold's windows"),
        (emptied, "its standardiser bars are not those of the fold's windows"),
        (unknown, "does not say what the policy has seen"),
    ],
)
def test_a_contract_that_hides_what_was_seen_is_found_even_with_its_hash_in_folds_csv(run, change, sentence):
    rewritten_contract(run, change)
    found = failures(run, "contract")
    assert sentence in found["contract, seen bars, fold 0"]
    assert "it was changed, or comes from another run" in found["contract, recorded, fold 0"]
    policy = TrainedPolicy.load(run / "checkpoints" / "fold_00" / "best")
    change_table(
        run / "walk_forward" / "folds.csv",
        lambda t: t.__setitem__(
            "contract_hash", t["contract_hash"].where(t["fold"] != 0, policy.contract_hash)
        ),
    )
    assert list(failures(run, "contract")) == ["contract, seen bars, fold 0"]


def test_labels_of_returns_parquet_that_do_not_follow_from_the_contracts_are_found(run):
    def change(table):
        table.loc[5, "in_sample"] = True

    change_table(run / "walk_forward" / "returns.parquet", change)
    assert list(failures(run, "reproduction")) == ["reproduction, walk_forward/returns.parquet"]


def test_a_changed_standardiser_is_found_and_its_column_named(run):
    def change(standardiser):
        standardiser["mean"][1][0] += 0.25

    rewritten_standardiser(run, change)
    found = failures(run, "normalisation", "reproduction")
    assert (
        "1 of 4 columns were not fitted on bars [0, 500), first signal of asset 1"
        in found["normalisation, fold 0"]
    )
    assert "normalisation, fold 1" not in found
    assert "reproduction, returns" in found


def test_statistics_of_the_whole_sample_are_called_by_their_name(run):
    from data.features import Standardiser, compute_features
    from data.sources import load
    from rayjobs.replay.finished_run import open_run
    from rayjobs.study.config import build_train_config

    config = build_train_config(open_run(run).values)
    features = compute_features(load(config.data).panel, config.features.enabled)
    whole = Standardiser.fit(features, slice(0, len(features.asset)), clip=config.features.clip).to_dict()
    rewritten_standardiser(run, lambda standardiser: standardiser.update(whole))
    assert failures(run, "normalisation")["normalisation, fold 0"].endswith(
        "they are those of the whole sample"
    )


def test_costs_that_were_dropped_are_found(run):
    def change(table):
        table["commission"] = 0.0

    change_table(run / "walk_forward" / "fills.parquet", change)
    assert set(failures(run, "costs")) == {"costs, booked costs", "costs, configured costs"}
    # One who drops them from the bars as well is betrayed by the equity.
    change_table(run / "backtest" / "portfolio_history.csv", change)
    assert set(failures(run, "costs")) == {"costs, equity", "costs, configured costs"}


@pytest.mark.parametrize(
    ("key", "value", "section"),
    [("sharpe", 3.0, "returns"), ("num_trades", 1000, "trading"), ("dsr", 0.99, "significance")],
)
def test_an_embellished_headline_number_is_found(run, key, value, section):
    change_json(run / "backtest" / "summary.json", lambda summary: summary.update({key: value}))
    found = failures(run, "metrics")
    assert f"first {key}: {value} is recorded" in found[f"metrics, summary, {section}"]


def test_an_embellished_bar_is_found_even_if_the_numbers_were_made_to_fit(run):
    def change(table):
        table.loc[7, "net_return"] = 0.05

    for name in ("walk_forward/returns.parquet", "backtest/portfolio_history.csv"):
        change_table(run / name, change)
    found = failures(run, "costs", "metrics", "reproduction")
    assert {"costs, equity", "metrics, history", "reproduction, returns"} <= set(found)


def test_a_verdict_that_says_yes_against_its_criteria_is_found(run):
    change_json(run / "verdict.json", lambda verdict: verdict.update({"pass": not verdict["pass"]}))
    assert set(failures(run, "metrics")) == {"metrics, verdict, decision"}


def test_a_threshold_lowered_after_the_fact_is_found(run):
    def change(verdict):
        for row in verdict["criteria"]:
            if row["name"] == "sharpe":
                row["threshold"] = -100.0

    change_json(run / "verdict.json", change)
    assert "metrics, verdict, values" in failures(run, "metrics")


def test_weights_that_were_exchanged_are_found(run):
    policies = run / "checkpoints"
    shutil.copytree(policies / "fold_01" / "best", policies / "fold_00" / "best", dirs_exist_ok=True)
    assert (
        "does not hold the weights that were scored"
        in failures(run, "reproduction")["reproduction, policies"]
    )


def test_a_training_that_ended_early_and_losses_that_are_not_finite_are_found(run):
    def change(progress):
        progress["env_steps"] //= 2
        progress.loc[1, "approx_kl"] = np.nan

    change_table(run / "progress.csv", change)
    found = failures(run, "ppo", "callbacks")
    assert found["PPO settings, updates of fold 0"] == "approx_kl is not finite in some update"
    assert "early stopping is off" in found["callbacks, length"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run=nowhere"], "run=nowhere: there is no such directory"),
        (["run={run}", "checks=[metric]"], "checks names 'metric'; did you mean metrics?"),
        (["run={run}", "data=noise"], "is audited under its own configuration; leave out data=noise"),
        (["+experiment=noise", "checks=metrics"], "checks=metrics needs a finished run"),
        (["+experiment=noise", "leak_cuts=0"], "leak_cuts is 0"),
        (["+experiment=nose", "checks=leak"], "did you mean noise?"),
    ],
)
def test_bad_input_is_one_sentence_and_code_2(honest, capsys, arguments, sentence):
    assert run_audit(*(a.format(run=honest) for a in arguments)) is ExitCode.BAD_INPUT
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert sentence in line


def test_a_run_that_lacks_a_file_is_bad_input(run, capsys):
    (run / "walk_forward" / "fills.parquet").unlink()
    assert run_audit(f"run={run}") is ExitCode.BAD_INPUT
    assert "fills.parquet is missing; the run directory is not complete" in capsys.readouterr().err


REAL = (
    "walk_forward.train_bars=3000", "walk_forward.test_bars=2000", "walk_forward.only_fold=0", "scoring.supervised=[]",
    "scoring.placebo_strategies=0", "scoring.in_sample=false",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        ("+experiment=crypto_portfolio", "policy=momentum_sign"),
        ("+experiment=spy_intraday", "policy=momentum_sign"),
        ("+experiment=spy_intraday", "policy=buy_and_hold"),
        ("+experiment=crypto_portfolio", "policy=momentum_sign", "env=triple_barrier"),
        ("+experiment=planted_signal", "policy=flip", "costs.latency_bars=2"),
    ],
    ids=lambda overrides: " ".join(overrides).replace("+experiment=", ""),
)
def test_venues_costs_exits_and_latency_of_honest_runs_pass(overrides, tmp_path):
    run = make_run(tmp_path, base=(*overrides, *REAL))
    checks = ("data", "execution", "costs", "metrics", "reproduction")
    assert failures(run, *checks) == {}
    assert len(pd.read_parquet(run / "walk_forward" / "fills.parquet")) >= 1
