"""No NaN and no infinity reaches an observation, whatever the bars are like."""

from __future__ import annotations

import numpy as np
import pytest
from library_specs import PARAMS, SYMBOLS

from data.features import FeatureSpec, Standardiser, compute_features
from data.schema import Panel

NEEDS_REFERENCES = ("reference", "first", "second", "near", "far")
OWN_BARS = [
    FeatureSpec(name=name, params=params)
    for name, choices in PARAMS.items()
    for params in choices
    if name != "column" and not set(params) & set(NEEDS_REFERENCES)
]


def wild_panel(random: np.random.Generator, num_bars: int, num_assets: int) -> Panel:
    """Bars with gaps, halts, dead assets, zero volume, prices that stand still, and jumps of any size."""
    shape = (num_bars, num_assets)
    size = 10.0 ** random.uniform(-6, 0, num_assets)
    moves = size * random.standard_t(3, shape) * (random.random(shape) < random.uniform(0.1, 1.0))
    close = 10.0 ** random.uniform(-3, 5) * np.exp(np.clip(np.cumsum(moves, axis=0), -12, 12))
    opened = close * np.exp(np.clip(size * random.standard_normal(shape), -1, 1))
    wick = np.exp(size * random.random(shape) * (random.random(shape) < 0.7))
    high, low = np.maximum(opened, close) * wick, np.minimum(opened, close) / wick
    missing = random.random(shape) < random.choice([0.0, 0.05, 0.5])
    for asset in np.flatnonzero(
        random.random(num_assets) < 0.3
    ):  # a halt, or a life that is shorter than the data
        start = random.integers(0, num_bars)
        missing[start : start + random.integers(1, num_bars), asset] = True
    missing[:, random.random(num_assets) < 0.02] = True
    volume = np.floor(random.exponential(10.0 ** random.uniform(0, 9), shape))
    volume *= random.random(shape) < random.choice([0.0, 0.5, 1.0])
    bars = {"open": opened, "high": high, "low": low, "close": close}
    times = np.datetime64("2020-01-01", "ns") + np.arange(num_bars) * np.timedelta64(3600, "s")
    known = ~missing
    return Panel(
        symbols=tuple(SYMBOLS[a] if a < len(SYMBOLS) else f"S{a}" for a in range(num_assets)),
        bar_utc=times,
        **{name: np.where(known, values, np.nan) for name, values in bars.items()},
        volume=np.where(known, volume, 0.0),
        tradable=known & (random.random(shape) < 0.95),
        session=times.astype("datetime64[D]").astype(np.int32),
        calendar="24/7",
        bar_seconds=3600,
    )


def observed_of(panel: Panel, specs: list[FeatureSpec]) -> np.ndarray:
    if panel.num_assets > 100:  # a flag for each symbol would be most of the work
        specs = [spec for spec in specs if spec.name != "symbol_identity"]
    features = compute_features(panel, specs)
    assert not np.isinf(features.asset).any()
    assert np.isfinite(features.clock).all()
    middle = (features.lookback_bars + panel.num_bars) // 2
    train = slice(features.lookback_bars, max(middle, features.lookback_bars + 1))
    return Standardiser.fit(features, train).transform(features).asset


@pytest.mark.parametrize(("seed", "num_assets"), [(0, 1), (1, 3), (2, 500)])
def test_every_value_is_finite_on_a_wild_panel(seed, num_assets):
    assert np.isfinite(observed_of(wild_panel(np.random.default_rng(seed), 120, num_assets), OWN_BARS)).all()


@pytest.mark.slow
def test_every_value_is_finite_on_a_thousand_wild_panels():
    for seed in range(1_000):
        random = np.random.default_rng(seed)
        num_assets = 500 if seed % 100 == 0 else int(random.choice([1, 2, 3, 8]))
        panel = wild_panel(random, int(random.integers(110, 200)), num_assets)
        assert np.isfinite(observed_of(panel, OWN_BARS)).all(), f"seed {seed}"
