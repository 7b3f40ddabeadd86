"""Score the exported policies of a finished run again, on its own bars or on others, and write a report of its own.

Run: python -m rayjobs.evaluate run=runs/crypto_portfolio cost_factor=2
Other data: python -m rayjobs.evaluate run=DIR data=files data.path=bars.csv windows=whole
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

from rayjobs.config.arguments import command_line
from rayjobs.config.exit_codes import ExitCode, JobOutcome
from rayjobs.config.run_overrides import changed_values, split_overrides
from rayjobs.entry import reading_input, run_entry_point


def evaluate(values: dict[str, Any], changes: Sequence[str]) -> ExitCode:
    """`run_evaluation` as a command: its exit code."""
    return run_evaluation(values, changes).code


def run_evaluation(values: dict[str, Any], changes: Sequence[str]) -> JobOutcome:
    """Read back, score, report; ``values`` is ``conf/evaluate.yaml``, ``changes`` are for the run's configuration."""
    from evaluation.report.tearsheet import require_quantstats
    from rayjobs.config.typed_config import build_dataclass
    from rayjobs.replay.finished_run import open_run
    from rayjobs.replay.report import evaluation_directory, report_evaluation
    from rayjobs.replay.rescored_look import rescored_evidence, rescored_look
    from rayjobs.replay.rescoring import EvaluateConfig, plan_rescoring, rescore
    from rayjobs.storage.ledger_place import open_ledger

    settings = build_dataclass(EvaluateConfig, values, "")
    run = open_run(settings.run)
    changed = changed_values(run.values, changes)
    with reading_input():
        plan = plan_rescoring(run, changed, settings)
        if settings.tearsheet:
            require_quantstats()
    ledger = open_ledger(plan.study.config.ledger)
    with (
        evaluation_directory(run, changed, settings, plan, ledger.head()) as directory,
        rescored_look(plan, run, changed, settings, directory, ledger) as look,
    ):
        outcomes = rescore(plan, run)
        evidence = rescored_evidence(plan, run, outcomes, look)
        verdict = report_evaluation(plan, outcomes, run, directory, settings, evidence)
    refused = plan.study.config.enforce_gate and not verdict.passed
    return JobOutcome(code=ExitCode.GATE_SAID_NO if refused else ExitCode.DONE, directory=directory.path)


def main(argv: Sequence[str] | None = None) -> ExitCode:
    """The entry point."""
    changes, own = split_overrides(command_line(argv))
    return run_entry_point(partial(run_evaluation, changes=changes), "evaluate", own)


if __name__ == "__main__":
    sys.exit(main())
