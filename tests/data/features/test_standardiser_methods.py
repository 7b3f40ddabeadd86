"""Standardised by the pooled statistics of all symbols, or by each symbol's own past."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data.features import FeatureSet, Standardiser
from data.features.pruning import PruneConfig, fit_standardiser
from data.features.standardiser import OWN_PAST_VALUES, expanding_score


def features_of(values: np.ndarray) -> FeatureSet:
    """(T, A, F) values as features f0, f1, ..."""
    return FeatureSet(
        asset=values.astype(np.float32), clock=np.zeros((len(values), 0), np.float32),
        asset_names=tuple(f"f{k}" for k in range(values.shape[2])), clock_names=(), lookback_bars=0, feature_hash="h",
    )  # fmt: skip


def drawn(num_bars: int = 400, num_assets: int = 3, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    values = random.standard_normal((num_bars, num_assets, 2)) * [2.0, 0.5] + [5.0, -1.0]
    return values + np.arange(num_assets)[None, :, None]  # every asset has a level of its own


def test_pooled_statistics_are_those_of_all_values_of_the_window_together():
    values = drawn()
    values[3, 1, 0] = np.nan
    found = Standardiser.fit(features_of(values), slice(0, 200), method="pooled")
    together = values[:200].astype(np.float32).astype(np.float64).reshape(-1, 2)
    np.testing.assert_allclose(found.mean, np.tile(np.nanmean(together, axis=0), (3, 1)), rtol=1e-12)
    np.testing.assert_allclose(found.std, np.tile(np.nanstd(together, axis=0), (3, 1)), rtol=1e-12)


def test_pooled_statistics_standardise_symbols_that_were_not_among_them():
    fitted = Standardiser.fit(features_of(drawn()), slice(0, 200), method="pooled")
    others = features_of(drawn(num_assets=5, seed=1))
    found = fitted.for_assets(5).transform(others).asset
    expected = (others.asset.astype(np.float64) - fitted.mean[0]) / fitted.std[0]
    np.testing.assert_allclose(found, np.clip(expected, -10, 10), rtol=1e-5)


def test_statistics_of_each_symbol_say_nothing_of_another():
    fitted = Standardiser.fit(features_of(drawn()), slice(0, 200))
    with pytest.raises(ValueError, match="set features.standardise to pooled or own_past"):
        fitted.for_assets(5)


def test_the_own_past_is_every_known_value_up_to_and_with_the_bar():
    values = drawn()
    values[10:30, 0, 0] = np.nan
    found = (
        Standardiser.fit(features_of(values), slice(0, 5), method="own_past")
        .transform(features_of(values))
        .asset
    )
    kept = values.astype(np.float32).astype(np.float64)
    for t, a, f in ((99, 1, 0), (150, 0, 0), (399, 2, 1), (119, 0, 0), (118, 0, 0)):
        past = kept[: t + 1, a, f][np.isfinite(kept[: t + 1, a, f])]
        expected = (kept[t, a, f] - past.mean()) / past.std() if len(past) >= OWN_PAST_VALUES else 0.0
        assert found[t, a, f] == pytest.approx(expected, rel=1e-5)
    assert found[15][0, 0] == 0.0
    assert (found[:99] == 0.0).all()


def test_the_own_past_knows_nothing_of_later_bars_nor_of_other_symbols():
    values = drawn()
    other = values.copy()
    other[250:] = 1e6
    other[:, 1] *= -7.0
    one, two = (
        Standardiser.fit(features_of(v), slice(0, 5), method="own_past").transform(features_of(v))
        for v in (values, other)
    )
    np.testing.assert_array_equal(one.asset[:250, [0, 2]], two.asset[:250, [0, 2]])


def test_a_level_far_from_zero_takes_no_digits_from_the_own_past():
    values = np.random.default_rng(2).standard_normal((500, 1)).astype(np.float32)
    far = (values * 64.0 + 2.0**23).astype(np.float32)  # whole numbers, exact in float32
    moved = far.astype(np.float64)
    expected = (moved[-1, 0] - moved.mean()) / moved.std()
    assert expanding_score(far)[-1, 0] == pytest.approx(expected, rel=1e-9)


def test_a_constant_says_nothing_by_any_method():
    values = np.full((300, 2, 1), 0.1)
    for method in ("by_symbol", "pooled", "own_past"):
        fitted = Standardiser.fit(features_of(values), slice(0, 200), method=method)
        assert (fitted.transform(features_of(values)).asset == 0.0).all()


@pytest.mark.parametrize("method", ["by_symbol", "pooled", "own_past"])
def test_what_a_contract_holds_gives_the_same_standardiser_back(method):
    features = features_of(
        np.concatenate([drawn(), drawn()[:, :, :1]], axis=2)
    )  # the third repeats the first
    prune = PruneConfig(max_correlation=0.99, min_known=0.5, max_same=0.9)
    fitted = fit_standardiser(features, slice(0, 200), clip=10.0, prune=prune, method=method)
    assert fitted.pruned == ("f2",)
    again = Standardiser.from_dict(fitted.to_dict())
    np.testing.assert_array_equal(again.transform(features).asset, fitted.transform(features).asset)
    assert (again.transform(features).asset[:, :, 2] == 0.0).all()
    assert "method" not in replace(fitted, method="by_symbol").to_dict()


def test_an_unknown_method_is_refused():
    with pytest.raises(
        ValueError, match="features.standardise is 'ranks'; it must be one of by_symbol, pooled, own_past"
    ):
        Standardiser.fit(features_of(drawn()), slice(0, 200), method="ranks")
