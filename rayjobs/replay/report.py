"""Where an evaluation is written, and how it compares with what its run recorded."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evaluation.artefacts.reproduction import differences
from evaluation.files import plain
from evaluation.gate.evidence import SupportingEvidence
from evaluation.gate.verdict import Verdict
from evaluation.ledger.ledger import Head
from evaluation.report.tearsheet import write_tearsheet
from rayjobs.monitoring.result_tables import print_paths, print_sentence, print_table
from rayjobs.monitoring.tracking import tracker
from rayjobs.replay.finished_run import FinishedRun
from rayjobs.replay.rescoring import EvaluateConfig, Rescoring
from rayjobs.replay.run_seal import seal_run, unvouched
from rayjobs.storage.run_directory import RunConfig, RunDirectory
from rayjobs.study.evidence import chained
from rayjobs.study.fold import FoldOutcome
from rayjobs.study.report import show_run, write_run

SHOWN = {
    "total_return": "+.2%", "annual_return": "+.2%", "sharpe": "+.2f", "max_drawdown": ".2%", "dsr": ".3f",
    "num_trades": ",d", "total_cost": ",.2f",
}  # fmt: skip


DEFLATION = ("num_trials", "trial_sharpe_variance", "looks", "dsr")
"""Entries of summary.json that follow from the number of looks."""


def evaluation_directory(
    run: FinishedRun, values: Mapping[str, Any], settings: EvaluateConfig, plan: Rescoring, ledger: Head
) -> RunDirectory:
    """A new directory ``<experiment>/evaluations/<run_id>/``, beside the run unless another root is named."""
    root = settings.directory or str(Path(run.path).absolute().parent)
    if settings.directory is not None:
        values = {**values, "run": {**values["run"], "directory": root}}
    ledgers = (str(run.values["ledger"]), str(values["ledger"]))
    of = {"run": str(run.path), "warning": unvouched(run.path, ledgers), "folds": run.fold_indices}
    content = {**values, "evaluation": {**dataclasses.asdict(settings), **of}}
    return RunDirectory.create(
        RunConfig(experiment="evaluations", directory=root),
        content,
        seed=plan.study.config.seed,
        data_fingerprint=plan.study.panel.fingerprint,
        ledger=ledger,
    )


def report_evaluation(
    plan: Rescoring,
    outcomes: Sequence[FoldOutcome],
    run: FinishedRun,
    directory: RunDirectory,
    settings: EvaluateConfig,
    evidence: SupportingEvidence,
) -> Verdict:
    """Write every file of a run directory, compare with the recorded numbers, and ask the gate."""
    config, path = plan.study.config, directory.path
    with tracker(config.tracking, run_directory=path, experiment="evaluations", values={}) as nowhere:
        written = write_run(plan.study, plan.hygiene, outcomes, path, evidence, directory.started)
        show_run(plan.study, outcomes, path, nowhere, written)
    if settings.tearsheet:
        result = chained(plan.study, outcomes)
        print_paths([write_tearsheet(path / "tearsheet.html", result, title=config.run.experiment)])
    summary = plain(written.summary)
    rows = [{"": "recorded", **run.summary}, {"": "now", **summary}]
    print_table(f"Against {run.path}", rows, columns={"": "", **SHOWN})
    print_sentence(_comparison(run, summary, plan.same_bars, settings))
    warning = directory.started.values["evaluation"]["warning"]
    if warning is not None:
        print_sentence(f"Warning: {warning}")
    seal_run(path, config)
    return written.verdict


def _comparison(
    run: FinishedRun, summary: Mapping[str, Any], same_bars: bool, settings: EvaluateConfig
) -> str:
    if settings.windows == "whole":
        return "Scored on every bar that was asked for, not on the run's own test windows."
    if not same_bars:
        return "Scored on other bars than the run's own."
    counted = (
        ""
        if run.summary.get("num_trials") == summary.get("num_trials")
        else (
            f" It was deflated for {run.summary.get('num_trials'):g} looks then, "
            f"and is for {summary['num_trials']:g} now."
        )
    )
    kept = {name: value for name, value in run.summary.items() if not counted or name not in DEFLATION}
    found = differences(kept, summary)
    if not found:
        return f"All {len(kept)} entries of the recorded summary.json are reproduced exactly.{counted}"
    first = found[0]
    return f"{len(found)} recorded numbers differ, first {first.name}: {first.recorded} recorded, {first.again} now."
