"""Statements about columns on a command line: the names are the user's, so that no file of ``conf/`` can hold them."""

from __future__ import annotations

from collections.abc import Sequence

STATED = "data.columns."


def with_new_columns(arguments: Sequence[str]) -> list[str]:
    """The arguments with ``data.columns.NAME.known_after=...`` as an addition, which Hydra wants to be told."""
    stated = (STATED, f"{STATED[:-1]}=")
    return [f"++{argument}" if argument.startswith(stated) else argument for argument in arguments]
