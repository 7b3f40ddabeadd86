"""Opens the ledger that a configuration names, before anything else of a job starts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evaluation.ledger import Ledger, LedgerUnusable
from evaluation.ledger_store import is_server, shown
from rayjobs.storage import is_uri
from rayjobs.typed_config import ConfigError

_PASSWORD = re.compile(r"(postgres(?:ql)?(?:\+\w+)?://[^:/@\s]*):[^@\s]*@")


def open_ledger(place: str) -> Ledger:
    """Open a ledger, made where it is new.

    Parameters
    ----------
    place : ``ledger`` of the configuration: a file, or ``postgresql://USER@HOST:PORT/DATABASE``.

    Raises
    ------
    ConfigError
        If it cannot be used, or lies in object storage, where two machines would overwrite each other's entries.
    """
    try:
        if is_server(place):
            return Ledger(place)
        if is_uri(place):
            raise ConfigError(
                f"ledger is {place}: a ledger in object storage cannot be written to by two machines at once, so looks "
                "would be lost; give ledger=PATH on a disk of this machine or one that is shared, or "
                "ledger=postgresql://USER@HOST:PORT/DATABASE"
            )
        return Ledger(Path(place).expanduser())
    except LedgerUnusable as error:
        raise ConfigError(str(error)) from None


def without_password(values: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration as it may be printed, written and sent on."""
    place = values.get("ledger")
    return {**values, "ledger": shown(place)} if isinstance(place, str) else dict(values)


def hidden(argument: str) -> str:
    """A word of a command line without the password of a ledger's server."""
    return _PASSWORD.sub(r"\1@", argument)
