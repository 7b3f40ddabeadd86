"""A portfolio env without limits or exits, half of equity an entry, at 2 bps a side: what tests start from."""

from __future__ import annotations

from dataclasses import replace

from envs.config import PortfolioEnvConfig
from envs.observations import ObservationConfig
from rayjobs.bench.env_workload import plain_config


def plain_env() -> PortfolioEnvConfig:
    base = plain_config()
    return replace(
        base,
        initial_equity=100_000.0,
        sizing=replace(base.sizing, fraction=0.5),
        costs=replace(base.costs, half_spread_bps=1.0, fee_bps=1.0, max_participation=None),
        risk=replace(base.risk, ruin_equity=0.2),
        reward=replace(base.reward, edge_minutes=0.0, edge_factor=1.0),
        episode=replace(base.episode, bars=64),
        observation=ObservationConfig(return_scale=0.01, holding_scale_bars=48),
    )
