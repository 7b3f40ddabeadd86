"""Flags of symbols and sectors, and an asset among its sector, by hand; flags are observed as they are."""

from __future__ import annotations

import numpy as np
import pytest
from library_specs import rough_panel

from data.features import FeatureSpec, Standardiser, compute_features
from data.features.library import FEATURES
from data.features.pruning import PruneConfig, fit_standardiser

SYMBOLS = ("AMD", "NVDA", "JPM", "GLD", "BAC")
SECTORS = {"AMD": "chips", "NVDA": "chips", "JPM": "big banks", "BAC": "big banks", "XOM": "oil"}
FLAGS = [FeatureSpec(name="symbol_identity"), FeatureSpec(name="sector", params={"sectors": SECTORS})]


@pytest.fixture(scope="module")
def panel():
    return rough_panel(1, 220, SYMBOLS, missing=0.05)


def test_each_symbol_has_a_flag_of_its_own(panel):
    found = compute_features(panel, FLAGS[:1])
    assert found.asset_names == tuple(f"symbol_identity_{symbol}" for symbol in SYMBOLS)
    assert (found.asset == np.eye(5)).all()


def test_each_sector_has_a_flag_and_so_have_symbols_without_one(panel):
    found = compute_features(panel, FLAGS[1:])
    # Oil has an output though the data have no symbol of it: the outputs are the same on every panel.
    assert found.asset_names == ("sector_big_banks", "sector_chips", "sector_oil", "sector_unknown")
    expected = [[0, 1, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0]]
    assert (found.asset == np.array(expected)).all()
    assert compute_features(panel.select(["GLD"]), FLAGS[1:]).asset_names == found.asset_names


@pytest.mark.parametrize("method", ["by_symbol", "pooled", "own_past"])
@pytest.mark.parametrize("prune", [None, PruneConfig(max_correlation=1.0, min_known=0.5, max_same=0.999)])
def test_flags_are_observed_as_they_are_and_others_are_standardised(panel, method, prune):
    specs = [FeatureSpec(name="log_return", params={"horizon_bars": 1}), *FLAGS]
    features = compute_features(panel, specs)
    fitted = fit_standardiser(features, slice(1, 150), clip=10.0, prune=prune, method=method)
    again = Standardiser.from_dict(fitted.to_dict())
    for one in (fitted, again):
        observed = one.transform(features).asset
        kept = ~np.isin(features.asset_names, one.pruned)
        assert (observed[..., 1:] == features.asset[..., 1:] * kept[1:]).all()
    # What no symbol of the data has says nothing, and a flag may be a copy of another: both may be pruned.
    assert set(fitted.pruned) == (set() if prune is None else {"sector_oil"})
    if method != "own_past":
        np.testing.assert_allclose(observed[1:150, :, 0].mean(), 0.0, atol=0.02)


def test_the_return_within_a_sector_is_that_less_the_mean_of_its_tradable_members(panel):
    spec = FeatureSpec(name="sector_demeaned", params={"horizon_bars": 2, "sectors": SECTORS})
    found = compute_features(panel, [spec]).asset[..., 0]
    returns = np.full(panel.close.shape, np.nan)
    returns[2:] = np.log(panel.close[2:] / panel.close[:-2])
    returns[~panel.tradable] = np.nan
    for pair in ([0, 1], [2, 4]):
        for t in range(2, panel.num_bars):
            known = [a for a in pair if np.isfinite(returns[t, a])]
            for a in pair:
                expected = returns[t, a] - np.mean(returns[t, known]) if a in known else np.nan
                np.testing.assert_allclose(found[t, a], expected, atol=1e-6)
    assert np.isnan(found[:, 3]).all()


def test_the_rank_within_a_sector():
    panel = rough_panel(2, 60, ("A", "B", "C", "D"), missing=0.1, still=0.0)
    sectors = {"A": "x", "B": "x", "C": "x"}
    spec = FeatureSpec(name="sector_rank", params={"horizon_bars": 1, "sectors": sectors})
    found = compute_features(panel, [spec]).asset[..., 0]
    moved = np.log(panel.close[1:] / panel.close[:-1])
    moved[~panel.tradable[1:]] = np.nan
    for t, row in enumerate(moved, start=1):
        order = np.sort(row[:3][np.isfinite(row[:3])])
        for a in range(3):
            if np.isnan(row[a]):
                assert np.isnan(found[t, a])
            elif len(order) == 1:
                assert found[t, a] == 0.0
            else:
                place = int(np.searchsorted(order, row[a]))
                np.testing.assert_allclose(found[t, a], 2.0 * place / (len(order) - 1) - 1.0)


def test_symbols_without_a_sector_are_told(panel):
    told = FEATURES["sector"].lacks(panel, {"sectors": SECTORS})
    assert "no sector is given for GLD (instruments.symbols.GLD.sector)" in told
    assert FEATURES["sector"].lacks(panel, {"sectors": SECTORS | {"GLD": "gold"}}) == ""


def test_of_many_assets_the_members_alone_give_the_same_bits(panel, monkeypatch):
    for name in ("sector_demeaned", "sector_rank"):
        params = {"horizon_bars": 3, "sectors": SECTORS}
        all_of_them = FEATURES[name].function(panel, **params)
        monkeypatch.setattr("data.features.identity.FEW_ASSETS", 2)
        members = FEATURES[name].function(panel, **params)
        monkeypatch.undo()
        assert np.array_equal(members, all_of_them, equal_nan=True)
        assert np.isnan(members[:, 3]).all()
