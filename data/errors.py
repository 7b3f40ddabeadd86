"""Errors that a user can fix, and the words that they are told in."""

from __future__ import annotations

import difflib
from collections.abc import Sequence


class DataError(ValueError):
    """Data that a user supplied, or asked for, cannot be used; the message says what and what to do."""


def nearest_name(name: str, known: Sequence[str]) -> str:
    """Return ' (did you mean X?)' for the known name closest to `name`, or an empty string."""
    by_lower = {k.lower(): k for k in known}
    close = difflib.get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.4)
    return f" (did you mean {by_lower[close[0]]!r}?)" if close else ""


def one_line(error: BaseException) -> str:
    """Return the message of an error without line breaks, to quote it in one sentence; its type if it has none."""
    return " ".join(str(error).split()) or type(error).__name__
