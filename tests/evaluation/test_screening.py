"""Screening keeps the planted feature, drops noise, and never fits on its test windows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data.features.compute import FeatureSet
from evaluation.screening import (
    ScreeningConfig,
    consensus,
    net_score,
    screen_features,
    screening_folds,
    summary_markdown,
)

CONFIG = ScreeningConfig(
    num_folds=3,
    horizon_bars=1,
    embargo_bars=5,
    cost_bps=0.0,
    penalty=1e-3,
    num_shuffles=3,
    models=("ridge",),
    seed=0,
)


def features_of(world) -> FeatureSet:
    columns = sorted(world.panel.exogenous)
    return FeatureSet(
        asset=np.stack([world.panel.exogenous[n] for n in columns], axis=-1).astype(np.float32),
        clock=np.zeros((world.panel.num_bars, 1), dtype=np.float32), asset_names=tuple(columns), clock_names=("none",),
        lookback_bars=0, feature_hash="x",
    )  # fmt: skip


def test_the_score_is_the_net_return_along_the_prediction():
    # Sides +1 and -1, weights 2/3 and 4/3 of the mean size: (2/3 * 0.01 + 4/3 * 0.02) / 2 - cost.
    assert net_score(np.array([1.0, -2.0]), np.array([0.01, -0.02]), 0.0) == pytest.approx(0.05 / 3)
    assert net_score(np.array([1.0, -2.0]), np.array([0.01, -0.02]), 0.004) == pytest.approx(0.05 / 3 - 0.004)
    assert net_score(np.zeros(3), np.ones(3), 0.1) == 0.0


@pytest.mark.parametrize("models", [("ridge",), ("ridge", "trees")])
def test_the_planted_sign_is_kept_and_noise_is_not_first(models, signal_world):
    if "trees" in models:
        pytest.importorskip("lightgbm")
    table = screen_features(signal_world.panel, features_of(signal_world), replace(CONFIG, models=models))
    agreed = consensus(table).set_index("feature")
    assert agreed.loc["signal", "kept"]
    assert agreed.loc["signal", "rank"] < agreed.loc["noise_00", "rank"]
    text = summary_markdown(table, ["signal", "noise_00"])
    assert "| signal | yes |" in text


def test_folds_expand_and_leave_the_purge_and_embargo_out(signal_world):
    folds = screening_folds(CONFIG, 2000)
    assert len(folds) == 3
    assert all(fold.train.start == 0 for fold in folds)
    assert all(fold.test.start - fold.train.stop == 6 for fold in folds)


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="choose of ridge, trees"):
        replace(CONFIG, models=("magic",))
    with pytest.raises(ValueError, match="at least 1"):
        replace(CONFIG, num_folds=0)
