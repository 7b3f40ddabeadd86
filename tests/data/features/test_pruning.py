"""What is unknown, still, or a copy is left out, by the training window alone, and the standardiser says so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data.features import Standardiser
from data.features.compute import FeatureSet
from data.features.pruning import PruneConfig, fit_standardiser

TRAIN = slice(0, 400)
PRUNE = PruneConfig(max_correlation=0.9, min_known=0.5, max_same=0.99)
NAMES = ("first", "copy", "other", "constant", "seldom", "flag")


@pytest.fixture
def features():
    rng = np.random.default_rng(0)
    asset = rng.standard_normal((600, 2, 6)).astype(np.float32)
    asset[..., 1] = 3.0 - 2.0 * asset[..., 0] + 0.1 * asset[..., 1]  # correlation -0.999
    asset[..., 3] = 7.0
    asset[:, :, 4][rng.random((600, 2)) < 0.6] = np.nan
    asset[..., 5] = 0.0
    asset[::200, :, 5] = 1.0  # one bar in 200
    return FeatureSet(
        asset=asset,
        clock=np.zeros((600, 0), np.float32),
        asset_names=NAMES,
        clock_names=(),
        lookback_bars=0,
        feature_hash="of these",
    )


def test_a_copy_a_constant_an_unknown_one_and_a_rare_flag_are_left_out(features):
    fitted = fit_standardiser(features, TRAIN, clip=10.0, prune=PRUNE)
    assert fitted.pruned == ("copy", "constant", "seldom", "flag")
    seen = fitted.transform(features).asset
    plain = Standardiser.fit(features, TRAIN).transform(features).asset
    assert (seen[..., [1, 3, 4, 5]] == 0.0).all()
    assert (seen[..., [0, 2]] == plain[..., [0, 2]]).all()


def test_without_pruning_nothing_changes(features):
    plain = Standardiser.fit(features, TRAIN).to_dict()
    assert fit_standardiser(features, TRAIN, clip=10.0, prune=None).to_dict() == plain
    assert "pruned" not in plain


def test_bars_after_the_training_window_have_no_say(features):
    other = features.asset.copy()
    other[400:] = np.random.default_rng(1).standard_normal(other[400:].shape)
    fitted = fit_standardiser(replace(features, asset=other), TRAIN, clip=10.0, prune=PRUNE)
    assert fitted.to_dict() == fit_standardiser(features, TRAIN, clip=10.0, prune=PRUNE).to_dict()


def test_what_was_left_out_is_kept_with_the_statistics(features):
    fitted = fit_standardiser(features, TRAIN, clip=10.0, prune=PRUNE)
    again = Standardiser.from_dict(fitted.to_dict())
    assert again.pruned == fitted.pruned
    assert (again.std == fitted.std).all()


def test_a_copy_of_what_was_left_out_stays(features):
    seldom = replace(features, asset=features.asset.copy())
    values = seldom.asset.copy()
    values[..., 1] = np.nan_to_num(
        values[..., 4]
    )  # the later one is unknown too often, so that this one is no copy
    fitted = fit_standardiser(
        replace(seldom, asset=values), TRAIN, clip=10.0, prune=replace(PRUNE, max_same=1.0)
    )
    assert "copy" not in fitted.pruned


def test_shares_outside_of_0_to_1_and_nothing_left_are_refused(features):
    with pytest.raises(ValueError, match="features.prune.min_known is 2"):
        PruneConfig(max_correlation=0.9, min_known=2.0, max_same=1.0)
    with pytest.raises(ValueError, match="leaves none of the 6 features"):
        fit_standardiser(features, TRAIN, clip=10.0, prune=replace(PRUNE, max_same=0.0))
