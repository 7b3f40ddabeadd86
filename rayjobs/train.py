"""Train a policy on each walk-forward fold, score it on the next, unseen bars, and ask the gate.

Run: python -m rayjobs.train +experiment=crypto_portfolio
Go on after a crash: python -m rayjobs.train resume=runs/crypto_portfolio/RUN_ID
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

from rayjobs.config.exit_codes import ExitCode, JobOutcome
from rayjobs.entry import reading_input, run_entry_point


def train(values: dict[str, Any]) -> ExitCode:
    """`run_training` as a command: its exit code."""
    return run_training(values).code


def run_training(values: dict[str, Any]) -> JobOutcome:
    """Compose, build, run, report; ``values`` is the resolved ``conf/train.yaml``."""
    from rayjobs.storage.ledger_place import open_ledger, require_ledger, without_password
    from rayjobs.storage.resume import check_same_data, run_to_resume, values_of
    from rayjobs.study.config import build_train_config

    earlier = run_to_resume(values)
    values = values if earlier is None else values_of(earlier)
    config = build_train_config(values)
    values = without_password(values)
    # Slow imports come after the check, so that a typo is reported at once.
    from rayjobs.cluster.placement import Room
    from rayjobs.cluster.session import ray_session
    from rayjobs.monitoring.compilation import tell_compilation
    from rayjobs.monitoring.tracking import tracker
    from rayjobs.replay.run_seal import refuse_sealed, seal_run
    from rayjobs.replay.start_seal import start_doubts
    from rayjobs.storage.run_directory import RunDirectory
    from rayjobs.study.dry_run import folds_plan, print_plan
    from rayjobs.study.evidence import trial_evidence
    from rayjobs.study.fold_tasks import require_room, run_seeds
    from rayjobs.study.leak_check import tell_leaks
    from rayjobs.study.load import load_study
    from rayjobs.study.looks.entered import trained_look
    from rayjobs.study.placebo import with_placebos
    from rayjobs.study.report import report_study

    require_ledger(config.ledger, config.run.directory)
    tell_compilation()
    with reading_input():
        study, hygiene, folds = load_study(config)
    if config.cluster.dry_run:
        with ray_session(config.cluster):
            plan = folds_plan(study, folds)
            return JobOutcome(code=print_plan(plan, Room.of_cluster(config.cluster.node_types)))
    ledger, fingerprint = open_ledger(config.ledger), study.panel.fingerprint
    if earlier is None:
        directory = RunDirectory.create(
            config.run,
            values,
            seed=config.seed,
            data_fingerprint=fingerprint,
            ledger=ledger.head(),
            data_lineage=hygiene.lineage,
        )
    else:
        check_same_data(earlier, fingerprint)
        refuse_sealed(earlier, ledger)
        directory = RunDirectory.resume(earlier)
    with (
        directory as run,
        tracker(
            config.tracking, run_directory=run.path, experiment=config.run.experiment, values=values
        ) as log,
        ray_session(config.cluster),
    ):
        require_room(study)
        with trained_look(study, values, folds, run.path, ledger) as look:
            leaks = tell_leaks(study, folds[0])
            seeds = run_seeds(study, folds, run.path, log, look.note_weights)
            evidence = trial_evidence(study, seeds, look)
            doubts = (*evidence.doubted_weights, *start_doubts(config))
            evidence = replace(evidence, leak_check=leaks, doubted_weights=doubts)
        evidence = with_placebos(evidence, study, folds, leaks, run.path, log)
        verdict = report_study(study, hygiene, seeds[config.seed], run.path, log, evidence, run.started)
        seal_run(run.path, config)
    refused = config.enforce_gate and not verdict.passed
    return JobOutcome(code=ExitCode.GATE_SAID_NO if refused else ExitCode.DONE, directory=run.path)


if __name__ == "__main__":
    sys.exit(run_entry_point(run_training, "train"))
