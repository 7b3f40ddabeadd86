"""What the driver of a sweep and the processes of its trials say to each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from rayjobs.search.plan.objective import FoldScore, ObjectiveConfig
from rayjobs.search.trial.shelf import TrialShelf


@dataclass(frozen=True, kw_only=True)
class TrialTask:
    """A trial, or one process's part of it.

    Parameters
    ----------
    trial : number of the trial, of its first attempt if it was tried again: its state lies on the shelf under it.
    overrides : dotted keys of the configuration and their values.
    shares : (fold, seed) pairs to train and score.
    rungs : (rung, fraction of the training) at which they are scored; the last one ends the trial.
    objective : what the scores are worth.
    parts : processes that share the folds and seeds.
    bundles : resources of each of these processes and of what it starts, one bundle per process, its own first.
    strategy : how the bundles of all parts are placed.
    parent : trial whose checkpoints this one goes on from; None starts afresh.
    keep : leave checkpoints on the shelf for other trials to go on from.
    """

    trial: int
    overrides: Mapping[str, Any]
    shares: tuple[tuple[int, int], ...]
    rungs: tuple[tuple[int, float], ...]
    objective: ObjectiveConfig
    parts: int = 1
    bundles: tuple[Mapping[str, float], ...] = ({"CPU": 1},)
    strategy: str = "PACK"
    parent: int | None = None
    keep: bool = False

    def dealt(self) -> list[TrialTask]:
        """One task per part, with (fold, seed) pairs dealt in turn."""
        return [replace(self, shares=self.shares[part :: self.parts]) for part in range(self.parts)]


class HopelessTrial(RuntimeError):
    """A trial failed in a way that every further attempt at it would repeat."""


class TrialProgram(Protocol):
    """What a process of a trial runs; used for one trial after another."""

    def advance(self, task: TrialTask, fraction: float) -> Sequence[FoldScore]:
        """Train the task's shares until this fraction of the training is done, and score them.

        A call with another trial number than the last one begins a new trial, or goes on with one whose state lies
        on the shelf.

        Raises
        ------
        HopelessTrial
            If the trial is not worth another attempt.
        """

    def drop(self) -> None:
        """Forget the present trial."""


MakeProgram = Callable[[Any, TrialShelf], TrialProgram]
"""Builds a program in its process, from what all trials share."""
