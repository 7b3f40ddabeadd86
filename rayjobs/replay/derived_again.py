"""A finished run derived again: its policies scored, its evidence gathered, its results written by the same function.

What is written here is compared file by file with the run directory (`evaluation.audit.written_again`), so a column,
a key or a criterion that a later release adds is audited from its first day.
"""

from __future__ import annotations

import html
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from data.checks.hygiene import HygieneReport
from evaluation.audit.findings import Check, Section
from evaluation.audit.recorded_run import RecordedRun
from evaluation.audit.written_again import check_written_again
from evaluation.gate.evidence import SupportingEvidence
from evaluation.scoring.walk_forward import WalkForwardResult
from evaluation.windows.splits import Fold
from rayjobs.replay.audit_evidence import (
    FROM_LEDGER,
    Derived,
    as_recorded,
    from_ledger,
    not_measured,
    of_evaluation,
    recorded_evidence,
)
from rayjobs.replay.finished_run import FinishedRun
from rayjobs.replay.rescoring import Rescoring, load_policy, of_seed, other_seeds, rescore
from rayjobs.replay.run_seal import existing_ledger
from rayjobs.storage.provenance import git_commit
from rayjobs.storage.started_run import WINNER_OF, StartedRun
from rayjobs.storage.uri import CHECKPOINT_RECORD
from rayjobs.study.changed_bars import CHANGED, bars_changed
from rayjobs.study.evidence import chained, completed
from rayjobs.study.fold import FoldOutcome
from rayjobs.study.leak_check import leak_report
from rayjobs.study.report import REPORT_FILE, write_run
from rayjobs.study.study import Study

REPRODUCTION = Section(name="reproduction")
RETURN_TOLERANCE = 1e-9
PROGRESS = "progress.csv"


@dataclass(frozen=True, kw_only=True)
class AuditedRun:
    """A finished run and all that its results follow from.

    Attributes
    ----------
    run, recorded : its directory, and its files as tables.
    source : the run whose exported policies were scored: itself, or of an evaluation the one it scored again.
    study, hygiene, folds : bars, features, configuration and windows, loaded and cut again; folds in the order run.
    """

    run: FinishedRun
    recorded: RecordedRun
    source: FinishedRun
    study: Study
    hygiene: HygieneReport
    folds: Sequence[Fold]

    @property
    def same_release(self) -> bool:
        """Whether the run was made by this very commit."""
        return bool(self.run.provenance.get("git_commit") == git_commit()[0])

    @property
    def evaluates(self) -> bool:
        """Whether the run is an evaluation of another one."""
        return self.source is not self.run


def check_reproduction(audited: AuditedRun) -> list[Check]:
    """Score the exported policies again, write every result again, and compare each entry of each file."""
    if audited.study.panel.fingerprint != audited.run.provenance.get("data_fingerprint"):
        return [REPRODUCTION.skips("policies", "not derived: the bars are not those of the run")]
    if bars_changed(audited.study):
        return [REPRODUCTION.fails("policies", f"not derived: {CHANGED}")]
    checks: list[Check] = []
    try:
        outcomes = _outcomes(audited, audited.source, audited.folds, checks)
    except ValueError as error:
        return [*checks, REPRODUCTION.fails("policies", f"not derived, no file of the run: {error}")]
    checks.append(_returns(audited, outcomes))
    evidence = _evidence(audited, outcomes, checks)
    missing = ", ".join(check.name for check in checks if check.detail.startswith("not derived"))
    with tempfile.TemporaryDirectory() as scratch:
        again = Path(scratch) / audited.run.path.name
        again.mkdir()
        started = StartedRun.read(audited.run.path)
        write_run(audited.study, audited.hygiene, outcomes, again, evidence, started)
        checks += check_written_again(
            audited.run.path,
            again,
            REPRODUCTION,
            same_release=audited.same_release,
            but=f"these are taken as recorded: {missing}" if missing else "",
        )
    return checks if audited.same_release else [*checks, *_word_of_the_page(audited)]


def _word_of_the_page(audited: AuditedRun) -> list[Check]:
    """Whether the page of another release, whose text need not be today's, says what verdict.json says."""
    verdict, page = audited.recorded.verdict, audited.run.path / REPORT_FILE
    if verdict is None or not page.is_file():
        return []
    word = str(verdict.get("headline")).partition(": ")[0]
    return [
        REPRODUCTION.judges(
            f"{REPORT_FILE}, verdict",
            f">{word}<" in html.unescape(page.read_text(errors="replace")),
            "the page says what verdict.json says",
            f"the page does not say what verdict.json says: {word}",
        )
    ]


