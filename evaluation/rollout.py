"""Runs policies through the training simulator, many windows as one batch, and returns what was recorded.

Exploration is off; the policy's recurrent state is carried from bar to bar and reset exactly where an episode ends.
With `EpisodeConfig.warmup_bars` the state is warmed up on bars before the window, in which the env blocks trading.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from envs.config import PortfolioEnvConfig
from envs.episodes import RandomisationConfig, Window
from envs.kernel import columns as c
from envs.market import Market
from envs.portfolio import PortfolioVectorEnv
from envs.recording import Recorder, Recording
from evaluation.entry_delay import EntryDelay
from policies.baselines import Schedule, ScheduledPolicy
from policies.protocol import Policy, restart_rows

Scheme = Literal["direction", "orders", "direction_size", "weights"]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Conditions under which a row is run.

    Attributes
    ----------
    name : as the report shows it.
    cost_factor : multiple of every cost.
    extra_latency_bars : bars added between a decision and its fill.
    entry_delay_bars : bars that entries wait, exits do not (scheme `direction` only).
    """

    name: str
    cost_factor: float = 1.0
    extra_latency_bars: int = 0
    entry_delay_bars: int = 0


AS_CONFIGURED = Scenario(name="as configured")


@dataclass(frozen=True, kw_only=True)
class Track:
    """The returns of one window alone: all that a comparison needs, and much cheaper than a `Recording`.

    Attributes
    ----------
    bar : (N,) panel index of the bars marked.
    net_return : (N,) per-bar returns, net of costs.
    """

    bar: NDArray[np.int64]
    net_return: NDArray[np.float64]


def rollout(policy: Policy, env: PortfolioVectorEnv) -> list[Recording]:
    """Run the first episode of every env row to its end; one recording per row, in row order.

    Rows whose episode is over restart and are ignored until the longest one ends.

    Raises
    ------
    ValueError
        If the env does not reset a row in the step that ends its episode (SAME_STEP).
    """
    return record_rows(policy, env, range(env.num_envs))[0]


def record_rows(
    policy: Policy, env: PortfolioVectorEnv, rows: Sequence[int], scenarios: Sequence[Scenario] | None = None
) -> tuple[list[Recording], list[Track]]:
    """Like `rollout`, but with recordings of the named rows only, and a track of every row.

    Parameters
    ----------
    rows : rows to record in full.
    scenarios : conditions of each row, for an env that `scenario_env` built; None leaves them as configured.
    """
    recorder = Recorder(env, rows) if rows else None
    try:
        tracks = _run_episodes(policy, env, scenarios)
        return (recorder.recordings() if recorder else []), tracks
    finally:
        if recorder:
            recorder.detach()


def _run_episodes(
    policy: Policy, env: PortfolioVectorEnv, scenarios: Sequence[Scenario] | None = None
) -> list[Track]:
    mode = env.metadata.get("autoreset_mode")
    if mode != AutoresetMode.SAME_STEP:
        raise ValueError(f"the env has autoreset mode {mode}; build it with SAME_STEP for a rollout")
    observation, _ = env.reset()
    if scenarios is not None:
        _set_conditions(env, scenarios)
    first_E = env.rows.counter[:, c.BAR].astype(np.int64) + 1
    earning_E = env.rows.counter[:, c.START].astype(np.int64)
    state = policy.initial_state(env.num_envs)
    delay = None
    if scenarios is not None and any(scenario.entry_delay_bars for scenario in scenarios):
        delay = EntryDelay(np.array([scenario.entry_delay_bars for scenario in scenarios]))
    length_E = np.zeros(env.num_envs, dtype=np.int64)
    returns = []
    while not length_E.all():
        masks = {"allowed": env.action_masks()} if getattr(policy, "masks_actions", False) else {}
        actions, state = policy.act(observation, state, **masks)
        if delay is not None:
            actions = delay.apply(actions)
        observation, _, terminated, truncated, _ = env.step(actions)
        returns.append(env.rows.flow[:, c.NET_RETURN].copy())
        ended = terminated | truncated
        if ended.any():
            length_E = np.where(ended & (length_E == 0), len(returns), length_E)
            state = restart_rows(state, policy.initial_state(env.num_envs), ended)
    return_NE = np.stack(returns)
    return [
        Track(
            bar=np.arange(max(earning, first), first + length),
            net_return=return_NE[max(earning - first, 0) : length, row].copy(),
        )
        for row, (first, earning, length) in enumerate(
            zip(first_E.tolist(), earning_E.tolist(), length_E.tolist())
        )
    ]


def _set_conditions(env: PortfolioVectorEnv, scenarios: Sequence[Scenario]) -> None:
    """Give each row its own costs and latency for the episode that has just begun."""
    env.rows.put("account", c.COST_FACTOR, [scenario.cost_factor for scenario in scenarios])
    base = env.config.costs.latency_bars
    env.rows.put("counter", c.LATENCY, [base + scenario.extra_latency_bars for scenario in scenarios])


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
    return PortfolioVectorEnv(
        market, config, num_envs=len(windows), windows=list(windows), seed=0, copy=False
    )


def scenario_env(
    market: Market, config: PortfolioEnvConfig, windows: Sequence[Window], scenarios: Sequence[Scenario]
) -> PortfolioVectorEnv:
    """An env with a row per window and scenario, for `record_rows` with the same scenarios."""
    longest = max(scenario.extra_latency_bars for scenario in scenarios)
    room = RandomisationConfig(tickers=False, cost_low=1.0, cost_high=1.0, max_extra_latency_bars=longest)
    roomy = replace(config, episode=replace(config.episode, randomisation=room if longest else None))
    return whole_window_env(market, roomy, windows)


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
) -> dict[str, list[Track]]:
    """Run named schedules over the windows under one config's costs and limits, as one batch per action scheme.

    Returns
    -------
    name -> one track per window.
    """
    tracks: dict[str, list[Track]] = {}
    for scheme in {schedule.scheme for schedule in schedules.values()}:
        names = [name for name, schedule in schedules.items() if schedule.scheme == scheme]
        scored = evaluation_config(
            config, scheme=scheme, cost_factor=cost_factor, extra_latency_bars=extra_latency_bars
        )
        policy = stacked_policy([schedules[name] for name in names], scored, windows)
        rows = record_rows(policy, whole_window_env(market, scored, list(windows) * len(names)), ())[1]
        for index, name in enumerate(names):
            tracks[name] = rows[index * len(windows) : (index + 1) * len(windows)]
    return {name: tracks[name] for name in schedules}


def run_schedule(
    schedule: Schedule,
    market: Market,
    config: PortfolioEnvConfig,
    windows: Sequence[Window],
    **changes: float,
) -> list[Recording]:
    """Record one schedule over the windows; `changes` are those of `evaluation_config`."""
    scored = evaluation_config(config, scheme=schedule.scheme, **changes)  # type: ignore[arg-type]
    return run_policy(stacked_policy([schedule], scored, windows), market, scored, windows)


def stacked_policy(
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
