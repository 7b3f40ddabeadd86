"""Counts, when a study is judged, the looks at its bars: those of the ledger, and those that only runs show.

Deleting, swapping or editing the ledger makes nothing fresh: a run on the disk that the ledger does not know of counts
as what it shows, and where the ledger's chain does not hold, every run on the disk does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.coverage.coverage import Coverage
from data.features.outputs import feature_outputs
from data.schema import Panel
from data.sources import SourceConfig, describe
from evaluation.ledger.judged_bars import looks_at, overlaps
from evaluation.ledger.ledger import Ledger
from evaluation.ledger.looks import Counted, Looks, count_looks
from evaluation.ledger.other_seeds import returns_in_common, same_trainings
from evaluation.ledger.records import FloatArray, Look, Record, record_hashes
from evaluation.ledger.return_sketch import Sketch
from evaluation.ledger.state import LedgerState, merged_looks
from evaluation.ledger.trained_weights import doubts, policies
from rayjobs.study.looks.on_disk import RunOnDisk, runs_below
from rayjobs.study.study import Study


@dataclass(frozen=True, kw_only=True)
class JudgedBars:
    """What is judged, and where runs that looked at it may lie.

    Parameters
    ----------
    panel, data : the bars, and where they come from.
    bars : those that the result was chosen on: looks at any of them count.
    roots : folders of experiments' folders.
    run : id of the run that is judged.
    trained_by : id of the run whose trainings are judged: the same one, or the one that is scored again on its own
        bars; "" where neither.
    weights_of : id of the run that trained the policies, on whatever bars they are judged; "" where nobody did.
    features : names of those that the judged policy reads (`features_read`).
    """

    panel: Panel
    data: SourceConfig
    bars: slice
    roots: tuple[Path, ...]
    run: str
    trained_by: str = ""
    weights_of: str = ""
    features: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What the ledgers know: all that a job counts in, that of its own machine first."""

    ledgers: Sequence[Ledger]
    states: Sequence[LedgerState]
    looks: Sequence[Look]
    runs: Counter[str]

    @classmethod
    def read(cls, ledger: Ledger) -> _Known:
        ledgers = [ledger, *ledger.beside()]
        states = [one.state() for one in ledgers]
        looks = merged_looks(states)
        return cls(
            ledgers=ledgers,
            states=states,
            looks=looks,
            runs=Counter(run for look in looks for run in look.runs),
        )

    @property
    def place(self) -> str:
        return self.ledgers[0].place

    def coverages(self, hashes: Sequence[str]) -> dict[str, Coverage]:
        return {name: c for one in self.ledgers for name, c in one.coverages(hashes).items()}

    def sketches(self, hashes: Sequence[str]) -> dict[str, Sketch]:
        return {name: s for one in self.ledgers for name, s in one.sketches(hashes).items()}

    def instants(self, hashes: Sequence[str]) -> dict[str, NDArray[np.datetime64]]:
        return {name: i for one in self.ledgers for name, i in one.instants(hashes).items()}

    def returns(self, hashes: Sequence[str]) -> dict[str, FloatArray]:
        return {name: r for one in self.ledgers for name, r in one.returns(hashes).items()}


def count_at(
    ledger: Ledger, judged: JudgedBars, own: Record, disk: Sequence[RunOnDisk] | None = None
) -> Counted:
    """Looks at the judged bars.

    Parameters
    ----------
    own : what is judged; its look is in the ledger, finished.
    disk : runs on the disk; None looks for them below the roots.
    """
    if disk is None:  # before the ledger: what another job notes in between is in the ledger then
        disk = runs_below(judged.roots)
    known = _Known.read(ledger)
    kept, missing, notes = _reconciled(known, disk, judged.run)
    coverages = known.coverages([name for look in kept for name in look.coverages])
    removed = {name for look in kept for name in look.coverages} - set(coverages)
    unknown = set(removed)
    for run in missing:
        coverage = run.coverage()
        if coverage is not None:
            coverages[_name(run)] = coverage
        elif run.data_fingerprint == judged.panel.fingerprint:
            unknown.add(_name(run))  # nothing says which bars it scored
    covering = overlaps(coverages, judged.panel, judged.bars, source=describe(judged.data))
    covering |= unknown  # such a look counts wherever it was
    if removed and not notes:
        notes = [f"The ledger {known.place} was changed: it lacks the bars of some looks, which are counted."]
    looks = _without_own_seeds(looks_at(kept, covering, judged.panel.fingerprint), judged.run)
    sketches = known.sketches([look.sketch for look in looks])
    lacking = 0
    for run in missing:
        found, shown = _shown(run, known, covering)
        found = [look for look in found if not _is_repetition(look, looks)]
        looks, sketches, lacking = [*looks, *found], sketches | shown, lacking + len(found)
    if lacking and not notes:
        notes = [_lacks(known, lacking, missing)]
    returns, instants = record_hashes(own)
    events = [event for state in known.states for event in state.chain.events]
    siblings = same_trainings(kept, judged.trained_by, policies(events)) if judged.trained_by else []
    first, last, num_symbols = _judged_symbols(judged)
    mine = {name for look in looks if judged.run in look.runs for name in look.coverages}
    counted = count_looks(
        looks,
        own,
        sketches,
        known.returns,
        own_returns=returns,
        own_instants=instants,
        symbols={
            name: sum(bool(one.first_utc < last and one.last_utc > first) for one in coverage.symbols)
            for name, coverage in coverages.items()
            if name not in mine
        },
        num_symbols=num_symbols,
        features=judged.features,
        notes=notes,
    )
    other_seeds = returns_in_common(siblings, own, known.instants, known.returns)
    found_wrong = doubts(events, judged.weights_of) if judged.weights_of else ()
    return replace(counted, other_seeds=other_seeds, doubts=found_wrong)


