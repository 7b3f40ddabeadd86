"""A trial of a real search: train the policy on each fold's training window and score it on the fold's test window."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import torch

from data.errors import one_line
from data.features import FeatureSet, compute_features
from data.schema import Panel
from envs.market import Market
from evaluation.windows.splits import Fold
from policies.actor_network import for_symbols
from policies.contract import Contract
from policies.exported_policy import PolicyContract
from policies.supervised.policy import SupervisedContract
from rayjobs.config.dotted_keys import with_values
from rayjobs.search.plan.objective import FoldScore
from rayjobs.search.plan.settings import TrialScoringConfig
from rayjobs.search.trial.fitted_trial import FoldFit, out_of_sample
from rayjobs.search.trial.shelf import TrialShelf
from rayjobs.search.trial.task import HopelessTrial, TrialTask
from rayjobs.study.config import TrainConfig, build_train_config
from rayjobs.study.fold import training_spec
from rayjobs.study.fold_market import fold_market
from rayjobs.study.fold_origin import with_origin
from rayjobs.study.study import Study
from rayjobs.training.checkpoints import CheckpointFolder
from rayjobs.training.policy_training import PolicyTraining, TrainingDiverged

MARKET_GROUPS = ("features", "instruments", "env", "costs", "risk")
"""Groups of the configuration that a market may depend on; a trial that leaves them alone shares the study's."""


@dataclass(frozen=True, kw_only=True)
class SharedStudy:
    """What all trials share; lies once in the object store and holds no bar of the holdout.

    Parameters
    ----------
    values : the configuration that trials start from.
    panel, features : bars before the holdout, and what was computed from them.
    folds : validation folds.
    markets : fold index -> reference to its market, and the contract of policies that act in it.
    scoring : how test windows are run.
    """

    values: Mapping[str, Any]
    panel: Panel
    features: FeatureSet
    folds: tuple[Fold, ...]
    markets: Mapping[int, tuple[ray.ObjectRef, Contract]]
    scoring: TrialScoringConfig


def share_study(
    values: Mapping[str, Any],
    study: Study,
    folds: Sequence[Fold],
    scoring: TrialScoringConfig,
) -> SharedStudy:
    """Build every validation fold's market once, for all trials."""
    markets = {}
    for fold in folds:
        market, contract = fold_market(study, fold)
        markets[fold.index] = (ray.put(market), contract)
    return SharedStudy(
        values=values,
        panel=study.panel,
        features=study.features,
        folds=tuple(folds),
        markets=markets,
        scoring=scoring,
    )


class PolicyTrials:
    """A `TrialProgram`: keeps the trainings of one trial alive between two rungs.

    Every checkpoint that a training writes (``trainer.checkpoint_every``) is put on the shelf, and a training whose
    checkpoint lies there goes on from it.
    """

    def __init__(self, shared: SharedStudy, shelf: TrialShelf) -> None:
        torch.set_num_threads(1)
        self._shared, self._shelf = shared, shelf
        self._folds = {fold.index: fold for fold in shared.folds}
        self._base_key = _market_key(shared.values)
        self._trial: int | None = None
        self._running: dict[tuple[int, int], _FoldTraining | FoldFit] = {}
        self._scratch = Path(tempfile.mkdtemp(prefix="rayfold_trials_"))

    def advance(self, task: TrialTask, fraction: float) -> list[FoldScore]:
        if task.trial != self._trial:
            self.drop()
            self._trial = task.trial
        values = with_values(self._shared.values, task.overrides)
        scores = []
        for share in task.shares:
            if share not in self._running:
                self._running[share] = self._begin(task, values, *share)
            try:
                scores.append(self._running[share].advance(fraction, checkpoint=task.keep))
            except TrainingDiverged as error:  # the same seed would diverge again
                raise HopelessTrial(f"TrainingDiverged: {one_line(error)}") from error
        if fraction >= 1.0:
            self.drop()
        return scores

    def drop(self) -> None:
        for training in self._running.values():
            training.close()
        self._running.clear()
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir()
        self._trial = None

    def _begin(
        self, task: TrialTask, values: Mapping[str, Any], fold_index: int, seed: int
    ) -> _FoldTraining | FoldFit:
        config = build_train_config({**values, "seed": seed})
        fold = self._folds[fold_index]
        study = self._study(config, values)
        market, contract = self._market(study, fold, values)
        training = f"fold_{fold_index:02d}_seed_{seed}"
        directory = self._scratch / training
        if isinstance(contract, SupervisedContract):
            return FoldFit(study, fold, ray.get(market), contract, directory, self._shared.scoring)
        assert isinstance(contract, PolicyContract)
        for earlier in (task.trial, task.parent):
            if earlier is not None and self._shelf.take_checkpoint(earlier, training, directory) is not None:
                break
        kept = _KeptCheckpoints(self._shelf, task.trial, directory)
        return _FoldTraining(study, fold, market, contract, directory, self._shared.scoring, kept)

    def _study(self, config: TrainConfig, values: Mapping[str, Any]) -> Study:
        features = self._shared.features
        if values["features"] != self._shared.values["features"]:
            features = compute_features(self._shared.panel, config.features.enabled)
        return Study(config=config, panel=self._shared.panel, features=features, oracle_direction=None)

    def _market(self, study: Study, fold: Fold, values: Mapping[str, Any]) -> tuple[ray.ObjectRef, Contract]:
        if _market_key(values) == self._base_key:
            reference, contract = self._shared.markets[fold.index]
            return reference, _of_trial(contract, study)
        market, contract = fold_market(study, fold)
        return ray.put(market), contract


