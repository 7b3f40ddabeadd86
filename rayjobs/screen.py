"""Screen features: which predict the next return, net of costs and out of sample.

Run: python -m rayjobs.screen +experiment=planted_signal
"""

from __future__ import annotations

import sys
from typing import Any

from rayjobs.config.exit_codes import ExitCode, JobOutcome
from rayjobs.entry import reading_input, run_entry_point


def screen(values: dict[str, Any]) -> ExitCode:
    """`run_screening_job` as a command: its exit code."""
    return run_screening_job(values).code


def run_screening_job(values: dict[str, Any]) -> JobOutcome:
    """Compose, build, run, report; ``values`` is the resolved ``conf/screen.yaml``."""
    from rayjobs.study.config import build_train_config
    from rayjobs.study.config_groups import build_screening

    settings, labels = build_screening(values)
    own = ("screening", "labels")
    config = build_train_config({key: value for key, value in values.items() if key not in own})
    # Slow imports come after the check, so that a typo is reported at once.
    from rayjobs.storage.ledger_place import open_ledger, require_ledger
    from rayjobs.storage.run_directory import RunConfig, RunDirectory
    from rayjobs.study.screening import enter_screening, report_screening, run_screening, screened_data

    require_ledger(config.ledger, config.run.directory)
    with reading_input():
        data = screened_data(config, settings, labels)
    ledger = open_ledger(config.ledger)
    place = RunConfig(experiment="screenings", directory=f"{config.run.directory}/{config.run.experiment}")
    directory = RunDirectory.create(
        place,
        values,
        seed=settings.seed,
        data_fingerprint=data.panel.fingerprint,
        ledger=ledger.head(),
    )
    with directory as run:
        enter_screening(ledger, config, settings, data, values, run)
        report_screening(run_screening(config, settings, data), data, settings, run.path)
    return JobOutcome(code=ExitCode.DONE, directory=run.path)


if __name__ == "__main__":
    sys.exit(run_entry_point(run_screening_job, "screen"))
