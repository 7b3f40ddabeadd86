"""Runs policies through the training simulator, many windows as one batch, and returns what was recorded.

Exploration is off; the policy's recurrent state is carried from bar to bar and reset exactly where an episode ends.
With `EpisodeConfig.warmup_bars` the state is warmed up on bars before the window, in which the env blocks trading.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, cast

import numpy as np
from gymnasium.vector import AutoresetMode

from envs.config import PortfolioEnvConfig
from envs.episodes import RandomisationConfig, Window
from envs.market import Market
from envs.portfolio import PortfolioVectorEnv
from envs.recording import Recorder, Recording
from policies.baselines import Schedule, ScheduledPolicy
from policies.protocol import Policy, restart_rows

Scheme = Literal["direction", "orders", "direction_size", "weights"]


def rollout(policy: Policy, env: PortfolioVectorEnv) -> list[Recording]:
    """Run the first episode of every env row to its end; one recording per row, in row order.

    Rows whose episode is over restart and are ignored until the longest one ends.

    Raises
    ------
    ValueError
        If the env does not reset a row in the step that ends its episode (SAME_STEP).
    """
    mode = env.metadata.get("autoreset_mode")
    if mode != AutoresetMode.SAME_STEP:
        raise ValueError(f"the env has autoreset mode {mode}; build it with SAME_STEP for a rollout")
    recorder = Recorder(env)
    try:
        observation, _ = env.reset()
        state = policy.initial_state(env.num_envs)
        running = np.ones(env.num_envs, dtype=bool)
        while True:
            actions, state = policy.act(observation, state)
            observation, _, terminated, truncated, _ = env.step(actions)
            ended = terminated | truncated
            if ended.any():
                running &= ~ended
                if not running.any():
                    return recorder.recordings()
                state = restart_rows(state, policy.initial_state(env.num_envs), ended)
    finally:
        recorder.detach()


def evaluation_config(
    config: PortfolioEnvConfig,
    *,
    scheme: str | None = None,
    cost_factor: float = 1.0,
    extra_latency_bars: int = 0,
) -> PortfolioEnvConfig:
    """The training config as it is scored: whole windows, nothing randomised, positions closed at the window's end.

    Parameters
    ----------
    scheme : another action scheme (a baseline that needs weights); None keeps the config's.
    cost_factor : multiple of every cost, for stress tests.
    extra_latency_bars : bars added between a decision and its fill.
    """
    costs = None
    if cost_factor != 1.0:
        costs = RandomisationConfig(
            tickers=False, cost_low=cost_factor, cost_high=cost_factor, max_extra_latency_bars=0
        )
    episode = replace(
        config.episode, kind="whole", liquidate_at_end=True, num_assets=None, randomisation=costs
    )
    return replace(
        config,
        episode=episode,
        action=config.action if scheme is None else replace(config.action, scheme=cast(Scheme, scheme)),
        costs=replace(config.costs, latency_bars=config.costs.latency_bars + extra_latency_bars),
    )


def whole_window_env(
    market: Market, config: PortfolioEnvConfig, windows: Sequence[Window]
) -> PortfolioVectorEnv:
    """An env with one row per window; `config` as `evaluation_config` makes it."""
    return PortfolioVectorEnv(market, config, num_envs=len(windows), windows=list(windows), seed=0)


def run_policy(
    policy: Policy, market: Market, config: PortfolioEnvConfig, windows: Sequence[Window]
) -> list[Recording]:
    """Roll a policy out over several windows as one batch; one recording per window."""
    return rollout(policy, whole_window_env(market, config, windows))


def run_schedules(
    schedules: Mapping[str, Schedule],
    market: Market,
    config: PortfolioEnvConfig,
    windows: Sequence[Window],
    *,
    cost_factor: float = 1.0,
    extra_latency_bars: int = 0,
) -> dict[str, list[Recording]]:
    """Run named schedules over the windows under one config's costs and limits, as one batch per action scheme.

    Returns
    -------
    name -> one recording per window.
    """
    recordings: dict[str, list[Recording]] = {}
    for scheme in {schedule.scheme for schedule in schedules.values()}:
        names = [name for name, schedule in schedules.items() if schedule.scheme == scheme]
        scored = evaluation_config(
            config, scheme=scheme, cost_factor=cost_factor, extra_latency_bars=extra_latency_bars
        )
        policy = _stacked_policy([schedules[name] for name in names], scored, windows)
        rows = run_policy(policy, market, scored, list(windows) * len(names))
        for index, name in enumerate(names):
            recordings[name] = rows[index * len(windows) : (index + 1) * len(windows)]
    return {name: recordings[name] for name in schedules}


def _stacked_policy(
    schedules: Sequence[Schedule], config: PortfolioEnvConfig, windows: Sequence[Window]
) -> ScheduledPolicy:
    """One schedule made of several laid end to end, so that one batch runs them all."""
    size = len(schedules[0].target_TA)
    first = np.array([window.start_bar - 1 - config.episode.warmup_bars for window in windows])
    return ScheduledPolicy(
        target_TA=np.concatenate([schedule.target_TA for schedule in schedules]),
        first_bar_E=np.concatenate([first + index * size for index in range(len(schedules))]),
        scheme=config.action.scheme,
    )
