"""A trajectory of any vector env as arrays that can be compared, and a policy that reads every observation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

ActionFunction = Callable[[NDArray[np.float32]], NDArray[Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Fill:
    """One fill: env row, asset, decision bar's successor in which it happened, units, price, at the open or not."""

    row: int
    asset: int
    filled_bar: int
    units: float
    price: float
    at_open: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Trajectory:
    """N steps of E rows.

    Attributes
    ----------
    bar : (N + 1, E), last bar known to each observation. observation : (N + 1, E, D). reward : (N, E).
    ended : (N, E). actions : list of N action arrays. fills : list of N lists of `Fill`.
    """

    bar: NDArray[np.int64]
    observation: NDArray[np.float32]
    reward: NDArray[np.float64]
    ended: NDArray[np.bool_]
    actions: list[NDArray[Any]]
    fills: list[list[Fill]]


def projection_policy(env: gymnasium.vector.VectorEnv, seed: int) -> ActionFunction:
    """Deterministic policy whose action depends on every entry of the observation, for any action space."""
    rng = np.random.default_rng(seed)
    space = env.single_action_space
    size = int(np.prod(env.single_observation_space.shape))
    if isinstance(space, gymnasium.spaces.MultiDiscrete):
        weights = rng.normal(size=(size, int(space.nvec.size))) / np.sqrt(size)

        def discrete(observation: NDArray[np.float32]) -> NDArray[Any]:
            score = 0.5 + 0.5 * np.tanh(2.0 * observation.astype(np.float64) @ weights)
            chosen = np.minimum(np.floor(score * space.nvec.ravel()), space.nvec.ravel() - 1)
            return chosen.astype(np.int64).reshape(len(observation), *space.nvec.shape)

        return discrete
    if isinstance(space, gymnasium.spaces.Box):
        weights = rng.normal(size=(size, int(np.prod(space.shape)))) / np.sqrt(size)

        def continuous(observation: NDArray[np.float32]) -> NDArray[Any]:
            score = 0.5 + 0.5 * np.tanh(2.0 * observation.astype(np.float64) @ weights)
            score = score.reshape(len(observation), *space.shape)
            return (space.low + score * (space.high - space.low)).astype(np.float32)

        return continuous
    raise ValueError(f"action space {space} is not MultiDiscrete or Box; pass policy=... of your own")


def current_bar(env: Any) -> NDArray[np.int64]:
    """(E,) last bar that each row's observation knows; an env states it as attribute `current_bar`."""
    if not hasattr(env, "current_bar"):
        raise ValueError(
            f"{type(env).__name__} has no attribute `current_bar`, (E,) indices of the last bar known to each "
            "observation; the leak check needs it to tell past from future"
        )
    return np.array(env.current_bar, dtype=np.int64)


def run_trajectory(
    env: Any,
    num_steps: int,
    *,
    policy: ActionFunction | None = None,
    actions: list[NDArray[Any]] | None = None,
) -> Trajectory:
    """Step an env by a policy, or replay `actions`. Ended rows go on with whatever the env's autoreset does."""
    if hasattr(env, "set_logging"):
        env.set_logging(True)
    observation, _ = env.reset(seed=0)
    bars, seen = [current_bar(env)], [observation.copy()]
    rewards, ended, taken, fills = [], [], [], []
    for step in range(num_steps):
        if actions is not None:
            action = actions[step]
        else:
            assert policy is not None
            action = policy(observation)
        taken.append(np.array(action))
        observation, reward, terminated, truncated, _ = env.step(action)
        bars.append(current_bar(env))
        seen.append(observation.copy())
        rewards.append(np.array(reward, dtype=np.float64))
        ended.append(np.array(terminated) | np.array(truncated))
        fills.append([Fill(**fill) for fill in env.last_fills()] if hasattr(env, "last_fills") else [])
    return Trajectory(
        bar=np.stack(bars),
        observation=np.stack(seen),
        reward=np.stack(rewards),
        ended=np.stack(ended),
        actions=taken,
        fills=fills,
    )
