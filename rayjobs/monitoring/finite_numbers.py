"""The numbers of a mapping that a curve can show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def finite_numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """Finite numbers alone; no truth values, texts, NaN or infinities."""
    numbers = {k: v for k, v in values.items() if isinstance(v, (int, float)) and not isinstance(v, bool)}
    return {name: float(value) for name, value in numbers.items() if float("-inf") < value < float("inf")}
