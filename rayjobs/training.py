"""Training one policy on one window: the loop around RLlib, its checkpoints and its validation.

Runs in the driver or inside a Ray task; several of these run side by side, one per fold and seed.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS, LEARNER_RESULTS, TIMERS
from ray.tune.registry import register_env

from envs.config import PortfolioEnvConfig
from envs.episodes import Window
from envs.market import Market
from envs.portfolio import PortfolioVectorEnv
from evaluation.metrics import sharpe_ratio
from evaluation.rollout import evaluation_config, run_policy
from policies.algorithm import PortfolioPPO
from policies.checkpoint import PolicyContract, TrainedPolicy
from policies.settings import PPOSettings
from rayjobs.trainer_config import TrainerConfig

PORTFOLIO_ENV = "rayfold_portfolio"


class TrainingDiverged(RuntimeError):
    """The loss is no longer finite; the message names the last good checkpoint."""


@dataclass(frozen=True, kw_only=True)
class TrainingSpec:
    """Everything that one policy's training depends on.

    Parameters
    ----------
    label : names the job in progress lines, such as ``fold 2``.
    market : reference to the fold's Market (standardised on its training window) in Ray's object store.
    env : what to simulate; the episode shape is for training.
    training_windows, validation_window : bars to train on, and to choose the best checkpoint on (None: the last).
    contract : what the exported policy needs to be given.
    ppo, trainer : algorithm settings, length.
    seed : of weights, exploration, shuffling and the env.
    directory : where checkpoints go.
    """

    label: str
    market: ray.ObjectRef
    env: PortfolioEnvConfig
    training_windows: tuple[Window, ...]
    validation_window: Window | None
    contract: PolicyContract
    ppo: PPOSettings
    trainer: TrainerConfig
    seed: int
    directory: Path


@dataclass(frozen=True, kw_only=True)
class TrainingOutcome:
    """What training leaves behind.

    Parameters
    ----------
    policy : directory of the exported policy.
    iterations : one row per training iteration, for ``progress.csv``; no wall-clock times, so that equal runs
        have equal rows.
    """

    policy: Path
    iterations: tuple[dict[str, Any], ...]


def make_training_env(context: dict[str, Any]) -> PortfolioVectorEnv:
    """Env creator for RLlib; ``context`` carries the market's reference, the env config and ``num_envs``."""
    (market_reference,) = context["market"]
    return PortfolioVectorEnv(
        ray.get(market_reference),
        context["env"],
        num_envs=context["num_envs"],
        windows=context["windows"],
        seed=0,
    )


def train_policy(spec: TrainingSpec, report: Callable[[dict[str, Any]], None]) -> TrainingOutcome:
    """Train, checkpoint and export one policy.

    Parameters
    ----------
    spec : what to train.
    report : called after each iteration with its row plus timings.

    Raises
    ------
    TrainingDiverged
        If the loss is no longer finite.
    """
    with PolicyTraining(spec) as training:
        training.advance(1.0, report)
        return TrainingOutcome(policy=training.policy_directory(), iterations=tuple(training.rows))


