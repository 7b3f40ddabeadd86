"""A finished run as ``rayjobs.train`` leaves it, in a second and without Ray: a trial of a ledger, sealed."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

from small_run import OVERRIDES, fitted, scripted, untrained

from rayjobs.config.compose import compose
from rayjobs.monitoring.tracking import tracker
from rayjobs.replay.run_seal import seal_run
from rayjobs.storage.ledger_place import open_ledger
from rayjobs.storage.run_directory import RunDirectory
from rayjobs.storage.uri import CHECKPOINT_RECORD
from rayjobs.study.config import TRAIN_KEYS, build_train_config
from rayjobs.study.evidence import trial_evidence
from rayjobs.study.fold import FoldOutcome
from rayjobs.study.leak_check import tell_leaks
from rayjobs.study.load import load_study
from rayjobs.study.looks.entered import trained_look
from rayjobs.study.report import report_study
from rayjobs.study.study import Study
from rayjobs.training.checkpoints import TrainingRecord


def make_sealed_run(root: Path, *overrides: str, base: tuple[str, ...] = OVERRIDES) -> Path:
    """Write a run below ``root``, whose ledger lies in ``root/ledger.sqlite``, and return its directory."""
    where = (f"ledger={root}/ledger.sqlite", f"run.directory={root}", "run.experiment=small")
    given = [*base, *where, *overrides]
    values = {key: value for key, value in compose("train", given).items() if key in TRAIN_KEYS}
    config = build_train_config(values)
    study, hygiene, folds = load_study(config)
    fingerprint = study.panel.fingerprint
    ledger = open_ledger(config.ledger, config.run.directory)
    directory = RunDirectory.create(
        config.run, values, seed=config.seed, data_fingerprint=fingerprint, ledger=ledger.head()
    )
    with (
        directory as run,
        tracker(config.tracking, run_directory=run.path, experiment="small", values={}) as log,
    ):
        with trained_look(study, values, folds, run.path, ledger) as trial:
            leaks = tell_leaks(study, folds[0])
            seeds = {config.seed: [_fold(study, fold, run.path) for fold in folds]}
            for seed in range(config.seed + 1, config.seed + config.trainer.num_seeds):
                other = replace(study, config=replace(config, seed=seed))
                seeds[seed] = [_fold(other, fold, run.path / f"seed_{seed}") for fold in folds]
            evidence = replace(trial_evidence(study, seeds, trial), leak_check=leaks)
        report_study(study, hygiene, seeds[config.seed], run.path, log, evidence)
        seal_run(run.path, config)
    return directory.path


def _fold(study: Study, fold, run: Path) -> FoldOutcome:
    if study.config.script is not None:
        return scripted(study, fold, run)
    if study.config.supervised is not None:
        return fitted(study, fold, run)
    outcome = untrained(study, fold, run)
    checkpoint = run / "checkpoints" / f"fold_{fold.index:02d}" / "iteration_000004"
    checkpoint.mkdir()
    record = TrainingRecord(
        rows=outcome.iterations,
        best_score=0.5,
        validations_since_best=0,
        validations_since_cut=0,
        finished=True,
    )
    (checkpoint / CHECKPOINT_RECORD).write_text(json.dumps(asdict(record)))
    return outcome
