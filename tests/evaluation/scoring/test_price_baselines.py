"""Fitted baselines read the shipped price features whatever a configuration names, on training bars alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data.features.compute import FeatureSet
from data.schema import Panel
from envs.episodes import Window
from envs.instruments import CRYPTO_SPOT
from envs.market import Market
from evaluation.scoring.price_features import PRICE_FEATURES, price_features
from evaluation.scoring.rollout import run_schedules
from evaluation.scoring.supervised import SupervisedConfig, fit_schedules

CONFIG = SupervisedConfig(
    horizon_bars=1, penalty=1e-3, threshold=0.0, trade_share=1.0, round_trip_cost=4e-4, seed=0
)
TRAIN = slice(300, 1200)
MODELS = ("ridge", "logistic")


def with_closes(panel: Panel, close: np.ndarray) -> Panel:
    """The panel with other closes, each bar opening at the close before."""
    before = np.concatenate([close[:1], close[:-1]])
    return replace(
        panel, open=before, high=np.maximum(before, close), low=np.minimum(before, close), close=close
    )


@pytest.fixture(scope="module")
def drifting(noise_world) -> Panel:
    """Returns of which each carries on in the next with 0.4: a momentum of one bar, and nothing else."""
    random = np.random.default_rng(0)
    returns = np.zeros(noise_world.panel.close.shape)
    for t in range(1, len(returns)):
        returns[t] = 0.4 * returns[t - 1] + 0.004 * random.standard_normal(returns.shape[1])
    return with_closes(noise_world.panel, 100.0 * np.exp(np.cumsum(returns, axis=0)))


def market_of(panel: Panel, features: np.ndarray) -> Market:
    """A market whose policy sees these features (T, A, 1)."""
    return Market.build(
        panel,
        FeatureSet(
            asset=features.astype(np.float32),
            clock=np.zeros((panel.num_bars, 1), dtype=np.float32),
            asset_names=("own",),
            clock_names=("none",),
            lookback_bars=0,
            feature_hash="test",
        ),
        dict.fromkeys(panel.symbols, CRYPTO_SPOT),
    )


def noise_of(panel: Panel, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((*panel.close.shape, 1))


def test_a_momentum_that_the_configuration_hides_is_found_by_the_models_on_prices_alone(
    noise_world, drifting
):
    market = market_of(drifting, noise_of(drifting, 1))
    fitted = fit_schedules(MODELS, drifting, market, TRAIN, CONFIG)
    assert set(fitted) == {"ridge", "logistic", "ridge_on_prices", "logistic_on_prices"}
    runs = run_schedules(fitted, market, noise_world.config, [Window(start_bar=1210, stop_bar=2000)])
    earned = {name: tracks[0].net_return.sum() for name, tracks in runs.items()}
    for model in MODELS:
        assert earned[f"{model}_on_prices"] > 0.3
        assert earned[f"{model}_on_prices"] > earned[model] + 0.3


def test_no_choice_of_features_changes_the_models_on_prices(drifting):
    first, second = (
        fit_schedules(MODELS, drifting, market_of(drifting, noise_of(drifting, seed)), TRAIN, CONFIG)
        for seed in (2, 3)
    )
    for model in MODELS:
        name = f"{model}_on_prices"
        np.testing.assert_array_equal(first[name].target_TA, second[name].target_TA)
        assert not np.array_equal(first[model].target_TA, second[model].target_TA)


@pytest.mark.parametrize("model", MODELS)
def test_nothing_after_the_training_window_moves_what_was_fitted_on_prices(model, drifting):
    last = 1500
    market = market_of(drifting, noise_of(drifting, 4))
    close = drifting.close.copy()
    close[last:] = close[last:][::-1] * 7.0
    poisoned = with_closes(drifting, close)
    one, other = (fit_schedules([model], panel, market, TRAIN, CONFIG) for panel in (drifting, poisoned))
    name = f"{model}_on_prices"
    np.testing.assert_array_equal(one[name].target_TA[:last], other[name].target_TA[:last])
    assert not np.array_equal(one[name].target_TA[last:], other[name].target_TA[last:])


def test_the_bars_that_are_wanted_get_the_directions_that_all_bars_would(drifting):
    market, wanted = market_of(drifting, noise_of(drifting, 5)), slice(1300, 1400)
    some = fit_schedules(MODELS, drifting, market, TRAIN, CONFIG, wanted=wanted)
    everywhere = fit_schedules(MODELS, drifting, market, TRAIN, CONFIG)
    for name, schedule in some.items():
        np.testing.assert_array_equal(schedule.target_TA[wanted], everywhere[name].target_TA[wanted])
        assert not schedule.target_TA[wanted.stop :].any()


def test_stretches_on_both_sides_of_the_test_window_are_fitted_and_standardised_together(drifting):
    market, stretches = market_of(drifting, noise_of(drifting, 6)), [slice(600, 900), slice(1200, 1600)]
    fitted = fit_schedules(MODELS, drifting, market, stretches, CONFIG, wanted=slice(300, 400))
    features = price_features(drifting, stretches, slice(300, 1600))
    inside = np.concatenate([features[300:600], features[900:1300]]).astype(np.float64)
    np.testing.assert_allclose(inside.mean(axis=0), 0.0, atol=1e-3)
    np.testing.assert_allclose(inside.std(axis=0), 1.0, atol=2e-2)  # values beyond ten deviations are cut
    for name in ("ridge_on_prices", "logistic_on_prices"):
        assert fitted[name].target_TA[300:400].all()


def test_what_looks_back_further_than_there_are_bars_counts_as_the_mean_and_stops_nothing(drifting):
    short = drifting.slice_bars(0, 100)
    market = market_of(short, noise_of(short, 7))
    fitted = fit_schedules(MODELS, short, market, slice(0, 70), CONFIG)
    assert fitted["ridge_on_prices"].target_TA.shape == (100, 2)
    features = price_features(drifting, [slice(0, 400)], slice(0, 500))
    assert features.shape == (500, 2, len(PRICE_FEATURES))
    longest = [name for name, _ in PRICE_FEATURES].index("log_return") + 4  # 256 bars
    assert not features[:256, :, longest].any()
    assert features[256:, :, longest].all()
