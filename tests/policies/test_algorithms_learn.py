"""A2C, REINFORCE and APPO really learn: the cue task that only a memory can solve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME
from ray.tune.registry import register_env
from test_recall_learning import ENVS, RecallVectorEnv
from toy_envs import recall_env, small_network, toy_spaces

from policies.appo_module import TargetPortfolioModule
from policies.sampler import FragmentEnvRunner
from policies.settings import PPOSettings
from rayjobs.config.compose import compose
from rayjobs.config.typed_config import build_dataclass

pytestmark = pytest.mark.slow
FRAGMENT, UPDATES = 24, 200


def settings(name: str) -> PPOSettings:
    """Those of ``conf/algo``, but for sizes and a constant, larger learning rate."""
    values: dict[str, Any] = compose("train", [f"algo={name}"])["algo"]
    small = {
        "num_envs": ENVS,
        "fragment_bars": FRAGMENT,
        "sequence_bars": 8,
        "minibatch_steps": ENVS * FRAGMENT,
    }
    rate = {"kind": "constant", "initial": 0.01, "final": 0.01}
    bonus = {"kind": "constant", "initial": 0.0, "final": 0.0}
    return build_dataclass(
        PPOSettings, values | small | {"learning_rate": rate, "entropy_coefficient": bonus}, "algo"
    )


@pytest.mark.parametrize("name", ["a2c", "reinforce"])
def test_an_algorithm_without_clipping_learns_to_recall(name):
    register_env("recall", lambda _: RecallVectorEnv("categorical"))
    config = settings(name).rllib_config(
        env="recall",
        env_config={},
        layout=None,
        network=small_network(),
        seed=1,
        total_env_steps=UPDATES * ENVS * FRAGMENT,
    )
    runner = FragmentEnvRunner(config=config, worker_index=0)
    learner = config.build_learner(spaces=toy_spaces(runner.env))
    runner.module.load_state_dict(learner.module[DEFAULT_MODULE_ID].unwrapped().state_dict())
    for update in range(UPDATES):
        fragment = runner.sample()
        moments = fragment.advantage_moments()
        learner.update(
            batch=[fragment],
            timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: update * ENVS * FRAGMENT},
            num_epochs=config.num_epochs,
            minibatch_size=config.minibatch_size,
            advantage_mean=moments.mean,
            advantage_spread=moments.standard_deviation,
        )
        runner.module.load_state_dict(learner.module[DEFAULT_MODULE_ID].unwrapped().state_dict())
    assert abs(np.mean(runner.env.paid[:8])) < 0.3  # it could not do it at first
    assert np.mean(runner.env.paid[-40:]) > 0.8


@pytest.mark.ray
def test_stock_appo_learns_to_recall_with_our_module():
    from ray.rllib.algorithms.appo import APPOConfig

    ray.init(
        num_cpus=3,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        runtime_env={"env_vars": {"PYTHONPATH": str(Path(__file__).parent)}},
    )
    register_env("recall_one", recall_env)
    model = {"layout": None, "network": small_network(), "max_seq_len": 8}
    algorithm = (
        APPOConfig()
        .environment("recall_one")
        .env_runners(num_env_runners=1, num_envs_per_env_runner=16, rollout_fragment_length=24)
        .training(lr=0.01, gamma=0.9, entropy_coeff=0.0, grad_clip=0.5, train_batch_size_per_learner=384)
        .rl_module(rl_module_spec=RLModuleSpec(module_class=TargetPortfolioModule, model_config=model))
        .reporting(min_time_s_per_iteration=1)
        .debugging(seed=1, log_level="ERROR")
        .build_algo()
    )
    try:
        best = -1.0
        for _ in range(150):
            found = algorithm.train()["env_runners"].get("episode_return_mean")
            best = max(best, -1.0 if found is None else found)
            if best > 0.8:
                break
        assert best > 0.8
    finally:
        algorithm.stop()
        ray.shutdown()