def _outcomes(
    audited: AuditedRun, policies_of: FinishedRun, folds: Sequence[Fold], checks: list[Check]
) -> list[FoldOutcome]:
    """The folds scored again; notes a policy that is not the recorded one, and what nothing vouches for."""
    study = audited.study
    scripted = study.config.script is not None
    policies = {} if scripted else {fold.index: load_policy(policies_of, fold.index, study) for fold in folds}
    recorded = dict(zip(audited.run.folds_table["fold"], audited.run.folds_table["policy_hash"]))
    for index, policy in policies.items():
        if policies_of.path == audited.source.path and recorded.get(index) != policy.policy_hash:
            checks.append(
                REPRODUCTION.fails(
                    "policies",
                    f"{policies_of.policy(index)} does not hold the weights that were scored: folds.csv records "
                    "another hash",
                )
            )
    plan = Rescoring(
        study=study, hygiene=audited.hygiene, folds=tuple(folds), policies=policies, same_bars=True
    )
    outcomes = sorted(rescore(plan, policies_of), key=lambda outcome: outcome.result.fold.index)
    fitted = study.config.supervised is not None  # at once, without a row of a training
    if scripted or fitted or policies_of.path != audited.source.path:
        return outcomes
    return [_with_iterations(outcome, policies_of, audited, checks) for outcome in outcomes]


def _with_iterations(
    outcome: FoldOutcome, run: FinishedRun, audited: AuditedRun, checks: list[Check]
) -> FoldOutcome:
    """The rows of progress.csv as the training's last checkpoint has them, where there is one."""
    index = outcome.result.fold.index
    if audited.evaluates:  # they are those of the run that was scored again
        return replace(outcome, iterations=run.iterations(index))
    records = sorted(run.policy(index).parent.glob(f"iteration_*/{CHECKPOINT_RECORD}"))
    if not records:
        checks.append(
            REPRODUCTION.skips(
                f"{PROGRESS}, fold {index}",
                f"not derived: no checkpoint of fold {index} holds the training's rows",
            )
        )
        return outcome
    return replace(outcome, iterations=tuple(json.loads(records[-1].read_text())["rows"]))


def _returns(audited: AuditedRun, outcomes: Sequence[FoldOutcome]) -> Check:
    again, recorded = (
        chained(audited.study, outcomes).net_return,
        audited.recorded.returns["net_return"].to_numpy(),
    )
    moved = float(np.abs(again - recorded).max()) if len(again) == len(recorded) else float("inf")
    return REPRODUCTION.judges(
        "returns",
        moved <= RETURN_TOLERANCE,
        "the exported policies, run again, earn the recorded return on every bar",
        f"the exported policies, run again, earn returns that differ from the recorded ones by {moved:.2e}",
    )


def _evidence(
    audited: AuditedRun, outcomes: Sequence[FoldOutcome], checks: list[Check]
) -> SupportingEvidence:
    """What the gate is told, derived again; notes every part that is not."""
    recorded, result = recorded_evidence(audited.run), chained(audited.study, outcomes)
    derived = _from_ledger(audited, result)
    reasons = dict(derived.not_derived)
    finding = REPRODUCTION.fails if audited.same_release else REPRODUCTION.warns
    checks += [finding("ledger's trial", sentence) for sentence in derived.wrong]
    seeds = {audited.study.config.seed: result.net_return}
    seeds |= _other_seeds(audited, checks)
    told = SupportingEvidence(
        **{
            **derived.values,
            **as_recorded(recorded, reasons),
            "seeds": seeds,
            "leak_check": leak_report(audited.study, _checked_fold(audited)),
        }
    )
    evidence = completed(audited.study, result, told)
    missing = not_measured(evidence, recorded, derived.values)
    for name, reason in (reasons | missing).items():
        checks.append(
            REPRODUCTION.skips(f"evidence, {name}", f"not derived: {name} is taken as recorded, for {reason}")
        )
    return replace(evidence, **as_recorded(recorded, missing))


def _from_ledger(audited: AuditedRun, result: WalkForwardResult) -> Derived:
    place = audited.study.config.ledger
    ledger = existing_ledger(place, audited.run.path)
    if ledger is None:
        reason = f"there is no ledger at {place}"
        return Derived(not_derived=dict.fromkeys(FROM_LEDGER, reason))
    run, study, folds = audited.run, audited.study, audited.folds
    if audited.evaluates:
        same = run.provenance.get("data_fingerprint") == audited.source.provenance.get("data_fingerprint")
        return of_evaluation(run, audited.source, study, folds, result, ledger, same_bars=same)
    return from_ledger(run, study, folds, result, ledger)


def _other_seeds(audited: AuditedRun, checks: list[Check]) -> dict[int, np.ndarray]:
    """seed -> returns of the policies trained with the other seeds."""
    config = audited.study.config
    returns = {}
    for seed in () if config.script else other_seeds(audited.source):
        other = replace(audited, study=replace(audited.study, config=replace(config, seed=seed)))
        place = of_seed(audited.source, seed)
        try:
            outcomes = _outcomes(other, place, audited.folds, checks)
            returns[seed] = chained(other.study, outcomes).net_return
        except ValueError as error:
            checks.append(REPRODUCTION.fails(f"seed {seed}", f"not derived: {error}"))
    return returns


def _checked_fold(audited: AuditedRun) -> Fold:
    """The fold around which the run's own leak check was made: the first one trained, of a study judged at its end the
    earliest."""
    if audited.evaluates or WINNER_OF in audited.run.provenance:
        return min(audited.folds, key=lambda fold: fold.test.start)
    return audited.folds[0]
