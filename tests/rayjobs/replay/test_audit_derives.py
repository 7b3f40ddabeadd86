"""Nothing that a run recorded is taken on trust: an edit of any entry of any result is found and named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from random_edits import RESULTS, edit_at_random
from sealed_run import make_sealed_run

from data.sources import load
from evaluation.audit.recorded_run import read_recorded
from evaluation.audit.trade_records import check_trades
from evaluation.audit.written_again import check_written_again
from evaluation.ledger.ledger import Ledger
from rayjobs.audit import main
from rayjobs.config.exit_codes import ExitCode
from rayjobs.replay.derived_again import REPRODUCTION
from rayjobs.replay.finished_run import open_run
from rayjobs.study.config import build_train_config

pytestmark = pytest.mark.runs


@pytest.fixture(scope="module")
def honest(tmp_path_factory) -> Path:
    """The second of two trials on the same bars, two seeds, placebo strategies in its matrix of CSCV."""
    root = tmp_path_factory.mktemp("runs")
    make_sealed_run(root, "algo.gamma=0.9")
    return make_sealed_run(root, "trainer.num_seeds=2", "scoring.placebo_strategies=4")


@pytest.fixture
def run(honest, tmp_path) -> Path:
    """A copy to tell lies in, below a root of its own; its ledger is the honest one."""
    return Path(shutil.copytree(honest, tmp_path / honest.parent.name / honest.name))


def audited(run: Path, checks: str = "reproduction") -> dict[str, tuple[str, str]]:
    """check -> outcome and detail."""
    main([f"run={run}", f"checks=[{checks}]"])
    report = json.loads((run / "audit_report.json").read_text())
    return {check["check"]: (check["outcome"], check["detail"]) for check in report["checks"]}


def lies(run: Path, checks: str = "reproduction") -> dict[str, str]:
    """check -> detail of those that failed."""
    return {name: detail for name, (outcome, detail) in audited(run, checks).items() if outcome == "fail"}


def change_json(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def change_csv(path: Path, change) -> None:
    table = pd.read_csv(path)
    change(table)
    table.to_csv(path, index=False)


def criterion(verdict: dict, name: str) -> dict:
    return next(row for row in verdict["criteria"] if row["name"] == name)


def test_every_result_of_an_honest_run_is_derived_again(honest):
    found = audited(honest, "manifest,reproduction")
    assert {name for name, (outcome, _) in found.items() if outcome != "pass"} == set()
    assert set(RESULTS) | {"progress.csv", "report.html"} <= set(found)


@pytest.mark.parametrize(
    "name",
    ["track_record", "beats_baselines", "beats_baselines_stressed", "overfitting", "leak_check", "full_costs",
     "all_seeds_positive", "max_drawdown", "sharpe"],
)  # fmt: skip
def test_every_entry_of_every_criterion_is_derived_again(honest_files, name):
    recorded, again = honest_files
    edits = {"value": 1.23, "threshold": -5.0, "pass": None, "reason": "All is well.", "comparison": "<",
             "enforced": False, "label": "Luck"}  # fmt: skip
    for key, value in edits.items():
        shutil.copy(again / "verdict.json", recorded / "verdict.json")
        change_json(recorded / "verdict.json", lambda v: criterion(v, name).update({key: value}))  # noqa: B023
        assert failed_files(recorded, again)["verdict.json"].startswith(
            f"verdict.json: criteria[{name}].{key}: "
        )


@pytest.fixture(scope="module")
def written_again(honest, tmp_path_factory) -> Path:
    """The honest run's results; the audit writes them to the last bit (see the first test)."""
    place = tmp_path_factory.mktemp("again")
    for name in (*RESULTS, "report.html"):
        (place / name).parent.mkdir(exist_ok=True)
        shutil.copy(honest / name, place / name)
    return place


@pytest.fixture
def honest_files(written_again, tmp_path) -> tuple[Path, Path]:
    return Path(shutil.copytree(written_again, tmp_path / "recorded")), written_again


def failed_files(recorded: Path, again: Path) -> dict[str, str]:
    checks = check_written_again(recorded, again, REPRODUCTION, same_release=True)
    return {check.name: check.detail for check in checks if check.outcome == "fail"}


@pytest.mark.parametrize(
    "seed", [*range(30), *(pytest.param(n, marks=pytest.mark.slow) for n in range(30, 200))]
)
def test_a_random_edit_of_a_random_entry_is_found_and_named(honest_files, seed):
    recorded, again = honest_files
    file, entry = edit_at_random(recorded, np.random.default_rng(seed))
    found = failed_files(recorded, again)
    assert set(found) == {file}
    assert entry in found[file]


@pytest.mark.parametrize(
    "seed", [1000, 1001, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1002, 1012))]
)
def test_a_random_edit_is_found_by_the_whole_audit(run, seed):
    file, entry = edit_at_random(run, np.random.default_rng(seed))
    found = lies(run)
    assert entry in found[file]
    assert set(found) <= {file, "returns"}


