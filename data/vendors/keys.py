"""Keys of vendors: read from the environment at the moment of asking, and blotted out of every text that leaves."""

from __future__ import annotations

import os
from collections.abc import Iterable

from data.vendors.definition import KeyRefused

BLOT = "[key]"
_SHORTEST = 6
"""Shorter values are not searched for in texts: they would blot out ordinary words. No vendor has such a key."""


def key_from_environment(vendor: str, *variables: str) -> str:
    """The value of the first variable that is set.

    Raises
    ------
    KeyRefused
        If none is set, or the value cannot be a key (a space or a line break inside, letters beyond ASCII).
    """
    for variable in variables:
        value = os.environ.get(variable, "").strip()
        if not value:
            continue
        if not value.isascii() or not value.isprintable() or " " in value:
            raise KeyRefused(
                f"{variable} holds a space, a line break or a letter that no key of {vendor} has; copy the key again."
            )
        return value
    raise KeyRefused(f"{vendor} needs a key: set {' or '.join(variables)} in the environment or in .env.")


def without_keys(text: str, keys: Iterable[str]) -> str:
    """The text with every key in it replaced by `BLOT`; vendors and clients quote keys in their messages."""
    for key in sorted((key for key in keys if len(key) >= _SHORTEST), key=len, reverse=True):
        text = text.replace(key, BLOT)
    return text
