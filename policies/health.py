"""Healthy ranges of a PPO update, and what lies outside them in words."""

from __future__ import annotations

import math
from typing import NamedTuple


class Range(NamedTuple):
    """Both ends belong to the range."""

    low: float
    high: float


#: Mean approximate KL of an update: below, steps are too timid; above, the policy moves too far at once.
HEALTHY_KL = Range(0.003, 0.010)
#: Share of steps whose probability ratio is clipped.
HEALTHY_CLIP_FRACTION = Range(0.03, 0.08)
#: Share of training after which a value function that explains nothing is worth a word.
SETTLING_TIME = 0.2


def health_flags(
    *, approx_kl: float, clip_fraction: float, explained_variance: float, progress: float
) -> tuple[str, ...]:
    """What is out of its range: ``KL low``, ``KL high``, ``clip low``, ``clip high``, ``value poor``.

    Parameters
    ----------
    approx_kl, clip_fraction, explained_variance : means over an update; nan is not judged.
    progress : share of training that is done, 0 to 1.
    """
    flags = []
    for name, value, healthy in (
        ("KL", approx_kl, HEALTHY_KL),
        ("clip", clip_fraction, HEALTHY_CLIP_FRACTION),
    ):
        if not math.isnan(value) and not healthy.low <= value <= healthy.high:
            flags.append(f"{name} {'low' if value < healthy.low else 'high'}")
    if progress >= SETTLING_TIME and explained_variance <= 0.0:
        flags.append("value poor")
    return tuple(flags)