class _KeptCheckpoints:
    """Puts a training's newest checkpoint on the shelf whenever there is a newer one."""

    def __init__(self, shelf: TrialShelf, trial: int, directory: Path) -> None:
        self._shelf, self._trial, self._training = shelf, trial, directory.name
        self._folder = CheckpointFolder(directory)
        self._kept = self._folder.newest()

    def keep(self) -> None:
        newest = self._folder.newest()
        if newest is not None and newest != self._kept:
            self._shelf.put_checkpoint(self._trial, self._training, newest)
            self._kept = newest


class _FoldTraining:
    """The training of one fold and seed, and its score so far."""

    def __init__(
        self,
        study: Study,
        fold: Fold,
        market: ray.ObjectRef,
        contract: PolicyContract,
        directory: Path,
        scoring: TrialScoringConfig,
        kept: _KeptCheckpoints,
    ) -> None:
        self._study, self._fold, self._scoring, self._kept = study, fold, scoring, kept
        self._seconds = [0.0, 0.0]
        started = time.perf_counter()
        self._bars: Market = ray.get(market)
        contract = with_origin(contract, study, fold, self._bars.first_bar, directory)
        self._training = PolicyTraining(training_spec(study.config, fold, market, contract, directory))
        self._from = self._training.env_steps
        self._seconds[1] += time.perf_counter() - started

    def advance(self, fraction: float, *, checkpoint: bool) -> FoldScore:
        started = time.perf_counter()
        self._training.advance(fraction, lambda row: self._kept.keep())
        if checkpoint:
            self._training.checkpoint()
            self._kept.keep()
        trained = time.perf_counter()
        self._seconds[0] += trained - started
        policy = self._training.policy()
        net_return, metrics = out_of_sample(policy, self._study, self._fold, self._bars, self._scoring)
        self._seconds[1] += time.perf_counter() - trained
        return FoldScore(
            fold=self._fold.index,
            seed=self._study.config.seed,
            env_steps=self._training.env_steps,
            net_return=net_return,
            metrics=metrics,
            seconds=(self._seconds[0], self._seconds[1]),
            policy_hash=policy.policy_hash,
            from_env_steps=self._from,
            iterations=tuple(self._training.rows),
        )

    def close(self) -> None:
        self._training.close()


def _of_trial(contract: Contract, study: Study) -> Contract:
    """The contract of a market that all trials share, with what the trial changes."""
    config = study.config
    if isinstance(contract, SupervisedContract):
        assert config.supervised is not None
        return dataclasses.replace(contract, settings=config.supervised)
    assert isinstance(contract, PolicyContract)
    return dataclasses.replace(contract, network=for_symbols(config.policy, study.panel.symbols))


def _market_key(values: Mapping[str, Any]) -> str:
    relevant = {group: values[group] for group in MARKET_GROUPS}
    relevant["weights_distribution"] = values["policy"].get("weights_distribution")  # part of the contract
    return json.dumps(relevant, sort_keys=True, default=str)
