"""What trainings wrote into the ledger of their own weights while they ran, and what a run's weights contradict of it.

Files of a run directory can be written by anyone between two starts of a job. So a training tells the digest of every
checkpoint before the checkpoint appears, and the hash of its policy before the policy is scored; each with the digest
of the checkpoint that the process had gone on from. Weights whose line of checkpoints leaves what was told, and weights
that differ from those that the same training gave before, are not what the configuration says that they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from evaluation.ledger.store import Event

EVENT = "weights"
"""Name of the ledger's event."""
NAMED = 3
"""Folds that a sentence names."""


@dataclass(frozen=True, kw_only=True)
class WeightsNote:
    """What one training tells of its weights.

    Attributes
    ----------
    kind : a checkpoint that is about to appear, or the policy that is about to be scored.
    fold, seed : of the training.
    digest : over all files of the checkpoint, or the policy's hash.
    after : digest of the checkpoint that the process had gone on from; "" where it began from nothing.
    repeatable : the same training gives the same bits: samples and gradients were made in its own process, and nobody
        nudged it.
    arithmetic : release and instruction set of the tensor library, on which the bits depend.
    """

    kind: Literal["checkpoint", "policy"]
    fold: int
    seed: int
    digest: str
    after: str
    repeatable: bool
    arithmetic: str

    def facts(self, *, run: str, training: str) -> dict[str, Any]:
        """As the ledger keeps it.

        Parameters
        ----------
        run : id of the run. training : what trainings with the same outcome have in common (`ledger.look_key`).
        """
        return {**asdict(self), "run": run, "training": training}


def doubts(events: Sequence[Event], run: str) -> tuple[str, ...]:
    """Why the weights of a run may not be what its configuration, seed and bars give, a phrase each.

    Parameters
    ----------
    events : of all ledgers. run : id; one that told nothing (of an earlier release, or scripted) is not doubted.
    """
    notes = [event.facts for event in events if event.what == EVENT]
    own = [note for note in notes if note.get("run") == run]
    told = {_place(note): note for note in own if note.get("kind") == "policy"}  # the latest of each
    strayed = [place for place, note in told.items() if not _leads_to_the_start(note, own)]
    other = [place for place, note in told.items() if _gave_other_weights(note, notes)]
    found = []
    if strayed:
        found.append(
            f"the training of {_named(strayed)} went on from files that the ledger does not hold of this run"
        )
    if other:
        found.append(
            f"the same configuration, data, code and seed gave other weights before ({_named(other)})"
        )
    return tuple(found)


def policies(events: Iterable[Event]) -> dict[str, frozenset[str]]:
    """Key of a look -> hashes of the policies that its trainings told of."""
    found: dict[str, set[str]] = {}
    for event in events:
        if event.what == EVENT and event.facts.get("kind") == "policy":
            found.setdefault(str(event.facts.get("training")), set()).add(str(event.facts.get("digest")))
    return {key: frozenset(hashes) for key, hashes in found.items()}


def _place(note: Mapping[str, Any]) -> tuple[Any, Any]:
    return note.get("seed"), note.get("fold")


def _leads_to_the_start(note: Mapping[str, Any], own: Iterable[Mapping[str, Any]]) -> bool:
    """Whether every checkpoint that this policy's line went on from was told by this training."""
    before = {
        one.get("digest"): one.get("after")
        for one in own
        if one.get("kind") == "checkpoint"
        and _place(one) == _place(note)
        and one.get("training") == note.get("training")
    }
    passed: set[Any] = set()
    after = note.get("after")
    while after:
        if after not in before or after in passed:
            return False
        passed.add(after)
        after = before[after]
    return True


def _gave_other_weights(note: Mapping[str, Any], notes: Iterable[Mapping[str, Any]]) -> bool:
    if not note.get("repeatable"):
        return False
    same = ("kind", "training", "seed", "fold", "repeatable", "arithmetic")
    alike = (one for one in notes if all(one.get(name) == note.get(name) for name in same))
    return any(one.get("digest") != note.get("digest") for one in alike)


def _named(places: Sequence[tuple[Any, Any]]) -> str:
    words = [f"fold {fold}, seed {seed}" for seed, fold in places[:NAMED]]
    more = len(places) - NAMED
    return " and ".join([*words, f"{more} more"] if more > 0 else words)
