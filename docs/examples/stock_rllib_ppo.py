"""Stock RLlib PPO, its own env runner, connectors and learner, on the same vector env.

Run: python docs/examples/stock_rllib_ppo.py
"""

from __future__ import annotations

import argparse

from gymnasium.vector import AutoresetMode
from ray.rllib.algorithms.ppo import PPOConfig
from ray.tune.registry import register_env

from envs.portfolio import PortfolioVectorEnv
from rayjobs.study.training_env import training_env


def vector_env(context: dict) -> PortfolioVectorEnv:
    """What RLlib calls once per env runner; it expects envs that reset on the step after the last."""
    return training_env(
        ["+experiment=planted_signal", "env.episode.bars=128"],
        num_envs=context["num_envs"],
        autoreset_mode=AutoresetMode.NEXT_STEP,
    )


def train(total_env_steps: int) -> list[float]:
    """Mean episode return of each iteration."""
    register_env("rayfold_portfolio", vector_env)
    algorithm = (
        PPOConfig()
        .environment("rayfold_portfolio")
        .env_runners(
            num_env_runners=0, num_envs_per_env_runner=64, gym_env_vectorize_mode="vector_entry_point"
        )
        .training(
            lr=1e-3,
            gamma=0.9,
            lambda_=0.95,
            grad_clip=0.5,
            vf_clip_param=1e6,
            use_kl_loss=False,
            num_epochs=10,
            minibatch_size=2_048,
            train_batch_size_per_learner=8_256,
        )
        .debugging(seed=0, log_level="ERROR")
        .build_algo()
    )
    returns: list[float] = []
    env_steps = 0
    while env_steps < total_env_steps:
        result = algorithm.train()["env_runners"]
        env_steps = int(result["num_env_steps_sampled_lifetime"])
        if "episode_return_mean" in result:
            returns.append(float(result["episode_return_mean"]))
            print(f"{env_steps:>9,} env steps  mean return {returns[-1]:9.2f}", flush=True)
    algorithm.stop()
    return returns


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env-steps", type=int, default=100_000)
    train(parser.parse_args().env_steps)
