"""The objective: mean over folds and seeds less a penalty on their spread; never a NaN, never the training return."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rayjobs.search.plan.objective import (
    FoldScore,
    ObjectiveConfig,
    ScoreUndefined,
    measure,
    objective_values,
    score,
    trial_return,
)


def fold_score(fold, seed, net_return, **metrics):
    known = measure(np.zeros(4), 0.0, 252.0) | metrics
    returns = np.asarray(net_return, dtype=np.float64)
    return FoldScore(
        fold=fold, seed=seed, env_steps=10, net_return=returns, metrics=known, seconds=(1.0, 0.1)
    )


def test_the_spread_is_taken_from_the_mean():
    # Mean of 1 and 3 is 2; their standard deviation with ddof=1 is sqrt(2).
    assert score([1.0, 3.0], "maximize", 0.5) == pytest.approx(2.0 - 0.5 * math.sqrt(2.0))
    assert score([1.0, 3.0], "minimize", 0.5) == pytest.approx(2.0 + 0.5 * math.sqrt(2.0))
    assert score([1.5], "maximize", 0.5) == 1.5


def test_a_policy_that_never_traded_scores_as_cash():
    assert score([math.nan, math.nan], "maximize", 0.5) == 0.0


def test_what_is_not_a_number_is_refused():
    with pytest.raises(ScoreUndefined, match="must be finite"):
        score([math.inf, 1.0], "maximize", 0.5)
    with pytest.raises(ScoreUndefined, match="no fold"):
        score([], "maximize", 0.5)
    config = ObjectiveConfig(metrics=("sharpe",), spread_penalty=0.5)
    with pytest.raises(ScoreUndefined, match="fold 1, seed 0: returns hold NaN"):
        objective_values(config, [fold_score(1, 0, [0.0, math.nan])])


def test_several_objectives_have_a_value_each():
    config = ObjectiveConfig(metrics=("sharpe", "annual_turnover"), spread_penalty=1.0)
    scores = [
        fold_score(0, 0, [0.0], sharpe=1.0, annual_turnover=10.0),
        fold_score(1, 0, [0.0], sharpe=3.0, annual_turnover=14.0),
    ]
    # sharpe 2 - sqrt(2); turnover is better when small: 12 + sqrt(8).
    assert objective_values(config, scores) == pytest.approx([2 - math.sqrt(2), 12 + math.sqrt(8)])


def test_the_column_of_a_trial_is_its_folds_in_order_averaged_over_seeds():
    scores = [
        fold_score(1, 0, [3.0, 4.0]),
        fold_score(0, 0, [1.0]),
        fold_score(0, 1, [2.0]),
        fold_score(1, 1, [5.0, 4.0]),
    ]
    np.testing.assert_allclose(trial_return(scores), [1.5, 4.0, 4.0])


def test_turnover_is_annualised():
    # 2.0 traded over 4 bars at 252 bars a year: 126 a year.
    assert measure(np.array([0.01, 0.0, -0.01, 0.02]), 2.0, 252.0)["annual_turnover"] == pytest.approx(126.0)


def test_an_unknown_metric_is_named():
    with pytest.raises(ValueError, match="metrics names 'sharp'; known are sharpe"):
        ObjectiveConfig(metrics=("sharp",), spread_penalty=0.5)
