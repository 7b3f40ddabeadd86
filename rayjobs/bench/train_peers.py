"""Trainers of other projects on the same env, network sizes, batch and epochs: stock RLlib and sb3-contrib."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode

from envs.portfolio import PortfolioVectorEnv
from rayjobs.bench.train_workload import (
    CLIP,
    ENTROPY_WEIGHT,
    GAE_LAMBDA,
    GAMMA,
    LEARNING_RATE,
    MAX_GRAD_NORM,
    VALUE_WEIGHT,
    TrainWorkload,
    bench_env,
)


class StockRLlib:
    """RLlib's PPO with its own env runner, connectors and LSTM; the vector env through ``vector_entry_point``."""

    def __init__(self, workload: TrainWorkload, num_envs: int) -> None:
        from ray.rllib.algorithms.ppo import PPOConfig
        from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
        from ray.tune.registry import register_env

        register_env(
            "bench", lambda context: bench_env(workload, context["num_envs"], AutoresetMode.NEXT_STEP)
        )
        self.algorithm = (
            PPOConfig()
            .environment("bench")
            .env_runners(
                num_env_runners=0,
                num_envs_per_env_runner=num_envs,
                gym_env_vectorize_mode="vector_entry_point",
                rollout_fragment_length=workload.batch_steps // num_envs,
            )
            .training(
                lr=LEARNING_RATE,
                gamma=GAMMA,
                lambda_=GAE_LAMBDA,
                clip_param=CLIP,
                vf_loss_coeff=VALUE_WEIGHT,
                entropy_coeff=ENTROPY_WEIGHT,
                use_kl_loss=False,
                grad_clip=MAX_GRAD_NORM,
                grad_clip_by="global_norm",
                num_epochs=workload.epochs,
                minibatch_size=workload.minibatch_steps,
                train_batch_size_per_learner=workload.batch_steps,
            )
            .rl_module(
                model_config=DefaultModelConfig(
                    fcnet_hiddens=[workload.units],
                    fcnet_activation="tanh",
                    use_lstm=True,
                    lstm_cell_size=workload.units,
                    max_seq_len=workload.sequence_bars,
                    head_fcnet_hiddens=[64],
                    vf_share_layers=True,
                )
            )
            .debugging(seed=0, log_level="ERROR")
            .build_algo()
        )
        self._fragment = {"num_timesteps": workload.batch_steps, "random_actions": False}

    def iterate(self) -> None:
        self.algorithm.train()

    def sample_only(self) -> None:
        self.algorithm.env_runner.sample(**self._fragment)

    def close(self) -> None:
        self.algorithm.stop()


class RecurrentSB3:
    """sb3-contrib's RecurrentPPO; the env behind SB3's own VecEnv interface, without a process per env."""

    def __init__(self, workload: TrainWorkload, num_envs: int) -> None:
        from sb3_contrib import RecurrentPPO

        self.workload = workload
        # RecurrentPPO draws minibatches of whole envs only; it pads sequences at episode ends by itself.
        self.model = RecurrentPPO(
            "MlpLstmPolicy",
            sb3_vec_env(bench_env(workload, num_envs)),
            n_steps=workload.batch_steps // num_envs,
            batch_size=workload.minibatch_steps,
            n_epochs=workload.epochs,
            learning_rate=LEARNING_RATE,
            gamma=GAMMA,
            gae_lambda=GAE_LAMBDA,
            clip_range=CLIP,
            ent_coef=ENTROPY_WEIGHT,
            vf_coef=VALUE_WEIGHT,
            max_grad_norm=MAX_GRAD_NORM,
            policy_kwargs={
                "lstm_hidden_size": workload.units,
                "shared_lstm": True,
                "enable_critic_lstm": False,
                "net_arch": {"pi": [], "vf": [64]},
            },
            device="cpu",
            seed=0,
        )

    def iterate(self) -> None:
        self.model.learn(self.workload.batch_steps, reset_num_timesteps=False)

    def close(self) -> None:
        self.model.get_env().close()  # type: ignore[union-attr]


def sb3_vec_env(env: PortfolioVectorEnv) -> Any:
    """The vector env as a stable_baselines3 VecEnv."""
    from stable_baselines3.common.vec_env import VecEnv

    num_envs = env.num_envs

    class PortfolioVecEnv(VecEnv):
        def __init__(self) -> None:
            self.portfolio = env
            super().__init__(
                num_envs, self.portfolio.single_observation_space, self.portfolio.single_action_space
            )

        def reset(self) -> np.ndarray:
            return self.portfolio.reset(seed=0)[0].copy()

        def step_async(self, actions: np.ndarray) -> None:
            self._actions = actions

        def step_wait(self) -> Any:
            observation, rewards, terminated, truncated, infos = self.portfolio.step(self._actions)
            done = terminated | truncated
            facts: list[dict[str, Any]] = [{} for _ in range(num_envs)]
            for row in np.flatnonzero(done):
                facts[row] = {
                    "terminal_observation": infos["final_obs"][row].copy(),
                    "TimeLimit.truncated": bool(truncated[row] and not terminated[row]),
                }
            return observation.copy(), rewards.astype(np.float32), done, facts

        def close(self) -> None:
            self.portfolio.close()

        def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
            return [getattr(self.portfolio, attr_name, None)] * num_envs

        def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
            raise NotImplementedError

        def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
            raise NotImplementedError

        def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
            return [False] * num_envs

    return PortfolioVecEnv()
