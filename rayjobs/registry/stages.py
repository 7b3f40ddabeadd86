"""The stages of a policy on its way to a venue, and which broker each may trade at."""

from __future__ import annotations

from typing import Literal, get_args

Stage = Literal["candidate", "shadow", "paper", "champion", "retired"]
STAGES: tuple[Stage, ...] = get_args(Stage)
LADDER: tuple[Stage, ...] = ("candidate", "shadow", "paper", "champion")
"""From below up; what is retired stands on none of them."""

ALLOWED: dict[str, tuple[Stage, ...]] = {
    "replay": LADDER,
    "shadow": LADDER,
    "paper": ("paper", "champion"),
    "ibkr": ("paper", "champion"),
}
"""Broker -> stages that may act at it; with real money the champion alone."""


WITHOUT_VERDICT = ("replay", "shadow")
"""Brokers at which a policy that no gate has passed may act: nothing of it is traded."""


def above(stage: Stage) -> Stage | None:
    """The next stage up; None of the champion and of what is retired."""
    place = LADDER.index(stage) + 1 if stage in LADDER else len(LADDER)
    return LADDER[place] if place < len(LADDER) else None


def below(stage: Stage) -> Stage | None:
    """The stage that a demotion leads to; None of a candidate and of what is retired."""
    place = LADDER.index(stage) - 1 if stage in LADDER else -1
    return LADDER[place] if place >= 0 else None
