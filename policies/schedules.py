"""Values that change over training, as functions of the share of env steps done; nothing here has state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A value that goes from ``initial`` to ``final`` over training.

    Parameters
    ----------
    kind : ``constant`` (``final`` is not used), ``linear`` or ``cosine`` (Loshchilov and Hutter 2017, no restarts).
    initial, final : values at the first and at the last env step.
    """

    kind: Literal["constant", "linear", "cosine"]
    initial: float
    final: float

    def __post_init__(self) -> None:
        if self.kind not in ("constant", "linear", "cosine"):
            raise ValueError(f"the schedule is {self.kind!r}; choose constant, linear or cosine")
        if min(self.initial, self.final) < 0.0:
            raise ValueError(
                f"the schedule goes from {self.initial} to {self.final}; neither may be negative"
            )

    def at(self, progress: float) -> float:
        """Value at ``progress`` in [0, 1]."""
        if self.kind == "constant":
            return self.initial
        weight = progress if self.kind == "linear" else 0.5 * (1.0 - np.cos(np.pi * progress))
        return float(self.initial + weight * (self.final - self.initial))

    def points(self, total_env_steps: int, num_points: int = 33) -> list[list[float]] | float:
        """RLlib's form: a number, or [env steps, value] pairs that it interpolates linearly."""
        if self.kind == "constant":
            return self.initial
        grid = np.linspace(0.0, 1.0, 2 if self.kind == "linear" else num_points)
        return [[round(share * total_env_steps), self.at(share)] for share in grid]


@dataclass(frozen=True, kw_only=True)
class CostCurriculum:
    """Trading costs during training: none at first, then ramped to full. Evaluation always pays in full.

    With full costs from the first step, random trading only loses, so a policy learns not to trade before it has
    learnt when to.

    Parameters
    ----------
    free_fraction : share of training without costs, 0 to 1.
    ramp_fraction : share of training over which costs then rise linearly to full, 0 to 1.
    """

    free_fraction: float
    ramp_fraction: float

    def __post_init__(self) -> None:
        for name in ("free_fraction", "ramp_fraction"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"cost_curriculum.{name} is {getattr(self, name)}; it must lie in [0, 1]")
        if self.free_fraction + self.ramp_fraction > 1.0:
            raise ValueError(
                "cost_curriculum: free_fraction and ramp_fraction add up to "
                f"{self.free_fraction + self.ramp_fraction:g}; training would never meet the full costs, "
                "let them add up to at most 1"
            )

    def scale(self, progress: float) -> float:
        """Fraction of the full costs, 0.0 to 1.0, at ``progress`` in [0, 1] of training."""
        if self.ramp_fraction == 0.0:
            return 1.0 if progress >= self.free_fraction else 0.0
        return float(np.clip((progress - self.free_fraction) / self.ramp_fraction, 0.0, 1.0))
