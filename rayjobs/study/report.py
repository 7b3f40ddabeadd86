"""Judges a walk-forward study and writes its results: artefacts, report, tables."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from data.checks.foreknowledge import foreknown_columns
from data.checks.hygiene import HygieneReport
from data.known_columns import statements_of
from evaluation.artefacts.run_files import write_artefacts
from evaluation.artefacts.summary import summarise
from evaluation.artefacts.symbols_compared import rows_of, side_by_side
from evaluation.files import write_csv, write_json
from evaluation.gate.criteria import UNSEEN_SYMBOLS
from evaluation.gate.evidence import GateEvidence, SupportingEvidence, evidence_record
from evaluation.gate.seen_shares import record_title, record_warning
from evaluation.gate.verdict import Verdict, judge
from evaluation.report.page import write_report
from evaluation.scoring.walk_forward import WalkForwardResult
from rayjobs.monitoring.result_tables import print_paths, print_table, print_verdict
from rayjobs.monitoring.tracking import Tracker
from rayjobs.storage.started_run import StartedRun
from rayjobs.study.changed_bars import require_same_bars
from rayjobs.study.config import TrainConfig
from rayjobs.study.evidence import chained, chained_unseen, completed
from rayjobs.study.feature_coverage import coverage_rows
from rayjobs.study.fold import FoldOutcome
from rayjobs.study.foreknown_inputs import foreknown_features
from rayjobs.study.least_costs import is_stand_in, is_synthetic
from rayjobs.study.load import STAND_IN, notes_on
from rayjobs.study.lowered_settings import lowered_charges, lowered_criteria, told_charges
from rayjobs.study.patched_code import patched_phrase
from rayjobs.study.shown_spreads import told_of_spreads
from rayjobs.study.study import Study

LOG = logging.getLogger(__name__)
EVIDENCE_FILE = "evidence.json"
REPORT_FILE = "report.html"
"""What the gate was told beside the record of the folds."""


@dataclass(frozen=True, kw_only=True)
class WrittenRun:
    """The results of a study as they were written; ``paths`` are those of the files for a reader."""

    summary: Mapping[str, Any]
    verdict: Verdict
    paths: tuple[Path, ...]


def write_run(
    study: Study,
    hygiene: HygieneReport,
    outcomes: Sequence[FoldOutcome],
    run: Path,
    evidence: SupportingEvidence,
    started: StartedRun,
) -> WrittenRun:
    """Chain the folds, ask the gate and write every result into the run directory.

    An audit writes a run's results again with this very function and compares every entry of every file, so a result
    that is written here is audited.

    Parameters
    ----------
    evidence : what the gate is told beside the folds; what the study itself can show is measured where it is missing.
    started : what the run was started with, which the report shows.

    Raises
    ------
    ValueError
        If the bars are not what was loaded: code of one's own wrote into them.
    """
    require_same_bars(study)
    result = chained(study, outcomes)
    summary = summarise(
        result, num_trials=evidence.num_trials, trial_sharpe_variance=evidence.trial_sharpe_variance
    ) | {"cost_factor": study.config.scoring.cost_factor}
    if evidence.looks is not None:
        summary["looks"] = evidence.looks.to_json()
    evidence = completed(study, result, evidence)
    told = GateEvidence.of(result, evidence)
    unseen = chained_unseen(study, outcomes)
    unseen_summary: dict[str, Any] = {}
    if study.unseen is not None and unseen is not None:
        other = completed(study.unseen, unseen, evidence)
        told = replace(told, unseen_symbols=GateEvidence.of(unseen, other))
        unseen_summary = summarise(
            unseen, num_trials=other.num_trials, trial_sharpe_variance=other.trial_sharpe_variance
        )
        summary[UNSEEN_SYMBOLS] = side_by_side(
            result.panel.symbols, unseen.panel.symbols, summary, unseen_summary
        )
    verdict = _judged(study, result, outcomes, told, started)
    rows = [{"fold": o.result.fold.index, **row} for o in outcomes for row in o.iterations]
    write_csv(run / "progress.csv", pd.DataFrame(rows))
    write_json(run / EVIDENCE_FILE, evidence_record(evidence))
    paths = write_artefacts(run, result, summary, verdict)
    if unseen is not None:
        write_artefacts(run / "backtest" / UNSEEN_SYMBOLS, unseen, unseen_summary)
    report = write_report(
        run / REPORT_FILE,
        result,
        summary,
        verdict,
        title=f"{study.config.run.experiment} · {run.name}",
        training={outcome.result.fold.index: outcome.iterations for outcome in outcomes},
        provenance=provenance_rows(started.provenance, hygiene) | _conditions(study),
        notes=notes_on(study, hygiene, [outcome.result.fold for outcome in outcomes]),
        settings=started.settings_text(),
        features=coverage_rows(study, outcomes),
    )
    return WrittenRun(summary=summary, verdict=verdict, paths=(*paths, run / EVIDENCE_FILE, report))


def _judged(
    study: Study,
    result: WalkForwardResult,
    outcomes: Sequence[FoldOutcome],
    told: GateEvidence,
    started: StartedRun,
) -> Verdict:
    """The gate's verdict, with what the study demands less of than the standard, and what a reader must know."""
    reservations = _reservations(study, result, started.values.get("evaluation"))
    lowered = (*lowered_criteria(study.config), *lowered_charges(study, result), *reservations)
    lowered = (*lowered, *told.doubted_weights)
    own_code = started.provenance.get("own_code") or {}
    if own_code:
        lowered = (*lowered, *patched_phrase(name for outcome in outcomes for name in outcome.patched))
    remarks = (
        *told_charges(study, result),
        *told_of_spreads(told.charged or (), told.shown_spreads),
        *_remarks(study.config, own_code),
    )
    return judge(study.config.gate, told, lowered=lowered, remarks=remarks)


