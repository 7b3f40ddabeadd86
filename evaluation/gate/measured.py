"""What a criterion of the gate says: a value beside its threshold, and a sentence."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a criterion's function found: `passed` None means that the evidence is missing."""

    value: float
    threshold: float
    comparison: str
    passed: bool | None
    reason: str


def _compare(value: float, threshold: float, comparison: str) -> bool:
    if math.isnan(value) or math.isnan(threshold):
        return False
    return (
        value >= threshold
        if comparison == ">="
        else (value > threshold if comparison == ">" else value <= threshold)
    )


def measured(value: float, threshold: float, comparison: str, subject: str, style: str) -> Measured:
    """A sentence of the form '<subject> is <value>, required is <comparison> <threshold>'."""
    passed = _compare(value, threshold, comparison)
    if math.isnan(value):
        reason = f"{subject} is not defined on this record."
    else:
        bound = {">=": "at least", ">": "more than", "<=": "at most"}[comparison]
        reason = f"{subject} is {value:{style}}; {bound} {threshold:{style}} is required."
    return Measured(value=value, threshold=threshold, comparison=comparison, passed=passed, reason=reason)


def missing(threshold: float, comparison: str, what: str) -> Measured:
    """What a criterion says whose evidence is not there: an enforced one then fails."""
    return Measured(
        value=math.nan,
        threshold=threshold,
        comparison=comparison,
        passed=None,
        reason=f"{what} was not measured.",
    )
