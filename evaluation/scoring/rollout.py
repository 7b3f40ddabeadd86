"""Runs policies through the training simulator, many windows as one batch, and returns what was recorded.

Exploration is off; the policy's recurrent state is carried from bar to bar and reset exactly where an episode ends.
With `EpisodeConfig.warmup_bars` the state is warmed up on bars before the window, in which the env blocks trading.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from envs.config import PortfolioEnvConfig
from envs.episodes import RandomisationConfig, Window
from envs.kernel import columns as c
from envs.market import Market
from envs.portfolio import PortfolioVectorEnv
from envs.recording import Recorder, Recording
from evaluation.scoring.allocations import WindowPlan, plan_window
from evaluation.scoring.entry_delay import EntryDelay
from policies.baselines import Schedule, ScheduledPolicy
from policies.protocol import Policy, restart_rows

LOG = logging.getLogger(__name__)


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
FLOWS = [c.NET_RETURN, c.TURNOVER, c.EQUITY_AFTER]
"""What a track is made of, see `Track`."""


@dataclass(frozen=True, kw_only=True)
class Track:
    """The returns of one window alone: all that a comparison needs, and much cheaper than a `Recording`.

    Attributes
    ----------
    bar : (N,) panel index of the bars marked.
    net_return : (N,) per-bar returns, net of costs.
    turnover : (N,) traded notional over equity before the bar; None where it was not measured.
    """

    bar: NDArray[np.int64]
    net_return: NDArray[np.float64]
    turnover: NDArray[np.float64] | None = None


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
        env.set_cost_scale([scenario.cost_factor for scenario in scenarios])
        _delay_fills(env, scenarios)
    first_E = env.rows.counter[:, c.BAR].astype(np.int64) + 1
    earning_E = env.rows.counter[:, c.START].astype(np.int64)
    state = policy.initial_state(env.num_envs)
    delay = None
    if scenarios is not None and any(scenario.entry_delay_bars for scenario in scenarios):
        delay = EntryDelay(np.array([scenario.entry_delay_bars for scenario in scenarios]))
    length_E = np.zeros(env.num_envs, dtype=np.int64)
    steps = []
    while not length_E.all():
        masks = {"allowed": env.action_masks()} if getattr(policy, "masks_actions", False) else {}
        actions, state = policy.act(observation, state, **masks)
        if delay is not None:
            actions = delay.apply(actions)
        observation, _, terminated, truncated, _ = env.step(actions)
        steps.append(env.rows.flow[:, FLOWS])
        ended = terminated | truncated
        if ended.any():
            length_E = np.where(ended & (length_E == 0), len(steps), length_E)
            state = restart_rows(state, policy.initial_state(env.num_envs), ended)
    flow_NEK = np.stack(steps)
    equity_NE = np.vstack([np.full((1, env.num_envs), env.config.initial_equity), flow_NEK[:-1, :, 2]])
    return [
        Track(
            bar=np.arange(max(earning, first), first + length),
            net_return=flow_NEK[max(earning - first, 0) : length, row, 0].copy(),
            turnover=_over(flow_NEK, equity_NE, slice(max(earning - first, 0), length), row),
        )
        for row, (first, earning, length) in enumerate(
            zip(first_E.tolist(), earning_E.tolist(), length_E.tolist())
        )
    ]


def _over(
    flow_NEK: NDArray[np.float64], equity_NE: NDArray[np.float64], bars: slice, row: int
) -> NDArray[np.float64]:
    """(N,) traded notional of a row over its equity before each bar."""
    return np.asarray(flow_NEK[bars, row, 1] / equity_NE[bars, row])


def _delay_fills(env: PortfolioVectorEnv, scenarios: Sequence[Scenario]) -> None:
    """Give each row its own latency for the episode that has just begun."""
    base = env.config.costs.latency_bars
    env.rows.put("counter", c.LATENCY, [base + scenario.extra_latency_bars for scenario in scenarios])


def evaluation_config(
    config: PortfolioEnvConfig,
    *,
    scheme: str | None = None,
    extra_latency_bars: int = 0,
) -> PortfolioEnvConfig:
    """The training config as it is scored: whole windows, nothing randomised, positions closed at the window's end.

    Parameters
    ----------
    scheme : another action scheme (a baseline that needs weights); None keeps the config's.
    extra_latency_bars : bars added between a decision and its fill.
    """
    episode = replace(
        config.episode, kind="whole", liquidate_at_end=True, num_assets=None, randomisation=None
    )
    return replace(
        config,
        episode=episode,
        factory=None,
        reward=replace(config.reward, function=None),
        action=config.action if scheme is None else replace(config.action, scheme=scheme),
        costs=replace(config.costs, latency_bars=config.costs.latency_bars + extra_latency_bars),
    )


def whole_window_env(
    market: Market, config: PortfolioEnvConfig, windows: Sequence[Window], cost_factor: float = 1.0
) -> PortfolioVectorEnv:
    """An env with one row per window, at a multiple of every cost; `config` as `evaluation_config` makes it."""
    env = PortfolioVectorEnv(market, config, num_envs=len(windows), windows=list(windows), seed=0, copy=False)
    env.set_cost_scale(cost_factor)
    return env


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
    rebalance_sessions: int | None = None,
) -> dict[str, list[Track]]:
    """Run named schedules over the windows under one config's costs.

    Returns
    -------
    name -> one track per window.
    """
    condition = Scenario(name="", cost_factor=cost_factor, extra_latency_bars=extra_latency_bars)
    return run_scenarios(
        schedules, market, config, windows, [condition], rebalance_sessions=rebalance_sessions
    )[0]


def run_scenarios(
    schedules: Mapping[str, Schedule],
    market: Market,
    config: PortfolioEnvConfig,
    windows: Sequence[Window],
    scenarios: Sequence[Scenario],
    *,
    rebalance_sessions: int | None = None,
) -> list[dict[str, list[Track]]]:
    """Run named schedules over the windows under each scenario; what needs the same env is one batch.

    Parameters
    ----------
    config : the policy's; allocations have limits of their own, see `evaluation.scoring.allocations`.
    rebalance_sessions : of schedules that are rebalanced.

    Returns
    -------
    For each scenario: name -> one track per window.
    """
    plans = {
        (name, place): plan_window(schedule, market, config, window, rebalance_sessions)
        for name, schedule in schedules.items()
        for place, window in enumerate(windows)
    }
    _tell_larger_accounts(plans, config)
    # By what they equal: a config with limits per symbol has no hash.
    batches: list[tuple[PortfolioEnvConfig, list[tuple[str, int]]]] = []
    for key, plan in plans.items():
        alike = next((keys for shared, keys in batches if shared == plan.config), None)
        if alike is None:
            batches.append((plan.config, [key]))
        else:
            alike.append(key)
    tracks: dict[tuple[int, str, int], Track] = {}
    for shared, keys in batches:
        scored = evaluation_config(shared)
        policy = planned_policy([plans[key] for key in keys], scored, len(scenarios))
        conditions = [scenario for scenario in scenarios for _ in keys]
        places = [windows[place] for _, place in keys] * len(scenarios)
        env = scenario_env(market, scored, places, conditions)
        rows = iter(record_rows(policy, env, (), conditions)[1])
        tracks |= {(number, *key): next(rows) for number in range(len(scenarios)) for key in keys}
    return [
        {name: [tracks[number, name, place] for place in range(len(windows))] for name in schedules}
        for number in range(len(scenarios))
    ]


def _tell_larger_accounts(plans: Mapping[tuple[str, int], WindowPlan], config: PortfolioEnvConfig) -> None:
    larger = {
        name: plan.config.initial_equity
        for (name, _), plan in plans.items()
        if plan.config.initial_equity != config.initial_equity
    }
    if larger:
        LOG.warning(
            "an account of %s does not pay for one lot of each asset; baselines are scored with a larger one: %s",
            f"{config.initial_equity:,.0f}",
            ", ".join(f"{name} with {equity:,.0f}" for name, equity in larger.items()),
        )


def planned_policy(
    plans: Sequence[WindowPlan], config: PortfolioEnvConfig, repetitions: int = 1
) -> ScheduledPolicy:
    """One schedule made of the plans laid end to end, so that one batch runs them all, `repetitions` times over."""
    lengths = [len(plan.target_NA) for plan in plans]
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    return ScheduledPolicy(
        target_TA=np.concatenate([plan.target_NA for plan in plans]),
        first_bar_E=np.tile(starts, repetitions),
        scheme=config.action.scheme,
        unknown="keep",
    )