class PolicyTraining:
    """One policy's training, which may pause after any iteration; a context manager that ends RLlib's algorithm.

    Pausing changes nothing: the policy at the end is the one of a training that never paused.

    Attributes
    ----------
    rows : one per iteration so far, as `TrainingOutcome.iterations`.
    """

    def __init__(self, spec: TrainingSpec) -> None:
        torch.set_num_threads(1)
        register_env(PORTFOLIO_ENV, make_training_env)
        self._spec = spec
        self._best = -math.inf
        self._latest, self._chosen = spec.directory / "latest", spec.directory / "best"
        self.rows: list[dict[str, Any]] = []
        # Whole batches only, and never more env steps than asked for, unless a single batch is more.
        self._num_iterations = max(1, spec.trainer.total_env_steps // spec.ppo.batch_steps)
        self._algorithm: PortfolioPPO = spec.ppo.rllib_config(
            env=PORTFOLIO_ENV,
            env_config={"market": [spec.market], "env": spec.env, "windows": spec.training_windows},
            layout=spec.contract.layout,
            network=spec.contract.network,
            seed=spec.seed,
            total_env_steps=spec.trainer.total_env_steps,
        ).build_algo()

    def __enter__(self) -> PolicyTraining:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End RLlib's algorithm and its actors."""
        self._algorithm.stop()

    @property
    def env_steps(self) -> int:
        """Env steps trained on so far."""
        return self._algorithm.env_steps

    def advance(self, fraction: float, report: Callable[[dict[str, Any]], None]) -> None:
        """Train on until this fraction of the whole training is done, at least one iteration of it.

        Parameters
        ----------
        fraction : of all iterations, (0, 1]; 1 also writes the last checkpoint.
        report : called after each iteration with its row plus timings.

        Raises
        ------
        TrainingDiverged
            If the loss is no longer finite.
        """
        target = max(1, round(fraction * self._num_iterations))
        while self._algorithm.iteration < target:
            self._iterate(report)

    def policy(self) -> TrainedPolicy:
        """The best policy on the validation window so far; the present one if none was validated at full costs."""
        if math.isfinite(self._best):
            return TrainedPolicy.load(self._chosen)
        return _export(self._algorithm, self._spec)

    def policy_directory(self) -> Path:
        """Where `policy` is exported to."""
        if not math.isfinite(self._best):
            _export(self._algorithm, self._spec).save(self._chosen)
        return self._chosen

    def _iterate(self, report: Callable[[dict[str, Any]], None]) -> None:
        algorithm, spec = self._algorithm, self._spec
        result = algorithm.train()
        finished = algorithm.iteration >= self._num_iterations
        row, timings = _iteration_row(algorithm, result)
        if not math.isfinite(row["total_loss"]):
            kept = self._latest if self._latest.is_dir() else "none yet"
            raise TrainingDiverged(
                f"{spec.label}: the loss is {row['total_loss']}; last good checkpoint: {kept}"
            )
        if spec.validation_window and (finished or row["iteration"] % spec.trainer.validation_every == 0):
            policy = _export(algorithm, spec)
            row["validation_sharpe"] = _validate(policy, spec)
            if algorithm.cost_scale() >= 1.0 and row["validation_sharpe"] > self._best:
                self._best = row["validation_sharpe"]
                policy.save(self._chosen)
        self.rows.append(row)
        report(row | timings)
        if finished or row["iteration"] % spec.trainer.checkpoint_every == 0:
            _save_checkpoint(algorithm, self._latest)


def _iteration_row(
    algorithm: PortfolioPPO, result: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, float]]:
    learner = result[LEARNER_RESULTS][DEFAULT_MODULE_ID]
    sampler = result[ENV_RUNNER_RESULTS]
    row = {
        "iteration": int(result["training_iteration"]),
        "env_steps": algorithm.env_steps,
        "episode_return": _number(sampler.get("episode_return_mean")),
        "total_loss": _number(learner["total_loss"]),
        "policy_loss": _number(learner["policy_loss"]),
        "value_loss": _number(learner["vf_loss"]),
        "entropy": _number(learner["entropy"]),
        "approx_kl": _number(learner["approx_kl"]),
        "clip_fraction": _number(learner["clip_fraction"]),
        "explained_variance": _number(learner["vf_explained_var"]),
        "num_minibatches": int(learner["num_minibatches"]),
        "learning_rate": _number(learner["default_optimizer_learning_rate"]),
        "cost_scale": algorithm.cost_scale(),
        "validation_sharpe": None,
    }
    timers = result[TIMERS]
    timings = {
        "sample_seconds": _number(timers["env_runner_sampling_timer"]),
        "learn_seconds": _number(timers["learner_update_timer"]),
    }
    return row, timings


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _export(algorithm: PortfolioPPO, spec: TrainingSpec) -> TrainedPolicy:
    weights = {
        name.removeprefix("network."): torch.from_numpy(np.array(value))
        for name, value in algorithm.policy_weights().items()
    }
    return TrainedPolicy(spec.contract, weights)


def _validate(policy: TrainedPolicy, spec: TrainingSpec) -> float:
    """Per-bar Sharpe ratio of the deterministic policy on the validation window, net of full costs."""
    assert spec.validation_window is not None
    market: Market = ray.get(spec.market)
    (recording,) = run_policy(policy, market, evaluation_config(spec.env), [spec.validation_window])
    sharpe = sharpe_ratio(recording.net_return)
    return sharpe if math.isfinite(sharpe) else 0.0  # a flat policy has no spread


def _save_checkpoint(algorithm: PortfolioPPO, directory: Path) -> None:
    """Replace the checkpoint in one step, so that a kill leaves the old one or the new one."""
    partial = directory.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    algorithm.save_to_path(partial)
    old = directory.with_suffix(".old")
    shutil.rmtree(old, ignore_errors=True)
    if directory.exists():
        directory.rename(old)
    partial.rename(directory)
    shutil.rmtree(old, ignore_errors=True)
