"""What the gate was told of other trials, derived again from the ledger as it stood when the run was judged.

What a ledger cannot give is taken as recorded in evidence.json, and named: nothing is taken for derived that is not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from evaluation.gate.evidence import SupportingEvidence
from evaluation.gate.search_significance import study_significance
from evaluation.ledger.ledger import Ledger
from evaluation.ledger.looks import Counted, Looks
from evaluation.ledger.records import record_hashes
from evaluation.ledger.state import LedgerState
from evaluation.ledger.store import Head
from evaluation.scoring.walk_forward import WalkForwardResult
from evaluation.windows.splits import Fold
from rayjobs.replay.finished_run import FinishedRun
from rayjobs.replay.rescored_look import roots_of
from rayjobs.replay.rescoring import deflation
from rayjobs.replay.start_seal import start_doubts
from rayjobs.storage.run_directory import RUN_ID
from rayjobs.storage.started_run import WINNER_OF
from rayjobs.storage.uri import local_directory
from rayjobs.study.evidence import with_overfitting
from rayjobs.study.looks.counted import JudgedBars, at_least, count_at, features_read
from rayjobs.study.looks.entered import chosen_bars, record_of
from rayjobs.study.looks.on_disk import LOOK_FILE, run_id, runs_below
from rayjobs.study.report import EVIDENCE_FILE
from rayjobs.study.study import Study

FROM_LEDGER = (
    "looks", "num_trials", "trial_sharpe_variance", "overfitting", "overfitting_published", "other_jobs_seeds",
    "doubted_weights",
)  # fmt: skip
"""Fields of the evidence that other trials decide."""


@dataclass(frozen=True, kw_only=True)
class Derived:
    """Fields of the evidence as derived again, and why others were not; ``wrong``: contradictions found on the way."""

    values: Mapping[str, Any] = field(default_factory=dict)
    not_derived: Mapping[str, str] = field(default_factory=dict)
    wrong: tuple[str, ...] = ()


def recorded_evidence(run: FinishedRun) -> dict[str, Any]:
    """The content of evidence.json; of a run that was made before there was one, what summary.json says."""
    try:
        return dict(json.loads((run.path / EVIDENCE_FILE).read_text()))
    except (OSError, ValueError, TypeError):
        return {name: run.summary.get(name) for name in ("num_trials", "trial_sharpe_variance")}


def as_recorded(recorded: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The named fields as evidence.json has them, where they are plain values."""
    found = {name: recorded.get(name) for name in names}
    looks = found.pop("looks", None)
    doubted = found.pop("doubted_weights", None)
    if doubted:
        return {
            "doubted_weights": tuple(doubted),
            **as_recorded(recorded, [*found, *(["looks"] if looks else [])]),
        }
    if isinstance(looks, Mapping):
        return {"looks": Looks.from_json(looks), **as_recorded(recorded, found)}
    return {
        name: value
        for name, value in found.items()
        if value is not None and not isinstance(value, (Mapping, list))
    }


def not_measured(
    evidence: SupportingEvidence, recorded: Mapping[str, Any], derived: Iterable[str]
) -> dict[str, str]:
    """Fields that the gate was told and nothing gives again, each with the reason; ``derived`` are those that were."""
    return {
        entry.name: "it is in no ledger, policy or bars"
        for entry in fields(SupportingEvidence)
        if entry.name not in derived
        and _is_default(getattr(evidence, entry.name), entry.default)
        and not _is_default(recorded.get(entry.name), entry.default)
    }


def _is_default(value: Any, default: Any) -> bool:
    empty = isinstance(value, (Mapping, Sequence)) and not value
    return value is None or empty or (isinstance(value, (int, float)) and value == default)


class LedgerAsOf:
    """A ledger as it stood when a run was judged, for reading."""

    def __init__(self, ledger: Ledger, events: int, others: Sequence[Ledger] = ()) -> None:
        self._ledger, self._events, self._others = ledger, events, others
        self.place = ledger.place
        self.coverages, self.sketches = ledger.coverages, ledger.sketches
        self.instants, self.returns = ledger.instants, ledger.returns

    def state(self) -> LedgerState:
        """The events up to that moment."""
        return self._ledger.state(self._events)

    def beside(self) -> list[LedgerAsOf]:
        """Those of other machines, up to the same time."""
        until = self._ledger.state().chain.events[self._events - 1].at_utc
        return [
            LedgerAsOf(other, sum(event.at_utc <= until for event in other.state().chain.events))
            for other in self._others
        ]


def judged_head(run: Path) -> Head | None:
    """Where the ledger's chain ended when the run was judged, as its look.json has it."""
    try:
        return Head.from_json(json.loads((run / LOOK_FILE).read_text())["ledger"][-1])
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return None


def seen_by(ledger: Ledger, head: Head | None) -> tuple[Ledger, list[Ledger]]:
    """The ledger that a run saw among those of all machines, and the others; the first where none is."""
    group = [ledger, *ledger.beside()]
    own = next((one for one in group if head is not None and one.id == head.ledger), ledger)
    return own, [one for one in group if one is not own]


def counted_then(ledger: Ledger, head: Head, judged: JudgedBars, result: WalkForwardResult) -> Counted:
    """Count the looks at the judged bars again, as the ledger and the disk stood when the run was judged.

    A run that began afterwards was not there, in whichever ledger it is.
    """
    ledger, others = seen_by(ledger, head)
    then = ledger.state(head.events)
    later = set(ledger.state().runs) - set(then.runs)
    until = then.chain.events[-1].at_utc.replace("-", "").replace(":", "")[:15] if then.chain.events else "9"
    disk = [
        run for run in runs_below(judged.roots) if run.run not in later and not _began_after(run.run, until)
    ]
    return count_at(cast("Ledger", LedgerAsOf(ledger, head.events, others)), judged, record_of(result), disk)


