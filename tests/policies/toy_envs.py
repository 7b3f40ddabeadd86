"""A deterministic vector env and a network that counts, so that what a sampler records can be derived by hand."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from torch import nn

from policies.algorithm import PortfolioPPOConfig
from policies.networks import NetworkConfig, NetworkOutput


class ClockVectorEnv(gym.vector.VectorEnv):
    """Each env shows the step of its episode and pays that step plus 1, whatever is done.

    Parameters
    ----------
    lengths : steps of the episodes of each env.
    terminates : per env, whether its episodes end by termination (else by truncation).
    """

    def __init__(
        self,
        lengths: tuple[int, ...],
        terminates: tuple[bool, ...],
        mode: AutoresetMode = AutoresetMode.SAME_STEP,
    ) -> None:
        self.num_envs = len(lengths)
        self.metadata = {"autoreset_mode": mode}
        self.single_observation_space = gym.spaces.Box(-1e6, 1e6, (1,), np.float32)
        self.single_action_space = gym.spaces.MultiDiscrete([3, 3])
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._lengths, self._terminates = np.array(lengths), np.array(terminates)
        self._clock = np.zeros(self.num_envs, dtype=int)
        self._ended = np.zeros(self.num_envs, dtype=bool)

    def _show(self) -> np.ndarray:
        return self._clock[:, None].astype(np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self._clock[:] = 0
        self._ended[:] = False
        return self._show(), {}

    def step(self, actions: Any) -> Any:
        resets = self._ended if self.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP else False
        self._clock = np.where(resets, 0, self._clock + 1)
        rewards = np.where(resets, 0.0, self._clock)
        self._ended = (self._clock >= self._lengths) & ~np.asarray(resets)
        terminated, truncated = self._ended & self._terminates, self._ended & ~self._terminates
        infos: dict[str, Any] = {}
        if self.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP and self._ended.any():
            infos = {"final_obs": self._show(), "_final_obs": self._ended.copy()}
            self._clock[self._ended] = 0
        return self._show(), rewards, terminated, truncated, infos

    def get_state(self) -> dict[str, Any]:
        return {"clock": self._clock.copy(), "ended": self._ended.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        self._clock, self._ended = state["clock"].copy(), state["ended"].copy()


class CountingNetwork(nn.Module):
    """Values are 10 plus the observation plus 100 x (steps since the state was cleared); all scores are equal."""

    def initial_state(self, num_rows: int) -> dict[str, torch.Tensor]:
        return {"hidden": torch.zeros(num_rows, 2, 1)}

    def step(self, observation: torch.Tensor, state: dict[str, torch.Tensor]) -> NetworkOutput:
        count = state["hidden"]
        values = 10.0 + observation[:, 0] + 100.0 * count[:, 0, 0]
        return NetworkOutput(torch.zeros(len(observation), 6), values, {"hidden": count + 1.0})


def small_network(core: str = "lstm", units: int = 8) -> NetworkConfig:
    """The same number of units everywhere."""
    return NetworkConfig(
        core=core,
        encoder_units=units,
        core_units=units,
        value_units=units,
        initial_memory_bars=16,
        symbol_embedding=False,
        attention=None,
        weights_distribution="squashed_gaussian",
        action_masks=False,
        compiled="auto",
    )


def toy_config(
    env: Any, *, num_envs: int, fragment: int, sequence: int, **training: Any
) -> PortfolioPPOConfig:
    """Configuration of a sampler or learner on a toy env; ``env`` is a creator of vector envs."""
    return (
        PortfolioPPOConfig()
        .environment(env=env)
        .env_runners(num_env_runners=0, num_envs_per_env_runner=num_envs, rollout_fragment_length=fragment)
        .training(
            **{"gamma": 0.5, "lambda_": 0.0, "train_batch_size_per_learner": num_envs * fragment} | training
        )
        .sequences(sequence_length=sequence)
        .network(None, small_network())
        .debugging(seed=1, log_level="ERROR")
    )


class NoiseVectorEnv(gym.vector.VectorEnv):
    """Random observations (5,) and rewards; an episode of an env ends with probability ``end_probability``."""

    def __init__(self, num_envs: int, end_probability: float = 0.0, seed: int = 0) -> None:
        self.num_envs = num_envs
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
        self.single_observation_space = gym.spaces.Box(-10.0, 10.0, (5,), np.float32)
        self.single_action_space = gym.spaces.MultiDiscrete([3, 3])
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._random = np.random.default_rng(seed)
        self._end_probability = end_probability

    def _show(self) -> np.ndarray:
        return self._random.normal(size=(self.num_envs, 5)).astype(np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        return self._show(), {}

    def step(self, actions: Any) -> Any:
        rewards = self._random.normal(size=self.num_envs) + np.asarray(actions).sum(axis=1)
        truncated = self._random.random(self.num_envs) < self._end_probability
        infos = {"final_obs": self._show()} if truncated.any() else {}
        return self._show(), rewards, np.zeros(self.num_envs, dtype=bool), truncated, infos

    def get_state(self) -> dict[str, Any]:
        return self._random.bit_generator.state

    def set_state(self, state: dict[str, Any]) -> None:
        self._random.bit_generator.state = state


def noise_env(context: Any) -> NoiseVectorEnv:
    """Env creator for RLlib; each env runner draws its own."""
    return NoiseVectorEnv(context["num_envs"], end_probability=0.1, seed=context.worker_index)


def toy_spaces(env: gym.vector.VectorEnv) -> dict[str, Any]:
    """What RLlib's ``build_learner`` wants to know."""
    return {"default_policy": (env.single_observation_space, env.single_action_space)}


class BrokenVectorEnv(NoiseVectorEnv):
    """Raises in its fifth step."""

    def step(self, actions: Any) -> Any:
        self._steps = getattr(self, "_steps", 0) + 1
        if self._steps == 5:
            raise ValueError("no price for bar 5")
        return super().step(actions)


def broken_env(context: Any) -> BrokenVectorEnv:
    """Env creator for RLlib."""
    return BrokenVectorEnv(context["num_envs"])


class RecallEnv(gym.Env):
    """An episode of three steps pays, at its end, the cue of its start (-1 or 1) times the last action less one."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (2,))
    action_space = gym.spaces.MultiDiscrete([3])

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self._cue, self._clock = float(self.np_random.choice([-1.0, 1.0])), 0
        return np.float32([self._cue, 0.0]), {}

    def step(self, action: Any) -> Any:
        self._clock += 1
        reward = self._cue * (float(action[0]) - 1.0) if self._clock == 3 else 0.0
        return np.float32([0.0, 0.5 * self._clock]), reward, self._clock == 3, False, {}


def recall_env(_: Any) -> RecallEnv:
    """Env creator for RLlib's own env runner."""
    return RecallEnv()
