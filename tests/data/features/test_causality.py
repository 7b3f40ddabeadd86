"""The first features are causal, and their lookback is honest: bit for bit, on random markets with holes.

The whole library is tested in `test_library`.

What is perturbed is not a little noise: every bar on the other side of the line is drawn anew.
"""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.features import FeatureSpec, compute_features
from data.features.compute import FEATURES
from data.schema import BAR_COLUMNS, Panel

SPECS = {
    "log_return": [{"horizon_bars": 1}, {"horizon_bars": 7}],
    "realised_volatility": [{"window_bars": 1}, {"window_bars": 9}],
    "atr": [{"window_bars": 1}, {"window_bars": 9}],
    "rsi": [{"window_bars": 1}, {"window_bars": 9}],
    "relative_volume": [{"window_bars": 1}, {"window_bars": 9}],
    "column": [{"name": "signal"}, {"name": "*"}],
    "time_of_day": [{}],
    "day_of_week": [{}],
    "session_flags": [{"edge_minutes": 30}],
    "bars_to_close": [{}],
}
ALL = [FeatureSpec(name=name, params=params) for name, given_ in SPECS.items() for params in given_]


def splice(first, second, at):
    """Return a panel with the bars of `first` before `at`, and those of `second` from there on."""
    joined = {f.name: getattr(first, f.name) for f in fields(Panel)}
    for name in (*BAR_COLUMNS, "tradable"):
        joined[name] = np.concatenate([getattr(first, name)[:at], getattr(second, name)[at:]])
    joined["exogenous"] = {
        name: np.concatenate([first.exogenous[name][:at], second.exogenous[name][at:]])
        for name in first.exogenous
    }
    return Panel(**joined)


def same_bits(left, right):
    return left.tobytes() == right.tobytes()


@pytest.mark.parametrize("spec", ALL, ids=str)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), at=st.integers(12, 59), missing=st.sampled_from([0.0, 0.1, 0.4]))
def test_another_future_moves_nothing_at_or_before_t(random_panel, spec, seed, at, missing):
    panel = random_panel(seed, 60, missing=missing)
    other = splice(panel, random_panel(seed + 1, 60, missing=missing), at)
    here, there = compute_features(panel, [spec]), compute_features(other, [spec])
    assert same_bits(here.asset[:at], there.asset[:at])
    assert same_bits(here.clock[:at], there.clock[:at])


@pytest.mark.parametrize("spec", ALL, ids=str)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), at=st.integers(12, 60), missing=st.sampled_from([0.0, 0.1, 0.4]))
def test_cutting_the_future_off_moves_nothing(random_panel, spec, seed, at, missing):
    panel = random_panel(seed, 60, missing=missing)
    whole, part = compute_features(panel, [spec]), compute_features(panel.slice_bars(0, at), [spec])
    assert same_bits(whole.asset[:at], part.asset)
    assert same_bits(whole.clock[:at], part.clock)


@pytest.mark.parametrize("spec", ALL, ids=str)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), at=st.integers(1, 45), missing=st.sampled_from([0.0, 0.1, 0.4]))
def test_another_past_before_the_declared_lookback_moves_nothing_at_t(random_panel, spec, seed, at, missing):
    panel = random_panel(seed, 60, missing=missing)
    other = splice(random_panel(seed + 1, 60, missing=missing), panel, at)
    here, there = compute_features(panel, [spec]), compute_features(other, [spec])
    # Bars from `at` on are unchanged; the first row that reads none before them is at + lookback.
    first = at + here.lookback_bars
    assert same_bits(here.asset[first:], there.asset[first:])
    assert same_bits(here.clock[first:], there.clock[first:])


@pytest.mark.parametrize("spec", [s for s in ALL if FEATURES[s.name].kind == "asset"], ids=str)
def test_the_declared_lookback_is_not_larger_than_needed(random_panel, spec):
    # With the first bar redrawn, row `lookback` reads it, so it moves (in most draws: a sign may come out again).
    moved = False
    for seed in range(12):
        panel, other = random_panel(seed, 60), random_panel(seed + 100, 60)
        here, there = compute_features(panel, [spec]), compute_features(splice(other, panel, 1), [spec])
        moved |= bool((there.asset != here.asset)[here.lookback_bars].any())
    assert moved


@pytest.mark.parametrize("spec", [s for s in ALL if FEATURES[s.name].kind == "asset"], ids=str)
def test_an_asset_feature_reads_its_own_asset_only(random_panel, spec):
    panel = random_panel(5, 60, num_assets=3, missing=0.1)
    alone = compute_features(panel.select(["B"]), [spec])
    assert same_bits(alone.asset[:, 0], np.ascontiguousarray(compute_features(panel, [spec]).asset[:, 1]))
