"""Stock RLlib's multi-agent stack on the same account: an agent for each asset, a module for each or one for all.

The account is stepped once all agents have decided; each is paid the account's reward, as ours are.
"""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.env.multi_agent_env import MultiAgentEnv
from ray.tune.registry import register_env

from envs.episodes import Window
from envs.market import Market
from envs.observations import ObservationLayout
from envs.portfolio import PortfolioVectorEnv
from policies.actor_network import columns_of_slots, layout_of_slots
from policies.protocol import State
from rayjobs.study.config import TrainConfig
from rayjobs.training.policy_training import market_of_windows

ENV = "bench_agents"
ONE_MODULE = "all_assets"


class AssetAgentsEnv(MultiAgentEnv):
    """One account with an agent for each asset, which sees its asset, the account and the clock.

    Parameters
    ----------
    env : of one row, which resets in the step that ends an episode; its actions are choices.
    """

    def __init__(self, env: PortfolioVectorEnv) -> None:
        super().__init__()
        self._env = env
        self._columns = seen_by(env.layout)
        self.agents = self.possible_agents = list(self._columns)
        choices = env.single_action_space.nvec  # type: ignore[attr-defined]
        self.observation_spaces = {
            name: layout_of_slots(env.layout, [slot]).space() for slot, name in enumerate(self.agents)
        }
        self.action_spaces: dict[str, gym.Space] = {
            name: gym.spaces.Discrete(int(choices[slot])) for slot, name in enumerate(self.agents)
        }
        self._begun: NDArray[np.float32] | None = None
        """What the next episode begins with, since the account has been reset already."""

    def set_cost_scale(self, scale: float) -> None:
        """Charge this fraction of the trading costs from now on."""
        self._env.set_cost_scale(scale)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, NDArray[np.float32]], dict[str, Any]]:
        if seed is not None or self._begun is None:
            observation, _ = self._env.reset(seed=seed)
            self._begun = observation[0].copy()
        seen, self._begun = self._divided(self._begun), None
        return seen, {}

    def step(self, action_dict: dict[str, Any]) -> tuple[Any, Any, Any, Any, Any]:
        actions = np.array([[int(action_dict[name]) for name in self.agents]])
        observation, rewards, terminated, truncated, infos = self._env.step(actions)
        seen = observation[0]
        if terminated[0] or truncated[0]:
            self._begun, seen = seen.copy(), np.asarray(infos["final_obs"][0], np.float32)
        ended = {"__all__": bool(terminated[0])}, {"__all__": bool(truncated[0])}
        return self._divided(seen), dict.fromkeys(self.agents, float(rewards[0])), *ended, {}

    def _divided(self, observation: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        return {name: observation[columns] for name, columns in self._columns.items()}


def seen_by(layout: ObservationLayout) -> dict[str, NDArray[np.int64]]:
    """Agent -> the columns of the account's observation that it sees, in the order of the assets."""
    return {f"asset_{slot}": np.array(columns_of_slots(layout, [slot])) for slot in range(layout.num_assets)}


class StockAgents:
    """RLlib's PPO as it comes, with LSTMs of our sizes; costs, learning rate and entropy follow the same schedules.

    Parameters
    ----------
    config : settings of ours, whose batch, minibatch, epochs and loss are taken.
    own : a module for each asset; one for all without.
    """

    def __init__(
        self,
        config: TrainConfig,
        market: Market,
        windows: tuple[Window, ...],
        layout: ObservationLayout,
        own: bool,
    ) -> None:
        seen = market_of_windows(market, windows)

        def make(_: Any) -> AssetAgentsEnv:
            env = PortfolioVectorEnv(seen, config.env, num_envs=1, windows=list(windows), seed=config.seed)
            return AssetAgentsEnv(env)

        register_env(ENV, make)
        self._config, self._columns = config, seen_by(layout)
        self._modules = {name: name if own else ONE_MODULE for name in self._columns}
        self.algorithm: Any = self._rllib_config().build_algo()

    def _rllib_config(self) -> PPOConfig:
        algo, policy, steps = self._config.algo, self._config.policy, self._config.trainer.total_env_steps
        model = DefaultModelConfig(
            fcnet_hiddens=[policy.encoder_units],
            fcnet_activation="tanh",
            use_lstm=True,
            lstm_cell_size=policy.core_units,
            max_seq_len=algo.sequence_bars,
            head_fcnet_hiddens=[policy.value_units],
            vf_share_layers=True,
        )
        modules, of_agent = set(self._modules.values()), dict(self._modules)
        return (
            PPOConfig()
            .environment(ENV)
            .multi_agent(policies=modules, policy_mapping_fn=lambda agent, episode, **_: of_agent[agent])
            .env_runners(
                num_env_runners=0,
                num_envs_per_env_runner=algo.num_envs,
                rollout_fragment_length=algo.fragment_bars,
            )
            .training(
                lr=algo.learning_rate.points(steps),
                entropy_coeff=algo.entropy_coefficient.points(steps),
                gamma=algo.gamma,
                lambda_=algo.gae_lambda,
                clip_param=0.2 if algo.clip_range is None else algo.clip_range.initial,
                vf_loss_coeff=algo.value_coefficient or 0.0,
                vf_clip_param=float("inf"),
                use_kl_loss=False,
                grad_clip=algo.max_grad_norm,
                grad_clip_by="global_norm",
                num_epochs=algo.epochs,
                minibatch_size=algo.minibatch_steps,
                train_batch_size_per_learner=algo.batch_steps,
            )
            .rl_module(
                rl_module_spec=MultiRLModuleSpec(
                    rl_module_specs={name: RLModuleSpec(model_config=model) for name in modules}
                )
            )
            .learners(num_learners=0)
            .debugging(seed=self._config.seed, log_level="ERROR")
        )

    def train(self) -> float:
        """Train for the configured env steps; env steps a CPU second, of the median iteration after the first."""
        algo, steps = self._config.algo, self._config.trainer.total_env_steps
        spent = []
        for iteration in range(max(1, steps // algo.batch_steps)):
            progress = iteration * algo.batch_steps / steps
            scale = algo.cost_curriculum.scale(progress)
            for env in self.algorithm.env_runner.env.envs:
                env.unwrapped.set_cost_scale(scale)
            began = time.process_time()
            self.algorithm.train()
            spent.append(time.process_time() - began)
        return algo.batch_steps / median(spent[1:] or spent)

    def policy(self) -> StockAgentsPolicy:
        """What was trained, without exploration."""
        return StockAgentsPolicy(self.algorithm.env_runner.module, self._columns, self._modules)

    def close(self) -> None:
        self.algorithm.stop()


class StockAgentsPolicy:
    """A `policies.protocol.Policy` that asks each agent's module for its asset."""

    def __init__(
        self, modules: Any, columns: dict[str, NDArray[np.int64]], module_of: dict[str, str]
    ) -> None:
        self._columns = columns
        self._modules = {name: modules[module].unwrapped() for name, module in module_of.items()}

    def initial_state(self, num_envs: int) -> State:
        return {
            agent: {
                name: torch.as_tensor(value).expand(num_envs, *value.shape).clone()
                for name, value in module.get_initial_state().items()
            }
            for agent, module in self._modules.items()
        }

    def act(self, observation: NDArray[np.float32], state: State) -> tuple[NDArray[Any], State]:
        actions, after = [], {}
        for agent, module in self._modules.items():
            seen = torch.from_numpy(np.ascontiguousarray(observation[:, self._columns[agent]]))
            with torch.inference_mode():
                found = module.forward_inference({Columns.OBS: seen[:, None], Columns.STATE_IN: state[agent]})
            actions.append(found[Columns.ACTION_DIST_INPUTS][:, 0].argmax(-1).numpy())
            after[agent] = found[Columns.STATE_OUT]
        return np.stack(actions, axis=1), after
