"""What the gate was told of other trials, derived again from the ledger as it stood when the run was judged.

What a ledger cannot give is taken as recorded in evidence.json, and named: nothing is taken for derived that is not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from data.sources import describe
from evaluation.gate_evidence import SupportingEvidence
from evaluation.ledger import Ledger, record_hashes
from evaluation.looks import count_looks, looks_at, overlaps
from evaluation.walk_forward import WalkForwardResult
from rayjobs.entered_look import record_of
from rayjobs.finished_run import WINNER_OF, FinishedRun
from rayjobs.fold_job import Study
from rayjobs.looks_on_disk import LOOK_FILE, judged_head
from rayjobs.study import EVIDENCE_FILE
from rayjobs.study_evidence import with_overfitting

FROM_LEDGER = ("looks", "num_trials", "trial_sharpe_variance", "overfitting", "overfitting_published")
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
    return {
        name: value
        for name, value in found.items()
        if value is not None and not isinstance(value, (Mapping, list))
    }


def not_measured(evidence: SupportingEvidence, recorded: Mapping[str, Any]) -> dict[str, str]:
    """Fields that the gate was told and nothing measures again, each with the reason."""
    return {
        entry.name: "it is in no ledger, policy or bars"
        for entry in fields(SupportingEvidence)
        if _is_default(getattr(evidence, entry.name), entry.default)
        and not _is_default(recorded.get(entry.name), entry.default)
    }


def _is_default(value: Any, default: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and value == default)


def from_ledger(
    run: FinishedRun,
    study: Study,
    result: WalkForwardResult,
    recorded: Mapping[str, Any],
    ledger: Ledger,
    bars: slice,
) -> Derived:
    """Count the looks at the same bars as the ledger had them when the run was judged, and what they say together.

    Parameters
    ----------
    result : the run's folds, scored again. bars : those that it was chosen on.
    """
    head = judged_head(run.path)
    looks = None if head is None else ledger.looks_until(head)
    if looks is None:
        why = (
            f"{LOOK_FILE} does not say where the ledger's chain ended when the run was judged"
            if head is None
            else f"the ledger {ledger.place} is not the one that the run was judged by: its chain does not hold or "
            "never ended where the run saw its end"
        )
        return Derived(not_derived=dict.fromkeys(FROM_LEDGER, why), wrong=(why,))
    own = record_of(result)
    returns, instants = record_hashes(own)
    noted = (recorded.get("looks") or {}).get("notes") or ()
    if noted:  # runs that lay on the disk then were counted beside the ledger
        return Derived(not_derived=dict.fromkeys(FROM_LEDGER, f"beside the ledger others were counted: {noted[0]}"))
    coverages = ledger.coverages([name for look in looks for name in look.coverages])
    covering = overlaps(coverages, study.panel, bars, source=describe(study.config.data))
    at = looks_at(looks, covering, study.panel.fingerprint)
    wrong = ()
    if not any(look.returns == returns for look in at):
        wrong = ("the ledger's look of this run earned other returns than the exported policies do",)
    sketches = ledger.sketches([look.sketch for look in at])
    counted = count_looks(
        at, own, sketches, ledger.returns, own_returns=returns, own_instants=instants
    )  # fmt: skip
    evidence = with_overfitting(SupportingEvidence(), result, counted.rivals_TN)
    values: dict[str, Any] = {
        **counted.looks.for_gate(),
        "overfitting": evidence.overfitting,
        "overfitting_published": evidence.overfitting_published,
    }
    if WINNER_OF not in run.provenance:
        return Derived(values=values, wrong=wrong)
    why = "the trials of the search are compared by its own table of returns, not by the ledger"
    spread = ("trial_sharpe_variance", "overfitting", "overfitting_published")
    given = recorded.get("trial_sharpe_variance")
    values = {name: value for name, value in values.items() if name not in spread}
    values["looks"] = replace(counted.looks, sharpe_variance=given)
    return Derived(values=values, not_derived=dict.fromkeys(spread, why), wrong=wrong)


def seed_directories(run: Path) -> dict[int, Path]:
    """seed -> folder of the checkpoints of another seed than the run's own."""
    found = {path.name.removeprefix("seed_"): path for path in sorted(run.glob("seed_*")) if path.is_dir()}
    return {int(seed): path for seed, path in found.items() if seed.isdigit()}
