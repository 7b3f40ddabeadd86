"""One fold of a walk-forward study: standardise, train, and score on the next, unseen window.

A fold depends on its own windows, the configuration and the seed, on nothing else, so folds may run in any
order, alone or side by side.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray

from envs.market import Market
from evaluation.ledger.trained_weights import WeightsNote
from evaluation.scoring.walk_forward import FoldResult
from evaluation.windows.splits import Fold
from policies.baselines import SCRIPTED
from policies.exported_policy import PolicyContract, TrainedPolicy
from policies.supervised.policy import SupervisedContract, SupervisedPolicy
from rayjobs.study.config import TrainConfig
from rayjobs.study.fitted_fold import fit_policy, weights_note
from rayjobs.study.fold_market import fold_market
from rayjobs.study.fold_origin import start_of, with_origin
from rayjobs.study.fold_windows import windows_to_train
from rayjobs.study.scored_fold import score_unseen, score_windows
from rayjobs.study.study import Study
from rayjobs.study.warm_start import StartPolicy, encoders_of
from rayjobs.training.policy_training import TrainingSpec, train_policy


@dataclass(frozen=True, kw_only=True)
class FoldOutcome:
    """``iterations`` are the rows of ``progress.csv``; ``policy`` the exported policy, None for a script; ``patched``
    what code of one's own had replaced in the process (`rayjobs.study.patched_code`); ``further`` what a split earned
    on its other test groups; ``unseen`` what was earned, window by window, on symbols held out of the training;
    ``standardiser`` that of the policy's contract, None for a script."""

    result: FoldResult
    iterations: tuple[dict[str, Any], ...]
    policy: Path | None
    patched: tuple[str, ...] = ()
    further: tuple[FoldResult, ...] = ()
    unseen: tuple[FoldResult, ...] = ()
    standardiser: Mapping[str, Any] | None = None

    @property
    def results(self) -> tuple[FoldResult, ...]:
        """All results: one of a fold, one for each test group of a split."""
        return (self.result, *self.further)


def run_fold(
    study: Study,
    fold: Fold,
    directory: Path,
    report: Callable[[dict[str, Any]], None],
    tell_weights: Callable[[WeightsNote], None] | None = None,
) -> FoldOutcome:
    """Train or fit on ``fold.train`` and score on ``fold.test``; a scripted policy is scored without any training.

    Parameters
    ----------
    directory : where this fold's checkpoints go.
    report : called after each training iteration with its row.
    tell_weights : see `TrainingSpec`.

    Raises
    ------
    ValueError
        If the exported policy was changed between its training and its scoring.
    """
    config = study.config
    market, contract = fold_market(study, fold)
    if config.script is not None:
        schedule = SCRIPTED[config.script](study.panel)
        digest = hashlib.sha256(f"script {config.script}".encode()).hexdigest()
        result, *further = score_windows(study, fold, schedule, market, policy_hash=digest)
        return FoldOutcome(
            result=result,
            iterations=(),
            policy=None,
            further=tuple(further),
            unseen=score_unseen(study, fold, None, policy_hash=digest),
        )
    contract = with_origin(contract, study, fold, market.first_bar, directory)
    if isinstance(contract, SupervisedContract):
        return _fit_fold(study, fold, market, contract, directory, tell_weights)
    assert isinstance(contract, PolicyContract)
    start = start_of(study, fold)
    spec = training_spec(
        config, fold, ray.put(market), contract, directory, label=f"fold {fold.index}", start=start
    )
    trained = train_policy(replace(spec, tell_weights=tell_weights), report)
    policy = TrainedPolicy.load(
        trained.policy, layout=contract.layout, feature_hash=study.features.feature_hash
    )
    if policy.policy_hash != trained.policy_hash:
        raise ValueError(
            f"the policy in {trained.policy} is not the one that this training exported there; leave the files of a "
            "running job alone, and train again"
        )
    result, *further = score_windows(study, fold, policy, market, policy_hash=policy.policy_hash)
    return FoldOutcome(
        result=result,
        iterations=trained.iterations,
        policy=trained.policy,
        further=tuple(further),
        unseen=score_unseen(study, fold, policy, policy_hash=policy.policy_hash),
        standardiser=contract.standardiser,
    )


def _fit_fold(
    study: Study,
    fold: Fold,
    market: Market,
    contract: SupervisedContract,
    directory: Path,
    tell_weights: Callable[[WeightsNote], None] | None,
) -> FoldOutcome:
    """Fit a supervised policy, export it, and score what the export holds."""
    place = directory / "best"
    fitted = fit_policy(study.config, study.panel, market, fold, contract)
    fitted.save(place)
    if tell_weights is not None:
        tell_weights(weights_note(fitted, fold.index, study.config.seed))
    policy = SupervisedPolicy.load(place, layout=contract.layout, feature_hash=study.features.feature_hash)
    result, *further = score_windows(study, fold, policy, market, policy_hash=policy.policy_hash)
    return FoldOutcome(
        result=result,
        iterations=(),
        policy=place,
        further=tuple(further),
        standardiser=contract.standardiser,
    )


def training_spec(
    config: TrainConfig,
    fold: Fold,
    market: ray.ObjectRef,
    contract: PolicyContract,
    directory: Path,
    *,
    label: str | None = None,
    start: StartPolicy | None = None,
) -> TrainingSpec:
    """The training of one fold, with checkpoints in ``directory``.

    Parameters
    ----------
    label : names it where not fold and seed do. start : whose weights it begins with.
    """
    training, validation = windows_to_train(config, fold, ray.get(market).first_bar)
    return TrainingSpec(
        label=label or f"fold {fold.index}, seed {config.seed}",
        market=market,
        env=config.env,
        training_windows=training,
        validation_window=validation,
        contract=contract,
        ppo=config.algo,
        trainer=config.trainer,
        seed=config.seed,
        directory=directory,
        fold=fold.index,
        weights=None if start is None else start.carried(contract),
        frozen=encoders_of(contract.network) if config.trainer.freeze == "encoder" else (),
    )
