"""Values that change over training: as functions of the share of env steps done, or of how far an update went.

Nothing here has state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True, kw_only=True)
class TrainingSchedule:
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
class LearningRateControl:
    """What moves the learning rate besides its schedule. Each factor stays for the rest of training.

    Parameters
    ----------
    kl_target : approximate KL of an update that is aimed at: after one beyond twice of it the learning rate is divided
        by ``kl_step``, after one below half of it multiplied (Heess et al. 2017 do so with the penalty); None never.
    kl_step : above 1.
    minimum, maximum : bounds of the learning rate while KL moves it.
    plateau_validations : validations without a better score after which the learning rate is multiplied by
        ``plateau_factor``; None never.
    plateau_factor : above 0, below 1.
    """

    kl_target: float | None
    kl_step: float
    minimum: float
    maximum: float
    plateau_validations: int | None
    plateau_factor: float

    def __post_init__(self) -> None:
        name = "learning_rate_control"
        if self.kl_target is not None and self.kl_target <= 0.0:
            raise ValueError(f"{name}.kl_target is {self.kl_target}; it must be positive, or null for never")
        if self.kl_step <= 1.0:
            raise ValueError(f"{name}.kl_step is {self.kl_step}; it must be above 1")
        if not 0.0 < self.minimum <= self.maximum:
            raise ValueError(
                f"{name}: minimum is {self.minimum} and maximum {self.maximum}; "
                "they must be positive, the minimum not above the maximum"
            )
        if self.plateau_validations is not None and self.plateau_validations < 1:
            raise ValueError(
                f"{name}.plateau_validations is {self.plateau_validations}; it must be at least 1, or null for never"
            )
        if not 0.0 < self.plateau_factor < 1.0:
            raise ValueError(f"{name}.plateau_factor is {self.plateau_factor}; it must lie between 0 and 1")


def adapted_learning_rate_factor(
    control: LearningRateControl, *, kl: float, factor: float, learning_rate: float
) -> float:
    """The factor on the scheduled learning rate after an update whose approximate KL was ``kl``.

    ``learning_rate`` is the one that the update used, ``factor`` included.
    """
    if control.kl_target is None:
        return factor
    if kl > 2.0 * control.kl_target:
        step = 1.0 / control.kl_step
    elif kl < 0.5 * control.kl_target:
        step = control.kl_step
    else:
        return factor
    wanted = min(max(learning_rate * step, control.minimum), control.maximum)
    return factor * wanted / learning_rate if learning_rate > 0.0 else factor


@dataclass(frozen=True, kw_only=True)
class KLPenalty:
    """The adaptive KL penalty (Schulman et al. 2017, section 4), added to the clipped loss.

    Parameters
    ----------
    target : KL(old || new) of an update: beyond twice of it the weight grows by half, below half of it the weight
        halves; None leaves the penalty out.
    initial : weight of the penalty at the start.
    """

    target: float | None
    initial: float

    def __post_init__(self) -> None:
        if self.target is not None and self.target <= 0.0:
            raise ValueError(
                f"kl_penalty.target is {self.target}; it must be positive, or null for no penalty"
            )
        if self.initial < 0.0:
            raise ValueError(f"kl_penalty.initial is {self.initial}; it must not be negative")


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
