"""Specs, names, hashes and refusals of the feature set."""

import numpy as np
import pytest

from data.errors import DataError
from data.features import Feature, FeatureSpec, compute_features


def double_rate(panel, *, scale):
    return scale * panel.exogenous["rate"]


def infinite(panel):
    return np.full(panel.close.shape, np.inf)


def flat(panel):
    return np.zeros(3)


OWN = Feature(name="double_rate", kind="asset", function=double_rate)
INFINITE = Feature(name="infinite", kind="asset", function=infinite)
MISSHAPEN = Feature(name="flat", kind="asset", function=flat)


@pytest.fixture
def own_module(monkeypatch):
    """Make this module importable by the name `own_features`."""
    import sys
    from types import SimpleNamespace

    monkeypatch.setitem(
        sys.modules, "own_features", SimpleNamespace(OWN=OWN, INFINITE=INFINITE, MISSHAPEN=MISSHAPEN, X=1)
    )


def spec(name, /, **params):
    return FeatureSpec(name=name, params=params)


def test_outputs_are_named_after_feature_and_parameters_in_the_order_asked(random_panel):
    specs = [
        spec("rsi", window_bars=14),
        spec("time_of_day"),
        spec("log_return", horizon_bars=3),
        spec("column", name="*"),
    ]
    result = compute_features(random_panel(0, 40), specs)
    assert result.asset_names == ("rsi_14", "log_return_3", "signal", "rate")
    assert result.clock_names == ("time_of_day_sin", "time_of_day_cos")
    assert result.asset.shape == (40, 2, 4)
    assert result.asset.dtype == result.clock.dtype == np.float32
    assert result.lookback_bars == 14


def test_asset_features_are_unknown_until_their_own_lookback_is_full(random_panel):
    result = compute_features(
        random_panel(0, 40), [spec("rsi", window_bars=14), spec("log_return", horizon_bars=3)]
    )
    assert np.isnan(result.asset[:14, :, 0]).all()
    assert np.isnan(result.asset[:3, :, 1]).all()
    assert np.isfinite(result.asset[14:]).all()
    assert np.isfinite(result.asset[3:, :, 1]).all()


def test_no_features_at_all_is_an_empty_block(random_panel):
    result = compute_features(random_panel(0, 5), [])
    assert result.asset.shape == (5, 2, 0)
    assert result.clock.shape == (5, 0)


def test_the_hash_says_what_was_meant_and_not_what_came_out(random_panel):
    specs = [spec("rsi", window_bars=14)]
    one, other = compute_features(random_panel(0, 40), specs), compute_features(random_panel(1, 50), specs)
    assert one.feature_hash == other.feature_hash
    assert (
        compute_features(random_panel(0, 40), [spec("rsi", window_bars=13)]).feature_hash != one.feature_hash
    )


def test_an_own_feature_is_found_by_its_import_path(own_module, random_panel):
    panel = random_panel(0, 10)
    result = compute_features(panel, [spec("own_features:OWN", scale=2.0)])
    np.testing.assert_allclose(result.asset[:, :, 0], 2.0 * panel.exogenous["rate"], rtol=1e-6)
    assert result.asset_names == ("double_rate_2.0",)


@pytest.mark.parametrize(
    ("name", "params", "said"),
    [
        ("log_retrun", {}, "did you mean 'log_return'"),
        ("log_return", {}, "needs the parameter 'horizon_bars'"),
        ("log_return", {"horizon": 3}, "no parameter 'horizon' .did you mean 'horizon_bars'"),
        ("log_return", {"horizon_bars": 0}, "1 or more"),
        ("log_return", {"horizon_bars": 1.5}, "whole number"),
        ("no_such_module:X", {}, "cannot be imported"),
        ("own_features:X", {}, "must be a data.features.Feature"),
    ],
)
def test_a_spec_that_cannot_be_meant_is_refused(own_module, name, params, said):
    with pytest.raises(ValueError, match=said):
        FeatureSpec(name=name, params=params)


def test_a_column_that_is_not_there_is_answered_with_the_nearest(random_panel):
    with pytest.raises(DataError, match="did you mean 'signal'"):
        compute_features(random_panel(0, 10), [spec("column", name="signl")])


def test_fewer_bars_than_the_lookback_are_refused(random_panel):
    with pytest.raises(DataError, match="have 14 bars, but the features look back 14"):
        compute_features(random_panel(0, 14), [spec("rsi", window_bars=14)])


def test_the_same_feature_twice_is_refused(random_panel):
    with pytest.raises(ValueError, match="repeat a name"):
        compute_features(random_panel(0, 40), [spec("rsi", window_bars=14)] * 2)


def test_an_own_feature_that_is_not_finite_or_has_a_wrong_shape_is_named(own_module, random_panel):
    with pytest.raises(ValueError, match="'own_features:INFINITE' returned values that are not finite"):
        compute_features(random_panel(0, 10), [spec("own_features:INFINITE")])
    with pytest.raises(ValueError, match="'own_features:MISSHAPEN' returned shape"):
        compute_features(random_panel(0, 10), [spec("own_features:MISSHAPEN")])
