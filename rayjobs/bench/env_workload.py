"""Markets and configurations that the env suite steps: random walks, with costs and limits off or all on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from data.features.compute import FeatureSet
from data.schema import Panel
from envs.actions import ActionConfig
from envs.barriers import BarrierConfig
from envs.config import PortfolioEnvConfig
from envs.context import ContextConfig
from envs.costs import CostConfig
from envs.episodes import EpisodeConfig
from envs.instruments import CATALOGUE
from envs.market import Market
from envs.observations import ObservationConfig
from envs.rewards import REWARD_TERMS, RewardConfig
from envs.risk import RiskConfig
from envs.rules import context_in_use
from envs.sizing import SizingConfig


def random_market(
    config: PortfolioEnvConfig, *, num_assets: int, num_features: int, num_bars: int = 20_000
) -> Market:
    """Perpetuals on a random walk of 30-minute bars, with noise features and the context that `config` reads."""
    rng = np.random.default_rng(0)
    shape = (num_bars, num_assets)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 1e-3, shape), axis=0))
    open_ = np.vstack([close[:1], close[:-1]]) * np.exp(rng.normal(0, 1e-4, shape))
    symbols = tuple(f"S{index}" for index in range(num_assets))
    panel = Panel(
        symbols=symbols,
        bar_utc=np.datetime64("2020-01-01", "ns") + np.arange(num_bars) * np.timedelta64(1800, "s"),
        open=open_,
        high=np.maximum(open_, close) * 1.0005,
        low=np.minimum(open_, close) * 0.9995,
        close=close,
        volume=np.full(shape, 1e4),
        tradable=np.ones(shape, bool),
        session=(18_262 + np.arange(num_bars) // 48).astype(np.int32),
        calendar="24/7",
        bar_seconds=1800,
    )
    features = FeatureSet(
        asset=rng.normal(size=(*shape, num_features)).astype(np.float32),
        clock=rng.normal(size=(num_bars, 4)).astype(np.float32),
        asset_names=tuple(f"noise_{index}" for index in range(num_features)),
        clock_names=("a", "b", "c", "d"),
        lookback_bars=48,
        feature_hash="noise",
    )
    instruments = dict.fromkeys(symbols, CATALOGUE["crypto_perpetual"])
    context = ContextConfig(atr_bars=14, volatility_bars=48, adv_bars=48, until_full="no_entry")
    return Market.build(panel, features, instruments, context_in_use(context, config, panel, instruments))


def plain_config() -> PortfolioEnvConfig:
    """Spread, fee, participation cap, gross cap; reward from equity."""
    terms = {**dict.fromkeys(REWARD_TERMS, 0.0), "net_return": 1.0}
    return PortfolioEnvConfig(
        initial_equity=10_000.0,
        action=ActionConfig(scheme="direction", allow_short=True, rebalance_band=0.0),
        sizing=SizingConfig(
            rule="fixed_fraction",
            units=1.0,
            fraction=0.2,
            risk_fraction=0.01,
            target_volatility=0.1,
            kelly_fraction=0.5,
            kelly_min_trades=30,
            max_fraction=0.5,
            schedule=(),
        ),
        costs=CostConfig(
            half_spread_bps=None,
            fee_bps=None,
            slippage="none",
            slippage_value=0.0,
            impact_coefficient=0.0,
            max_participation=0.1,
            remainder="carry",
            latency_bars=0,
            borrow=False,
            funding=False,
            delisting_recovery=1.0,
        ),
        barriers=None,
        risk=RiskConfig(
            max_gross_exposure=1.0,
            max_position_exposure=None,
            margin=False,
            max_daily_loss=None,
            max_drawdown=None,
            max_var=None,
            var_bars=100,
            var_level=0.95,
            max_entries_per_session=None,
            min_holding_bars=0,
            no_trade_open_bars=0,
            no_trade_close_bars=0,
            flat_at_session_end="never",
            ruin_equity=0.1,
        ),
        reward=RewardConfig(
            scale=500.0,
            differential_sharpe_rate=0.01,
            edge_minutes=15.0,
            edge_factor=2.0,
            function=None,
            **terms,
        ),
        episode=EpisodeConfig(
            kind="random",
            bars=256,
            warmup_bars=0,
            liquidate_at_end=False,
            num_assets=None,
            randomisation=None,
        ),
        observation=ObservationConfig(return_scale=0.02, holding_scale_bars=32.0),
        factory=None,
    )


def impact() -> PortfolioEnvConfig:
    """Spread, fee and market impact on an order in every bar: toward a target weight."""
    base = plain_config()
    return replace(
        base, action=replace(base.action, scheme="weights"), costs=replace(base.costs, impact_coefficient=1.0)
    )


def everything_on() -> PortfolioEnvConfig:
    """All costs, barriers, limits and reward terms at once."""
    base = plain_config()
    return replace(
        base,
        sizing=replace(base.sizing, rule="volatility_target"),
        costs=replace(
            base.costs,
            slippage="volume",
            slippage_value=0.1,
            impact_coefficient=1.0,
            latency_bars=1,
            borrow=True,
            funding=True,
        ),
        barriers=BarrierConfig(
            unit="atr", profit_target=6.0, stop_loss=4.0, trailing_stop=5.0, time_limit_bars=48
        ),
        risk=replace(
            base.risk,
            margin=True,
            max_position_exposure=0.5,
            max_daily_loss=0.05,
            max_drawdown=0.3,
            max_var=0.05,
            max_entries_per_session=50,
            min_holding_bars=1,
            no_trade_open_bars=1,
            no_trade_close_bars=1,
            flat_at_session_end="last_open",
        ),
        reward=replace(base.reward, **dict.fromkeys(REWARD_TERMS, 0.1)),
    )
