"""The peer of suite `sweep`: one trial as a user of Optuna and sb3-contrib would write it, on the same work."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from envs.config import PortfolioEnvConfig
from envs.episodes import Window
from envs.kernel import columns as c
from envs.market import Market
from envs.portfolio import PortfolioVectorEnv
from envs.stable_baselines3 import PortfolioVecEnv
from evaluation.scoring.fold_scoring import scored_window
from evaluation.scoring.rollout import evaluation_config, whole_window_env
from evaluation.statistics.metrics import sharpe_ratio
from evaluation.windows.splits import Fold
from policies.networks import NetworkConfig
from policies.settings import PPOSettings
from rayjobs.study.config import TrainConfig
from rayjobs.study.fold_market import fold_market
from rayjobs.study.fold_windows import training_windows
from rayjobs.study.study import Study

ENVS = 64
"""Envs side by side: with more, RecurrentPPO's minibatches of whole envs get too large."""


@dataclass(frozen=True, kw_only=True)
class SB3Work:
    """What the trial trains and is scored on."""

    market: Market
    env: PortfolioEnvConfig
    training: Window
    test: Window
    ppo: PPOSettings
    network: NetworkConfig
    env_steps: int

    @classmethod
    def of(cls, config: TrainConfig, study: Study, fold: Fold) -> SB3Work:
        """The same bars, costs, batch and sizes as our trials."""
        market, _ = fold_market(study, fold)
        training, _ = training_windows(config, fold, market.first_bar)
        return cls(
            market=market,
            env=config.env,
            training=training,
            test=scored_window(fold),
            ppo=config.algo,
            network=config.policy,
            env_steps=config.trainer.total_env_steps // config.algo.batch_steps * config.algo.batch_steps,
        )


def sb3_trial(work: SB3Work, learning_rate: float, num_threads: int) -> float:
    """Train RecurrentPPO with that many torch threads and return its out-of-sample Sharpe ratio per bar."""
    from sb3_contrib import RecurrentPPO

    torch.set_num_threads(num_threads)
    env = PortfolioVectorEnv(
        work.market, work.env, num_envs=ENVS, windows=[work.training], seed=0, copy=False
    )
    model = RecurrentPPO(
        "MlpLstmPolicy",
        PortfolioVecEnv(env),
        n_steps=work.ppo.batch_steps // ENVS,
        batch_size=work.ppo.minibatch_steps,
        n_epochs=work.ppo.epochs,
        learning_rate=learning_rate,
        gamma=work.ppo.gamma,
        gae_lambda=work.ppo.gae_lambda,
        policy_kwargs={
            "lstm_hidden_size": work.network.core_units,
            "shared_lstm": True,
            "enable_critic_lstm": False,
            "net_arch": {"pi": [], "vf": [work.network.value_units]},
        },
        device="cpu",
        seed=0,
    )
    model.learn(work.env_steps)
    return _score(model, work)


def _score(model: object, work: SB3Work) -> float:
    """Step one env through the test window, as evaluate_policy does."""
    env = whole_window_env(work.market, evaluation_config(work.env), [work.test])
    observation, _ = env.reset()
    state, start, ended = None, np.ones(1, dtype=bool), False
    returns: list[float] = []
    while not ended:
        action, state = model.predict(observation, state=state, episode_start=start, deterministic=True)  # type: ignore[attr-defined]
        observation, _, terminated, truncated, _ = env.step(action)
        start = np.zeros(1, dtype=bool)
        ended = bool((terminated | truncated)[0])
        returns.append(float(env.rows.flow[0, c.NET_RETURN]))
    return sharpe_ratio(np.asarray(returns))
