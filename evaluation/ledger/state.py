"""All of a ledger at one moment: the looks that its events tell of, of one ledger or of several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from evaluation.ledger.records import KINDS, Look, Status
from evaluation.ledger.store import Chain, Event


@dataclass(frozen=True, kw_only=True)
class LedgerState:
    """All of a ledger at one moment.

    Attributes
    ----------
    chain : the events, and whether they are what was written.
    looks : in the order they were entered. The same look that gave other returns when it was run again is another.
    """

    chain: Chain
    looks: Sequence[Look]

    @cached_property
    def runs(self) -> Counter[str]:
        """Run id -> looks that it had."""
        return Counter(run for look in self.looks for run in look.runs)


def merged_looks(states: Sequence[LedgerState]) -> list[Look]:
    """The looks of several ledgers, each once: what one machine's ledger has, another's may have as well."""
    merged: dict[tuple[str, str, str], Look] = {}
    for state in states:
        for look in state.looks:
            place = (look.key, look.returns, look.instants)
            if place in merged:
                one = merged[place]
                runs, bars = (*one.runs, *look.runs), (*one.coverages, *look.coverages)
                look = replace(one, runs=tuple(dict.fromkeys(runs)), coverages=tuple(dict.fromkeys(bars)))
            merged[place] = look
    finished = {look.key for look in merged.values() if look.status == "finished"}
    return [look for look in merged.values() if look.returns or look.key not in finished]


def looks_of(events: Sequence[Event]) -> list[Look]:
    """The looks that events tell of, in the order they were entered."""
    about: dict[int, list[Event]] = {}
    for event in events:
        if event.look is not None:
            about.setdefault(event.look, []).append(event)
    looks: list[Look] = []
    for number, own in sorted(about.items()):
        if own[0].what == "enter":
            looks += _outcomes(number, own)
    return looks


def _names(value: Any) -> tuple[str, ...]:
    """A list of names as it stands in an event; none of what an edit made of it."""
    return tuple(str(name) for name in value) if isinstance(value, list) else ()


def _outcomes(number: int, events: Sequence[Event]) -> list[Look]:
    """One look, or one for each of the different returns that it gave. What an edited event lacks is left empty."""
    seen = [event.facts for event in events if event.what in ("enter", "again")]
    entry = seen[0]
    look = Look(
        number=number,
        kind=entry["kind"] if entry.get("kind") in KINDS else "training",
        study=str(entry.get("study")),
        data_fingerprint=str(entry.get("data_fingerprint")),
        runs=tuple(dict.fromkeys(str(facts["run"]) for facts in seen if facts.get("run"))),
        coverages=tuple(dict.fromkeys(str(facts["coverage"]) for facts in seen if facts.get("coverage"))),
        status=status_of(events),
        key=events[0].key or "",
        identity=str(entry.get("identity") or ""),
        seed=entry["seed"] if isinstance(entry.get("seed"), int) else None,
        features=_names(entry.get("features")),
    )
    closes = [e.facts for e in events if e.what == "close" and e.facts.get("status") == "finished"]
    names = ("sharpe", "num_bars", "bar_seconds", "returns", "instants", "sketch", "symbols")
    outcomes = [replace(look, **{name: facts[name] for name in names if name in facts}) for facts in closes]
    return outcomes or [look]


def status_of(events: Sequence[Event]) -> Status:
    """How a look stands: finished for good if it ever was, else by its last event."""
    statuses: list[Status] = [
        e.facts.get("status", "failed") if e.what == "close" else "running" for e in events
    ]
    return "finished" if "finished" in statuses else statuses[-1]
