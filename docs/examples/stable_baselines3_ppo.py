"""Stable-Baselines3's PPO on the same env. Needs: pip install 'rayfold[bench]'

Run: python docs/examples/stable_baselines3_ppo.py
"""

from __future__ import annotations

import argparse

from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecMonitor

from envs.stable_baselines3 import PortfolioVecEnv
from rayjobs.study.training_env import training_env


class MeanReturns(BaseCallback):
    """Mean return of the last episodes, after each rollout."""

    def __init__(self) -> None:
        super().__init__()
        self.values: list[float] = []

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        if self.model.ep_info_buffer:
            returns = [episode["r"] for episode in self.model.ep_info_buffer]
            self.values.append(sum(returns) / len(returns))
            print(f"{self.num_timesteps:>9,} env steps  mean return {self.values[-1]:9.2f}", flush=True)


def train(total_env_steps: int) -> list[float]:
    """Mean episode return of each rollout."""
    portfolio = training_env(["+experiment=planted_signal", "env.episode.bars=128"], num_envs=64)
    env = VecMonitor(PortfolioVecEnv(portfolio))
    returns = MeanReturns()
    model = PPO(
        "MlpPolicy", env, n_steps=128, batch_size=2_048, gamma=0.9, learning_rate=1e-3, device="cpu", seed=0
    )
    model.learn(total_env_steps, callback=returns)
    env.close()
    return returns.values


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env-steps", type=int, default=100_000)
    train(parser.parse_args().env_steps)
