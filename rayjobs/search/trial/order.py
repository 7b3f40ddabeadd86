"""What the driver of a sweep and its workers say to each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rayjobs.search.plan.objective import FoldScore


@dataclass(frozen=True, kw_only=True)
class TrialOrder:
    """One worker's share of one trial.

    Parameters
    ----------
    trial : number of the trial.
    overrides : dotted keys of the configuration and their values.
    shares : (fold, seed) pairs that this worker trains and scores.
    parent : trial whose checkpoints this one goes on from; None starts afresh.
    keep : leave checkpoints for other trials to go on from.
    """

    trial: int
    overrides: Mapping[str, Any]
    shares: tuple[tuple[int, int], ...]
    parent: int | None = None
    keep: bool = False


class TrialProgram(Protocol):
    """What a worker runs. Lives in the worker's process and is used for one trial after another."""

    def advance(self, order: TrialOrder, fraction: float) -> Sequence[FoldScore]:
        """Train the order's shares until this fraction of the training is done, and score them.

        A call with another trial number than the last one begins a new trial.
        """

    def drop(self) -> None:
        """Forget the present trial."""


def split_shares(shares: Sequence[tuple[int, int]], num_workers: int) -> list[tuple[tuple[int, int], ...]]:
    """Deal (fold, seed) pairs to workers in turn; workers without any are left out."""
    return [part for worker in range(num_workers) if (part := tuple(shares[worker::num_workers]))]