def _remarks(config: TrainConfig, own_code: Mapping[str, str]) -> tuple[str, ...]:
    """Sentences on bars that stand in for others, and on one's own code, which no check reads beyond its features."""
    bars = (STAND_IN,) if is_stand_in(config) else ()
    if not own_code:
        return bars
    named = ", ".join(f"{name} (sha256 {digest[:12]})" for name, digest in own_code.items())
    return (*bars, f"Code of your own took part: {named}.")


def _reservations(
    study: Study, result: WalkForwardResult, evaluation: Mapping[str, Any] | None
) -> tuple[str, ...]:
    """Why a record that meets every criterion is still no leave to deploy, a phrase each.

    Folds that are judged without the others may be the best of all, which no ledger can tell, and so may windows with
    unscored bars between them; files that nothing vouches for may be another policy's.

    Parameters
    ----------
    evaluation : what was asked of `rayjobs.evaluate`, as config.yaml has it; None for a run of its own.
    """
    config, asked = study.config, evaluation or {}
    judged = len({one.fold.index for one in result.scored})
    windows = len(asked.get("folds") or ())
    if evaluation is None and config.only_fold is not None:
        windows = len(config.walk_forward.folds_in(study.panel))
    elif asked.get("windows") == "whole":
        windows = 0
    found = [f"{judged} of {windows} folds judged without the others"] if judged < windows else []
    between = int(result.bar.max() - result.bar.min()) + 1 - len(result.bar)
    if between and judged >= windows:
        found.append(f"{between:,} bars between the test windows are not scored")
    if asked.get("warning"):
        found.append(str(asked["warning"]))
    return tuple(found)


def report_study(
    study: Study,
    hygiene: HygieneReport,
    outcomes: Sequence[FoldOutcome],
    run: Path,
    tracker: Tracker,
    evidence: SupportingEvidence,
    started: StartedRun | None = None,
) -> Verdict:
    """Write every file of the run directory (`write_run`) and show it (`show_run`).

    Parameters
    ----------
    started : what the run was started with; None reads it from the directory, for the job that wrote it there itself.
    """
    written = write_run(study, hygiene, outcomes, run, evidence, started or StartedRun.read(run))
    show_run(study, outcomes, run, tracker, written)
    return written.verdict


