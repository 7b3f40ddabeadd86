"""Trainers of other projects on the same env, network sizes, batch and epochs: stock RLlib and sb3-contrib."""

from __future__ import annotations

import torch
from gymnasium.vector import AutoresetMode
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from ray.tune.registry import register_env

from rayjobs.bench.train_workload import TrainWorkload, bench_env


class StockRLlib:
    """RLlib's PPO with its own env runner, connectors and LSTM; the vector env through ``vector_entry_point``.

    Parameters
    ----------
    tuned : give it what only its source tells. Sequences are one step longer than the others', since its connectors add
        a step to each fragment, and with 32 steps a third of a batch of 256 envs is padding. And torch does not fill
        new arrays, as it does by default where a seed asks for deterministic algorithms.
    gpus : of its learner, 0 or 1.
    """

    def __init__(self, workload: TrainWorkload, num_envs: int, *, tuned: bool, gpus: int = 0) -> None:
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
            .training(**workload.rllib_training())
            .rl_module(
                model_config=DefaultModelConfig(
                    fcnet_hiddens=[workload.units],
                    fcnet_activation="tanh",
                    use_lstm=True,
                    lstm_cell_size=workload.units,
                    max_seq_len=workload.sequence_bars + tuned,
                    head_fcnet_hiddens=[64],
                    vf_share_layers=True,
                )
            )
            .learners(num_learners=0, num_gpus_per_learner=gpus)
            .debugging(seed=0, log_level="ERROR")
            .build_algo()
        )
        self._fragment = {"num_timesteps": workload.batch_steps, "random_actions": False}
        self._tuned = tuned

    def iterate(self) -> None:
        torch.utils.deterministic.fill_uninitialized_memory = not self._tuned
        self.algorithm.train()

    def sample_only(self) -> None:
        torch.utils.deterministic.fill_uninitialized_memory = not self._tuned
        self.algorithm.env_runner.sample(**self._fragment)

    def close(self) -> None:
        self.algorithm.stop()


class RecurrentSB3:
    """sb3-contrib's RecurrentPPO; the env behind SB3's own VecEnv interface, without a process per env."""

    def __init__(self, workload: TrainWorkload, num_envs: int) -> None:
        from sb3_contrib import RecurrentPPO

        from envs.stable_baselines3 import PortfolioVecEnv

        self.workload = workload
        # RecurrentPPO draws minibatches of whole envs only; it pads sequences at episode ends by itself.
        self.model = RecurrentPPO(
            "MlpLstmPolicy",
            PortfolioVecEnv(bench_env(workload, num_envs)),
            n_steps=workload.batch_steps // num_envs,
            batch_size=workload.minibatch_steps,
            n_epochs=workload.epochs,
            learning_rate=workload.learning_rate,
            gamma=workload.gamma,
            gae_lambda=workload.gae_lambda,
            clip_range=workload.clip,
            ent_coef=workload.entropy_weight,
            vf_coef=workload.value_weight,
            max_grad_norm=workload.max_grad_norm,
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
