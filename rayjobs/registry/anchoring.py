"""The end of a registry's chain, noted in the ledger after each decision, so that a history cut short is found.

A chain of hashes shows what was changed in it and not what was taken off its end: an older copy of the file is whole
too. The ledger that vouches for a version therefore holds the number and the hash of each event about it.
"""

from __future__ import annotations

import logging
from pathlib import Path

from evaluation.ledger.ledger import Ledger
from evaluation.ledger.store import Chain, Head
from rayjobs.config.typed_config import ConfigError
from rayjobs.registry.versions import PolicyFacts
from rayjobs.replay.run_seal import existing_ledger

LOG = logging.getLogger(__name__)


def note_head(head: Head, facts: PolicyFacts) -> None:
    """Write where a registry stands into the ledger of the version that was just decided about."""
    ledger = _ledger(facts)
    if ledger is None:
        LOG.warning(
            "the ledger %s cannot be reached, so it does not know of this decision; a registry that is cut short here "
            "would not be noticed",
            facts.ledger,
        )
        return
    ledger.seal(_name(head.ledger), f"{head.events}:{head.hash}")


def refuse_cut(chain: Chain, facts: PolicyFacts, place: str) -> None:
    """Refuse a registry that lacks a decision which the ledger of a version knows of.

    Raises
    ------
    ConfigError
        With how many events are there and how many were.
    """
    ledger = _ledger(facts)
    if ledger is None:  # nothing vouches for the version then, which is told elsewhere
        return
    for root in ledger.seals(_name(chain.ledger)):
        number, _, digest = root.partition(":")
        if not chain.holds(Head(ledger=chain.ledger, events=int(number), hash=digest)):
            raise ConfigError(
                f"the registry {place} does not hold its event {number} as the ledger {ledger.place} saw it (it has "
                f"{len(chain.hashes)}): it was cut short or put back from a copy; bring back the newest one"
            )


def _name(registry: str) -> str:
    return f"registry/{registry}"


def _ledger(facts: PolicyFacts) -> Ledger | None:
    try:
        return existing_ledger(facts.ledger, Path(facts.run))
    except ValueError:  # no ledger, or one that asks for a password
        return None
