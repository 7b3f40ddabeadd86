"""Supervised baselines find what is planted, nothing in noise, and never see past the training window."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from envs.episodes import Window
from evaluation.scoring.rollout import run_schedules
from evaluation.scoring.supervised import (
    SupervisedConfig,
    design_matrix,
    fit_logistic,
    fit_ridge,
    fit_schedule,
    require_packages,
    training_rows,
)
from policies.baselines import Schedule

CONFIG = SupervisedConfig(
    horizon_bars=1, penalty=1e-3, threshold=0.0, trade_share=1.0, round_trip_cost=4e-4, seed=0
)
TRAIN = slice(0, 1200)


@pytest.mark.parametrize("model", ["ridge", "logistic", "boosting"])
def test_the_planted_sign_is_found_and_earns_most_of_what_the_oracle_earns(model, signal_world):
    world = signal_world
    schedules = {
        model: fit_schedule(model, world.panel, world.market, TRAIN, CONFIG),
        "oracle": Schedule(target_TA=world.oracle_direction.astype(float)),
    }
    runs = run_schedules(schedules, world.market, world.config, [Window(start_bar=1210, stop_bar=2000)])
    share = runs[model][0].net_return.sum() / runs["oracle"][0].net_return.sum()
    assert share > 0.5


def test_in_noise_a_ridge_that_asks_for_its_costs_stays_flat(noise_world):
    careful = replace(CONFIG, threshold=1.0)
    schedule = fit_schedule("ridge", noise_world.panel, noise_world.market, TRAIN, careful)
    assert np.mean(schedule.target_TA[1200:] != 0.0) < 0.05


@pytest.mark.parametrize("model", ["ridge", "logistic"])
def test_nothing_after_the_training_window_moves_the_fit(model, noise_world):
    world = noise_world
    honest = fit_schedule(model, world.panel, world.market, TRAIN, CONFIG)
    after = np.arange(world.panel.num_bars)[:, None] >= TRAIN.stop
    poisoned = replace(
        world.panel,
        **{
            name: np.where(after, 7.0, getattr(world.panel, name))
            for name in ("open", "high", "low", "close")
        },
    )
    again = fit_schedule(model, poisoned, world.market, TRAIN, CONFIG)
    np.testing.assert_array_equal(honest.target_TA, again.target_TA)


def test_rows_whose_label_reaches_past_the_window_are_purged(noise_world):
    for horizon in (1, 5):
        design, label = training_rows(noise_world.panel, noise_world.market, slice(100, 200), horizon)
        assert len(design) == len(label) == (100 - horizon) * 2


def test_a_window_without_rows_is_refused(noise_world):
    with pytest.raises(ValueError, match="leaves no row"):
        training_rows(noise_world.panel, noise_world.market, slice(100, 105), 5)


def test_ridge_and_logistic_agree_with_scikit_learn(noise_world):
    linear = pytest.importorskip("sklearn.linear_model")
    design = design_matrix(noise_world.market)[:500].reshape(1000, -1)
    random = np.random.default_rng(0)
    design[:, 1] = random.normal(size=1000)  # the clock column is constant otherwise
    label = 0.3 * design[:, 0] + random.normal(size=1000)
    theirs = linear.Ridge(alpha=1e-2 * 1000).fit(design[:, :-1], label)
    ours = fit_ridge(design, label, 1e-2)
    np.testing.assert_allclose(ours, [*theirs.coef_, theirs.intercept_], atol=1e-9)
    theirs = linear.LogisticRegression(C=1.0 / (1e-2 * 1000), tol=1e-10).fit(design[:, :-1], label > 0)
    ours = fit_logistic(design, label > 0, 1e-2)
    np.testing.assert_allclose(ours, [*theirs.coef_[0], theirs.intercept_[0]], atol=1e-5)


def test_unknown_models_and_settings_out_of_range_are_refused(noise_world):
    with pytest.raises(ValueError, match="known are ridge"):
        fit_schedule("oracle", noise_world.panel, noise_world.market, TRAIN, CONFIG)
    with pytest.raises(ValueError, match="trade_share"):
        replace(CONFIG, trade_share=0.0)
    with pytest.raises(ValueError, match="horizon_bars"):
        replace(CONFIG, horizon_bars=0)


def test_a_model_without_its_package_is_refused_with_the_extra_that_brings_it(monkeypatch):
    monkeypatch.setattr("evaluation.scoring.supervised.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"'boosting', which needs the package lightgbm: .*\[supervised\]"):
        require_packages(["ridge", "boosting"])
    require_packages(["ridge", "logistic"])
