"""The files of a run: complete, consistent with each other, and free of half-written results."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from gate_settings import gate_config
from scoring_settings import scoring_config

from evaluation.artefacts.run_files import write_artefacts
from evaluation.artefacts.summary import summarise
from evaluation.files import plain, replacing
from evaluation.gate.evidence import SupportingEvidence
from evaluation.gate.verdict import GateEvidence, judge
from evaluation.report.page import write_report
from evaluation.report.page_tables import comparison_table
from evaluation.scoring.fold_scoring import score_fold
from evaluation.scoring.walk_forward import WalkForwardResult
from evaluation.statistics import metrics
from evaluation.windows.splits import WalkForward

GATE = gate_config("sharpe", "max_drawdown")


class TradeOnNoise:
    """Follows the noise column (first of each asset) when it is large."""

    def initial_state(self, num_envs):
        return None

    def act(self, observation, state):
        noise = observation[:, [0, 2]]
        return np.where(np.abs(noise) > 1.0, np.sign(noise) + 1, 1).astype(int), None


@pytest.fixture(scope="module")
def run(signal_world, tmp_path_factory):
    world = signal_world
    scoring = scoring_config(momentum_bars=20, hold_bars=4, stress_cost_factor=1.0, in_sample=True)
    scored = tuple(
        score_fold(
            fold,
            TradeOnNoise(),
            world.panel,
            world.market,
            world.config,
            scoring,
            seed=3,
            parameters={"lr": 1e-3},
            policy_hash="beef",
        )
        for fold in WalkForward(500, 400, embargo_bars=10).folds(2000)
    )
    study = WalkForwardResult(panel=world.panel, folds=scored)
    directory = tmp_path_factory.mktemp("run")
    summary = summarise(study, num_trials=4, trial_sharpe_variance=1e-4)
    verdict = judge(GATE, GateEvidence.of(study, SupportingEvidence(num_trials=4)))
    write_artefacts(directory, study, summary, verdict)
    write_report(directory / "report.html", study, summary, verdict, title="Test", provenance={"seed": "3"})
    return directory, study


def read_summary(directory):
    return json.loads((directory / "backtest/summary.json").read_text())


def test_headline_numbers_can_be_computed_again_from_returns_parquet(run):
    directory, study = run
    returns = pd.read_parquet(directory / "walk_forward/returns.parquet")
    assert list(returns.columns) == ["fold", "bar_utc", "net_return", "equity"]
    assert returns["bar_utc"].is_unique
    summary = read_summary(directory)
    values, periods = returns["net_return"].to_numpy(), study.periods_per_year
    assert summary["total_return"] == pytest.approx(np.prod(1 + values) - 1, rel=1e-12)
    assert summary["sharpe"] == pytest.approx(
        metrics.sharpe_ratio(values, periods_per_year=periods), rel=1e-12
    )
    assert summary["max_drawdown"] == metrics.max_drawdown(values)
    assert returns["equity"].iloc[-1] == pytest.approx(1 + summary["total_return"])


def test_summary_holds_every_number_that_the_design_names(run):
    summary = read_summary(run[0])
    for name in (
        "total_return",
        "annual_return",
        "sharpe",
        "sortino",
        "calmar",
        "max_drawdown",
        "volatility",
        "var_95",
        "cvar_95",
        "win_rate",
        "profit_factor",
        "num_trades",
        "turnover",
        "total_cost",
    ):
        assert isinstance(summary[name], (int, float)), name


def test_fills_add_up_to_the_units_decided_and_to_the_costs_charged(run):
    directory, study = run
    fills = pd.read_parquet(directory / "walk_forward/fills.parquet")
    decisions = pd.read_parquet(directory / "walk_forward/decisions.parquet")
    assert (fills["filled_utc"] - fills["decided_utc"] >= pd.Timedelta("30min"))[
        fills["reason"] == "signal"
    ].all()
    held = fills[fills["symbol"] == "SYN0"].groupby("fold")["units"].sum()
    np.testing.assert_allclose(held, 0.0, atol=1e-6)  # every window ends flat
    costs = fills[["commission", "spread_cost", "slippage_cost", "impact_cost"]].to_numpy().sum()
    assert costs == pytest.approx(read_summary(directory)["total_cost"])
    assert len(decisions) == len(study.bar) * 2


def test_every_fill_at_an_open_has_the_price_of_the_bar_after_its_decision(run):
    directory, study = run
    fills = pd.read_parquet(directory / "walk_forward/fills.parquet")
    fills = fills[fills["reason"] == "signal"]
    bars = np.searchsorted(study.panel.bar_utc, fills["filled_utc"].dt.tz_localize(None).to_numpy())
    column = [study.panel.symbols.index(s) for s in fills["symbol"]]
    np.testing.assert_array_equal(fills["price"], study.panel.open[bars, column])


def test_trades_csv_has_the_agreed_columns_and_sums_to_the_gain_of_the_account(run):
    directory, study = run
    trades = pd.read_csv(directory / "backtest/trades.csv")
    agreed = (
        "ticker",
        "direction",
        "entry_time",
        "exit_time",
        "entry_price",
        "exit_price",
        "units",
        "duration_bars",
        "duration_minutes",
        "pnl",
        "mfe",
        "mae",
        "commission",
        "spread_cost",
        "slippage_cost",
        "impact_cost",
        "total_cost_est",
        "return_pct",
        "exit_reason",
        "trade_id",
        "run_seed",
        "window_start",
        "window_end",
    )
    assert tuple(trades.columns[: len(agreed)]) == agreed
    gained = sum(f.recording.equity[-1] - f.recording.equity[0] for f in study.folds)
    assert trades["pnl"].sum() == pytest.approx(gained)
    assert (trades["mfe"] >= 0).all()
    assert (trades["mae"] <= 0).all()
    assert (trades["duration_minutes"] == 30 * trades["duration_bars"]).all()
    assert trades["trade_id"].is_unique


def test_daily_report_compounds_to_the_same_equity(run):
    directory, study = run
    daily = pd.read_csv(directory / "backtest/daily_report.csv")
    history = pd.read_csv(directory / "backtest/portfolio_history.csv")
    assert np.prod(1 + daily["net_return"]) == pytest.approx(history["equity"].iloc[-1])
    assert daily["num_bars"].sum() == len(history) == len(study.bar)
    assert daily["num_trades"].sum() == len(pd.read_csv(directory / "backtest/trades.csv"))


def test_folds_csv_has_windows_parameters_hash_and_metrics_in_and_out_of_sample(run):
    folds = pd.read_csv(run[0] / "walk_forward/folds.csv")
    assert folds["param_lr"].tolist() == [1e-3] * len(folds)
    assert folds["policy_hash"].tolist() == ["beef"] * len(folds)
    assert {"sharpe", "in_sample_sharpe", "buy_and_hold_sharpe", "random_total_return"} <= set(folds.columns)
    assert (folds["test_first_utc"] > folds["train_last_utc"]).all()
    assert folds["flat_sharpe"].isna().all()  # a flat account has no Sharpe ratio: an empty cell


def test_verdict_json_names_value_threshold_and_bars_of_each_criterion(run):
    verdict = json.loads((run[0] / "verdict.json").read_text())
    assert verdict["pass"] is False
    for criterion in verdict["criteria"]:
        assert {"name", "value", "threshold", "pass", "bars", "reason"} <= set(criterion)
        assert criterion["bars"]["num_bars"] == len(run[1].bar)


def test_what_is_undefined_is_null_in_json():
    assert plain({"a": np.nan, "b": [np.float64(np.inf), np.int64(3)], "c": (True, None, "x")}) == {
        "a": None,
        "b": [None, 3],
        "c": [True, None, "x"],
    }


def test_a_failing_write_leaves_the_old_file_and_no_remnant(tmp_path):
    path = tmp_path / "summary.json"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_report_is_one_file_that_asks_for_nothing_else(run):
    page = (run[0] / "report.html").read_text()
    assert "Refused" in page
    assert page.count("<svg") >= 5
    for forbidden in ("https://", "<script src", "<link", " src="):
        assert forbidden not in page
    assert set(re.findall(r"http://[\w./]+", page)) <= {
        "http://www.w3.org/2000/svg"
    }  # a name, nothing that is fetched
    assert len(page) < 400_000


def test_each_baselines_turnover_is_told_in_the_summary_and_shown_in_the_report(run):
    directory, study = run
    summary, page = read_summary(directory), (directory / "report.html").read_text()
    assert "Turnover a year" in page
    years = len(study.bar) / study.periods_per_year
    for name, numbers in summary["baselines"].items():
        moved = sum(fold.baselines[name].turnover.sum() for fold in study.folds)
        assert numbers["turnover"] == pytest.approx(moved)
        assert numbers["annual_turnover"] == pytest.approx(moved / years)
    # Bought and sold once in each window, two assets at half of equity each.
    assert summary["baselines"]["buy_and_hold"]["turnover"] == pytest.approx(2 * len(study.folds), rel=0.1)
    assert summary["baselines"]["flat"]["turnover"] == 0.0
    (row,) = [row for row in comparison_table(summary)["rows"] if row["name"] == "momentum"]
    assert row["cells"][-1]["text"] == f"{summary['baselines']['momentum']['annual_turnover']:,.1f}"


def test_writing_again_gives_the_same_bytes(run, tmp_path):
    directory, study = run
    summary = summarise(study, num_trials=4, trial_sharpe_variance=1e-4)
    write_artefacts(
        tmp_path, study, summary, judge(GATE, GateEvidence.of(study, SupportingEvidence(num_trials=4)))
    )
    for path in sorted(p for p in tmp_path.rglob("*") if p.is_file()):
        assert path.read_bytes() == (directory / path.relative_to(tmp_path)).read_bytes(), path.name
