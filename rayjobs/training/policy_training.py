"""Training one policy on one window: the loop around RLlib, its validation, early stop and checkpoints.

A training whose directory holds a checkpoint goes on from there; see `rayjobs.training.checkpoints`.

Runs in the driver or inside a Ray task; several of these run side by side, one per fold and seed.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import ray
import torch
from ray.tune.registry import register_env

from data.own_objects import import_callable
from envs.config import PortfolioEnvConfig
from envs.episodes import Window
from envs.market import Market
from envs.portfolio import PortfolioVectorEnv
from evaluation.ledger.trained_weights import WeightsNote
from evaluation.scoring.rollout import evaluation_config, run_policy
from evaluation.statistics.metrics import sharpe_ratio
from policies.algorithm import PortfolioPPO
from policies.exported_policy import PolicyContract, TrainedPolicy
from policies.settings import PPOSettings
from rayjobs.training.checkpoints import (
    CheckpointFolder,
    CheckpointNotWritten,
    TrainingRecord,
    checkpoint_digest,
    unwritable,
)
from rayjobs.training.iteration_row import iteration_row
from rayjobs.training.nudges import NudgeInbox
from rayjobs.training.selection import Selection
from rayjobs.training.settings import TrainerConfig

LOG = logging.getLogger(__name__)
PORTFOLIO_ENV = "rayfold_portfolio"


class TrainingDiverged(RuntimeError):
    """The loss is no longer finite, or an update moved the policy too far; names the last good checkpoint."""


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
    directory : where checkpoints go; a training that lies there already is resumed.
    fold : index of the fold, for nudges that are meant for one.
    tell_weights : is told of every checkpoint before it appears, and of the policy at the end; returns when it is
        written down.
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
    fold: int | None = None
    tell_weights: Callable[[WeightsNote], None] | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingOutcome:
    """What training leaves behind.

    Parameters
    ----------
    policy : directory of the exported policy. policy_hash : of the weights that this training exported there.
    iterations : one row per training iteration, for ``progress.csv``; no wall-clock times, so that equal runs
        have equal rows.
    """

    policy: Path
    policy_hash: str
    iterations: tuple[dict[str, Any], ...]


def training_env_of(config: PortfolioEnvConfig) -> Callable[..., PortfolioVectorEnv]:
    """What builds the env that is trained on: ``env.factory``, or the portfolio env."""
    return PortfolioVectorEnv if config.factory is None else import_callable(config.factory, "env.factory")


def market_of_windows(market: Market, windows: Sequence[Window]) -> Market:
    """The market until its training windows end, a copy: an env or a reward of one's own finds no later bar in it."""
    return market.until(max(window.stop_bar for window in windows))


def make_training_env(context: dict[str, Any]) -> PortfolioVectorEnv:
    """Env creator for RLlib; ``context`` carries the market's reference, the env config and ``num_envs``."""
    (market_reference,) = context["market"]
    return training_env_of(context["env"])(
        market_of_windows(ray.get(market_reference), context["windows"]),
        context["env"],
        num_envs=context["num_envs"],
        windows=context["windows"],
        seed=0,
        copy=False,
    )


def train_policy(spec: TrainingSpec, report: Callable[[dict[str, Any]], None]) -> TrainingOutcome:
    """Train, checkpoint and export one policy; go on where an earlier attempt in ``spec.directory`` stopped.

    Parameters
    ----------
    spec : what to train.
    report : called after each iteration with its row plus timings.

    Raises
    ------
    TrainingDiverged
        If the loss is no longer finite or KL explodes.
    CheckpointNotWritten
        If the disk is full or the directory is not writable.
    """
    with PolicyTraining(spec) as training:
        training.advance(1.0, report)
        policy = training.policy_directory()
        return TrainingOutcome(
            policy=policy, policy_hash=training.tell_policy(), iterations=tuple(training.rows)
        )


