"""The env that an experiment trains on, for trainers of other projects: Stable-Baselines3, stock RLlib, your own."""

from __future__ import annotations

from collections.abc import Sequence

from gymnasium.vector import AutoresetMode

from envs.portfolio import PortfolioVectorEnv
from rayjobs.config.compose import compose
from rayjobs.study.config import build_train_config
from rayjobs.study.fold_market import fold_market
from rayjobs.study.fold_windows import windows_to_train
from rayjobs.study.load import load_study
from rayjobs.training.policy_training import market_of_windows, training_env_of


def training_env(
    overrides: Sequence[str],
    *,
    num_envs: int,
    seed: int = 0,
    fold: int = 0,
    autoreset_mode: AutoresetMode = AutoresetMode.SAME_STEP,
) -> PortfolioVectorEnv:
    """The vector env on one fold's training window, features standardised on that window.

    Parameters
    ----------
    overrides : as on the command line of `rayjobs.train`, such as ``["+experiment=planted_signal"]``.
    fold : index of the walk-forward fold.

    Raises
    ------
    ValueError
        If the configuration or the bars cannot be used, or there is no such fold.

    Notes
    -----
    Costs are in full from the first step: the cost curriculum belongs to the trainer, see
    `PortfolioVectorEnv.set_cost_scale`.
    """
    config = build_train_config(compose("train", overrides))
    study, _, folds = load_study(config)
    if not 0 <= fold < len(folds):
        raise ValueError(f"fold is {fold}; the bars hold folds 0 to {len(folds) - 1}")
    market, _ = fold_market(study, folds[fold])
    training, _ = windows_to_train(config, folds[fold], market.first_bar)
    return training_env_of(config.env)(
        market_of_windows(market, training),
        config.env,
        num_envs=num_envs,
        windows=training,
        seed=seed,
        autoreset_mode=autoreset_mode,
    )
