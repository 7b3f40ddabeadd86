"""What a registry shows on the terminal: a row per version, and all that is known of one."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from rayjobs.registry.stages import STAGES
from rayjobs.registry.versions import Version


def version_rows(versions: Iterable[Version]) -> list[dict[str, Any]]:
    """A row per version, by name, the highest stage first."""
    ordered = sorted(versions, key=lambda v: (v.name, _rank(v), -v.number))
    return [
        {
            "version": version.reference,
            "stage": version.stage,
            "since": version.history[-1].at_utc[:16],
            "gate": gate_word(version),
            "policy": version.facts.policy_hash[:12],
            "data": version.facts.data_fingerprint[:12],
            "run": version.facts.run,
        }
        for version in ordered
    ]


def gate_word(version: Version) -> str:
    """What the gate said, in a word or two: an approval that is no leave to deploy is named as such."""
    facts = version.facts
    if not facts.passed:
        return "NOT PASSED"
    if facts.lowered:
        return "LOWERED CRITERIA"
    return "made market" if facts.synthetic else "passed"


def fact_rows(version: Version, now: datetime) -> list[dict[str, Any]]:
    """What was registered of a version, a row per fact."""
    facts = version.facts
    shown = {
        "stage": version.stage,
        "gate": facts.headline,
        "less than the standard gate": "; ".join(facts.lowered) or "-",
        "made market": "yes" if facts.synthetic else "no",
        "in shadow, days": f"{version.time_in('shadow', now).total_seconds() / 86_400:.1f}",
        "run": facts.run,
        "run in the ledger": facts.run_id,
        "fold": str(facts.fold),
        "export": str(facts.export),
        "policy hash": facts.policy_hash,
        "contract hash": facts.contract_hash,
        "config hash": facts.config_hash,
        "manifest of every file": facts.manifest,
        "data fingerprint": facts.data_fingerprint,
        "code commit": facts.code_commit or "-",
        "ledger": facts.ledger,
        "retrained from": "-" if facts.parent is None else f"{version.name}@{facts.parent}",
    }
    return [{"fact": key, "value": value} for key, value in shown.items()]


def history_rows(version: Version) -> list[dict[str, Any]]:
    """Who did what when and why, oldest first."""
    return [
        {
            "when": step.at_utc[:19],
            "what": step.what + (" BY FORCE" if step.forced else ""),
            "stage": step.stage,
            "who": step.who,
            "why": step.why,
            "objections": "; ".join(step.evidence.get("objections", ())) or "-",
        }
        for step in version.history
    ]


def _rank(version: Version) -> int:
    order = ("champion", "paper", "shadow", "candidate", "retired")
    assert set(order) == set(STAGES)
    return order.index(version.stage)
