"""A schedule recorded over windows as a job scores it, for tests that look at each bar."""

from __future__ import annotations

from collections.abc import Sequence

from envs.config import PortfolioEnvConfig
from envs.episodes import Window
from envs.market import Market
from envs.recording import Recording
from evaluation.scoring.allocations import plan_window
from evaluation.scoring.rollout import evaluation_config, planned_policy, rollout, whole_window_env
from policies.baselines import Schedule


def run_schedule(
    schedule: Schedule,
    market: Market,
    config: PortfolioEnvConfig,
    windows: Sequence[Window],
    *,
    rebalance_sessions: int | None = None,
    cost_factor: float = 1.0,
    extra_latency_bars: int = 0,
) -> list[Recording]:
    """One recording per window, at a multiple of every cost and with bars added to the latency."""
    recordings = []
    for window in windows:
        plan = plan_window(schedule, market, config, window, rebalance_sessions)
        scored = evaluation_config(plan.config, extra_latency_bars=extra_latency_bars)
        env = whole_window_env(market, scored, [window], cost_factor)
        recordings += rollout(planned_policy([plan], scored), env)
    return recordings
