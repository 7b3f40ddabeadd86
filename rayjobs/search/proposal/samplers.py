"""From ``search.sampler`` to Optuna's sampler."""

from __future__ import annotations

import warnings
from importlib.util import find_spec

import optuna

from rayjobs.config.typed_config import ConfigError
from rayjobs.search.plan.settings import SamplerConfig


def make_sampler(config: SamplerConfig, seed: int, trials_so_far: int) -> optuna.samplers.BaseSampler:
    """Build the sampler.

    Parameters
    ----------
    seed : of the study.
    trials_so_far : trials that the study holds already: a resumed study must not draw its first points again.

    Raises
    ------
    ConfigError
        For cmaes without the package of that name.
    """
    seed = (seed * 1_000_003 + trials_so_far) % 2**32
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if config.kind == "tpe":
            return optuna.samplers.TPESampler(
                seed=seed,
                n_startup_trials=config.startup_trials,
                multivariate=True,
                group=True,  # conditional parameters: one model per group that occurs together
                constant_liar=True,  # running trials count as bad, so that those side by side differ
            )
        if config.kind == "gp":
            return optuna.samplers.GPSampler(
                seed=seed, n_startup_trials=config.startup_trials, warn_independent_sampling=False
            )
        if config.kind == "cmaes":
            if find_spec("cmaes") is None:
                raise ConfigError(
                    "search.sampler.kind is cmaes, which needs a package: pip install -c requirements.lock "
                    "-e '.[search]'; or use gp or tpe"
                )
            return optuna.samplers.CmaEsSampler(
                seed=seed, n_startup_trials=max(1, config.startup_trials), warn_independent_sampling=False
            )
        if config.kind == "nsga2":
            return optuna.samplers.NSGAIISampler(seed=seed, population_size=config.population)
        # A grid is enqueued whole when the study begins, so that a resumed one goes on where it was.
        return optuna.samplers.RandomSampler(seed=seed)