def features_read(study: Study) -> tuple[str, ...]:
    """Names of the features that a study's policies read; none of a script, which reads bars."""
    if study.config.script is not None:
        return ()
    groups = feature_outputs(study.panel, study.config.features.enabled)
    return tuple(name for group in groups for name in group.names)


def _judged_symbols(judged: JudgedBars) -> tuple[np.datetime64, np.datetime64, int]:
    """First open and last close of the judged bars, and the number of symbols that have a bar there."""
    coverage = Coverage.of(judged.panel, judged.bars, source="")
    assert coverage.span is not None  # what was scored has bars
    return *coverage.span, len(coverage.symbols)


def _without_own_seeds(looks: Sequence[Look], run: str) -> list[Look]:
    """Leave out the other seeds of a job: its headline is that of the first and was not chosen among them."""
    if not any(look.kind != "other seed" and run in look.runs for look in looks):
        return list(looks)  # its headline is a seed that another job showed before
    return [look for look in looks if look.kind != "other seed" or run not in look.runs]


def _reconciled(
    known: _Known, disk: Sequence[RunOnDisk], own: str
) -> tuple[list[Look], list[RunOnDisk], list[str]]:
    """The ledger's looks that can be relied on, the runs that count as what they show, and what is wrong."""
    chains = {state.chain.ledger: state.chain for state in known.states}
    heads = [(run, head) for run in disk for head in run.heads if head.ledger in chains]
    strayed = {run.run for run, head in heads if not chains[head.ledger].holds(head)}
    broken = [chain.broken_at for chain in chains.values() if chain.broken_at is not None]
    notes = []
    if broken:
        notes.append(
            f"The ledger {known.place} was changed after it was written (its chain of hashes does not hold from entry "
            f"{broken[0]} on), so runs on the disk are counted as they show."
        )
    elif strayed:
        saw = "1 run" if len(strayed) == 1 else f"{len(strayed)} runs"
        notes.append(
            f"The ledger {known.place} is not what {saw} on the disk saw (its chain of hashes is shorter than theirs, "
            "or another), so runs on the disk are counted as they show."
        )
    if notes:
        shown = {run.run for run in disk} - {own}
        kept = [look for look in known.looks if not shown.intersection(look.runs)]
        return kept, [run for run in disk if run.run != own], notes
    lacking = [run for run in disk if run.run != own and known.runs[run.run] < _at_least(run, known)]
    return list(known.looks), lacking, notes


def _at_least(run: RunOnDisk, known: _Known) -> int:
    """Entries that a run must have; for one of an earlier release an imported entry, which names no run, stands."""
    imported = {look.data_fingerprint for look in known.looks if not look.runs}
    if not run.heads and run.data_fingerprint in imported:
        return 0
    return run.num_looks() if run.is_sweep else 1


def _shown(run: RunOnDisk, known: _Known, covering: set[str]) -> tuple[list[Look], dict[str, Sketch]]:
    """The looks at the judged bars that a run shows beyond what the ledger has of it."""
    name = _name(run)
    if name not in covering:
        return [], {}
    looks, sketches = run.looks(name)
    trusted = not any(state.chain.broken_at is not None for state in known.states)
    have = known.runs[run.run] if trusted else 0
    return looks[have if have < len(looks) else 0 :], sketches


def _is_repetition(look: Look, looks: Sequence[Look]) -> bool:
    """Whether a job that only a run shows is one that is counted already, run again."""
    same = (look.kind, look.returns, look.instants)
    return look.sharpe is not None and any((o.kind, o.returns, o.instants) == same for o in looks)


def _name(run: RunOnDisk) -> str:
    return f"disk {run.run}"


def _lacks(known: _Known, lacking: int, runs: Sequence[RunOnDisk]) -> str:
    reasons = []
    chains = {state.chain.ledger: state.chain for state in known.states}
    if any(head.ledger not in chains for run in runs for head in run.heads):
        reasons.append("they were recorded in another one")
    made = known.states[0].chain.created_utc.replace("-", "").replace(":", "")[:15]
    if any(run.run[:15] < made for run in runs):
        reasons.append("it is younger than they are")
    looks = f"{lacking} look{'s' if lacking != 1 else ''}"
    why = f" ({' and '.join(reasons)})" if reasons else ""
    return f"The ledger {known.place} lacks {looks} that runs on the disk show{why}; they are counted."


def at_least(counted: Looks, recorded: Looks | None) -> Looks:
    """No fewer than a run was deflated for when it was judged, if that was by a ledger that knew more."""
    if recorded is None or recorded.effective <= counted.effective:
        return counted
    kinds = {
        kind: max(counted.kinds.get(kind, 0), recorded.kinds.get(kind, 0))
        for kind in {**recorded.kinds, **counted.kinds}
    }
    variances = [v for v in (counted.sharpe_variance, recorded.sharpe_variance) if v is not None]
    note = (
        f"The run was deflated for {recorded.effective} looks when it was judged, of which this ledger knows "
        f"{counted.effective}; the run's own are counted."
    )
    return replace(
        counted,
        kinds=kinds,
        effective=recorded.effective,
        in_lead=max(counted.in_lead, recorded.in_lead),
        notes=(*counted.notes, note),
        sharpe_variance=max(variances, default=None),
    )
