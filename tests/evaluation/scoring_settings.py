"""Settings of scoring for tests: nothing beside the policy and its baselines unless a test asks for it."""

from __future__ import annotations

from typing import Any

from evaluation.scoring.fold_scoring import ScoringConfig
from evaluation.scoring.supervised import SupervisedConfig

FIT = SupervisedConfig(
    horizon_bars=1, penalty=1e-3, threshold=1.0, trade_share=0.3, round_trip_cost=4e-4, seed=0
)


def scoring_config(**asked: Any) -> ScoringConfig:
    nothing = {
        "rebalance_sessions": 5, "target_volatility": 0.1,
        "cost_factor": 1.0, "placebo_strategies": 0, "supervised": (), "supervised_fit": FIT,
        "placebo_runs": 0, "placebo_block_bars": 1, "placebo_env_steps": 1,
    }  # fmt: skip
    return ScoringConfig(**nothing | asked)