def _began_after(run: str, until: str) -> bool:
    """Whether a run's id says that it began after a moment, both as 20300101T120000."""
    return RUN_ID.match(run) is not None and run[:15] > until


def from_ledger(
    run: FinishedRun, study: Study, folds: Sequence[Fold], result: WalkForwardResult, ledger: Ledger
) -> Derived:
    """Count the looks at the same bars, and measure the spread and the overfitting among them.

    Parameters
    ----------
    folds, result : of the run, the folds scored again.
    """
    ledger, head, why = _as_seen(run, result, ledger)
    if head is None:
        return Derived(not_derived=dict.fromkeys(FROM_LEDGER, why), wrong=(why,))
    if WINNER_OF in run.provenance:
        return _of_search(run, study, folds, result, ledger, head)
    bars = chosen_bars(study, folds, of_search=False)
    counted = counted_then(ledger, head, _judged(run, study, bars, trained_by=run, weights_of=run), result)
    return _derived(counted.looks, counted, result, study)


def of_evaluation(
    run: FinishedRun,
    source: FinishedRun,
    study: Study,
    folds: Sequence[Fold],
    result: WalkForwardResult,
    ledger: Ledger,
    *,
    same_bars: bool,
) -> Derived:
    """An evaluation is deflated for the looks of its own moment, and for no fewer than the run that it scored."""
    ledger, head, why = _as_seen(run, result, ledger)
    if head is None:
        return Derived(not_derived=dict.fromkeys(FROM_LEDGER, why), wrong=(why,))
    bars = chosen_bars(study, folds, of_search=same_bars and WINNER_OF in source.provenance)
    judged = _judged(
        run,
        study,
        bars,
        roots_of(source.path, run.path),
        trained_by=source if same_bars else None,
        weights_of=source,
    )
    counted = counted_then(ledger, head, judged, result)
    recorded, looks = deflation(source), counted.looks
    if same_bars and recorded.looks is not None:
        looks = at_least(looks, recorded.looks)
    return _derived(looks, counted, result, study)


def _as_seen(run: FinishedRun, result: WalkForwardResult, ledger: Ledger) -> tuple[Ledger, Head | None, str]:
    """The ledger that judged a run, and where its chain ended; None and the reason where nothing can be derived."""
    head, why = judged_head(run.path), ""
    ledger = seen_by(ledger, head)[0]
    if head is None:
        why = f"the run does not say where the ledger stood when it was judged ({LOOK_FILE})"
    elif not ledger.state().chain.holds(head):
        why = f"the ledger at {ledger.place} is not the one that the run saw, or was changed since"
    own = [look for look in ledger.state().looks if run_id(run.path) in look.runs]
    returns, _ = record_hashes(record_of(result))
    if not why and not own:
        why = "the ledger holds no look of this run"
    if not why and returns not in {look.returns for look in own}:
        why = "the ledger's look of this run earned other returns than the exported policies do"
    return ledger, None if why else head, why


def _derived(looks: Looks, counted: Counted, result: WalkForwardResult, study: Study) -> Derived:
    doubts = (*counted.doubts, *start_doubts(study.config))
    told = SupportingEvidence(
        **looks.for_gate(), other_jobs_seeds=counted.other_seeds, doubted_weights=doubts
    )
    evidence = with_overfitting(told, result, counted.rivals_TN)
    return Derived(values={field: getattr(evidence, field) for field in FROM_LEDGER})


def _judged(
    run: FinishedRun,
    study: Study,
    bars: slice,
    roots: tuple[Path, ...] = (),
    *,
    trained_by: FinishedRun | None = None,
    weights_of: FinishedRun,
) -> JudgedBars:
    return JudgedBars(
        panel=study.shown_panel,
        data=study.config.data,
        bars=bars,
        run=run_id(run.path),
        trained_by="" if trained_by is None else run_id(trained_by.path),
        weights_of=run_id(weights_of.path),
        roots=(local_directory(study.config.run.directory), *roots),
        features=features_read(study),
    )


def _of_search(
    run: FinishedRun,
    study: Study,
    folds: Sequence[Fold],
    result: WalkForwardResult,
    ledger: Ledger,
    head: Head,
) -> Derived:
    """The winner of a search was chosen on the validation bars as well, among trials whose returns the ledger holds."""
    bars = slice(chosen_bars(study, folds, of_search=True).start, study.panel.num_bars)
    counted = counted_then(ledger, head, _judged(run, study, bars, weights_of=run), result)
    name = f"{study.config.run.experiment}/{run.provenance['run_id']}"
    looks = [
        x
        for x in ledger.state(head.events).looks
        if x.study == name and x.kind == "sweep trial" and x.returns
    ]
    contents = ledger.returns([look.returns for look in looks])
    returns_TN = np.column_stack([contents[look.returns] for look in looks]) if looks else np.empty((0, 0))
    found = study_significance(returns_TN, max(len(looks), 1))
    variances = [v for v in (counted.looks.sharpe_variance, found.sharpe_variance) if v is not None]
    looks_then = replace(counted.looks, sharpe_variance=max(variances, default=None))
    return Derived(
        values={
            **looks_then.for_gate(),
            "overfitting": found.probability_of_loss,  # None: measured against placebo strategies
            "overfitting_published": None,
            "doubted_weights": counted.doubts,
        }
    )
