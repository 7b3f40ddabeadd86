"""A finished run in a second, without Ray: an untrained policy exported, scored and reported as after a training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from policies.exported_policy import TrainedPolicy
from rayjobs.config.compose import compose
from rayjobs.monitoring.tracking import tracker
from rayjobs.replay.run_seal import seal_run
from rayjobs.storage.ledger_place import open_ledger
from rayjobs.storage.run_directory import RunDirectory
from rayjobs.study.config import TRAIN_KEYS, build_train_config
from rayjobs.study.evidence import trial_evidence
from rayjobs.study.fold import FoldOutcome, run_fold
from rayjobs.study.fold_market import fold_market
from rayjobs.study.fold_origin import with_origin
from rayjobs.study.load import load_study
from rayjobs.study.looks.entered import trained_look
from rayjobs.study.report import report_study
from rayjobs.study.scored_fold import score_unseen, score_windows
from rayjobs.study.study import Study

OVERRIDES = (
    "+experiment=planted_signal", "data.num_bars=1400", "data.num_assets=2", "data.noise_features=1",
    "walk_forward.train_bars=500", "walk_forward.test_bars=300", "env.episode.bars=48", "env.sizing.fraction=0.5",
    "policy.core_units=4", "policy.encoder_units=4", "scoring.supervised=[]", "scoring.placebo_strategies=0",
    "gate.min_trades=5",
)  # fmt: skip


def make_run(root: Path, *overrides: str, base: tuple[str, ...] = OVERRIDES, sealed: bool = True) -> Path:
    """Write a run below ``root`` and return its directory; two folds of the small market unless told otherwise.

    Runs of earlier releases were not ``sealed``.
    """
    place = ["run.experiment=small", f"run.directory={root}"]
    values = {k: v for k, v in compose("train", [*base, *place, *overrides]).items() if k in TRAIN_KEYS}
    config = build_train_config(values)
    study, hygiene, folds = load_study(config)
    ledger = open_ledger(config.ledger)
    directory = RunDirectory.create(
        config.run,
        values,
        seed=config.seed,
        data_fingerprint=study.panel.fingerprint,
        ledger=ledger.head(),
    )
    with (
        directory as run,
        tracker(config.tracking, run_directory=run.path, experiment="small", values={}) as log,
    ):
        score = scripted if config.script is not None else untrained
        if config.supervised is not None:
            score = fitted
        with trained_look(study, values, folds, run.path, ledger) as look:
            outcomes = [score(study, fold, run.path) for fold in folds]
            evidence = trial_evidence(study, {config.seed: outcomes}, look)
        report_study(study, hygiene, outcomes, run.path, log, evidence)
        if sealed:
            seal_run(run.path, config)
    return directory.path


def scripted(study: Study, fold, run: Path) -> FoldOutcome:
    return run_fold(study, fold, run, lambda row: None)


def fitted(study: Study, fold, run: Path) -> FoldOutcome:
    """A supervised policy, fitted where a training leaves its policy."""
    return run_fold(study, fold, run / "checkpoints" / f"fold_{fold.index:02d}", lambda row: None)


def untrained(study: Study, fold, run: Path) -> FoldOutcome:
    """A policy with random weights, large enough to trade, exported where a training leaves it."""
    market, contract = fold_market(study, fold)
    place = run / "checkpoints" / f"fold_{fold.index:02d}" / "best"
    contract = with_origin(contract, study, fold, market.first_bar, place)
    network = contract.actions.network(contract.layout, contract.network)
    random = torch.Generator().manual_seed(fold.index)
    weights = {k: 2.0 * torch.randn(v.shape, generator=random) for k, v in network.state_dict().items()}
    policy = TrainedPolicy(contract, weights)
    policy.save(place)
    result, *further = score_windows(study, fold, policy, market, policy_hash=policy.policy_hash)
    return FoldOutcome(
        result=result,
        iterations=progress(study),
        policy=place,
        further=tuple(further),
        unseen=score_unseen(study, fold, policy, policy_hash=policy.policy_hash),
        standardiser=contract.standardiser,
    )


def progress(study: Study) -> tuple[dict[str, object], ...]:
    """Rows of progress.csv as a training of the asked length writes them, all healthy but the last."""
    steps = (
        study.config.trainer.total_env_steps // study.config.algo.batch_steps * study.config.algo.batch_steps
    )
    return tuple(
        {
            "iteration": k + 1,
            "env_steps": steps * (k + 1) // 4,
            "episode_return": 1.0,
            "total_loss": 1.0,
            "policy_loss": -0.01,
            "entropy": 1.0 / 3.0,
            "approx_kl": 0.005,
            "clip_fraction": 0.05,
            "explained_variance": 0.1,
            "gradient_norm": 0.5,
            "validation_sharpe": 0.5 if k % 2 else np.nan,
            "health": "KL high" if k == 3 else "",
            "nudges": "",
        }
        for k in range(4)
    )
