"""PPO on RLlib's algorithm with columnar fragments: what a training iteration does.

RLlib supplies configuration, actors, fault tolerance, learners and checkpoints. One iteration samples a
fragment from each env runner, updates on their sequences and sends the weights back.
"""

from __future__ import annotations

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
from policies.schedules import CostCurriculum


class PortfolioPPOConfig(PPOConfig):
    """RLlib's ``PPOConfig`` plus what columnar sequences need; set them with :meth:`sequences`."""

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class or PortfolioPPO)
        self.sequence_length = 32
        self.kl_stop: float | None = None
        self.scale_rewards = False
        self.adam_epsilon = 1e-5
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
        kl_stop: float | None = NotProvided,
        scale_rewards: bool = NotProvided,
        adam_epsilon: float = NotProvided,
        cost_curriculum: CostCurriculum | None = NotProvided,
        total_env_steps: int = NotProvided,
    ) -> PortfolioPPOConfig:
        """Set the columnar sampler's and learner's own knobs.

        Parameters
        ----------
        sequence_length : steps of back-propagation through time; divides the fragment length.
        kl_stop : approximate KL at which an update stops early; None never.
        scale_rewards : divide rewards by the running spread of the discounted return.
        adam_epsilon : epsilon of Adam.
        cost_curriculum : trading costs over training; None charges them in full.
        total_env_steps : length of training, which the curriculum is stretched over.
        """
        for name, value in locals().items():
            if name != "self" and value is not NotProvided:
                setattr(self, name, value)
        return self

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
        with self.metrics.log_time((TIMERS, ENV_RUNNER_SAMPLING_TIMER)):
            fragments = self._sample()
        if not fragments:
            return
        moments = sum((f.advantage_moments() for f in fragments), start=Moments(0.0, 0.0, 0.0))
        with self.metrics.log_time((TIMERS, LEARNER_UPDATE_TIMER)):
            results = self.learner_group.update(
                **self._shards(fragments),
                timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: self._env_steps},
                num_epochs=self.config.num_epochs,
                minibatch_size=self.config.minibatch_size,
                advantage_mean=moments.mean,
                advantage_spread=moments.standard_deviation,
            )
            self.metrics.aggregate(results, key=LEARNER_RESULTS)
        self._env_steps += sum(fragment.num_env_steps for fragment in fragments)
        with self.metrics.log_time((TIMERS, SYNCH_WORKER_WEIGHTS_TIMER)):
            self._send_weights()

    def _sample(self) -> list[Fragment]:
        """One fragment per env runner; those of runners that died are sampled again by the others or their
        successors.
        """
        scale = self.cost_scale()
        group = self.env_runner_group
        if group.num_remote_workers() == 0:
            fragments = [self.env_runner.sample(cost_scale=scale)]
            results = [self.env_runner.get_metrics()]
        else:
            fragments, results = [], []
            while len(fragments) < self.config.num_env_runners:
                sampled = group.foreach_env_runner(
                    lambda runner: (runner.sample(cost_scale=scale), runner.get_metrics()),
                    local_env_runner=False,
                    timeout_seconds=self.config.sample_timeout_s,
                )
                if not sampled:
                    break
                fragments.extend(fragment for fragment, _ in sampled)
                results.extend(result for _, result in sampled)
                if len(fragments) < self.config.num_env_runners:
                    self.restore_env_runners(group)
            fragments = fragments[: self.config.num_env_runners]
        if results:
            self.metrics.aggregate(results, key=ENV_RUNNER_RESULTS)
        return fragments

    def cost_scale(self) -> float:
        """Fraction of the full trading costs that the next fragment is charged."""
        curriculum = self.config.cost_curriculum
        if curriculum is None:
            return 1.0
        return curriculum.scale(min(1.0, self._env_steps / max(1, self.config.total_env_steps)))

    def _shards(self, fragments: list[Fragment]) -> dict[str, Any]:
        if self.config.num_learners == 0:
            return {"batch": fragments}
        split = [fragment.split_envs(self.config.num_learners) for fragment in fragments]
        return {"batches": [list(shard) for shard in zip(*split, strict=True)]}

    def _send_weights(self) -> None:
        if self.env_runner_group.num_remote_workers() == 0 and self.config.num_learners == 0:
            learner = self.learner_group._learner
            trained = learner.module[DEFAULT_MODULE_ID].unwrapped()
            self.env_runner.module.load_state_dict(trained.state_dict())
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