@pytest.fixture(scope="module")
def bars_and_instruments(honest):
    config = build_train_config(open_run(honest).values)
    panel = load(config.data).panel
    return panel, config.instruments.for_symbols(panel.symbols)


def trade_lies(run: Path, bars_and_instruments) -> str:
    """What the fills and the bars alone, without the policy, say of trades.csv."""
    checks = check_trades(read_recorded(run), *bars_and_instruments)
    return "; ".join(check.detail for check in checks if check.outcome == "fail")


@pytest.mark.parametrize(
    ("column", "change"),
    [("mfe", lambda x: x * 2), ("return_pct", lambda x: x / 50), ("mae", lambda x: x * 0.5 - 1),
     ("run_seed", lambda x: x + 1), ("exit_reason", lambda x: "signal_"), ("impact_cost", lambda x: 1.0),
     ("window_start", lambda x: "2020-01-01T00:00:00Z"), ("pnl", lambda x: x + 1), ("units", lambda x: 2 * x),
     ("entry_price", lambda x: x * 1.01), ("duration_bars", lambda x: x + 1), ("direction", lambda x: "short_"),
     ("total_cost_est", lambda x: x * 0.9), ("duration_minutes", lambda x: x / 2), ("ticker", lambda x: "SYN1")],
)  # fmt: skip
def test_an_edited_column_of_the_trades_follows_neither_from_the_policy_nor_from_the_fills(
    run, written_again, bars_and_instruments, column, change
):
    assert trade_lies(run, bars_and_instruments) == ""
    change_csv(run / "backtest" / "trades.csv", lambda t: t.__setitem__(column, t[column].map(change)))
    assert f"column {column}, row " in failed_files(run, written_again)["backtest/trades.csv"]
    found = trade_lies(run, bars_and_instruments)
    assert found.startswith("trades.csv: ")
    assert f"{column} of trade" in found or column == "ticker"


@pytest.mark.parametrize("column", ["funding_cost", "borrow_cost", "dividend_cost"])
def test_financing_of_trades_that_the_bars_did_not_pay_is_found(run, bars_and_instruments, column):
    change_csv(run / "backtest" / "trades.csv", lambda t: t.__setitem__(column, 0.5))
    assert f"trades.csv: {column} adds up to" in trade_lies(run, bars_and_instruments)


def test_the_return_of_a_trade_counts_the_contracts_multiplier(tmp_path):
    # ES: 50 USD a point. Forgetting it makes return_pct 50 times too large, and the fills alone tell.
    run = make_sealed_run(tmp_path, "instruments=es")
    config = build_train_config(open_run(run).values)
    panel = load(config.data).panel
    instruments = config.instruments.for_symbols(panel.symbols)

    def as_defined(trades):
        trades["return_pct"] = 100 * trades["pnl"] / (trades["units"] * trades["entry_price"] * 50)

    change_csv(run / "backtest" / "trades.csv", as_defined)
    assert trade_lies(run, (panel, instruments)) == ""
    change_csv(run / "backtest" / "trades.csv", lambda t: t.__setitem__("return_pct", 50 * t["return_pct"]))
    assert "return_pct of trade" in trade_lies(run, (panel, instruments))


def test_a_nested_entry_of_the_summary_is_found(run):
    change_json(
        run / "backtest" / "summary.json", lambda s: s["baselines"]["buy_and_hold"].update({"sharpe": -3.0})
    )
    change_json(run / "backtest" / "summary.json", lambda s: s["stress"].pop(next(iter(s["stress"]))))
    found = lies(run)["backtest/summary.json"]
    assert "baselines.buy_and_hold.sharpe: -3 is recorded" in found
    assert "stress." in found


def test_a_number_of_trials_that_was_made_smaller_everywhere_is_known_from_the_ledger(run):
    known = json.loads((run / "evidence.json").read_text())["num_trials"]
    for name in ("verdict.json", "evidence.json", "backtest/summary.json"):
        change_json(run / name, lambda content: content.update({"num_trials": known / 4}))
    found = lies(run)
    for name in ("verdict.json", "evidence.json", "backtest/summary.json"):
        assert f"num_trials: {known / 4:g} is recorded, {known} derived" in found[name]


def test_a_spread_of_trials_that_was_invented_for_a_single_one_is_known_from_the_ledger(tmp_path):
    run = make_sealed_run(tmp_path)
    change_json(run / "evidence.json", lambda e: e.update({"trial_sharpe_variance": 1e-9, "num_trials": 0.5}))
    found = lies(run)["evidence.json"]
    assert "num_trials: 0.5 is recorded, 1 derived" in found
    assert "trial_sharpe_variance: 1e-09 is recorded, nothing derived" in found


def test_a_probability_of_overfitting_that_was_made_to_fit_everywhere_is_known_from_the_ledger(run):
    def change(verdict):
        criterion(verdict, "overfitting").update({"value": 0.0, "pass": True})

    change_json(run / "verdict.json", change)
    change_json(run / "evidence.json", lambda e: e.update({"overfitting": 0.0, "overfitting_published": 0.0}))
    found = lies(run)
    assert "overfitting: 0 is recorded" in found["evidence.json"]
    assert "criteria[overfitting]" in found["verdict.json"]