class PolicyTraining:
    """One policy's training, which may pause after any iteration; a context manager that ends RLlib's algorithm.

    Raises ValueError where the checkpoint to go on from is of a training on other bars.

    Pausing changes nothing: the policy at the end is the one of a training that never paused. With samplers in
    this process, neither does a crash: the newest checkpoint holds everything that decides the next iteration.

    Attributes
    ----------
    rows : one per iteration so far, as `TrainingOutcome.iterations`.
    finished : nothing is left to train.
    """

    def __init__(self, spec: TrainingSpec) -> None:
        torch.set_num_threads(1)
        self._spec = spec
        # Whole batches only, and never more env steps than asked for, unless a single batch is more.
        self._num_iterations = max(1, spec.trainer.total_env_steps // spec.ppo.batch_steps)
        self._folder = CheckpointFolder(spec.directory)
        self._origin = "" if spec.contract.origin is None else spec.contract.origin.digest
        self._selection = Selection(spec.ppo)
        self._algorithm: PortfolioPPO | None = None
        self.rows: list[dict[str, Any]] = []
        self.finished = False
        self._best = ""  # digest of the weights exported to `best`
        self._after = ""  # digest of the checkpoint that this process went on from
        spec.directory.mkdir(parents=True, exist_ok=True)
        self._nudges = NudgeInbox(spec.directory, spec.fold)
        checkpoint = self._folder.newest()
        if checkpoint is not None:
            record = self._folder.read_record(checkpoint)
            if record.origin != self._origin:
                raise ValueError(
                    f"{spec.label}: the checkpoint {checkpoint} was not trained on the bars of this training, so "
                    "resuming from it would hide what the policy has seen; put this run's own back, or remove it to "
                    "start over"
                )
            self._after = checkpoint_digest(checkpoint)
            self._take_over(record)
            self._folder.restore_best(checkpoint)
        if not self.finished:
            self._algorithm = build_algorithm(spec)
            if checkpoint is not None:
                self._algorithm.restore_from_path(checkpoint)
                LOG.info("%s: going on after iteration %d", spec.label, len(self.rows))

    def _take_over(self, record: TrainingRecord) -> None:
        self.rows, self.finished, self._best = list(record.rows), record.finished, record.best
        self._selection.best_score = record.best_score
        self._selection.since_best = record.validations_since_best
        self._selection.since_cut = record.validations_since_cut

    def __enter__(self) -> PolicyTraining:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End RLlib's algorithm and its actors."""
        if self._algorithm is not None:
            self._algorithm.stop()

    @property
    def env_steps(self) -> int:
        """Env steps trained on so far."""
        return int(self.rows[-1]["env_steps"]) if self.rows else 0

    def advance(self, fraction: float, report: Callable[[dict[str, Any]], None]) -> None:
        """Train on until this fraction of the whole training is done, at least one iteration of it.

        Parameters
        ----------
        fraction : of all iterations, (0, 1]; 1 also writes the last checkpoint.
        report : called after each iteration with its row plus timings.

        Raises
        ------
        TrainingDiverged, CheckpointNotWritten
            See `train_policy`.
        """
        target = max(1, round(fraction * self._num_iterations))
        while len(self.rows) < target and not self.finished:
            self._iterate(report)

    def checkpoint(self) -> None:
        """Write a checkpoint now, so that another training may go on from here; nothing before the first iteration."""
        if (
            self._algorithm is not None and self.rows and not self.finished
        ):  # a finished one has written its last
            self._folder.save(self._algorithm, self._record(), self._tell_checkpoint)

    def policy(self) -> TrainedPolicy:
        """The best policy on the validation window so far; the present one if none was validated at full costs."""
        if self._selection.best_score is not None or self._algorithm is None:
            return TrainedPolicy.load(self._folder.best)
        return _export(self._algorithm, self._spec)

    def policy_directory(self) -> Path:
        """Where `policy` is exported to."""
        if self._selection.best_score is None and self._algorithm is not None:
            self._write_policy(_export(self._algorithm, self._spec))
        return self._folder.best

    def tell_policy(self) -> str:
        """Tell which policy comes out, before anything of it is scored; returns its hash."""
        found = self._best or TrainedPolicy.load(self._folder.best).policy_hash
        if self._spec.tell_weights is not None:
            self._spec.tell_weights(self._note("policy", found))
        return found

    def _tell_checkpoint(self, digest: str) -> None:
        if self._spec.tell_weights is not None:
            self._spec.tell_weights(self._note("checkpoint", digest))

    def _note(self, kind: Literal["checkpoint", "policy"], digest: str) -> WeightsNote:
        ppo = self._spec.ppo
        alone = not (ppo.num_env_runners or ppo.num_learners or ppo.learner_gpus)
        return WeightsNote(
            kind=kind,
            fold=-1 if self._spec.fold is None else self._spec.fold,
            seed=self._spec.seed,
            digest=digest,
            after=self._after,
            repeatable=alone and not any(row["nudges"] for row in self.rows),
            arithmetic=f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}",
        )

    def _iterate(self, report: Callable[[dict[str, Any]], None]) -> None:
        algorithm, spec = self._algorithm, self._spec
        assert algorithm is not None
        nudges = self._nudges.take(len(self.rows) + 1)
        for nudge in nudges:
            algorithm.scale_learning_rate(nudge.factor(algorithm.learning_rate()))
        row, timings = iteration_row(algorithm, algorithm.train())
        row["nudges"] = " ".join(f"lr={nudge.learning_rate}" for nudge in nudges)
        self._refuse_divergence(row)
        last = len(self.rows) + 1 >= self._num_iterations
        if spec.validation_window and (last or row["iteration"] % spec.trainer.validation_every == 0):
            self._validate(algorithm, row)
        self.rows.append(row)
        self.finished = last or self._selection.stops
        if self.finished and self._selection.best_score is None:
            self._write_policy(_export(algorithm, spec))
        if self.finished or row["iteration"] % spec.trainer.checkpoint_every == 0:
            self._folder.save(algorithm, self._record(), self._tell_checkpoint)
        report(row | timings)

    def _refuse_divergence(self, row: dict[str, Any]) -> None:
        finite = all(math.isfinite(row[name]) for name in ("total_loss", "approx_kl", "gradient_norm"))
        if finite and row["approx_kl"] <= self._spec.ppo.kl_limit:
            return
        found = (
            f"the mean approximate KL is {row['approx_kl']:.3g}, above algo.kl_limit={self._spec.ppo.kl_limit:g}"
            if finite
            else f"the loss is {row['total_loss']:g} and the gradient norm {row['gradient_norm']:g}"
        )
        raise TrainingDiverged(
            f"{self._spec.label}: {found} in iteration {row['iteration']}; last good checkpoint: "
            f"{self._folder.newest() or 'none yet'}; lower algo.learning_rate.initial"
        )

    def _validate(self, algorithm: PortfolioPPO, row: dict[str, Any]) -> None:
        policy = _export(algorithm, self._spec)
        row["validation_sharpe"] = _validation_sharpe(policy, self._spec)
        if algorithm.cost_scale() < 1.0:
            return  # a policy that has not met the full costs yet says little
        if self._selection.take(row["validation_sharpe"]):
            self._write_policy(policy)
        if self._selection.cuts_learning_rate():
            algorithm.scale_learning_rate(self._spec.ppo.learning_rate_control.plateau_factor)

    def _write_policy(self, policy: TrainedPolicy) -> None:
        try:
            policy.save(self._folder.best)
            self._best = policy.policy_hash
        except OSError as error:
            raise CheckpointNotWritten(unwritable(self._folder.best, error, self._folder.newest())) from error

    def _record(self) -> TrainingRecord:
        return TrainingRecord(
            rows=tuple(self.rows),
            best_score=self._selection.best_score,
            validations_since_best=self._selection.since_best,
            validations_since_cut=self._selection.since_cut,
            finished=self.finished,
            origin=self._origin,
            best=self._best,
        )


