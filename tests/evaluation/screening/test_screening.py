"""Screening finds the planted feature, says that noise is noise, and never fits on its test windows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from column_features import column_features

from data.split_factors import SPLIT_FACTOR
from envs.instruments import CATALOGUE, CRYPTO_SPOT
from evaluation.screening.screen import (
    ScreeningConfig,
    cost_per_side,
    net_label,
    net_score,
    screen_features,
    screening_folds,
)
from evaluation.screening.summary import consensus, finding, summary_markdown

CONFIG = ScreeningConfig(
    bars="all",
    num_folds=3,
    horizon_bars=1,
    embargo_bars=5,
    models=("ridge", "forest"),
    penalty=1e-3,
    num_trees=10,
    max_depth=3,
    max_rows=20_000,
    num_shuffles=2,
    num_blocks=8,
    confidence=0.95,
    seed=0,
)


def screened(
    world, config: ScreeningConfig = CONFIG, cost_bps: float = 2.0, **more: np.ndarray
) -> pd.DataFrame:
    cost = np.full(world.panel.close.shape, cost_bps * 1e-4)
    return screen_features(world.panel, column_features(world.panel, **more), config, cost)


def test_the_score_is_the_net_return_along_the_prediction():
    # Sides +1 and -1, weights 2/3 and 4/3 of the mean size; the wrong side pays the move and the cost.
    growth, free = np.array([0.01, -0.02]), np.zeros(2)
    np.testing.assert_allclose(net_score(np.array([1.0, -2.0]), growth, free), [2 / 3 * 0.01, 4 / 3 * 0.02])
    np.testing.assert_allclose(net_score(np.array([-1.0, -1.0]), growth, free + 0.004), [-0.014, 0.016])
    np.testing.assert_array_equal(net_score(np.zeros(2), growth, free), 0.0)


def test_the_label_is_what_is_left_of_a_move_after_a_round_trip():
    moves = np.array([0.003, -0.003, 0.0005, -0.0005])
    np.testing.assert_allclose(net_label(moves, np.full(4, 0.001)), [0.002, -0.002, 0.0, 0.0])


def test_costs_of_a_side_come_from_the_instruments_unless_the_config_replaces_them(signal_world):
    panel, costs = signal_world.panel, signal_world.config.costs  # half a spread and fees of 1 bps each
    crypto = dict.fromkeys(panel.symbols, CRYPTO_SPOT)
    np.testing.assert_allclose(cost_per_side(panel, crypto, costs), 2e-4)
    own = replace(costs, half_spread_bps=None, fee_bps=None, slippage="fixed_bps", slippage_value=3.0)
    np.testing.assert_allclose(cost_per_side(panel, crypto, own), 9e-4)  # 1 + 5 + 3 bps
    # A share at price P: half a cent of spread and half a cent of commission.
    shares = dict.fromkeys(panel.symbols, CATALOGUE["us_stock"])
    plain = replace(own, slippage="none", slippage_value=0.0)
    np.testing.assert_allclose(cost_per_side(panel, shares, plain), 0.01 / panel.last_close())
    # Where a unit of the panel is four shares, it pays four times as much of the same price.
    split = replace(panel, exogenous={**panel.exogenous, SPLIT_FACTOR: np.full(panel.close.shape, 0.25)})
    np.testing.assert_allclose(cost_per_side(split, shares, plain), 0.04 / panel.last_close())


def test_the_planted_sign_stands_out_first_and_alone(signal_world):
    agreed = consensus(screened(signal_world))
    assert agreed.loc[0, "feature"] == "signal"
    assert agreed["stands_out"].tolist() == [True, False, False]
    assert finding(agreed) == "1 of 3 features stands out, best first: signal."


def test_a_feature_that_one_model_alone_can_use_does_not_stand_out(signal_world):
    # The product of two coins says the side: a line through either coin sees nothing, a tree sees both.
    random = np.random.default_rng(0)
    coin = random.choice([-1.0, 1.0], size=signal_world.panel.close.shape)
    hidden = {"coin": coin, "other": coin * signal_world.panel.exogenous["signal"]}
    world = replace(signal_world, panel=replace(signal_world.panel, exogenous={}))
    forest = consensus(screened(world, replace(CONFIG, models=("forest",)), **hidden)).set_index("feature")
    assert forest.loc[["coin", "other"], "stands_out"].all()
    both = consensus(screened(world, **hidden))
    assert not both["stands_out"].any()


def test_on_noise_nothing_stands_out_and_the_summary_says_so(noise_world):
    random = np.random.default_rng(1)
    more = {f"coin_{k}": random.normal(size=noise_world.panel.close.shape) for k in range(5)}
    table = screened(noise_world, **more)
    agreed = consensus(table)
    assert not agreed["stands_out"].any()
    assert "Nothing stands out: none of 7 features" in summary_markdown(table, agreed)


@pytest.mark.slow
def test_the_test_of_importance_is_calibrated_on_chance():
    # 200 screenings of 5 useless features, 40 blocks: at most 5 % may find one; without correction 1 - 0.95^5 = 23 %.
    random = np.random.default_rng(2)
    index = pd.MultiIndex.from_product([[f"f{k}" for k in range(5)], ["ridge"], range(4), range(10)])
    blocks = index.to_frame(index=False, name=["feature", "model", "fold", "block"])
    draws = random.normal(size=(200, len(blocks)))
    found = [consensus(blocks.assign(importance=row, score=0.0))["stands_out"].any() for row in draws]
    assert np.mean(found) < 0.09


def test_the_score_is_measured_on_the_test_window_and_not_on_what_was_fitted(signal_world):
    one = replace(CONFIG, num_folds=1, models=("ridge",))
    fold = screening_folds(one, signal_world.panel.num_bars)[0]
    panel = signal_world.panel
    twisted = {name: getattr(panel, name).copy() for name in ("open", "high", "low", "close")}
    for values in twisted.values():
        values[fold.test.start :] = values[fold.test.start :][::-1]
    other = replace(signal_world, panel=replace(panel, **twisted))
    straight, reversed_ = screened(signal_world, one), screened(other, one)
    # Signal and label no longer belong together on the test window: the fit is the same, the score is gone.
    assert straight["score"].mean() > 5e-5
    assert reversed_["score"].mean() < 1e-5


def test_folds_expand_and_leave_the_purge_and_embargo_out():
    folds = screening_folds(CONFIG, 2000)
    assert len(folds) == 3
    assert all(fold.train.start == 0 for fold in folds)
    assert all(fold.test.start - fold.train.stop == 6 for fold in folds)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"models": ("magic",)}, "choose of ridge, forest"),
        ({"num_folds": 0}, "num_folds is 0"),
        ({"confidence": 1.0}, "confidence is 1.0"),
        ({"num_blocks": 1}, "num_blocks must be at least 2"),
    ],
)
def test_settings_out_of_range_are_refused(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        replace(CONFIG, **change)
