"""The env runner: steps a vector env and the policy in one batched loop, and returns one columnar fragment.

Stock RLlib keeps an episode object per env and runs connectors on each step; here a step costs one network
call and one ``env.step`` for all envs together. Any ``gymnasium.vector.VectorEnv`` will do, with SAME_STEP or
NEXT_STEP autoreset.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Collection
from typing import Any

import gymnasium as gym
import numpy as np
import ray
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray
from ray.rllib.core import (
    COMPONENT_RL_MODULE,
    DEFAULT_AGENT_ID,
    DEFAULT_MODULE_ID,
)
from ray.rllib.env import INPUT_ENV_SINGLE_SPACES, INPUT_ENV_SPACES
from ray.rllib.env.env_context import EnvContext
from ray.rllib.env.env_runner import EnvRunner
from ray.rllib.utils.checkpoints import Checkpointable
from ray.rllib.utils.metrics import (
    EPISODE_LEN_MEAN,
    EPISODE_RETURN_MEAN,
    NUM_AGENT_STEPS_SAMPLED,
    NUM_ENV_STEPS_SAMPLED,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    NUM_EPISODES,
    NUM_EPISODES_LIFETIME,
    NUM_MODULE_STEPS_SAMPLED,
    SAMPLE_TIMER,
    WEIGHTS_SEQ_NO,
)

from policies.compiled.inference import acting_form
from policies.distributions import rule_out
from policies.episode_log import EpisodeLog
from policies.fragment import Fragment, generalised_advantages
from policies.module import PortfolioModule
from policies.reward_scaling import RewardScaler
from policies.rllib_private import registered_env


class FragmentEnvRunner(EnvRunner, Checkpointable):
    """Samples fragments of ``rollout_fragment_length`` steps from ``num_envs_per_env_runner`` envs."""

    def __init__(self, *, config: Any, **kwargs: Any) -> None:
        super().__init__(config=config, **kwargs)
        # With a seed RLlib asks torch for deterministic algorithms, and torch then fills every new array: a tenth of
        # training's time, for what only a bug could read.
        torch.utils.deterministic.fill_uninitialized_memory = False
        self.tune_trial_id = kwargs.get("tune_trial_id")
        if self.worker_index:  # a remote runner owns its process; the local one shares the learner's threads
            torch.set_num_threads(1)
        self._weights_seq_no = 0
        self._random = np.random.default_rng([self._seed or 0, 0x5A3B1E])
        self.env: VectorEnv = None  # type: ignore[assignment]
        self.module: PortfolioModule = None  # type: ignore[assignment]
        self.make_env()
        self.make_module()

    # --- building

    def make_env(self) -> None:
        if self.env is not None:
            self.env.close()
        num_envs = self.config.num_envs_per_env_runner
        workers = {"worker_index": self.worker_index or 0, "num_workers": self.num_workers or 0}
        creator = self.config.env
        if isinstance(creator, str):
            creator = registered_env(creator) or creator
        if callable(creator):
            self.env = creator(EnvContext({**self.config.env_config, "num_envs": num_envs}, **workers))
        else:
            same_step = {"autoreset_mode": AutoresetMode.SAME_STEP}
            self.env = gym.make_vec(
                creator, num_envs, "sync", vector_kwargs=same_step, **self.config.env_config
            )
        mode = self.env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
        if mode == AutoresetMode.DISABLED:
            raise ValueError("the vector env has autoreset disabled; build it with SAME_STEP or NEXT_STEP")
        self._same_step = mode == AutoresetMode.SAME_STEP
        self._scaler = RewardScaler(num_envs, self.config.gamma) if self.config.scale_rewards else None
        self._started = False

    def make_module(self) -> None:
        spec = self.config.get_rl_module_spec(env=self.env, spaces=self.get_spaces(), inference_only=True)
        self.module = spec.build()
        self.module.eval()
        self._distribution = self.module.get_exploration_action_dist_cls()
        if self.module.masks_actions and not hasattr(self.env, "action_masks"):
            raise ValueError("policy.action_masks is true but the env offers none; set it to false")

    def get_spaces(self) -> dict[str, tuple[gym.Space, gym.Space]]:
        single = (self.env.single_observation_space, self.env.single_action_space)
        return {
            INPUT_ENV_SPACES: (self.env.observation_space, self.env.action_space),
            INPUT_ENV_SINGLE_SPACES: single,
            DEFAULT_MODULE_ID: single,
        }

    def assert_healthy(self) -> None:
        assert self.env is not None
        assert self.module is not None

    def stop(self) -> None:
        self.env.close()

    # --- sampling

    def sample(self, *, cost_scale: float | None = None, **_: Any) -> Fragment:
        """Sample one fragment.

        Parameters
        ----------
        cost_scale : trading costs as a fraction of the configured ones (the cost curriculum), for envs that
            know it.
        """
        if not self._started:
            self._reset()
        if cost_scale is not None and hasattr(self.env, "set_cost_scale"):
            self.env.set_cost_scale(cost_scale)
        with self.metrics.log_time(SAMPLE_TIMER, reduce="mean", window=1), torch.inference_mode():
            fragment = self._sample_fragment()
        self._log_counts(fragment.num_env_steps)
        return fragment

    def sample_or_error(self, *, cost_scale: float) -> tuple[Fragment, Any] | Exception:
        """A fragment and its metrics for the driver, or what the env or the network raised.

        RLlib takes an exception for a fault of the machine and restarts the runner, again and again and without a word.
        """
        try:
            return self.sample(cost_scale=cost_scale), self.get_metrics()
        except Exception as error:
            error.add_note(f"raised in env runner {self.worker_index}:\n{traceback.format_exc()}")
            return error

    def _reset(self) -> None:
        num_envs = self.env.num_envs
        seed = None if self._seed is None else self._seed * 100_003
        observation, _ = self.env.reset(seed=seed)
        self._observation = np.array(observation, dtype=np.float32)
        self._state = self.module.network.initial_state(num_envs)
        self._keep = np.zeros(num_envs, dtype=np.float32)
        self._resetting = np.zeros(num_envs, dtype=bool)
        window = math.ceil(self.config.metrics_num_episodes_for_smoothing / (self.num_workers or 1))
        self._episodes = EpisodeLog(num_envs, window)
        self._started = True

    def _sample_fragment(self) -> Fragment:
        network = self.module.network
        self._network = acting_form(network, with_values=True)  # packs the weights as they are now
        length = int(self.config.get_rollout_fragment_length(self.worker_index or 0))
        sequence = self.config.sequence_length
        shape = (length, self.env.num_envs)
        spec = self.module.distribution_spec
        observations = np.empty((*shape, *self.env.single_observation_space.shape), np.float32)
        actions = np.empty((*shape, *spec.action_shape), spec.action_dtype)
        scores = np.empty((*shape, spec.num_scores), np.float32)
        values, next_values, rewards, keep = (np.empty(shape, np.float32) for _ in range(4))
        ended, valid = np.empty(shape, bool), np.empty(shape, bool)
        states: dict[str, list[NDArray[np.float32]]] = {name: [] for name in self._state}
        for t in range(length):
            if t % sequence == 0:
                for name, value in self._state.items():
                    states[name].append(value.numpy().copy())
            observations[t], keep[t], valid[t] = self._observation, self._keep, ~self._resetting
            output = self._advance(self._observation)
            allowed_scores = self._allowed(output.scores)
            choice = self._distribution.from_logits(allowed_scores).draw(self._random)
            actions[t], scores[t], values[t] = choice.numpy(), allowed_scores.numpy(), output.values.numpy()
            if t > 0:
                # What follows step t - 1 is this observation, unless an episode ended between.
                np.copyto(next_values[t - 1], values[t], where=self._carried)
            ended[t] = self._step(actions[t], rewards[t], next_values[t])
        np.copyto(next_values[-1], self._peek_values(), where=self._carried)
        distribution = self._distribution.from_logits(torch.from_numpy(scores))
        log_probs = distribution.logp(torch.from_numpy(actions)).numpy()
        if not self.config.use_critic:
            values[:] = next_values[:] = 0.0
        advantages, targets = generalised_advantages(
            rewards, values, next_values, ended, valid, gamma=self.config.gamma, lambda_=self.config.lambda_
        )
        return Fragment(
            observations=observations,
            actions=actions,
            scores=scores,
            log_probs=log_probs,
            advantages=advantages,
            value_targets=targets,
            keep=keep,
            valid=valid,
            states={name: np.stack(parts) for name, parts in states.items()},
        )

    def _advance(self, observation: NDArray[np.float32]) -> Any:
        """Clear the state of envs that start an episode, then run the network; keeps the new state."""
        state = self._state
        if not self._keep.all():
            keep = torch.from_numpy(self._keep)[:, None, None]
            state = {name: value * keep for name, value in state.items()}
        output = self._network.step(torch.from_numpy(observation), state)
        self._state = output.state
        return output

    def _allowed(self, scores: torch.Tensor) -> torch.Tensor:
        """Scores without the choices that a limit of the env would change now, if the policy masks actions."""
        if not self.module.masks_actions:
            return scores
        masks = self.env.action_masks()  # type: ignore[attr-defined]
        return rule_out(scores, torch.from_numpy(masks))

    def _peek_values(self) -> NDArray[np.float32]:
        """Values (E,) of the observation that the next fragment starts with; changes no state."""
        state, output = self._state, self._advance(self._observation)
        self._state = state
        return output.values.numpy()

    def _step(
        self,
        actions: NDArray[np.int64],
        rewards_out: NDArray[np.float32],
        next_values_out: NDArray[np.float32],
    ) -> NDArray[np.bool_]:
        """Step the env; fill in the rewards and, where the episode ended, the value after the step."""
        observation, rewards, terminated, truncated, infos = self.env.step(actions)
        ended = terminated | truncated
        self._episodes.add(rewards, ended, ~self._resetting)
        rewards_out[:] = self._scaler.scale(rewards, ended) if self._scaler else rewards
        next_values_out[:] = 0.0
        if self._same_step:
            bootstrap = truncated & ~terminated
            if bootstrap.any():
                next_values_out[bootstrap] = self._final_values(infos, bootstrap)
            self._keep = (~ended).astype(np.float32)
            self._carried = ~ended
        else:
            # NEXT_STEP: this observation is the episode's last; the next step, whose action is ignored, resets.
            self._carried = ~terminated
            self._keep = (~self._resetting).astype(np.float32)
            self._resetting = ended
        self._observation = np.array(observation, dtype=np.float32)
        return ended

    def _final_values(self, infos: dict[str, Any], rows: NDArray[np.bool_]) -> NDArray[np.float32]:
        final = infos["final_obs"]
        final = final[rows] if final.dtype != object else np.stack(list(final[rows]))
        index = torch.from_numpy(np.flatnonzero(rows))
        state = {name: value[index] for name, value in self._state.items()}
        return self._network.step(torch.from_numpy(final.astype(np.float32)), state).values.numpy()

    # --- metrics and state

    def _log_counts(self, num_env_steps: int) -> None:
        self.num_env_steps_sampled_lifetime += num_env_steps
        log = self.metrics.log_value
        log(NUM_ENV_STEPS_SAMPLED, num_env_steps, reduce="sum")
        log((NUM_AGENT_STEPS_SAMPLED, DEFAULT_AGENT_ID), num_env_steps, reduce="sum")
        log((NUM_MODULE_STEPS_SAMPLED, DEFAULT_MODULE_ID), num_env_steps, reduce="sum")
        log(NUM_ENV_STEPS_SAMPLED_LIFETIME, num_env_steps, reduce="lifetime_sum", with_throughput=True)
        new_episodes, means = self._episodes.take_new(), self._episodes.means()
        log(NUM_EPISODES, new_episodes, reduce="sum")
        log(NUM_EPISODES_LIFETIME, new_episodes, reduce="lifetime_sum")
        if means is not None:
            log(EPISODE_RETURN_MEAN, means[0], window=1)
            log(EPISODE_LEN_MEAN, means[1], window=1)
        if hasattr(self.env, "episode_statistics"):
            self._episodes.add_statistics(self.env.episode_statistics())
        for name, mean in self._episodes.statistic_means().items():
            log(f"episode_{name}_mean", mean, window=1)  # no name may be one of RLlib's own, such as "return"

    def get_metrics(self) -> Any:
        return self.metrics.reduce()

    def get_state(
        self,
        components: str | Collection[str] | None = None,
        *,
        not_components: str | Collection[str] | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        """Everything that decides the next fragment: env, recurrent state, generator, scaler (and weights)."""
        state: dict[str, Any] = {NUM_ENV_STEPS_SAMPLED_LIFETIME: self.num_env_steps_sampled_lifetime}
        if self._check_component(COMPONENT_RL_MODULE, components, not_components):
            state[COMPONENT_RL_MODULE] = self.module.get_state()
            state[WEIGHTS_SEQ_NO] = self._weights_seq_no
        if self._started and hasattr(self.env, "get_state"):
            state["sampling"] = {
                "env": self.env.get_state(),
                "random": self._random.bit_generator.state,
                "observation": self._observation.copy(),
                "recurrent": {name: value.numpy().copy() for name, value in self._state.items()},
                "keep": self._keep.copy(),
                "resetting": self._resetting.copy(),
                "episodes": self._episodes.get_state(),
                "scaler": self._scaler.get_state() if self._scaler else None,
            }
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        if COMPONENT_RL_MODULE in state:
            weights = state[COMPONENT_RL_MODULE]
            if isinstance(weights, ray.ObjectRef):  # how RLlib sends weights to remote runners
                weights = ray.get(weights)
            self.module.set_state(weights.get(DEFAULT_MODULE_ID, weights))
            self._weights_seq_no = state.get(WEIGHTS_SEQ_NO, 0)
        if NUM_ENV_STEPS_SAMPLED_LIFETIME in state:
            self.num_env_steps_sampled_lifetime = state[NUM_ENV_STEPS_SAMPLED_LIFETIME]
        if "sampling" in state:
            sampling = state["sampling"]
            self._reset()
            self.env.set_state(sampling["env"])
            self._random.bit_generator.state = sampling["random"]
            self._observation = sampling["observation"].copy()
            self._state = {name: torch.from_numpy(v.copy()) for name, v in sampling["recurrent"].items()}
            self._keep, self._resetting = sampling["keep"].copy(), sampling["resetting"].copy()
            self._episodes.set_state(sampling["episodes"])
            if self._scaler and sampling["scaler"]:
                self._scaler.set_state(sampling["scaler"])

    def get_ctor_args_and_kwargs(self) -> tuple[tuple[()], dict[str, Any]]:
        return (), {"config": self.config}

    def get_checkpointable_components(self) -> list[tuple[str, Any]]:
        return [(COMPONENT_RL_MODULE, self.module)]
