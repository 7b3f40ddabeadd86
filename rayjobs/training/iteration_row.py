"""The row of ``progress.csv`` that a training iteration leaves."""

from __future__ import annotations

from typing import Any

from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS, LEARNER_RESULTS, TIMERS

from policies.algorithm import PortfolioPPO
from policies.health import health_flags

#: Column of ``progress.csv`` -> number that the learner reports; means over the minibatches of an update.
_LEARNER_COLUMNS = {
    "total_loss": "total_loss",
    "policy_loss": "policy_loss",
    "value_loss": "vf_loss",
    "entropy": "entropy",
    "approx_kl": "approx_kl",
    "clip_fraction": "clip_fraction",
    "explained_variance": "vf_explained_var",
    "gradient_norm": "gradient_norm",
    "learning_rate": "learning_rate",
    "kl_coefficient": "kl_coefficient",
}

#: Column of ``progress.csv`` -> number that the env runners report; means over the latest episodes that ended.
_EPISODE_COLUMNS = {
    "episode_return": "episode_return_mean",
    "episode_length": "episode_len_mean",
    "episode_net_return": "episode_net_return_mean",
    "episode_turnover": "episode_turnover_mean",
    "episode_cost": "episode_cost_mean",
    "episode_breaches": "episode_breaches_mean",
}


def iteration_row(algorithm: PortfolioPPO, result: dict[str, Any]) -> tuple[dict[str, Any], dict[str, float]]:
    """The row of ``progress.csv``, and the timings, which are kept out of it."""
    learner = result[LEARNER_RESULTS][DEFAULT_MODULE_ID]
    row: dict[str, Any] = {
        "iteration": int(result["training_iteration"]),
        "env_steps": algorithm.env_steps,
    }
    row |= {
        column: _number(result[ENV_RUNNER_RESULTS].get(name)) for column, name in _EPISODE_COLUMNS.items()
    }
    row |= {column: _number(learner[name]) for column, name in _LEARNER_COLUMNS.items()}
    flags = health_flags(
        approx_kl=row["approx_kl"],
        clip_fraction=row["clip_fraction"],
        explained_variance=row["explained_variance"],
        progress=algorithm.config.progress_at(algorithm.env_steps),
    )
    row |= {
        "num_minibatches": int(learner["num_minibatches"]),
        "cost_scale": algorithm.cost_scale(),
        "validation_sharpe": None,
        "health": ", ".join(flags),
    }
    timers = result[TIMERS]
    timings = {
        "sample_seconds": _number(timers["env_runner_sampling_timer"]),
        "learn_seconds": _number(timers["learner_update_timer"]),
    }
    return row, timings


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)
