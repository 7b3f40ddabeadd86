"""How long a policy is trained, and what happens on the way (``conf/train.yaml``, key ``trainer``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """Length of training, validation and checkpoints.

    Parameters
    ----------
    total_env_steps : env steps (one decision of one portfolio) of training per fold.
    validation_fraction : last share of the training window that is kept from training to choose the best
        checkpoint on; 0 keeps the last one.
    validation_every : training iterations between two validations.
    checkpoint_every : training iterations between two RLlib checkpoints; the last iteration always writes one.
    num_seeds : policies trained per fold. The first seed is the headline; the others show the spread.
    start_from : a run, or an exported policy, whose weights trainings begin with; None draws them.
    freeze : what of those weights stays as it is: "none", or the "encoder" of assets and account.
    """

    total_env_steps: int
    validation_fraction: float
    validation_every: int
    checkpoint_every: int
    num_seeds: int
    start_from: str | None = None
    freeze: Literal["none", "encoder"] = "none"

    def __post_init__(self) -> None:
        for name in ("total_env_steps", "validation_every", "checkpoint_every", "num_seeds"):
            if getattr(self, name) < 1:
                raise ValueError(f"trainer.{name} is {getattr(self, name)}; it must be at least 1")
        if self.freeze not in ("none", "encoder"):
            raise ValueError(f"trainer.freeze is {self.freeze!r}; it must be none or encoder")
        if self.freeze != "none" and self.start_from is None:
            raise ValueError(
                "trainer.freeze=encoder would keep weights as they were drawn; give trainer.start_from=RUN"
            )
        if not 0.0 <= self.validation_fraction < 1.0:
            raise ValueError(
                f"trainer.validation_fraction is {self.validation_fraction}; it must lie in [0, 1)"
            )
