"""Range and choice checks of config dataclasses, with messages that name cause and remedy."""

from __future__ import annotations

import math
from collections.abc import Sequence


def require_choice(section: str, name: str, value: object, choices: Sequence[object]) -> None:
    """Raise ValueError unless `value` is one of `choices`."""
    if value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{section}.{name} is {value!r}; choose one of {listed}")


def require_range(
    section: str, name: str, value: float, low: float, high: float, *, open_low: bool = False
) -> None:
    """Raise ValueError unless low <= value <= high (low < value with `open_low`)."""
    below = value <= low if open_low else value < low
    if isinstance(value, bool) or not math.isfinite(value) or below or value > high:
        bracket = "(" if open_low else "["
        raise ValueError(f"{section}.{name} is {value!r}; expected a number in {bracket}{low}, {high}]")


def require_non_negative(section: str, name: str, value: float) -> None:
    """Raise ValueError unless `value` is finite and >= 0."""
    if isinstance(value, bool) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{section}.{name} is {value!r}; expected a finite number >= 0")


def require_positive(section: str, name: str, value: float) -> None:
    """Raise ValueError unless `value` is finite and > 0."""
    if isinstance(value, bool) or not math.isfinite(value) or value <= 0:
        raise ValueError(f"{section}.{name} is {value!r}; expected a finite number > 0")
