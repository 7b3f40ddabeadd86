"""Stock RLlib's APPO on the same env and module: asynchronous, with RLlib's own env runners and connectors.

It is here for who wants to compare; its speed is reported as it is.
"""

from __future__ import annotations

import time
from typing import Any

from gymnasium.vector import AutoresetMode
from ray.rllib.algorithms.appo import APPOConfig
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.tune.registry import register_env

from policies.appo_module import TargetPortfolioModule
from policies.networks import NetworkConfig
from rayjobs.bench.train_workload import TrainWorkload, bench_env


class StockAPPO:
    """APPO with one remote env runner; batches of ``minibatch_steps`` env steps, one pass each."""

    def __init__(self, workload: TrainWorkload, network: NetworkConfig, num_envs: int) -> None:
        register_env(
            "bench_appo", lambda context: bench_env(workload, context["num_envs"], AutoresetMode.NEXT_STEP)
        )
        model = {"layout": None, "network": network, "max_seq_len": workload.sequence_bars}
        self.algorithm: Any = (
            APPOConfig()
            .environment("bench_appo")
            .env_runners(
                num_env_runners=1,
                num_envs_per_env_runner=num_envs,
                gym_env_vectorize_mode="vector_entry_point",
                rollout_fragment_length=workload.sequence_bars,
            )
            .training(
                lr=workload.learning_rate,
                gamma=workload.gamma,
                vf_loss_coeff=workload.value_weight,
                entropy_coeff=workload.entropy_weight,
                grad_clip=workload.max_grad_norm,
                train_batch_size_per_learner=workload.minibatch_steps,
            )
            .rl_module(rl_module_spec=RLModuleSpec(module_class=TargetPortfolioModule, model_config=model))
            .reporting(min_time_s_per_iteration=0)
            .debugging(seed=0, log_level="ERROR")
            .build_algo()
        )

    def trained_steps(self) -> int:
        """Env steps trained on so far, after one more iteration."""
        learners = self.algorithm.train().get("learners", {})
        return int(learners.get("__all_modules__", {}).get("num_env_steps_trained_lifetime", 0))

    def rate(self, env_steps: int, limit_seconds: float = 120.0) -> float:
        """Env steps trained on a second of wall time, over at least so many after the first batch."""
        while (first := self.trained_steps()) == 0:
            pass
        began, last = time.perf_counter(), first
        while last - first < env_steps and time.perf_counter() - began < limit_seconds:
            last = self.trained_steps()
        return (last - first) / (time.perf_counter() - began)

    def close(self) -> None:
        self.algorithm.stop()