def build_algorithm(spec: TrainingSpec) -> PortfolioPPO:
    """RLlib's algorithm for a training, at its start.

    What is trained on is cut off once and lies in the object store, for all samplers of a node.
    """
    register_env(PORTFOLIO_ENV, make_training_env)
    market = ray.put(market_of_windows(ray.get(spec.market), spec.training_windows))
    return spec.ppo.rllib_config(
        env=PORTFOLIO_ENV,
        env_config={"market": [market], "env": spec.env, "windows": spec.training_windows},
        layout=spec.contract.layout,
        network=spec.contract.network,
        seed=spec.seed,
        total_env_steps=spec.trainer.total_env_steps,
    ).build_algo()


def _export(algorithm: PortfolioPPO, spec: TrainingSpec) -> TrainedPolicy:
    weights = {
        name.removeprefix("network."): torch.from_numpy(np.array(value))
        for name, value in algorithm.policy_weights().items()
    }
    return TrainedPolicy(spec.contract, weights)


def _validation_sharpe(policy: TrainedPolicy, spec: TrainingSpec) -> float:
    """Per-bar Sharpe ratio of the deterministic policy on the validation window, net of full costs."""
    assert spec.validation_window is not None
    market: Market = ray.get(spec.market)
    policy = policy.for_assets(market.num_symbols)  # of those that an episode draws from, all
    (recording,) = run_policy(policy, market, evaluation_config(spec.env), [spec.validation_window])
    sharpe = sharpe_ratio(recording.net_return)
    return sharpe if math.isfinite(sharpe) else 0.0  # a flat policy has no spread
