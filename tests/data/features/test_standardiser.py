"""The standardiser: training window only, no NaN out, JSON and back."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.features import FeatureSpec, Standardiser, compute_features


@pytest.fixture(scope="session")
def features_of(random_panel):
    specs = [
        FeatureSpec(name="log_return", params={"horizon_bars": 2}),
        FeatureSpec(name="column", params={"name": "rate"}),
    ]

    def make(seed, num_bars=80, missing=0.1):
        return compute_features(random_panel(seed, num_bars, missing=missing), specs)

    return make


def with_asset(features, asset):
    return replace(features, asset=np.array(asset, dtype=np.float32))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), start=st.integers(0, 30), length=st.integers(5, 40))
def test_bars_outside_the_training_window_do_not_move_the_statistics(features_of, seed, start, length):
    features, other = features_of(seed), features_of(seed + 1)
    train = slice(start, start + length)
    mixed = np.array(other.asset) * 1000.0
    mixed[train] = features.asset[train]
    fitted, again = Standardiser.fit(features, train), Standardiser.fit(with_asset(features, mixed), train)
    np.testing.assert_array_equal(fitted.mean, again.mean)
    np.testing.assert_array_equal(fitted.std, again.std)


def test_the_training_window_comes_out_with_mean_zero_and_deviation_one(features_of):
    features = features_of(0, missing=0.0)
    result = Standardiser.fit(features, slice(2, 50)).transform(features).asset[2:50]
    np.testing.assert_allclose(result.mean(axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(result.std(axis=0), 1.0, rtol=1e-5)


def test_each_asset_has_its_own_statistics():
    # Values 1, 3 have mean 2 and deviation 1; values 10, 30 have mean 20 and deviation 10.
    asset = np.array([[[1.0], [10.0]], [[3.0], [30.0]], [[5.0], [0.0]]])
    features = tiny(asset)
    fitted = Standardiser.fit(features, slice(0, 2))
    np.testing.assert_array_equal(fitted.mean[:, 0], [2.0, 20.0])
    np.testing.assert_array_equal(fitted.transform(features).asset[2, :, 0], [3.0, -2.0])


def tiny(asset):
    from data.features import FeatureSet

    return FeatureSet(
        asset=asset,
        clock=np.full((len(asset), 1), 0.5),
        asset_names=("x",),
        clock_names=("c",),
        lookback_bars=0,
        feature_hash="h",
    )


def test_what_is_not_known_becomes_zero_and_clock_features_stay():
    features = tiny(np.array([[[1.0]], [[3.0]], [[np.nan]]]))
    result = Standardiser.fit(features, slice(0, 2)).transform(features)
    assert result.asset[2, 0, 0] == 0.0
    np.testing.assert_array_equal(result.clock, features.clock)


def test_a_feature_that_never_moved_in_training_says_nothing_later():
    features = tiny(np.array([[[0.1]], [[0.1]], [[np.nan]], [[99.0]]]))
    result = Standardiser.fit(features, slice(0, 3)).transform(features)
    np.testing.assert_array_equal(result.asset, 0.0)


def test_outliers_are_limited():
    features = tiny(np.array([[[-1.0]], [[1.0]], [[50.0]], [[-50.0]]]))
    result = Standardiser.fit(features, slice(0, 2), clip=5.0).transform(features)
    np.testing.assert_array_equal(result.asset[:, 0, 0], [-1.0, 1.0, 5.0, -5.0])


def test_json_and_back_is_bit_for_bit(features_of):
    features = features_of(1)
    fitted = Standardiser.fit(features, slice(0, 40))
    again = Standardiser.from_dict(json.loads(json.dumps(fitted.to_dict())))
    assert again.transform(features).asset.tobytes() == fitted.transform(features).asset.tobytes()


def test_other_features_than_those_it_was_fitted_on_are_refused(features_of):
    fitted = Standardiser.fit(features_of(1), slice(0, 40))
    with pytest.raises(ValueError, match="not those of the standardiser"):
        fitted.transform(replace(features_of(1), feature_hash="another"))


@pytest.mark.parametrize("train", [slice(5, 5), slice(-3, 5), slice(0, 81), slice(0, 40, 2)])
def test_a_window_outside_the_bars_is_refused(features_of, train):
    with pytest.raises(ValueError, match="not a part of the 80 bars"):
        Standardiser.fit(features_of(1), train)
