"""What the gate was told of other trials, derived again from the ledger as it stood when the run was judged.

What a ledger cannot give is taken as recorded in evidence.json, and named: nothing is taken for derived that is not.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.artefacts import plain
from evaluation.gate_evidence import SupportingEvidence
from evaluation.ledger import FinishedTrial, Ledger, TrialSpan
from evaluation.reproduction import agree
from evaluation.walk_forward import WalkForwardResult
from rayjobs.finished_run import WINNER_OF, FinishedRun
from rayjobs.fold_job import Study
from rayjobs.run_directory import RunDirectory, read_status
from rayjobs.search.leaderboard import study_significance
from rayjobs.study import EVIDENCE_FILE
from rayjobs.study_evidence import with_overfitting
from rayjobs.train_trial import identity, sharpe_variance

FROM_LEDGER = ("num_trials", "trial_sharpe_variance", "overfitting", "overfitting_published")
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
    return value is None or (isinstance(value, (int, float)) and value == default)


def from_ledger(
    run: FinishedRun, study: Study, result: WalkForwardResult, recorded: Mapping[str, Any], ledger: Ledger
) -> Derived:
    """Count the trials on the same bars, and measure the spread and the overfitting among those that finished.

    Parameters
    ----------
    result : the run's folds, scored again. recorded : evidence.json, which picks among what the ledger allows: a trial
        that was run again since has one row, and no longer says when it was first done.
    """
    if WINNER_OF in run.provenance:
        return _of_search(run, study, recorded, ledger)
    config, data = RunDirectory(run.path).config(), study.panel.fingerprint
    own_config = json.loads(json.dumps(plain(identity(study.config, config)), sort_keys=True))
    first_bar, returns = int(result.bar[0]), result.net_return
    trials = ledger.finished_on_data(data, first_bar=first_bar, num_bars=len(returns))
    same = [trial for trial in trials if trial.config == own_config]
    own = [trial for trial in same if np.allclose(trial.net_return, returns, rtol=0.0, atol=1e-9)]
    if not own:
        why = "the ledger holds no trial of this configuration on these bars"
        if same:
            why = (
                "the ledger's trial of this configuration earned other returns than the exported policies do"
            )
        return Derived(not_derived=dict.fromkeys(FROM_LEDGER, why), wrong=(why,))
    spans = {span.number: span for span in ledger.spans_on_data(data)}
    moment = _judged_utc(run, spans[own[0].number])
    values: dict[str, Any] = {"num_trials": _count(spans.values(), run, own[0].number, moment, recorded)}
    others = [t for t in trials if t.number != own[0].number and not t.config.get("script")]
    options = [_spread(result, chosen) for chosen in _finished_by(others, spans, moment)]
    fitting = [o for o in options if all(agree(recorded.get(name), o[name], 1e-6) for name in o)]
    return Derived(values=values | (fitting or options)[0])


def _of_search(run: FinishedRun, study: Study, recorded: Mapping[str, Any], ledger: Ledger) -> Derived:
    """The winner of a search: its trials are those of the study, whose returns the ledger holds."""
    name = f"{study.config.run.experiment}/{run.provenance['run_id']}"
    number = ledger.known_study(name)
    if number is None or not ledger.count(number).finished:
        why = f"the ledger holds no trials of the study {name}"
        return Derived(not_derived=dict.fromkeys(FROM_LEDGER, why), wrong=(why,))
    spans = ledger.spans_on_data(study.panel.fingerprint)
    count = _between(ledger.count(number).all, max(len(spans), ledger.count(number).all), recorded)
    significance = study_significance(ledger.returns(number), int(count))
    return Derived(
        values={
            "num_trials": count,
            "trial_sharpe_variance": significance.sharpe_variance,
            "overfitting": significance.probability_of_loss,  # None: measured against placebo strategies
            "overfitting_published": None,
        }
    )


def _spread(result: WalkForwardResult, others: Sequence[FinishedTrial]) -> dict[str, Any]:
    """Variance and overfitting as a training job measures them."""
    returns: NDArray[np.float64] = np.column_stack(
        [result.net_return, *(trial.net_return for trial in others)]
    )
    evidence = with_overfitting(SupportingEvidence(), result, returns)
    return {
        "trial_sharpe_variance": sharpe_variance(returns),
        "overfitting": evidence.overfitting,
        "overfitting_published": evidence.overfitting_published,
    }


def _finished_by(
    others: Sequence[FinishedTrial], spans: Mapping[int, TrialSpan], moment: str
) -> Iterator[list[FinishedTrial]]:
    """The trials that were done at a moment, with and without those that were run again after it."""
    begun = [t for t in others if spans[t.number].started_utc <= moment]
    done = [t for t in begun if (spans[t.number].finished_utc or "") <= moment]
    yield done
    if len(begun) > len(done):
        yield begun


def _count(
    spans: Collection[TrialSpan], run: FinishedRun, own: int, moment: str, recorded: Mapping[str, Any]
) -> float:
    """Trials entered by the time the run was judged; where others ran beside it, as recorded if that is possible."""
    began = _began_utc(run)
    least = sum(span.started_utc <= began or span.number == own for span in spans)
    most = sum(span.started_utc <= moment or span.number == own for span in spans)
    return _between(least, most, recorded)


def _between(least: int, most: int, recorded: Mapping[str, Any]) -> float:
    given = recorded.get("num_trials")
    if not isinstance(given, (int, float)) or isinstance(given, bool):
        return least
    return min(max(given, least), most)


def _judged_utc(run: FinishedRun, own: TrialSpan) -> str:
    """When the trial was closed and counted; the end of the run where it was closed again later by the same job."""
    ended = (read_status(run.path) or {}).get("ended_utc")
    finished = own.finished_utc or ""
    return finished if ended is None or finished[:19] <= str(ended)[:19] else f"{str(ended)[:19]}.999Z"


def _began_utc(run: FinishedRun) -> str:
    """The start of the run, which its id tells, to the second."""
    text = str(run.provenance["run_id"]).partition("-")[0]
    return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).strftime("%Y-%m-%dT%H:%M:%S")


def seed_directories(run: Path) -> dict[int, Path]:
    """seed -> folder of the checkpoints of another seed than the run's own."""
    found = {path.name.removeprefix("seed_"): path for path in sorted(run.glob("seed_*")) if path.is_dir()}
    return {int(seed): path for seed, path in found.items() if seed.isdigit()}
