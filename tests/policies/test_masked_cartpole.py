"""A pole whose velocities are hidden is balanced from memory, and not without it (the usual test of a recurrent agent).

An episode pays 1 a step for at most 500 steps. What is asked for is a mean return of 400 over the last 100 episodes
at some moment of the first 400,000 env steps.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME
from toy_envs import small_network, toy_spaces

from policies.algorithm import PortfolioPPOConfig
from policies.sampler import FragmentEnvRunner

pytestmark = pytest.mark.slow
ENV_STEPS, ENVS, FRAGMENT, WANTED = 400_000, 16, 128, 400.0


class HiddenVelocities(gym.ObservationWrapper):
    """Shows the cart's position and the pole's angle as shares of the limits at which an episode ends."""

    def __init__(self, env: gym.Env) -> None:
        super().__init__(env)
        self.observation_space = gym.spaces.Box(-10.0, 10.0, (2,), np.float32)

    def observation(self, observation: np.ndarray) -> np.ndarray:
        return (observation[[0, 2]] / [2.4, 0.21]).astype(np.float32)


def cartpoles(_: Any) -> SyncVectorEnv:
    one = lambda: HiddenVelocities(gym.make("CartPole-v1"))  # noqa: E731
    return SyncVectorEnv([one] * ENVS, autoreset_mode=AutoresetMode.SAME_STEP)


def best_mean_return(core: str, seed: int) -> float:
    """Best mean return over 100 episodes within the env steps; stops as soon as it is what is wanted."""
    config = (
        PortfolioPPOConfig()
        .environment(env=cartpoles)
        .env_runners(num_env_runners=0, num_envs_per_env_runner=ENVS, rollout_fragment_length=FRAGMENT)
        .training(
            lr=1e-3,
            gamma=0.99,
            lambda_=0.95,
            clip_param=0.2,
            entropy_coeff=0.0,
            vf_loss_coeff=0.5,
            vf_clip_param=float("inf"),
            grad_clip=0.5,
            train_batch_size_per_learner=ENVS * FRAGMENT,
        )
        .sequences(sequence_length=32, scale_rewards=True)
        .network(None, small_network(core, units=64))
        .debugging(seed=seed, log_level="ERROR")
    )
    runner = FragmentEnvRunner(config=config, worker_index=0)
    learner = config.build_learner(spaces=toy_spaces(runner.env))
    runner.module.load_state_dict(learner.module[DEFAULT_MODULE_ID].unwrapped().state_dict())
    best = 0.0
    for env_steps in range(0, ENV_STEPS, ENVS * FRAGMENT):
        fragment = runner.sample()
        moments = fragment.advantage_moments()
        learner.update(
            batch=[fragment],
            timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: env_steps},
            num_epochs=8,
            minibatch_size=512,
            advantage_mean=moments.mean,
            advantage_spread=moments.standard_deviation,
        )
        runner.module.load_state_dict(learner.module[DEFAULT_MODULE_ID].unwrapped().state_dict())
        log = runner._episodes
        if len(log._finished) == log._finished.maxlen:
            best = max(best, log.means()[0])
        if best >= WANTED:
            break
    runner.stop()
    return best


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_with_memory_the_pole_is_balanced(seed):
    assert best_mean_return("lstm", seed) >= WANTED


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_without_memory_it_is_not(seed):
    assert best_mean_return("mlp", seed) < 0.5 * WANTED
