"""A small synthetic market and a plain portfolio env for the evaluator's tests."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from data.features.compute import FeatureSet
from data.schema import Panel
from data.synthetic import NoiseConfig, PlantedSignalConfig, SyntheticConfig, make_market
from envs.actions import ActionConfig
from envs.config import PortfolioEnvConfig
from envs.costs import CostConfig
from envs.episodes import EpisodeConfig
from envs.instruments import CRYPTO_SPOT
from envs.market import Market
from envs.observations import ObservationConfig
from envs.rewards import REWARD_TERMS, RewardConfig
from envs.risk import RiskConfig
from envs.sizing import SizingConfig

sys.path.insert(0, str(Path(__file__).parent))  # lets tests import what stands beside them

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
    columns = sorted(panel.exogenous)
    features = FeatureSet(
        asset=np.stack([panel.exogenous[name] for name in columns], axis=-1).astype(np.float32),
        clock=np.zeros((panel.num_bars, 1), dtype=np.float32),
        asset_names=tuple(columns),
        clock_names=("none",),
        lookback_bars=0,
        feature_hash="test",
    )
    market = Market.build(panel, features, dict.fromkeys(panel.symbols, CRYPTO_SPOT))
    return World(panel=panel, market=market, config=plain_env(), oracle_direction=synthetic.oracle_direction)


def plain_env() -> PortfolioEnvConfig:
    weights = dict.fromkeys(REWARD_TERMS, 0.0) | {"net_return": 1.0}
    return PortfolioEnvConfig(
        initial_equity=100_000.0,
        action=ActionConfig(scheme="direction", allow_short=True, rebalance_band=0.0),
        sizing=SizingConfig(
            rule="fixed_fraction", units=1.0, fraction=0.5, risk_fraction=0.01, target_volatility=0.1,
            kelly_fraction=0.5, kelly_min_trades=30, max_fraction=0.5, schedule=(),
        ),
        costs=CostConfig(
            half_spread_bps=1.0, fee_bps=1.0, slippage="none", slippage_value=0.0, impact_coefficient=0.0,
            max_participation=None, remainder="carry", latency_bars=0, borrow=False, funding=False,
            delisting_recovery=1.0,
        ),
        barriers=None,
        risk=RiskConfig(
            max_gross_exposure=1.0, max_position_exposure=None, margin=False, max_daily_loss=None,
            max_drawdown=None, max_var=None, var_bars=100, var_level=0.95, max_entries_per_session=None,
            min_holding_bars=0, no_trade_open_bars=0, no_trade_close_bars=0, flat_at_session_end="never",
            ruin_equity=0.2,
        ),
        reward=RewardConfig(
            scale=500.0, **weights, differential_sharpe_rate=0.01, edge_minutes=0.0, edge_factor=1.0
        ),
        episode=EpisodeConfig(
            kind="random", bars=64, warmup_bars=0, liquidate_at_end=False, num_assets=None, randomisation=None
        ),
        observation=ObservationConfig(return_scale=0.01, holding_scale_bars=48),
    )  # fmt: skip


@pytest.fixture(scope="session")
def signal_world() -> World:
    """Two assets whose visible sign predicts the next return (drift 5 bps against costs of 2 bps a side)."""
    return make_world(PlantedSignalConfig(seed=5, num_bars=2000, drift=5e-4, flip_probability=0.05, **COMMON))


@pytest.fixture(scope="session")
def noise_world() -> World:
    """Two assets with independent returns: nothing can be earned."""
    return make_world(NoiseConfig(seed=6, num_bars=2000, **COMMON))
