"""Settings of a PPO job (``conf/algo``) and their translation into RLlib's configuration."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from envs.observations import ObservationLayout
from policies.algorithm import PortfolioPPOConfig
from policies.networks import NetworkConfig
from policies.schedules import CostCurriculum, KLPenalty, LearningRateControl, TrainingSchedule


@dataclass(frozen=True, kw_only=True)
class PPOSettings:
    """Proximal policy optimisation (Schulman et al. 2017) on sequences.

    Steps are env steps: one decision of one portfolio. A batch is
    max(1, num_env_runners) * num_envs * fragment_bars of them.

    Parameters
    ----------
    learning_rate, entropy_coefficient : schedules over training.
    clip_range : schedule of the bound on the probability ratio's distance from 1; None does not clip.
    gamma, gae_lambda : discount and trace decay per bar.
    value_coefficient : weight of the value loss; None has no critic: advantages are returns, cut at the end of a
        fragment and normalised over the batch.
    epochs : passes over a batch.
    minibatch_steps : env steps of one gradient step.
    max_grad_norm : gradients are scaled down to this global norm.
    kl_stop : approximate KL of a minibatch at which the update stops early; None never.
    kl_limit : mean approximate KL of an update at which the job is stopped as diverged.
    kl_penalty : the adaptive penalty on KL.
    learning_rate_control : what moves the learning rate besides its schedule.
    early_stop_validations : validations without a better score after which training ends; None never.
    scale_rewards : divide rewards by the running spread of the discounted return.
    num_envs : portfolios that step side by side in one env runner.
    fragment_bars : bars that each env advances between updates; a multiple of ``sequence_bars``.
    sequence_bars : bars of back-propagation through time, and of the warm-up before them.
    burn_in_bars : first bars of each sequence that only bring the state up to date with the network's weights, without
        loss or gradient (Kapturowski et al. 2019); 0 starts from the state that the sampler had.
    num_env_runners : remote samplers, 0 samples in the learner's process.
    num_learners : remote learners that share a batch, 0 learns in the job's process.
    learner_gpus : GPUs of each remote learner, 0 or 1.
    mixed_precision : encoder and heads in bfloat16 where the learner has a GPU; a CPU stays at float32.
    cost_curriculum : trading costs over training.
    """

    learning_rate: TrainingSchedule
    entropy_coefficient: TrainingSchedule
    clip_range: TrainingSchedule | None
    gamma: float
    gae_lambda: float
    value_coefficient: float | None
    epochs: int
    minibatch_steps: int
    max_grad_norm: float
    kl_stop: float | None
    kl_limit: float
    kl_penalty: KLPenalty
    learning_rate_control: LearningRateControl
    early_stop_validations: int | None
    scale_rewards: bool
    num_envs: int
    fragment_bars: int
    sequence_bars: int
    burn_in_bars: int
    num_env_runners: int
    num_learners: int
    learner_gpus: int
    mixed_precision: bool
    cost_curriculum: CostCurriculum

    def __post_init__(self) -> None:
        for name in ("epochs", "minibatch_steps", "num_envs", "fragment_bars", "sequence_bars"):
            if getattr(self, name) < 1:
                raise ValueError(f"algo.{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("num_env_runners", "num_learners"):
            if getattr(self, name) < 0:
                raise ValueError(f"algo.{name} is {getattr(self, name)}; it must be 0 or more")
        if self.learner_gpus not in (0, 1) or self.learner_gpus > self.num_learners:
            raise ValueError(
                f"algo.learner_gpus is {self.learner_gpus} with algo.num_learners={self.num_learners}; give each "
                "remote learner 0 or 1 GPU, and have at least one remote learner for that"
            )
        if not 0 <= self.burn_in_bars < self.sequence_bars:
            raise ValueError(
                f"algo.burn_in_bars is {self.burn_in_bars}; it must be 0 or more and below algo.sequence_bars "
                f"({self.sequence_bars}), which it is a part of"
            )
        for name in ("gamma", "gae_lambda"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"algo.{name} is {getattr(self, name)}; it must lie in [0, 1]")
        for name in ("max_grad_norm", "kl_limit"):
            if getattr(self, name) <= 0.0:
                raise ValueError(f"algo.{name} is {getattr(self, name)}; it must be positive")
        if self.kl_stop is not None and self.kl_stop <= 0.0:
            raise ValueError(f"algo.kl_stop is {self.kl_stop}; it must be positive, or null for never")
        if self.num_learners > 1 and self.num_envs % self.num_learners:
            raise ValueError(
                f"algo.num_envs ({self.num_envs}) cannot be shared equally by algo.num_learners "
                f"({self.num_learners}); change one of them"
            )
        if self.clip_range is not None and min(self.clip_range.at(0.0), self.clip_range.at(1.0)) <= 0.0:
            raise ValueError("algo.clip_range reaches 0; it must stay positive, or null for no clipping")
        if self.early_stop_validations is not None and self.early_stop_validations < 1:
            raise ValueError(
                f"algo.early_stop_validations is {self.early_stop_validations}; "
                "it must be at least 1, or null for never"
            )
        if self.fragment_bars % self.sequence_bars:
            raise ValueError(
                f"algo.fragment_bars ({self.fragment_bars}) is not a multiple of "
                f"algo.sequence_bars ({self.sequence_bars}); change one of them"
            )

    @property
    def batch_steps(self) -> int:
        """Env steps of one training iteration."""
        return max(1, self.num_env_runners) * self.num_envs * self.fragment_bars

    def rllib_config(
        self,
        *,
        env: str,
        env_config: dict[str, Any],
        layout: ObservationLayout | None,
        network: NetworkConfig,
        seed: int,
        total_env_steps: int,
    ) -> PortfolioPPOConfig:
        """Translate into RLlib's configuration.

        Parameters
        ----------
        env : id of a registered creator of ``gymnasium.vector.VectorEnv``; it is given ``num_envs``.
        env_config : passed to the creator.
        layout : blocks of the observation; None for a foreign env's flat vector.
        network : sizes of the policy network.
        seed : of weights, exploration, shuffling and the env.
        total_env_steps : length of training, which schedules are stretched over.
        """
        learners = max(1, self.num_learners)  # they share a batch and each of its minibatches
        return (
            PortfolioPPOConfig()
            .environment(env=env, env_config=env_config)
            .env_runners(
                num_env_runners=self.num_env_runners,
                num_envs_per_env_runner=self.num_envs,
                rollout_fragment_length=self.fragment_bars,
                create_local_env_runner=self.num_env_runners == 0,
            )
            .learners(num_learners=self.num_learners, num_gpus_per_learner=self.learner_gpus)
            .training(
                lr=self.learning_rate.points(total_env_steps),
                entropy_coeff=self.entropy_coefficient.points(total_env_steps),
                gamma=self.gamma,
                lambda_=self.gae_lambda,
                clip_param=math.inf if self.clip_range is None else self.clip_range.initial,
                use_critic=self.value_coefficient is not None,
                use_kl_loss=self.kl_penalty.target is not None,
                kl_coeff=self.kl_penalty.initial,
                kl_target=self.kl_penalty.target or math.inf,
                vf_loss_coeff=self.value_coefficient or 0.0,
                vf_clip_param=float("inf"),
                num_epochs=self.epochs,
                minibatch_size=min(self.minibatch_steps, self.batch_steps) // learners,
                train_batch_size_per_learner=self.batch_steps // learners,
                grad_clip=self.max_grad_norm,
                grad_clip_by="global_norm",
            )
            .sequences(
                sequence_length=self.sequence_bars,
                burn_in=self.burn_in_bars,
                mixed_precision=self.mixed_precision,
                kl_stop=self.kl_stop,
                scale_rewards=self.scale_rewards,
                clip_schedule=self.clip_range,
                learning_rate_control=self.learning_rate_control,
                cost_curriculum=self.cost_curriculum,
                total_env_steps=total_env_steps,
            )
            .network(layout, network)
            .fault_tolerance(restart_failed_env_runners=True, delay_between_env_runner_restarts_s=1.0)
            .debugging(seed=seed, log_level="ERROR")
        )
