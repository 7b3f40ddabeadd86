"""Runs read back from Python: the numbers of their files, their policy bar by bar, and the same bars once more."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_run import make_run

from evaluation.ledger.ledger import Ledger
from rayjobs import api

pytestmark = pytest.mark.runs


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> api.Run:
    return api.load(make_run(tmp_path_factory.mktemp("runs")))


def test_a_run_shows_what_its_files_say(run):
    assert run.summary == json.loads((run.path / "backtest" / "summary.json").read_text())
    assert run.verdict["pass"] is run.approved is False
    assert len(run.trades) == run.summary["num_trades"]
    assert run.equity().iloc[-1] == pytest.approx(1 + run.summary["total_return"], rel=1e-12)
    assert len(run.history) == len(run.returns) == run.summary["num_bars"]
    assert run.config["run"]["experiment"] == "small"
    assert run.verdict["headline"] in run._repr_html_().replace("&gt;", ">").replace("&lt;", "<")
    assert Path(run.report()).name == "report.html"
    assert "iframe" in run.report()._repr_html_()


def test_its_policy_counts_in_its_runs_ledger_whatever_ledger_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = api.load(make_run(tmp_path / "runs"))
    panel = api.load_panel(
        "data=planted_signal", "data.num_bars=1400", "data.num_assets=2", "data.noise_features=1"
    )
    before = len(Ledger(tmp_path / "runs" / "ledger.sqlite").state().looks)
    api.backtest(run.policy(), panel, "ledger=mine.sqlite", start=str(panel.bar_utc[1000]))
    assert len(Ledger(tmp_path / "mine.sqlite").state().looks) == 1
    assert len(Ledger(tmp_path / "runs" / "ledger.sqlite").state().looks) == before + 1


def test_its_policy_on_its_own_bars_earns_what_was_recorded(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = ("data=planted_signal", "data.num_bars=1400", "data.num_assets=2", "data.noise_features=1")
    panel = api.load_panel(*data)
    last = run.folds.iloc[-1]
    recorded = run.returns[run.returns["fold"] == last["fold"]]
    ends = {"start": str(recorded.index[0]), "stop": str(recorded.index[-1] + pd.Timedelta(minutes=1))}
    again = api.backtest(run.policy(), panel, f"ledger={tmp_path / 'l.sqlite'}", **ends)
    assert again.returns["net_return"].equals(recorded["net_return"])
    assert not again.returns["in_sample"].any()
    named = Ledger(tmp_path / "l.sqlite").state().looks
    assert [look.kind for look in named] == ["re-scoring"]
    earlier = api.backtest(
        run.policy(), panel, f"ledger={tmp_path / 'l.sqlite'}", start=str(panel.bar_utc[450])
    )
    assert earlier.returns["in_sample"].any()
    assert "seen in training" in earlier._repr_html_()


def test_a_policy_predicts_one_account_as_it_does_many(run):
    policy = run.policy(0)
    seen = np.random.default_rng(0).normal(size=(3, policy.contract.layout.size)).astype(np.float32)
    together, state = policy.predict(seen)
    alone, of_one = policy.predict(seen[1])
    assert np.array_equal(alone, together[1])
    after, _ = policy.predict(seen[1], of_one)
    both, _ = policy.predict(seen, state)
    assert np.array_equal(after, both[1])


def test_what_is_not_there_is_one_sentence(run, tmp_path):
    with pytest.raises(api.ConfigError, match="has folds 0, 1"):
        run.policy(7)
    with pytest.raises(api.ConfigError, match="no such directory"):
        api.load(tmp_path / "nothing")
    with pytest.raises(api.ConfigError, match="nothing to compare"):
        api.compare()


def test_runs_compared_are_a_row_each(run):
    rows = api.compare(run)
    assert rows.loc[0, "sharpe"] == run.summary["sharpe"]
    assert rows.loc[0, "verdict"] == "refused"


def test_a_run_is_evaluated_again(run):
    dearer = api.evaluate(run, "cost_factor=2")
    assert dearer.path != run.path
    assert dearer.summary["total_cost"] > run.summary["total_cost"]
