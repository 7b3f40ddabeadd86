"""`python -m rayjobs.trade`: what may trade, what is written, and going on after a stop."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sealed_run import make_sealed_run
from small_run import OVERRIDES

from evaluation.artefacts.manifest import write_manifest
from rayjobs.config.exit_codes import ExitCode
from rayjobs.deploy import main as deploy
from rayjobs.monitoring.trading_snapshot import ask_to_stop, read_snapshot
from rayjobs.replay.run_seal import run_identity
from rayjobs.trade import main
from rayjobs.trading.loop import TradingLoop

pytestmark = [pytest.mark.runs, pytest.mark.usefixtures("leak_check_aside")]
PASSES = "gate.enforced=[num_trades]"
ON_HISTORY = ("broker=paper", "feed.kind=history")


@pytest.fixture(scope="module")
def passed(tmp_path_factory, leak_check_aside) -> Path:
    return make_sealed_run(tmp_path_factory.mktemp("passed"), PASSES, "gate.min_trades=1", base=OVERRIDES)


@pytest.fixture
def copied(passed, tmp_path) -> Path:
    """A copy of the run and of its ledger, to be edited."""
    shutil.copytree(passed.parent, tmp_path / "small")
    shutil.copy(passed.parents[1] / "ledger.sqlite", tmp_path / "ledger.sqlite")
    return tmp_path / "small" / passed.name


def traded(run: Path, root: Path, *arguments: str) -> Path:
    """The directory of a new trading run."""
    return traded_by(str(run), root, *arguments)


def traded_by(policy: str, root: Path, *arguments: str) -> Path:
    """The same for whatever names a policy."""
    before = set((root / "trading").glob("*"))
    assert main([f"policy={policy}", f"directory={root}", *arguments]) is ExitCode.DONE
    (new,) = set((root / "trading").iterdir()) - before
    return new


def refused(capsys, *arguments: str) -> str:
    """The one sentence of a refusal."""
    capsys.readouterr()
    assert main(list(arguments)) is ExitCode.BAD_INPUT
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    return line


def assert_is_the_backtest(trading: Path, run: Path, fold: int) -> None:
    for name in ("decisions", "fills", "returns"):
        theirs = pd.read_parquet(run / "walk_forward" / f"{name}.parquet")
        theirs = theirs[theirs["fold"] == fold].reset_index(drop=True)
        mine = pd.read_parquet(trading / f"{name}.parquet")
        columns = [column for column in mine if column not in ("fold", "equity")]
        for column in columns:
            assert list(mine[column].astype(object)) == list(theirs[column].astype(object)), (name, column)


def test_a_replay_leaves_the_rows_of_its_folds_backtest_and_says_how_long_decisions_took(passed, tmp_path):
    trading = traded(passed, tmp_path, "broker=replay", "fold=0")
    assert_is_the_backtest(trading, passed, 0)
    history = pd.read_csv(passed / "backtest" / "portfolio_history.csv")
    equity = pd.read_csv(trading / "equity.csv")
    assert list(equity) == list(history)
    facts = json.loads((trading / "trading.json").read_text())
    assert facts["end"] == "ended"
    assert facts["num_bars"] == 300
    assert 0.0 < facts["latency_p50_ms"] <= facts["latency_p99_ms"] <= facts["latency_max_ms"]
    latency = pd.read_csv(trading / "latency.csv")
    assert latency["latency_ms"].notna().all()
    assert latency["observation"].nunique() > 290
    assert not latency["late"].any()


def test_what_has_passed_trades_on_paper_by_its_experiment_its_run_or_its_export(passed, tmp_path):
    by_run = traded(passed, tmp_path, *ON_HISTORY)
    assert_is_the_backtest(by_run, passed, 1)
    by_export = traded(passed / "checkpoints" / "fold_01" / "best", tmp_path, *ON_HISTORY)
    assert (by_export / "fills.parquet").read_bytes() == (by_run / "fills.parquet").read_bytes()
    by_name = traded(passed.parent, tmp_path, *ON_HISTORY)
    assert (by_name / "fills.parquet").read_bytes() == (by_run / "fills.parquet").read_bytes()


def test_a_policy_that_the_gate_refused_is_replayed_and_never_traded(tmp_path, capsys):
    run = make_sealed_run(tmp_path)
    said = refused(capsys, f"policy={run}", *ON_HISTORY)
    assert "has not passed the gate (Refused:" in said
    assert "has not passed the gate" in refused(capsys, f"policy={run}", "broker=ibkr")
    verdict = json.loads((run / "verdict.json").read_text())
    (run / "verdict.json").write_text(json.dumps({**verdict, "pass": True}))
    assert "verdict.json" in refused(capsys, f"policy={run}", *ON_HISTORY)
    write_manifest(run, run_identity(run))  # a manifest that fits the edited files
    assert "are not those that the ledger" in refused(capsys, f"policy={run}", *ON_HISTORY)
    traded(run, tmp_path, "broker=replay")


@pytest.mark.parametrize(
    "file", ["config.yaml", "walk_forward/folds.csv", "checkpoints/fold_01/best/weights.safetensors"]
)
def test_any_edited_file_of_a_run_that_passed_ends_its_leave_to_trade(copied, capsys, file):
    path = copied / file
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(bytes(content))
    refused(capsys, f"policy={copied}", *ON_HISTORY)


def test_a_run_without_the_ledger_that_sealed_it_is_not_traded(copied, capsys):
    config = (copied / "config.yaml").read_text()
    assert "ledger.sqlite" in config
    shutil.rmtree(copied.parents[1] / "none", ignore_errors=True)
    (copied / "manifest.json").unlink()
    assert "manifest.json" in refused(capsys, f"policy={copied}", *ON_HISTORY)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("data.num_assets=3",), "was trained on the symbols"),
        (("data.noise_features=2",), "not known to it ['noise_01@0'"),
        (("data.bar_seconds=3600",), "trained on bars of"),
        (("fold=7",), "fold=7: the run has the folds 0, 1"),
        (("broker=replay", "feed.kind=live"), "broker=replay fills in recorded bars"),
        (("feed.start_utc=1999-01-01", "feed.stop_utc=1999-02-01"), "leave no bar"),
        (("feed.speeed=3",), "did you mean feed.speed?"),
        (("costs.fee_bps=0",), "costs"),
        (("broker=shadow",), "live bars cannot come from a made market"),
        (("warmup_bars=-1",), "warmup_bars is -1"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(passed, capsys, arguments, sentence):
    assert sentence in refused(capsys, f"policy={passed}", *arguments)


def test_a_version_of_the_registry_trades_where_its_stage_allows(copied, tmp_path, capsys):
    places = [f"registry={tmp_path}/registry.sqlite", f"ledger={tmp_path}/ledger.sqlite"]
    assert deploy(["register", str(copied), "name=small", *places]) is ExitCode.DONE
    history = ["feed.kind=history", f"directory={tmp_path}"]
    assert "small@1 is candidate" in refused(capsys, "policy=small@1", "broker=paper", *history, *places)
    by_name = traded_by("small@1", tmp_path, "broker=replay", *places)
    assert_is_the_backtest(by_name, copied, 1)
    assert "nothing@champion" in refused(capsys, "policy=nothing@champion", *places)
    weights = copied / "checkpoints" / "fold_01" / "best" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    refused(capsys, "policy=small@1", "broker=replay", *places)


def test_an_export_away_from_its_run_and_a_place_without_one_are_refused(passed, tmp_path, capsys):
    export = tmp_path / "export"
    shutil.copytree(passed / "checkpoints" / "fold_00" / "best", export)
    assert "name its run" in refused(capsys, f"policy={export}", "broker=replay")
    assert "policy=nowhere: there is no such directory" in refused(capsys, "policy=nowhere")
    assert "policy: missing" in refused(capsys, "broker=replay")


def stopped_after(monkeypatch, bars: int) -> None:
    """The process is interrupted after so many bars."""
    step = TradingLoop.step
    left = [bars]

    def cut(loop):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return step(loop)

    monkeypatch.setattr(TradingLoop, "step", cut)


SCRIPT = (
    "broker.script={delay_bars: 1, partial_share: 0.5, reject_share: 0.1, half_spread_bps: 1.0, commission_bps: 1.0, "
    "seed: 0}"
)


@pytest.mark.parametrize("broker", ["broker.script=null", SCRIPT])
def test_a_run_that_was_interrupted_goes_on_and_ends_as_one_that_was_not(
    passed, tmp_path, monkeypatch, broker, capsys
):
    whole = traded(passed, tmp_path / "whole", "broker=replay", broker)
    with monkeypatch.context() as patch:
        stopped_after(patch, 100)
        place = [f"policy={passed}", f"directory={tmp_path / 'cut'}", "broker=replay", broker]
        assert main(place) is ExitCode.INTERRUPTED
    (cut,) = (tmp_path / "cut" / "trading").iterdir()
    assert len(pd.read_csv(cut / "equity.csv")) == 100
    assert main([f"resume={cut}"]) is ExitCode.DONE
    for name in ("decisions.parquet", "returns.parquet", "equity.csv", "trades.csv", "fills.parquet"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes(), name
    mine, theirs = (pd.read_csv(place / "latency.csv") for place in (cut, whole))
    assert np.array_equal(mine["observation"], theirs["observation"])
    assert "is done; there is nothing to resume" in refused(capsys, f"resume={cut}")


def test_a_run_that_is_asked_to_stop_trades_no_more_until_the_asking_is_taken_back(
    passed, tmp_path, monkeypatch, capsys
):
    step, steps = TradingLoop.step, []

    def asked_at_the_fiftieth(loop):
        steps.append(1)
        if len(steps) == 50:
            (trading,) = (tmp_path / "trading").iterdir()
            assert "the dashboard" in ask_to_stop(trading, "the dashboard").read_text()
        return step(loop)

    with monkeypatch.context() as patch:
        patch.setattr(TradingLoop, "step", asked_at_the_fiftieth)
        assert main([f"policy={passed}", f"directory={tmp_path}", "broker=replay"]) is ExitCode.INTERRUPTED
    (trading,) = (tmp_path / "trading").iterdir()
    equity = pd.read_csv(trading / "equity.csv")
    assert len(equity) == 50
    snapshot = read_snapshot(trading)
    assert snapshot["halted"].endswith("the dashboard")
    assert snapshot["mode"] == "replay"
    assert snapshot["equity"] == pytest.approx(snapshot["pnl_total"] + 100_000.0)
    assert set(snapshot["positions"]) == {"SYN0", "SYN1"}
    assert 0 < len(snapshot["decisions"]) <= 20
    assert "was asked to stop" in refused(capsys, f"resume={trading}")
    (trading / "KILL").unlink()
    assert main([f"resume={trading}"]) is ExitCode.DONE
    assert_is_the_backtest(trading, passed, 1)


def test_the_kill_command_stops_a_run_whose_fills_are_simulated(passed, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        stopped_after(patch, 20)
        main([f"policy={passed}", f"directory={tmp_path}", "broker=replay"])
    (trading,) = (tmp_path / "trading").iterdir()
    assert main(["kill", str(trading), "reason=drill"]) is ExitCode.DONE
    assert "has no guard" in " ".join(capsys.readouterr().out.split())
    assert "drill" in refused(capsys, f"resume={trading}")
    (trading / "KILL").unlink()
    (trading / "guard").mkdir()
    (trading / "guard" / "KILL").touch()  # where runs with a guard have it: it counts here as well
    assert f"remove {trading}/guard/KILL" in refused(capsys, f"resume={trading}")
    (trading / "guard" / "KILL").unlink()
    assert main([f"resume={trading}"]) is ExitCode.DONE


def test_on_paper_the_guards_limits_hold_where_they_are_asked_for(passed, tmp_path):
    tight = [*ON_HISTORY, "feed.stop_utc=2020-01-24", "guard.max_order_exposure=1e-6"]
    free = traded(passed, tmp_path, *tight)
    assert len(pd.read_parquet(free / "fills.parquet")) > 0
    held = traded(passed, tmp_path, *tight, "guard_recorded=true")
    assert len(pd.read_parquet(held / "fills.parquet")) == 0


def test_a_fitted_policy_trades_as_it_was_scored_and_goes_on_after_a_stop(tmp_path, monkeypatch):
    held = ("policy=logistic", "env=weights", "policy.position.hold_bars=5", "policy.position.threshold=0.5")
    run = make_sealed_run(tmp_path / "fitted", *held, base=OVERRIDES)
    assert_is_the_backtest(traded(run, tmp_path / "whole", "broker=replay"), run, 1)
    with monkeypatch.context() as patch:
        stopped_after(patch, 100)
        assert main([f"policy={run}", f"directory={tmp_path}", "broker=replay"]) is ExitCode.INTERRUPTED
    (cut,) = (tmp_path / "trading").iterdir()
    assert main([f"resume={cut}"]) is ExitCode.DONE
    assert_is_the_backtest(cut, run, 1)


def test_a_venue_is_held_to_what_the_simulator_would_have_filled_day_by_day(passed, tmp_path):
    # costs=flat_2bps: half a spread of 1 bp and a fee of 1 bp; the script charges 3 and 2 and is never late.
    script = (
        "broker.script={delay_bars: 0, partial_share: 0.0, reject_share: 0.0, half_spread_bps: 3.0, "
        "commission_bps: 2.0, seed: 0}"
    )
    trading = traded(passed, tmp_path, "broker=replay", script)
    table = pd.read_csv(trading / "venue_comparison.csv").dropna()
    assert len(table) > 3
    assert table["filled_share"].to_numpy() == pytest.approx(1.0)
    for column, bps in {
        "slippage_bps": 3.0,
        "fee_bps": 2.0,
        "predicted_slippage_bps": 1.0,
        "predicted_fee_bps": 1.0,
        "delay_s": 0.0,
    }.items():
        assert table[column].to_numpy() == pytest.approx(bps, abs=1e-6), column
    executions = pd.read_csv(trading / "executions.csv")
    assert executions["execution_id"].is_unique
    fills = pd.read_parquet(trading / "fills.parquet")
    assert sorted(fills["units"]) == pytest.approx(sorted(executions["units"]))
    assert not (trading / "exchange.json.partial").exists()


def test_the_daily_page_fits_its_schema_and_says_what_is_held(passed, tmp_path):
    trading = traded(passed, tmp_path, "broker=replay", "feed.stop_utc=2020-01-26")
    page = json.loads((trading / "daily.json").read_text())
    assert [row["symbol"] for row in page["positions"]] == ["SYN0", "SYN1"]
    held = sum(abs(row["held_w"]) for row in page["positions"])
    assert page["risk"]["gross"] == pytest.approx(held)
    assert page["risk"]["equity"] == json.loads((trading / "trading.json").read_text())["equity"]
    assert page["asof"] == "2020-01-26T00:00:00Z"  # the close of the last bar before


def test_no_file_of_a_trading_run_holds_the_account_or_a_key(passed, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("SOME_API_KEY", "k-5150-secret")
    trading = traded(passed, tmp_path, "broker=replay")
    said = capfd.readouterr()
    for text in (said.out, said.err, *(str(p.read_bytes()) for p in trading.rglob("*") if p.is_file())):
        assert "k-5150-secret" not in text
