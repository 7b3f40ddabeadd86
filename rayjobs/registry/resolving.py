"""From `NAME@champion` or `NAME@3` to the export that may trade: the one way from a registry to a venue."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rayjobs.config.typed_config import ConfigError
from rayjobs.registry.registry import Registry
from rayjobs.registry.stages import ALLOWED, WITHOUT_VERDICT
from rayjobs.registry.versions import Version
from rayjobs.registry.vouching import refuse_short, shortfalls, verify


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """A version that may trade. export : directory of its policy, inside its run."""

    version: Version
    export: Path


def resolve(reference: str, place: str, broker: str, *, real_money: bool = False) -> Resolved:
    """Find a version, hold it to what was registered and to the ledger, and ask whether it may trade there.

    Parameters
    ----------
    reference : `NAME@STAGE` or `NAME@NUMBER`. place : of the registry; see `registry_place`.
    broker : replay, shadow, paper or ibkr. real_money : then the champion alone, under a full verdict.

    Raises
    ------
    ConfigError
        In one sentence.
    """
    registry = Registry.existing(place)
    version = registry.version(reference)
    if broker not in ALLOWED:
        raise ConfigError(f"broker={broker} is not one of {', '.join(ALLOWED)}")
    allowed = ("champion",) if real_money else ALLOWED[broker]
    where = "real money" if real_money else f"broker={broker}"
    if version.stage not in allowed:
        raise ConfigError(
            f"{version.reference} is {version.stage}, and {where} takes {' or '.join(allowed)}; promote it with "
            "python -m rayjobs.deploy promote"
            if version.stage != "retired"
            else f"{version.reference} is retired and trades nowhere"
        )
    verify(version, registry, needs_verdict=broker not in WITHOUT_VERDICT)
    facts = version.facts
    if real_money:
        refuse_short(version.reference, shortfalls(facts.lowered, synthetic=facts.synthetic))
    return Resolved(version=version, export=facts.export)
