"""A portfolio env without limits or exits, half of equity an entry, at 2 bps a side: what tests start from."""

from __future__ import annotations

from envs.actions import ActionConfig
from envs.config import PortfolioEnvConfig
from envs.costs import CostConfig
from envs.episodes import EpisodeConfig
from envs.observations import ObservationConfig
from envs.rewards import REWARD_TERMS, RewardConfig
from envs.risk import RiskConfig
from envs.sizing import SizingConfig


def plain_env() -> PortfolioEnvConfig:
    weights = dict.fromkeys(REWARD_TERMS, 0.0) | {"net_return": 1.0}
    return PortfolioEnvConfig(
        initial_equity=100_000.0,
        action=ActionConfig(scheme="direction", allow_short=True, rebalance_band=0.0),
        sizing=SizingConfig(
            rule="fixed_fraction",
            units=1.0,
            fraction=0.5,
            risk_fraction=0.01,
            target_volatility=0.1,
            kelly_fraction=0.5,
            kelly_min_trades=30,
            max_fraction=0.5,
            schedule=(),
        ),
        costs=CostConfig(
            half_spread_bps=1.0,
            fee_bps=1.0,
            slippage="none",
            slippage_value=0.0,
            impact_coefficient=0.0,
            max_participation=None,
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
            ruin_equity=0.2,
        ),
        reward=RewardConfig(
            scale=500.0,
            **weights,
            differential_sharpe_rate=0.01,
            edge_minutes=0.0,
            edge_factor=1.0,
            function=None,
        ),
        episode=EpisodeConfig(
            kind="random", bars=64, warmup_bars=0, liquidate_at_end=False, num_assets=None, randomisation=None
        ),
        observation=ObservationConfig(return_scale=0.01, holding_scale_bars=48),
        factory=None,
    )