def test_the_other_seeds_are_scored_again(run):
    change_json(run / "evidence.json", lambda e: e["seeds"]["1"].update({"total_return": 9.0}))
    assert "seeds.1.total_return: 9 is recorded" in lies(run)["evidence.json"]
    shutil.rmtree(run / "seed_1")
    assert lies(run)["seed 1"].startswith("not derived:")


def test_thresholds_lowered_in_the_verdict_are_held_against_the_configuration(run):
    def change(verdict):
        criterion(verdict, "num_trades").update(
            {"threshold": 1.0, "reason": "The number of closed trades is plenty."}
        )

    change_json(run / "verdict.json", change)
    assert "criteria[num_trades].threshold: 1 is recorded, 5 derived" in lies(run)["verdict.json"]


def test_rows_of_the_progress_that_were_polished_are_known_from_the_checkpoint(run):
    change_csv(run / "progress.csv", lambda t: t.__setitem__("approx_kl", 0.001))
    assert "column approx_kl, row 0" in lies(run)["progress.csv"]


def test_a_report_that_says_something_else_is_found(run):
    page = (run / "report.html").read_text()
    (run / "report.html").write_text(page.replace("Refused", "Approved"))
    assert "Approved" in lies(run)["report.html"]


def test_a_window_in_the_table_of_folds_is_held_against_the_configuration(run):
    change_csv(
        run / "walk_forward" / "folds.csv", lambda t: t.__setitem__("train_first_utc", "2020-01-01T00:00:00Z")
    )
    assert "column train_first_utc" in lies(run)["walk_forward/folds.csv"]


def test_what_no_ledger_can_tell_is_named_and_never_passed_in_silence(run, tmp_path):
    values = yaml.safe_load((run / "config.yaml").read_text()) | {"ledger": str(tmp_path / "none.sqlite")}
    (run / "config.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    found = audited(run, "manifest,reproduction")
    outcome, detail = found["evidence, num_trials"]
    assert outcome == "skip"
    assert detail.startswith("not derived: num_trials is taken as recorded, for there is no ledger at")
    assert "evidence, num_trials" in found["verdict.json"][1]
    assert found["ledger"][1].startswith("not derived: there is no ledger at")
    assert not (tmp_path / "none.sqlite").exists()
    headline = json.loads((run / "audit_report.json").read_text())["headline"]
    assert (
        headline.startswith("Nothing wrong was found in what could be derived again:") or "failed" in headline
    )


def test_a_rate_of_placebo_markets_is_named_as_not_derived(run):
    change_json(run / "evidence.json", lambda e: e.update({"placebo_rate": 0.0, "num_placebos": 20}))
    outcome, detail = audited(run)["evidence, placebo_rate"]
    assert (outcome, detail.partition(",")[0]) == ("skip", "not derived: placebo_rate is taken as recorded")


def test_a_ledger_without_the_trial_is_told(run, tmp_path):
    Ledger(tmp_path / "fresh.sqlite")
    values = yaml.safe_load((run / "config.yaml").read_text()) | {"ledger": str(tmp_path / "fresh.sqlite")}
    (run / "config.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    found = lies(run, "manifest,reproduction")
    assert "is not the one that the run saw" in found["ledger's trial"]
    assert "holds no seal of the run" in found["ledger"]


def test_a_trial_run_again_and_trials_that_came_later_do_not_make_an_honest_run_look_wrong(tmp_path):
    make_sealed_run(tmp_path, "algo.gamma=0.9")
    second = make_sealed_run(tmp_path)
    make_sealed_run(tmp_path, "algo.gamma=0.9")  # the same trial, finished anew
    make_sealed_run(tmp_path, "algo.gamma=0.8")  # a third one
    assert lies(second, "manifest,reproduction") == {}


def test_a_run_that_was_counted_elsewhere_later_does_not_make_an_honest_run_look_wrong(tmp_path):
    run = make_sealed_run(tmp_path, "policy=momentum_sign")
    other = make_sealed_run(tmp_path, "policy=flip", f"ledger={tmp_path}/another.sqlite")
    other.rename(other.parent / f"20990101T000000Z-{other.name[-6:]}")
    assert not lies(run)


def test_an_evaluation_is_audited_with_the_policies_of_its_run(run, tmp_path):
    from rayjobs.evaluate import main as evaluate

    assert evaluate([f"run={run}", f"directory={tmp_path}", "cost_factor=2", "fold=1"]) is ExitCode.DONE
    (evaluation,) = (tmp_path / "evaluations").iterdir()
    assert main([f"run={evaluation}"]) is ExitCode.DONE
    change_json(evaluation / "verdict.json", lambda v: criterion(v, "full_costs").update({"value": 1.0}))
    assert "criteria[full_costs].value: 1 is recorded, 2 derived" in lies(evaluation)["verdict.json"]
