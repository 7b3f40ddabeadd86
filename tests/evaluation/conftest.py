"""A small synthetic market and a plain portfolio env for the evaluator's tests."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from data.schema import Panel
from data.synthetic import NoiseConfig, PlantedSignalConfig, SyntheticConfig, make_market
from envs.config import PortfolioEnvConfig
from envs.instruments import CRYPTO_SPOT
from envs.market import Market

sys.path.insert(0, str(Path(__file__).parent))  # lets tests import what stands beside them
from column_features import column_features
from plain_env import plain_env

COMMON = {
    "num_assets": 2, "bar_seconds": 1800, "start_utc": "2024-01-01", "volatility": 0.002, "noise_features": 1,
    "cost_bps": 2.0,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class World:
    """A market with everything needed to trade it; features are the exogenous columns as they are."""

    panel: Panel
    market: Market
    config: PortfolioEnvConfig
    oracle_direction: np.ndarray


def make_world(law: SyntheticConfig) -> World:
    synthetic = make_market(law)
    panel = synthetic.panel
    market = Market.build(panel, column_features(panel), dict.fromkeys(panel.symbols, CRYPTO_SPOT))
    return World(panel=panel, market=market, config=plain_env(), oracle_direction=synthetic.oracle_direction)


@pytest.fixture(scope="session")
def signal_world() -> World:
    """Two assets whose visible sign predicts the next return (drift 5 bps against costs of 2 bps a side)."""
    return make_world(PlantedSignalConfig(seed=5, num_bars=2000, drift=5e-4, flip_probability=0.05, **COMMON))


@pytest.fixture(scope="session")
def noise_world() -> World:
    """Two assets with independent returns: nothing can be earned."""
    return make_world(NoiseConfig(seed=6, num_bars=2000, **COMMON))


@pytest.fixture(scope="session")
def draw_world():
    """Draws a further world: the law and the facts in which it differs."""
    return lambda law, **facts: make_world(law(**{"num_bars": 2000, **COMMON, **facts}))
