"""Every core with memory and every distribution learns to recall a cue; without memory it cannot be had."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME
from toy_envs import small_network, toy_config, toy_spaces

from policies.sampler import FragmentEnvRunner
from policies.window_attention import AttentionConfig

pytestmark = pytest.mark.slow
ENVS, FRAGMENT, SEQUENCE, UPDATES = 64, 32, 8, 40

SPACES: dict[str, gym.Space] = {
    "categorical": gym.spaces.MultiDiscrete([3]),
    "direction_size": gym.spaces.Box(np.float32([[0.0, 0.0]]), np.float32([[2.0, 1.0]])),
    "squashed_gaussian": gym.spaces.Box(-1.0, 1.0, (1,)),
    "dirichlet": gym.spaces.Box(0.0, 1.0, (1,)),
}


class RecallVectorEnv(gym.vector.VectorEnv):
    """Episodes of three steps: a cue of -1 or 1 at the first, and cue x position as the only reward at the last.

    The best position is the cue (0 for a cue of -1 where shorts are not to be had), so the best mean reward of an
    episode is 1 (one half without shorts), and that of every policy without memory is 0.
    """

    def __init__(self, kind: str) -> None:
        self.kind, self.num_envs = kind, ENVS
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
        self.single_observation_space = gym.spaces.Box(-1.0, 1.0, (2,))
        self.single_action_space = SPACES[kind]
        self.observation_space = batch_space(self.single_observation_space, ENVS)
        self.action_space = batch_space(self.single_action_space, ENVS)
        self._random = np.random.default_rng(0)
        self.paid: list[float] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self._cue, self._clock = self._random.choice([-1.0, 1.0], ENVS), 0
        return self._show(), {}

    def _show(self) -> np.ndarray:
        cue = self._cue if self._clock == 0 else np.zeros(ENVS)
        return np.stack([cue, np.full(ENVS, 0.5 * self._clock)], axis=1).astype(np.float32)

    def step(self, actions: Any) -> Any:
        rewards, ended = np.zeros(ENVS), np.full(ENVS, self._clock == 2)
        self._clock += 1
        if ended.all():
            rewards = self._cue * self._position(np.asarray(actions, dtype=float))
            self.paid.append(float(rewards.mean()))
            self.reset()
        return self._show(), rewards, ended, np.zeros(ENVS, dtype=bool), {}

    def _position(self, actions: np.ndarray) -> np.ndarray:
        if self.kind == "direction_size":
            return (actions[:, 0, 0] - 1.0) * actions[:, 0, 1]
        return actions[:, 0] - (1.0 if self.kind == "categorical" else 0.0)


def mean_reward_after_training(core: str, kind: str) -> float:
    env = RecallVectorEnv(kind)
    network = replace(
        small_network(),
        core=core,
        attention=AttentionConfig(window_bars=3, heads=2) if core == "attention" else None,
        weights_distribution="dirichlet" if kind == "dirichlet" else "squashed_gaussian",
    )
    config = toy_config(
        lambda _: env,
        num_envs=ENVS,
        fragment=FRAGMENT,
        sequence=SEQUENCE,
        gamma=0.9,
        lr=0.01,
        entropy_coeff=0.0,
    ).network(None, network)
    runner = FragmentEnvRunner(config=config, worker_index=0)
    learner = config.build_learner(spaces=toy_spaces(env))
    for update in range(UPDATES):
        fragment = runner.sample()
        moments = fragment.advantage_moments()
        learner.update(
            batch=[fragment],
            timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: update * ENVS * FRAGMENT},
            num_epochs=3,
            minibatch_size=ENVS * FRAGMENT // 4,
            advantage_mean=moments.mean,
            advantage_spread=moments.standard_deviation,
        )
        runner.module.load_state_dict(learner.module[DEFAULT_MODULE_ID].unwrapped().state_dict())
    return float(np.mean(env.paid[-10:]))


@pytest.mark.parametrize("core", ["lstm", "gru", "attention"])
def test_a_core_with_memory_learns_to_recall(core):
    assert mean_reward_after_training(core, "categorical") > 0.9


def test_without_memory_nothing_is_recalled():
    assert abs(mean_reward_after_training("mlp", "categorical")) < 0.15


@pytest.mark.parametrize(
    ("kind", "best"), [("direction_size", 1.0), ("squashed_gaussian", 1.0), ("dirichlet", 0.5)]
)
def test_every_distribution_learns_to_recall(kind, best):
    assert mean_reward_after_training("lstm", kind) > 0.8 * best
