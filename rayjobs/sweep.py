"""Search hyperparameters: every trial is scored walk-forward, the winner meets a sealed holdout and the gate, once.

Run: python -m rayjobs.sweep +experiment=crypto_portfolio search=optuna search.num_trials=64
"""

from __future__ import annotations

import signal
import sys
from dataclasses import replace
from typing import Any

from rayjobs.config.exit_codes import ExitCode, JobOutcome
from rayjobs.entry import reading_input, run_entry_point


def sweep(values: dict[str, Any]) -> ExitCode:
    """`run_search` as a command: its exit code."""
    return run_search(values).code


def run_search(values: dict[str, Any]) -> JobOutcome:
    """Compose, build, run, report; ``values`` is the resolved ``conf/sweep.yaml``."""
    from rayjobs.search.sweep.config import build_sweep_config, create_directory, find_study, resumed_values
    from rayjobs.storage.ledger_place import open_ledger, require_ledger, without_password

    earlier = find_study(values)
    if earlier is not None:
        values = resumed_values(values, earlier)
    config = build_sweep_config(values)
    require_ledger(config.train.ledger, config.train.run.directory)
    values = without_password(values)
    # Slow imports come after the check, so that a typo is reported at once.
    from rayjobs.cluster.placement import Room
    from rayjobs.cluster.session import ray_session
    from rayjobs.monitoring.compilation import tell_compilation
    from rayjobs.monitoring.tracking import RunLabel, tracker
    from rayjobs.search.sweep.data import describe, load_sweep
    from rayjobs.search.sweep.job import run_sweep
    from rayjobs.storage.resume import check_same_data
    from rayjobs.storage.run_directory import RunDirectory
    from rayjobs.study.dry_run import print_plan, trials_plan

    tell_compilation()
    with reading_input():
        data = load_sweep(config)
    describe(config, data)
    if config.train.cluster.dry_run:
        with ray_session(config.train.cluster):
            trials = trials_plan(data.sealed, data.windows.folds, config.total_trials)
            return JobOutcome(code=print_plan(trials, Room.of_cluster(config.train.cluster.node_types)))
    ledger = open_ledger(config.train.ledger)
    fingerprint = data.full.panel.fingerprint
    if earlier is None:
        run = create_directory(values, config, fingerprint, ledger.head(), data.hygiene.lineage)
    else:  # trials were chosen on the old bars: a holdout cut from others could lie among them
        check_same_data(earlier, fingerprint)
        run = RunDirectory.resume(
            earlier, done_too=True
        )  # resumed_values refused one with nothing left to do
    # One group per study: the winner's run and those of the trials.
    tracking = replace(config.train.tracking, group=config.train.tracking.group or run.run_id)
    try:
        with (
            run,
            tracker(
                tracking,
                run_directory=run.path,
                experiment=config.train.run.experiment,
                values=values,
                label=RunLabel.of_run(run.path, "study"),
            ) as log,
            ray_session(config.train.cluster),
        ):
            # A cluster ends a job with SIGTERM: taken as Ctrl-C. Ray sets a handler too, so this one comes after it.
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            verdict = run_sweep(config, data, run.path, log, ledger)
    except KeyboardInterrupt:
        sys.stderr.write(f"\nto go on with this study: python -m rayjobs.sweep resume={run.path}\n")
        raise
    refused = verdict is not None and not verdict.passed
    enforced = config.train.enforce_gate and refused
    return JobOutcome(code=ExitCode.GATE_SAID_NO if enforced else ExitCode.DONE, directory=run.path)


if __name__ == "__main__":
    sys.exit(run_entry_point(run_search, "sweep"))
