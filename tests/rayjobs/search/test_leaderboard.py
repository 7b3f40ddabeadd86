"""The ranking of a study, and what the number of trials does to the best of them."""

from __future__ import annotations

import json
import re

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from evaluation.gate.search_significance import study_significance
from rayjobs.search.page.leaderboard import (
    USUAL_NOTE,
    best_trial,
    counts,
    num_counted,
    print_trials,
    trial_rows,
    write_study,
)
from rayjobs.search.plan.objective import ObjectiveConfig
from rayjobs.search.proposal.studies import RETRY_OF
from rayjobs.search.trial.record import StoredReturns, load_returns, save_return

OBJECTIVE = ObjectiveConfig(metrics=("sharpe",), spread_penalty=0.5)


def fold(number, sharpe):
    numbers = {"sharpe": sharpe, "max_drawdown": -0.1, "train_seconds": 2.0, "scoring_seconds": 0.5}
    return {"fold": number, "seed": 0, "env_steps": 100, **numbers}


@pytest.fixture
def study():
    """Trials 0 and 1 complete, 2 pruned at the first rung with a better score than both, 3 failed, 4 repeats it."""
    study = optuna.create_study(direction="maximize")
    for score, state in ((1.0, None), (2.0, None), (9.0, TrialState.PRUNED)):
        trial = study.ask({"x": optuna.distributions.FloatDistribution(0, 1)})
        trial.report(score, 0)
        trial.set_user_attr("folds", [fold(0, score - 1), fold(1, score + 1)])
        trial.set_user_attr("env_steps", 200)
        study.tell(trial, score if state is None else None, state=state)
    failed = study.ask()
    failed.set_user_attr("error", "RuntimeError: no")
    study.tell(failed, state=TrialState.FAIL)
    study.enqueue_trial({"x": 0.5}, user_attrs={RETRY_OF: 3})
    study.tell(study.ask(), state=TrialState.FAIL)
    return study


def test_complete_trials_come_first_then_pruned_then_failed(study, tmp_path):
    significance = study_significance(np.empty((0, 0)), 4)
    rows = trial_rows(study, tmp_path, OBJECTIVE, significance)
    assert [row["trial"] for row in rows] == [1, 0, 2, 3, 4]
    assert [row["rank"] for row in rows] == [1, 2, 3, 4, 5]
    best = rows[0]
    # Folds 1 and 3: mean 2, standard deviation sqrt(2).
    assert (best["mean"], best["spread"]) == (pytest.approx(2.0), pytest.approx(2**0.5))
    assert (best["env_steps"], best["train_seconds"]) == (200, 4.0)
    assert rows[3]["error"] == "RuntimeError: no"


def test_the_winner_is_a_complete_trial(study):
    assert best_trial(study).number == 1


def test_a_failed_trial_counts_and_its_repeat_does_not(study):
    assert num_counted(study) == 4
    assert counts(study) == {"complete": 2, "pruned": 1, "failed": 2, "running": 0, "waiting": 0}


def test_significance_comes_from_the_matrix_of_returns(tmp_path):
    random = np.random.default_rng(0)
    returns = random.normal(0.0, 0.01, (320, 6))
    found = study_significance(returns, 8)
    sharpe = returns.mean(axis=0) / returns.std(axis=0, ddof=1)
    assert found.sharpe_variance == pytest.approx(sharpe.var(ddof=1))
    assert found.num_trials == 8
    assert found.effective_trials == 8  # six unlike each other, and two that left nothing
    assert 0.0 <= found.probability_of_overfitting <= 1.0


def test_one_trial_or_none_has_no_spread():
    assert study_significance(np.empty((0, 0)), 1).sharpe_variance is None
    assert study_significance(np.ones((40, 1)), 1).probability_of_overfitting is None


def test_a_study_file_holds_null_for_what_is_not_defined(tmp_path):
    path = write_study(
        tmp_path / "study.json", {"a": float("nan"), "b": [np.float64(1.5), None], "c": tmp_path}
    )
    assert json.loads(path.read_text()) == {"a": None, "b": [1.5, None], "c": str(tmp_path)}


def test_returns_of_trials_that_left_some_are_read_back(tmp_path):
    from rayjobs.search.plan.objective import FoldScore

    one = FoldScore(
        fold=0, seed=0, env_steps=1, net_return=np.array([0.1, 0.2]), metrics={}, seconds=(0.0, 0.0)
    )
    save_return(tmp_path, 3, [one])
    numbers, returns = load_returns(tmp_path, [0, 3])
    assert numbers == [3]
    np.testing.assert_array_equal(returns, [[0.1], [0.2]])
    stored = StoredReturns(tmp_path, [0, 3])
    assert stored.shape == (1, 2)
    np.testing.assert_array_equal(stored.take(np.array([0])), [[0.1, 0.2]])
    assert StoredReturns(tmp_path, [0]).shape == (0, 0)


@pytest.mark.parametrize("width", [80, 100, 140])
def test_the_leaderboard_cuts_no_word_and_gives_each_trial_one_line(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    labels = [
        "learning_rate",
        "turnover_penalty_coefficient",
        "core",
        "gamma",
        "flag",
        "none",
        "hidden_units",
    ]
    values = (0.000123456, 1.25, "recurrent_highway", 0.97, True, None, 2048)
    numbers = {"state": "complete", "score": 1.5, "spread": 0.25, "dsr": 0.5, "chained_return": 0.1,
               "chained_drawdown": -0.2, "annual_turnover": 12345.0, "env_steps": 123_456_789}  # fmt: skip
    rows = [
        {"rank": rank, "trial": 20 + rank, **numbers, **dict(zip([f"param_{one}" for one in labels], values))}
        for rank in range(1, 4)
    ]
    print_trials("Leaderboard", rows, labels)
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= width
    tables = text.count("rank")
    assert len([line for line in text.splitlines() if line.startswith("│")]) == 3 * tables
    # Numbers and words stand whole: 4 digits of what is small, and what is off or missing in words.
    for cell in ("0.0001235", "1.25", "recurrent_highway", "0.97", "yes", "2048", "123,456,789", "+1.500"):
        assert len(re.findall(rf"(?<![\w.]){re.escape(cell)}(?![\w.])", text)) == 3, cell
    told = set(re.findall(r"\w+", text))
    assert {word for label in labels for word in label.split("_")} <= told
    assert set(re.findall(r"\w+", USUAL_NOTE)) <= told
