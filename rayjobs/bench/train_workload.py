"""The work that all trainers of suite `train` do: one env, network sizes, batch and epochs.

Shapes: 4 assets, observation D about 86, three choices per asset.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from gymnasium.vector import AutoresetMode

from envs.episodes import Window
from envs.portfolio import PortfolioVectorEnv
from rayjobs.bench.env_workload import plain_config, random_market


@dataclass(frozen=True, kw_only=True)
class TrainWorkload:
    """Sizes of one training iteration, and the weights of PPO's loss.

    Parameters
    ----------
    num_envs : envs side by side (of the trainers for which 256 is best).
    batch_steps : env steps of an iteration.
    minibatch_steps : env steps of a gradient step.
    sequence_bars : steps of back-propagation through time.
    epochs : passes over a batch.
    units : of the encoder and of the LSTM.
    num_assets : A.
    gamma, gae_lambda : discount and trace decay per bar.
    clip, value_weight, entropy_weight, learning_rate, max_grad_norm : of the loss and the gradient step.
    """

    num_envs: int = 256
    batch_steps: int = 16_384
    minibatch_steps: int = 4_096
    sequence_bars: int = 32
    epochs: int = 4
    units: int = 128
    num_assets: int = 4
    gamma: float = 0.97
    gae_lambda: float = 0.9
    clip: float = 0.2
    value_weight: float = 0.5
    entropy_weight: float = 0.005
    learning_rate: float = 3e-4
    max_grad_norm: float = 0.5

    @property
    def fragment_bars(self) -> int:
        return self.batch_steps // self.num_envs

    @property
    def minibatch_sequences(self) -> int:
        return self.minibatch_steps // self.sequence_bars

    def rllib_training(self) -> dict[str, Any]:
        """Arguments of RLlib's ``PPOConfig.training``."""
        return {
            "lr": self.learning_rate,
            "gamma": self.gamma,
            "lambda_": self.gae_lambda,
            "clip_param": self.clip,
            "vf_loss_coeff": self.value_weight,
            "vf_clip_param": float("inf"),
            "entropy_coeff": self.entropy_weight,
            "use_kl_loss": False,
            "grad_clip": self.max_grad_norm,
            "grad_clip_by": "global_norm",
            "num_epochs": self.epochs,
            "minibatch_size": self.minibatch_steps,
            "train_batch_size_per_learner": self.batch_steps,
        }


@cache
def bench_market(num_assets: int):
    """Random walk with 16 noise features per asset."""
    return random_market(plain_config(), num_assets=num_assets, num_features=16)


def bench_env(
    workload: TrainWorkload, num_envs: int, mode: AutoresetMode = AutoresetMode.SAME_STEP
) -> PortfolioVectorEnv:
    """The env; its episodes last 256 bars, a multiple of a sequence."""
    market = bench_market(workload.num_assets)
    window = Window(start_bar=market.first_bar + 1, stop_bar=market.num_bars)
    return PortfolioVectorEnv(
        market,
        plain_config(),
        num_envs=num_envs,
        windows=[window],
        seed=0,
        autoreset_mode=mode,
        copy=mode is not AutoresetMode.SAME_STEP,  # stock RLlib keeps what it is handed
    )
