"""PPO on RLlib's algorithm with columnar fragments: what a training iteration does.

RLlib supplies configuration, actors, fault tolerance, learners and checkpoints. One iteration samples a
fragment from each env runner, updates on their sequences and sends the weights back.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ray.rllib.algorithms.algorithm_config import NotProvided
from ray.rllib.algorithms.ppo import PPO, PPOConfig
from ray.rllib.core import COMPONENT_LEARNER, COMPONENT_RL_MODULE, DEFAULT_MODULE_ID
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    ENV_RUNNER_SAMPLING_TIMER,
    LEARNER_RESULTS,
    LEARNER_UPDATE_TIMER,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    SYNCH_WORKER_WEIGHTS_TIMER,
    TIMERS,
)

from envs.observations import ObservationLayout
from policies.fragment import Fragment, Moments
from policies.learner import SequencePPOLearner
from policies.module import PortfolioModule
from policies.networks import NetworkConfig
from policies.sampler import FragmentEnvRunner
from policies.schedules import CostCurriculum, LearningRateControl, TrainingSchedule


class PortfolioPPOConfig(PPOConfig):
    """RLlib's ``PPOConfig`` plus what columnar sequences need; set them with :meth:`sequences`."""

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class or PortfolioPPO)
        self.sequence_length = 32
        self.burn_in = 0
        self.mixed_precision = False
        self.kl_stop: float | None = None
        self.scale_rewards = False
        self.adam_epsilon = 1e-5
        self.clip_schedule: TrainingSchedule | None = None
        self.learning_rate_control: LearningRateControl | None = None
        self.cost_curriculum: CostCurriculum | None = None
        self.total_env_steps = 0
        self.env_runners(
            env_runner_cls=FragmentEnvRunner, merge_env_runner_states=False, broadcast_env_runner_states=True
        )
        self.training(learner_class=SequencePPOLearner, use_kl_loss=False)

    def sequences(
        self,
        *,
        sequence_length: int = NotProvided,
        burn_in: int = NotProvided,
        mixed_precision: bool = NotProvided,
        kl_stop: float | None = NotProvided,
        scale_rewards: bool = NotProvided,
        adam_epsilon: float = NotProvided,
        clip_schedule: TrainingSchedule | None = NotProvided,
        learning_rate_control: LearningRateControl | None = NotProvided,
        cost_curriculum: CostCurriculum | None = NotProvided,
        total_env_steps: int = NotProvided,
    ) -> PortfolioPPOConfig:
        """Set the columnar sampler's and learner's own knobs.

        Parameters
        ----------
        sequence_length : steps of back-propagation through time; divides the fragment length.
        burn_in : first steps of each sequence that only warm up the state, without loss or gradient.
        mixed_precision : encoder and heads in bfloat16 where the learner's device is a GPU.
        kl_stop : approximate KL at which an update stops early; None never.
        scale_rewards : divide rewards by the running spread of the discounted return.
        adam_epsilon : epsilon of Adam.
        clip_schedule : clip range over training; None keeps ``clip_param``, where infinity does not clip.
        learning_rate_control : what moves the learning rate besides its schedule; None nothing.
        cost_curriculum : trading costs over training; None charges them in full.
        total_env_steps : length of training, which curriculum and clip schedule are stretched over.
        """
        for name, value in locals().items():
            if name != "self" and value is not NotProvided:
                setattr(self, name, value)
        return self

    def clip_range_at(self, env_steps: int) -> float | None:
        """Bound on the probability ratio's distance from 1 after so many env steps; None does not clip."""
        if self.clip_schedule is not None:
            return self.clip_schedule.at(self.progress_at(env_steps))
        return None if math.isinf(self.clip_param) else self.clip_param

    def progress_at(self, env_steps: int) -> float:
        """Share of training that is done after so many env steps, 0 to 1."""
        return min(1.0, env_steps / max(1, self.total_env_steps))

    def network(self, layout: ObservationLayout | None, network: NetworkConfig) -> PortfolioPPOConfig:
        """Choose the policy network; ``layout`` None treats the observation as one flat vector."""
        return self.rl_module(
            rl_module_spec=RLModuleSpec(
                module_class=PortfolioModule, model_config={"layout": layout, "network": network}
            )
        )

    def validate(self) -> None:
        super().validate()
        fragment = self.get_rollout_fragment_length()
        if not self.in_evaluation and fragment % self.sequence_length:
            raise ValueError(
                f"the fragment of {fragment} steps is not a multiple of the sequence length "
                f"{self.sequence_length}; change algo.fragment_bars or algo.sequence_bars"
            )

    @property
    def _model_config_auto_includes(self) -> dict[str, Any]:
        return {}


