"""Equal actors through our sampler and learner: what is learnt is what was sampled, and each learns its own rule."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.training_data import TrainingData
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME
from toy_envs import small_network, toy_config, toy_spaces

from envs.observations import ObservationLayout
from policies.actor_network import for_symbols
from policies.compiled.inference import CompiledActors
from policies.sampler import FragmentEnvRunner

RULES = np.array([1.0, -1.0, 1.0])
SYMBOLS = ("W", "X", "Y")
LAYOUT = ObservationLayout.portfolio(len(RULES), ("cue",), ())
ENVS, LENGTH = 32, 16


class RulesVectorEnv(gym.vector.VectorEnv):
    """Shows a new cue of -1 or 1 per asset at each step and pays rule x cue x side of each asset, 3 a step at best."""

    def __init__(self) -> None:
        self.num_envs = ENVS
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
        self.single_observation_space = LAYOUT.space()
        self.single_action_space = gym.spaces.MultiDiscrete([3] * len(RULES))
        self.observation_space = batch_space(self.single_observation_space, ENVS)
        self.action_space = batch_space(self.single_action_space, ENVS)
        self._random = np.random.default_rng(0)

    def _show(self) -> np.ndarray:
        self._cue = self._random.choice([-1.0, 1.0], (ENVS, len(RULES)))
        seen = np.zeros((ENVS, LAYOUT.size), np.float32)
        seen[:, LAYOUT.slices["market"]] = self._cue
        return seen

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        return self._show(), {}

    def step(self, actions: Any) -> Any:
        rewards = (RULES * self._cue * (np.asarray(actions) - 1.0)).sum(axis=1)
        nobody = np.zeros(ENVS, dtype=bool)
        return self._show(), rewards, nobody, nobody, {}


def both(actors: Any, core: str = "mlp") -> tuple[FragmentEnvRunner, Any]:
    """A sampler and a learner of this network, with the same weights."""
    torch.manual_seed(0)
    env = RulesVectorEnv()
    network = for_symbols(replace(small_network(core, 16), actors=actors), SYMBOLS)
    config = toy_config(lambda _: env, num_envs=ENVS, fragment=LENGTH, sequence=8, gamma=0.0, lr=0.01)
    config = config.network(LAYOUT, network)
    runner, learner = (
        FragmentEnvRunner(config=config, worker_index=0),
        config.build_learner(spaces=toy_spaces(env)),
    )
    _send(learner, runner)
    return runner, learner


def _send(learner, runner) -> None:
    runner.module.load_state_dict(learner.module[DEFAULT_MODULE_ID].unwrapped().state_dict())


def _update(learner, fragment, epochs: int = 2) -> dict[str, float]:
    moments = fragment.advantage_moments()
    results = learner.update(
        batch=[fragment],
        timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: 0},
        num_epochs=epochs,
        minibatch_size=ENVS * LENGTH // 2,
        advantage_mean=moments.mean,
        advantage_spread=moments.standard_deviation,
    )
    return {name: stats.peek() for name, stats in results[DEFAULT_MODULE_ID].items()}


def reward_after_training(actors: Any, updates: int = 25) -> float:
    """Mean reward of a step over the last five fragments; exploration is on."""
    runner, learner = both(actors)
    earned = []
    for _ in range(updates):
        fragment = runner.sample()
        earned.append(float(fragment.value_targets.mean()))  # of a discount of 0: the rewards
        _update(learner, fragment)
        _send(learner, runner)
    return float(np.mean(earned[-5:]))


def test_what_was_sampled_is_what_the_learner_computes_again():
    runner, learner = both({"ends": ("Y", "W"), "middle": ("X",)}, core="lstm")
    runner.sample()
    fragment = runner.sample()  # begins in mid-episode
    assert isinstance(runner._network, CompiledActors)
    assert fragment.states["hidden"].shape == (2, ENVS, 3, 16)
    assert fragment.states["hidden"].any()
    (minibatch,) = learner._create_iterator_if_necessary(training_data=TrainingData(batch=[fragment]))
    columns = minibatch.policy_batches[DEFAULT_MODULE_ID]
    with torch.no_grad():
        output = learner.module[DEFAULT_MODULE_ID].unwrapped()._forward(columns)
    torch.testing.assert_close(
        output[Columns.ACTION_DIST_INPUTS], columns[Columns.ACTION_DIST_INPUTS], rtol=0, atol=1e-5
    )


def test_the_first_minibatch_of_an_update_finds_the_policy_that_sampled():
    runner, learner = both("symbol", core="lstm")
    fragment = runner.sample()
    moments = fragment.advantage_moments()
    (minibatch,) = learner._create_iterator_if_necessary(
        training_data=TrainingData(batch=[fragment]),
        advantage_mean=moments.mean,
        advantage_spread=moments.standard_deviation,
    )
    columns = minibatch.policy_batches[DEFAULT_MODULE_ID]
    module = learner.module[DEFAULT_MODULE_ID].unwrapped()
    learner.before_gradient_based_update(timesteps={})
    learner.compute_loss_for_module(
        module_id=DEFAULT_MODULE_ID, config=learner.config, batch=columns, fwd_out=module._forward(columns)
    )
    report = dict(
        zip(("total", "policy", "value", "entropy", "kl", "clipped"), learner._reports[-1][:6].tolist())
    )
    assert abs(report["kl"]) < 1e-6
    assert report["clipped"] == 0.0
    assert abs(report["policy"]) < 1e-5  # advantages have mean zero, for each actor


def test_each_actor_learns_the_rule_of_its_symbol_and_a_shared_policy_only_what_they_have_in_common():
    # Rules 1, -1, 1: at best 3 a step; what one rule for all can earn is 1 + 1 - 1 = 1.
    assert reward_after_training("symbol") > 2.5
    assert reward_after_training({"up": ("W", "Y"), "down": ("X",)}) > 2.5
    assert reward_after_training("shared") < 1.1
