"""Conformance check: what every vector env that is trained or evaluated here must keep to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.checks.trajectory import Trajectory, run_trajectory
from envs.kernel import columns as c


class ConformanceError(AssertionError):
    """The env breaks a rule of the contract; the message says which and what to do."""


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ConformanceError(message)


def conformance_check(env_factory: Callable[[], Any], *, num_steps: int = 300, seed: int = 0) -> None:
    """Raise ConformanceError unless the env keeps to the contract.

    Checked: shapes, types, bounds and finiteness of what `reset` and `step` return; the same seed and actions give the
    same bits, in a new env and after `reset(seed)`; rows do not influence each other; episodes end and start anew
    without money appearing; a saved state goes on with the same bits; accounts add up on every bar.

    Parameters
    ----------
    env_factory : () -> vector env (gymnasium.vector.VectorEnv), a new one at each call, all with the same seed.
    num_steps : steps of each trajectory; let it be longer than an episode.
    """
    env = env_factory()
    rng = np.random.default_rng(seed)
    actions = _random_actions(env, rng, num_steps)
    check_types(env, actions[0])
    first = run_trajectory(env_factory(), num_steps, actions=actions)
    check_values(env, first)
    _same(first, run_trajectory(env_factory(), num_steps, actions=actions), "a second env with the same seed")
    again = env_factory()
    run_trajectory(again, 5, actions=actions)
    _same(first, run_trajectory(again, num_steps, actions=actions), "the same env after reset(seed)")
    check_rows_apart(env_factory, actions, rng, first)
    if hasattr(env, "get_state") and hasattr(env, "set_state"):
        check_resume(env_factory, actions, first)
    if hasattr(env, "rows"):
        check_accounts(env_factory(), actions)


def _random_actions(env: Any, rng: np.random.Generator, num_steps: int) -> list[NDArray[Any]]:
    env.action_space.seed(int(rng.integers(2**31)))
    drawn = [np.asarray(env.action_space.sample()) for _ in range(num_steps)]
    return [drawn[step - step % 3] for step in range(num_steps)]


def check_types(env: Any, action: NDArray[Any]) -> None:
    """Shapes and dtypes of one reset and one step."""
    name = type(env).__name__
    observation, infos = env.reset(seed=0)
    shape = (env.num_envs, *env.single_observation_space.shape)
    _require(observation.shape == shape, f"{name}.reset returned {observation.shape}, expected {shape}")
    _require(
        observation.dtype == np.float32, f"{name} observes {observation.dtype}; observations are float32"
    )
    _require(isinstance(infos, dict), f"{name}.reset returned infos of type {type(infos).__name__}, not dict")
    observation, reward, terminated, truncated, infos = env.step(action)
    _require(observation.shape == shape, f"{name}.step returned {observation.shape}, expected {shape}")
    for label, array in (("reward", reward), ("terminated", terminated), ("truncated", truncated)):
        _require(
            np.shape(array) == (env.num_envs,),
            f"{name}.step returned {label} {np.shape(array)}, expected ({env.num_envs},)",
        )
    for label, array in (("terminated", terminated), ("truncated", truncated)):
        _require(
            np.asarray(array).dtype == np.bool_, f"{name}: {label} is {np.asarray(array).dtype}, not bool"
        )


def check_values(env: Any, trajectory: Trajectory) -> None:
    """Observations inside their space, rewards finite."""
    name = type(env).__name__
    space = env.single_observation_space
    seen = trajectory.observation
    names = env.layout.names if hasattr(env, "layout") else [f"x{k}" for k in range(seen.shape[-1])]
    bad = ~(np.isfinite(seen) & (seen >= space.low) & (seen <= space.high))
    columns = [names[k] for k in np.flatnonzero(bad.reshape(-1, seen.shape[-1]).any(axis=0))]
    _require(
        not columns, f"{name}: observation leaves its space or is not finite in {', '.join(columns[:5])}"
    )
    _require(bool(np.isfinite(trajectory.reward).all()), f"{name}: reward is not finite")


def _same(a: Trajectory, b: Trajectory, what: str, rows: slice = slice(None)) -> None:
    for label in ("observation", "reward", "ended"):
        one, two = getattr(a, label)[:, rows], getattr(b, label)[:, rows]
        steps = np.flatnonzero((one != two).reshape(len(one), -1).any(axis=1))
        where = int(steps[0]) if len(steps) else -1
        _require(where < 0, f"{label} at step {where} differs in {what}; trajectories must be the same bits")


def check_rows_apart(
    env_factory: Callable[[], Any], actions: list[NDArray[Any]], rng: np.random.Generator, first: Trajectory
) -> None:
    """Other actions in rows 1, 2, ... must leave row 0 as it was."""
    env = env_factory()
    if env.num_envs < 2:
        return
    other = _random_actions(env, rng, len(actions))
    mixed = [np.concatenate([a[:1], b[1:]]) for a, b in zip(actions, other, strict=True)]
    _same(
        first,
        run_trajectory(env, len(actions), actions=mixed),
        "row 0 when other rows act otherwise",
        slice(0, 1),
    )


def check_resume(env_factory: Callable[[], Any], actions: list[NDArray[Any]], first: Trajectory) -> None:
    """A state saved half-way and put into a new env goes on with the same bits."""
    half = len(actions) // 2
    env = env_factory()
    run_trajectory(env, half, actions=actions)
    state = env.get_state()
    fresh = env_factory()
    fresh.reset(seed=1)
    fresh.set_state(state)
    for step in range(half, len(actions)):
        observation, reward, *_ = fresh.step(actions[step])
        same = np.array_equal(observation, first.observation[step + 1])
        _require(
            same and np.array_equal(reward, first.reward[step]),
            f"after set_state(get_state()) step {step} differs; the state must be complete",
        )


def check_accounts(env: Any, actions: list[NDArray[Any]]) -> None:
    """On every bar equity changes by price PnL less booked costs, both from the logs; new episodes start untouched."""
    env.set_logging(True)
    env.reset(seed=0)
    market, initial = env.market, env.config.initial_equity
    point = market.instrument[:, c.MULTIPLIER]
    for action in actions:
        bar, before = env.current_bar, env.rows.account[:, c.EQUITY].copy()
        held = env.rows.position[:, :, c.UNITS].copy()
        symbols = row_symbols(env)
        pending = env.rows.counter[:, c.PENDING_RESET] != 0
        _, _, terminated, truncated, _ = env.step(action)
        flow = env.rows.flow
        for e in np.flatnonzero(~pending):
            s = symbols[e]
            mark = market.mark[bar[e] + 1, s]
            gain = np.sum(held[e] * (mark - market.mark[bar[e], s]) * point[s])
            log = env.fill_log[e]
            gain += np.sum(
                log[..., c.FILL_UNITS] * (mark[:, None] - log[..., c.FILL_PRICE]) * point[s][:, None]
            )
            expected = before[e] + gain - flow[e, c.COMMISSION : c.DIVIDEND_PAID + 1].sum()
            error = abs(flow[e, c.EQUITY_AFTER] - expected)
            _require(
                error <= 1e-9 * max(abs(before[e]), initial),
                f"row {e}, bar {bar[e] + 1}: equity is {flow[e, c.EQUITY_AFTER]!r} but fills, marks and booked costs "
                f"give {expected!r}; money came from nowhere",
            )
        started = (terminated | truncated) & (env.rows.counter[:, c.PENDING_RESET] == 0)
        _require(
            bool((env.rows.account[started, c.EQUITY] == initial).all()),
            "a new episode does not start with the initial equity",
        )


def row_symbols(env: Any) -> NDArray[np.int64]:
    """(E, A) index in the market of each row's assets."""
    slot = env.rows.slot
    if slot.shape[2] > c.SYMBOL:
        return slot[:, :, c.SYMBOL].astype(np.int64)
    return np.tile(np.arange(slot.shape[1]), (slot.shape[0], 1))
