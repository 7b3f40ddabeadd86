"""Was the training healthy: how often KL, clip fraction and value function left their ranges, from progress.csv."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from policies.health import HEALTHY_CLIP_FRACTION, HEALTHY_KL

WORDS = {
    "KL low": f"KL below {HEALTHY_KL.low:g}, steps too timid",
    "KL high": f"KL above {HEALTHY_KL.high:g}, steps too bold",
    "clip low": f"clip fraction below {HEALTHY_CLIP_FRACTION.low:g}",
    "clip high": f"clip fraction above {HEALTHY_CLIP_FRACTION.high:g}",
    "value poor": "the value function explained nothing",
}
COMMON = 0.5
"""Share of a fold's updates from which a flag is a warning and not the odd update."""


def flag_shares(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Flag -> share of the training iterations that carry it, most frequent first.

    Parameters
    ----------
    rows : iterations of progress.csv; ``health`` holds flags with commas between, empty when healthy.
    """
    flags = Counter(flag for row in rows for flag in _flags(row.get("health")))
    return {flag: count / len(rows) for flag, count in flags.most_common()}


def health_sentence(rows: Sequence[Mapping[str, Any]]) -> str:
    """One fold's training in a few words; empty without rows."""
    if not rows:
        return ""
    shares = flag_shares(rows)
    if not shares:
        return "all updates healthy"
    return "; ".join(f"{WORDS.get(flag, flag)} in {share:.0%} of updates" for flag, share in shares.items())


def is_healthy(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether no flag was raised in `COMMON` of the updates or more."""
    return all(share < COMMON for share in flag_shares(rows).values())


def _flags(text: Any) -> list[str]:
    return [flag.strip() for flag in text.split(",") if flag.strip()] if isinstance(text, str) else []
