"""What a registry knows of one version of a policy, and how its history of events makes its stage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from evaluation.ledger.store import Event
from rayjobs.registry.stages import Stage


@dataclass(frozen=True, kw_only=True)
class PolicyFacts:
    """What was registered of a policy, for good.

    Parameters
    ----------
    run : directory of the run that trained it, absolute. run_id : as the ledger names the run. fold : whose policy.
    manifest : root hash over every file of the run; the ledger holds the same.
    files : hash of the list of the run's files with their hashes, kept beside the events.
    policy_hash, contract_hash : of weights and contract.
    config_hash : of config.yaml. data_fingerprint, code_commit : what it was trained on and with.
    verdict : passed or not, and the headline. lowered : what the gate demanded less of; synthetic : a made market.
    ledger : place of the ledger that vouched for the run, without a password.
    parent : version whose retraining this is; None where it is none.
    """

    run: str
    run_id: str
    fold: int
    manifest: str
    files: str
    policy_hash: str
    contract_hash: str
    config_hash: str
    data_fingerprint: str
    code_commit: str
    passed: bool
    headline: str
    lowered: tuple[str, ...]
    synthetic: bool
    ledger: str
    parent: int | None = None

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> PolicyFacts:
        """Inverse of `dataclasses.asdict`."""
        return cls(**{**facts, "lowered": tuple(facts["lowered"])})

    @property
    def export(self) -> Path:
        """Directory of the exported policy."""
        return Path(self.run) / "checkpoints" / f"fold_{self.fold:02d}" / "best"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One entry of a version's history: what happened, when, who did it and why."""

    at_utc: str
    what: str
    stage: Stage
    who: str
    why: str
    forced: bool
    evidence: Mapping[str, Any]

    @property
    def at(self) -> datetime:
        """As an aware instant."""
        return datetime.fromisoformat(self.at_utc.replace("Z", "+00:00"))


@dataclass(frozen=True, kw_only=True)
class Version:
    """A version of a policy: its facts, its stage, and how it came there."""

    name: str
    number: int
    facts: PolicyFacts
    stage: Stage
    history: tuple[Step, ...] = field(repr=False)

    @property
    def reference(self) -> str:
        """`NAME@NUMBER`, as command lines take it."""
        return f"{self.name}@{self.number}"

    def time_in(self, stage: Stage, now: datetime) -> timedelta:
        """How long it has stood in a stage without a break, up to now or to when it left it last."""
        began = ended = None
        for step in self.history:
            if step.stage == stage and (began is None or ended is not None):
                began, ended = step.at, None
            elif step.stage != stage and began is not None and ended is None:
                ended = step.at
        return timedelta(0) if began is None else (ended or now) - began


def versions_of(events: Iterable[Event]) -> dict[tuple[str, int], Version]:
    """Every version, from the events of a registry in their order."""
    found: dict[tuple[str, int], Version] = {}
    for event in events:
        facts = event.facts
        key = (str(facts["name"]), int(facts["version"]))
        step = Step(
            at_utc=event.at_utc,
            what=event.what,
            stage=facts["stage"],
            who=str(facts["who"]),
            why=str(facts["why"]),
            forced=bool(facts["forced"]),
            evidence=facts["evidence"],
        )
        if event.what == "register":
            policy = PolicyFacts.from_json(facts["policy"])
            found[key] = Version(name=key[0], number=key[1], facts=policy, stage=step.stage, history=(step,))
        else:
            known = found[key]
            found[key] = replace(known, stage=step.stage, history=(*known.history, step))
    return found
