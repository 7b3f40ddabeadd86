"""Single fields of reference records, checked: dates, positive numbers, symbols."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, TypeVar

from data.vendors.definition import MalformedAnswer
from data.vendors.failures import quote

T = TypeVar("T")


def day(row: Mapping[str, Any], name: str, vendor: str) -> date:
    """A date, from text that begins with YYYY-MM-DD.

    Raises
    ------
    MalformedAnswer
        If it is missing or no date.
    """
    found = day_or_none(row, name, vendor)
    if found is None:
        raise MalformedAnswer(f"{vendor} sent a record without {name}")
    return found


def day_or_none(row: Mapping[str, Any], name: str, vendor: str) -> date | None:
    """A date as in `day`; None where the vendor writes none."""
    value = row.get(name)
    if value in (None, "", "None", "null"):
        return None
    try:
        return datetime.strptime(value[:10], "%Y-%m-%d").date()
    except (TypeError, ValueError):
        raise MalformedAnswer(f"{vendor} sent {name}={quote(repr(value))}, which is no date") from None


def positive(row: Mapping[str, Any], name: str, vendor: str, *, text: bool = False) -> float:
    """A finite number of at least 0, from a number, or from text where the vendor documents text."""
    value = row.get(name)
    numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
    try:
        found = float(value) if numeric or (text and isinstance(value, str)) else math.nan  # type: ignore[arg-type]
    except ValueError:
        found = math.nan
    if not math.isfinite(found) or found < 0:
        raise MalformedAnswer(f"{vendor} sent {name}={quote(repr(value))}, which is no number of at least 0")
    return found


def text_of(row: Mapping[str, Any], name: str, vendor: str) -> str:
    """Text that must be there, such as a symbol."""
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise MalformedAnswer(f"{vendor} sent a record without {name}")
    return value


def record(kind: Callable[..., T], vendor: str, **fields: Any) -> T:
    """A record of reference data; what its own checks refuse is a `MalformedAnswer`."""
    try:
        return kind(**fields)
    except ValueError as error:
        raise MalformedAnswer(f"{vendor} sent {quote(str(error))}") from None