class PortfolioPPO(PPO):
    """PPO whose samples are columnar fragments; see :class:`PortfolioPPOConfig`."""

    def setup(self, config: Any) -> None:
        self._env_steps = 0
        super().setup(config)

    @classmethod
    def get_default_config(cls) -> PortfolioPPOConfig:
        return PortfolioPPOConfig()

    @property
    def env_steps(self) -> int:
        """Env steps trained on so far, over the whole life of the job."""
        return self._env_steps

    def training_step(self) -> None:
        with self.metrics.log_time((TIMERS, ENV_RUNNER_SAMPLING_TIMER), reduce="mean", window=1):
            fragments = self.sample_fragments()
        moments = sum((f.advantage_moments() for f in fragments), start=Moments(0.0, 0.0, 0.0))
        with self.metrics.log_time((TIMERS, LEARNER_UPDATE_TIMER), reduce="mean", window=1):
            results = self.learner_group.update(
                **self.shards(fragments),
                timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: self._env_steps},
                num_epochs=self.config.num_epochs,
                minibatch_size=self.config.minibatch_size,
                advantage_mean=moments.mean,
                advantage_spread=moments.standard_deviation,
            )
            self.metrics.aggregate(results, key=LEARNER_RESULTS)
        self._env_steps += sum(fragment.num_env_steps for fragment in fragments)
        with self.metrics.log_time((TIMERS, SYNCH_WORKER_WEIGHTS_TIMER), reduce="mean", window=1):
            self._send_weights()

    def sample_fragments(self) -> list[Fragment]:
        """One fragment per env runner; what a runner that died left out, the others or its successor sample again."""
        scale, group = self.cost_scale(), self.env_runner_group
        if group.num_remote_workers() == 0:
            sampled = [(self.env_runner.sample(cost_scale=scale), self.env_runner.get_metrics())]
        else:
            sampled = self._sample_remotely(scale)
        self.metrics.aggregate([results for _, results in sampled], key=ENV_RUNNER_RESULTS)
        return [fragment for fragment, _ in sampled]

    def _sample_remotely(self, scale: float) -> list[tuple[Fragment, Any]]:
        group, wanted = self.env_runner_group, self.config.num_env_runners
        sampled: list[tuple[Fragment, Any]] = []
        deadline = time.monotonic() + self.config.sample_timeout_s
        while len(sampled) < wanted:
            if healthy := group.healthy_worker_ids()[: wanted - len(sampled)]:
                results = group.foreach_env_runner(
                    lambda runner: runner.sample_or_error(cost_scale=scale),
                    local_env_runner=False,
                    remote_worker_ids=healthy,
                    timeout_seconds=max(1.0, deadline - time.monotonic()),
                )
                for result in results:
                    if isinstance(result, Exception):
                        raise result
                sampled += results
            if len(sampled) < wanted and time.monotonic() > deadline:
                raise RuntimeError(
                    f"{len(sampled)} of {wanted} env runners delivered samples within "
                    f"{self.config.sample_timeout_s:g} seconds; look for crashed or overloaded nodes with `ray status`"
                )
            if len(sampled) < wanted:
                self.restore_env_runners(group)
        return sampled

    def cost_scale(self) -> float:
        """Fraction of the full trading costs that the next fragment is charged."""
        curriculum = self.config.cost_curriculum
        if curriculum is None:
            return 1.0
        return curriculum.scale(self.config.progress_at(self._env_steps))

    def learning_rate(self) -> float:
        """The learning rate that the next update would use."""
        env_steps = self._env_steps
        rates = self.learner_group.foreach_learner(lambda learner: learner.learning_rate_at(env_steps))
        return float(next(iter(rates)).get())

    def scale_learning_rate(self, factor: float) -> None:
        """Multiply the learning rate by ``factor`` from the next update on, on top of its schedule."""
        self.learner_group.foreach_learner(lambda learner: learner.scale_learning_rate(factor))

    def begin_with(self, weights: Mapping[str, np.ndarray]) -> None:
        """Begin with these values of the parameters, names as in :meth:`policy_weights`, in learners and samplers."""
        self.learner_group.foreach_learner(lambda learner: learner.begin_with(weights))
        self._send_weights()

    def freeze(self, prefixes: Sequence[str]) -> None:
        """Keep the parameters whose names begin so as they are."""
        self.learner_group.foreach_learner(lambda learner: learner.freeze(prefixes))

    def shards(self, fragments: list[Fragment]) -> dict[str, Any]:
        """The fragments as the learner group's `update` takes them, split by env where there are several learners."""
        if self.config.num_learners == 0:
            return {"batch": fragments}
        split = [fragment.split_envs(self.config.num_learners) for fragment in fragments]
        return {"batches": [list(shard) for shard in zip(*split, strict=True)]}

    def _send_weights(self) -> None:
        if self.env_runner_group.num_remote_workers() == 0 and self.config.num_learners == 0:
            sampling = self.env_runner.module
            self.learner_group.foreach_learner(
                lambda learner: sampling.load_state_dict(
                    learner.module[DEFAULT_MODULE_ID].unwrapped().state_dict()
                )
            )
            return
        self.env_runner_group.sync_weights(
            from_worker_or_learner_group=self.learner_group, inference_only=True
        )

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return super().get_state(*args, **kwargs) | {"env_steps": self._env_steps}

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        self._env_steps = state.get("env_steps", self._env_steps)

    def policy_weights(self) -> dict[str, np.ndarray]:
        """The network's weights as NumPy arrays, by parameter name."""
        component = f"{COMPONENT_LEARNER}/{COMPONENT_RL_MODULE}"
        state = self.learner_group.get_state(components=component)[COMPONENT_LEARNER]
        return state[COMPONENT_RL_MODULE][DEFAULT_MODULE_ID]
