"""Keys of a command line that no file of ``conf/`` holds: statements about columns, whose names are the user's, and
settings that are left out where they are not used."""

from __future__ import annotations

from collections.abc import Sequence

STATED = "data.columns."
LEFT_OUT = ("data.test_symbols=", "features.standardise=", "features.prune=")
"""Settings whose absence means that they are off, as in configurations that are older than they are."""


def with_new_columns(arguments: Sequence[str]) -> list[str]:
    """The arguments with ``data.columns.NAME.known_after=...`` and `LEFT_OUT` as additions, as Hydra wants them."""
    stated = (STATED, f"{STATED[:-1]}=", *LEFT_OUT)
    return [f"++{argument}" if argument.startswith(stated) else argument for argument in arguments]