def show_run(
    study: Study, outcomes: Sequence[FoldOutcome], run: Path, tracker: Tracker, written: WrittenRun
) -> None:
    """Hand what was written to the tracker and print the tables."""
    summary = written.summary
    tracker.summary({name: value for name, value in summary.items() if not isinstance(value, Mapping)})
    tracker.attach(written.paths)
    exposure = chained(study, outcomes).exposure
    warning = record_warning(exposure)
    if warning:
        LOG.warning("%s", warning)
    paths = [*written.paths[:-1], run / "progress.csv", written.paths[-1]]
    supervised = study.config.supervised
    policy = study.config.script or ("trained" if supervised is None else supervised.model)
    _print(policy, record_title(exposure), summary, written.verdict, paths)


def _conditions(study: Study) -> dict[str, str]:
    """What a reader must know of how the numbers were earned, where it is not the ordinary."""
    rows = {}
    if study.config.scoring.cost_factor != 1.0:
        rows["costs charged"] = f"x{study.config.scoring.cost_factor:g} of those configured"
    for name, stated in statements_of(study.config.data).items():
        rows[f"column {name}"] = f"stated to be known after {stated.words}"
    if not is_synthetic(study.config):
        suspects = foreknown_columns(study.panel, statements_of(study.config.data))
        suspects += foreknown_features(study)
        rows |= {f"{suspect.kind} {suspect.column}, {suspect.symbol}": str(suspect) for suspect in suspects}
    if study.config.script is not None:
        rows["policy"] = f"scripted: {study.config.script}; nothing was trained"
    if study.config.supervised is not None:
        fitted = study.config.supervised
        rows["policy"] = (
            f"supervised: {fitted.model} fitted on each training window ({fitted.labels_in_words}), positions by "
            f"{fitted.position.rule}"
        )
    return rows


def provenance_rows(provenance: Mapping[str, Any], hygiene: HygieneReport) -> dict[str, str]:
    """Rows of the report's last table: where the numbers come from, and what was wrong with the bars as read."""
    rows = {
        key.replace("_", " "): value if isinstance(value, str) else json.dumps(value)
        for key, value in provenance.items()
    }
    for line in hygiene.table().to_dict("records"):
        facts = ", ".join(
            f"{value:,} {name.replace('_', ' ')}" for name, value in line.items() if name != "symbol"
        )
        rows[f"bars of {line['symbol']}"] = facts
    return rows


def _print(
    policy: str, title: str, summary: Mapping[str, Any], verdict: Verdict, paths: Sequence[Path]
) -> None:
    columns = {
        "policy": "",
        "total_return": "+.2%",
        "annual_return": "+.2%",
        "volatility": ".2%",
        "sharpe": "+.2f",
        "sortino": "+.2f",
        "max_drawdown": ".2%",
        "annual_turnover": ",.1f",
    }
    rows = [{"policy": policy, **summary}]
    rows += [{"policy": name.replace("_", " "), **numbers} for name, numbers in summary["baselines"].items()]
    of = ", path 0" if "paths" in summary else ""
    print_table(f"{title[0].upper()}{title[1:]}{of}, net of costs", rows, columns=columns)
    if "paths" in summary:
        _print_paths(summary["paths"])
    if UNSEEN_SYMBOLS in summary:
        print_table("Symbols trained on, and held out of training", rows_of(summary[UNSEEN_SYMBOLS]))
    if "oracle_fraction" in summary:
        print_table("", [{"oracle fraction": summary["oracle_fraction"], "trades": summary["num_trades"]}])
    print_verdict(verdict)
    print_paths(paths)


def _print_paths(paths: Mapping[str, Any]) -> None:
    rows = [
        {"path": str(i), **{name: paths[name][i] for name in ("sharpe", "total_return", "max_drawdown")}}
        for i in range(paths["num_paths"])
    ]
    rows.append({"path": "median of Sharpe", "sharpe": paths["sharpe_quantiles"]["0.5"]})
    print_table(
        f"{paths['num_paths']} paths of {paths['num_splits']} splits, net of costs",
        rows,
        columns={"path": "", "sharpe": "+.2f", "total_return": "+.2%", "max_drawdown": ".2%"},
    )
