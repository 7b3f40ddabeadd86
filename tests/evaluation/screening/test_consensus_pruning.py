"""A screening of the training window alone decides which features a policy does without."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from column_features import column_features

from data.features.pruning import fit_standardiser
from evaluation.screening.consensus_pruning import (
    ConsensusConfig,
    FeaturePruning,
    check_window,
    doubted,
    longest,
)

CONFIG = ConsensusConfig(
    min_t=3.0,
    models=("ridge",),
    horizon_bars=1,
    num_folds=3,
    embargo_bars=5,
    penalty=1e-3,
    num_trees=10,
    max_depth=3,
    max_rows=20_000,
    num_shuffles=2,
    num_blocks=8,
    seed=0,
)
PRUNE = FeaturePruning(max_correlation=0.95, min_known=0.5, max_same=0.999, consensus=CONFIG)


@pytest.fixture(scope="module")
def train(signal_world):
    return slice(50, int(0.7 * signal_world.panel.num_bars))


def left_out(world, train, config=CONFIG, features=None, kept=None):
    features = features or column_features(world.panel)
    cost = np.full(world.panel.close.shape, 2e-4)
    kept = np.ones(len(features.asset_names), dtype=bool) if kept is None else kept
    out = doubted(world.panel, features, train, config, cost, kept)
    return {name for name, gone in zip(features.asset_names, out) if gone}


def test_what_predicts_stays_and_noise_is_left_out(signal_world, train):
    names = set(signal_world.panel.exogenous)
    assert left_out(signal_world, train) == {name for name in names if name.startswith("noise")}


def test_bars_outside_of_the_training_window_have_no_say(signal_world, train):
    panel, world_features = signal_world.panel, column_features(signal_world.panel)
    outside = np.ones(panel.num_bars, dtype=bool)
    outside[train] = False
    random = np.random.default_rng(4)
    values = world_features.asset.copy()
    values[outside] = random.standard_normal(values[outside].shape)
    factor = np.where(outside, random.uniform(0.5, 2.0, panel.num_bars), 1.0)[:, None]
    prices = {name: getattr(panel, name) * factor for name in ("open", "high", "low", "close")}
    cost = np.full(panel.close.shape, 2e-4)
    everything = np.ones(values.shape[2], dtype=bool)
    # The sums of the models are compared, not only which side of the bound they fall on.
    for bound in (-1.0, 0.0, 1.0):
        config = replace(CONFIG, min_t=bound)
        here = doubted(panel, world_features, train, config, cost, everything)
        there = doubted(
            replace(panel, **prices), replace(world_features, asset=values), train, config, cost, everything
        )
        np.testing.assert_array_equal(here, there)


def test_a_feature_that_is_no_longer_kept_is_not_screened_and_its_copy_is(signal_world, train):
    signal = next(name for name in signal_world.panel.exogenous if not name.startswith("noise"))
    copy = column_features(signal_world.panel, copy=signal_world.panel.exogenous[signal])
    cost = np.full(signal_world.panel.close.shape, 2e-4)
    fitted = fit_standardiser(
        copy,
        train,
        clip=10.0,
        prune=PRUNE,
        doubts=lambda kept: doubted(signal_world.panel, copy, train, CONFIG, cost, kept),
    )
    # Screened beside each other neither would be missed; the copy goes first, so that the signal stands out.
    assert set(fitted.pruned) == set(copy.asset_names) - {signal}
    assert (fitted.std[:, copy.asset_names.index(signal)] > 0.0).all()


def test_every_model_must_agree(signal_world, train):
    both = replace(CONFIG, models=("ridge", "forest"))
    assert left_out(signal_world, train) <= left_out(signal_world, train, both)


def test_of_several_stretches_the_longest_is_screened():
    assert longest((slice(0, 10), slice(20, 50), slice(60, 70))) == slice(20, 50)


def test_windows_too_short_and_settings_out_of_range_are_refused(signal_world):
    with pytest.raises(
        ValueError, match=r"window \[10, 60\) is too short: features.prune.consensus.num_folds is 3"
    ):
        check_window(CONFIG, column_features(signal_world.panel), slice(10, 60))
    with pytest.raises(ValueError, match=r"features.prune.consensus.models is \['tree'\]"):
        replace(CONFIG, models=("tree",))
    with pytest.raises(ValueError, match="min_t is nan"):
        replace(CONFIG, min_t=float("nan"))
