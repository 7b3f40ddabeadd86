"""Opens the ledger that a configuration names, before anything else of a job starts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rayjobs.config.typed_config import ConfigError
from rayjobs.storage.uri import (
    LEDGER,
    LEDGERS,
    fetch,
    is_ledger,
    is_uri,
    ledger_of_machine,
    local_directory,
    split_uri,
)

if TYPE_CHECKING:  # the database's library is slow to import; a mistake in the configuration is told before
    from evaluation.ledger.ledger import Ledger

_PASSWORD = re.compile(r"(\b[a-z][\w+.-]*://[^:/@\s]*):[^/@\s]*@", re.IGNORECASE)
_ACCOUNT = re.compile(r"(\baccount[\"']?\s*[=:]\s*[\"']?)[^\s,}\"']+")


def open_ledger(place: str, run_directory: str | None = None) -> Ledger:
    """Open a ledger, made where it is new.

    Parameters
    ----------
    place : ``ledger`` of the configuration: a file, ``postgresql://USER@HOST:PORT/DATABASE``, or a file at the URI of
        object storage. There each machine has a file of its own, which no other writes, and all of them count.
    run_directory : ``run.directory``, directly below which a ledger in object storage must lie.

    Raises
    ------
    ConfigError
        If it cannot be used.
    """
    from evaluation.ledger.ledger import Ledger, LedgerUnusable
    from evaluation.ledger.store import is_server

    try:
        if is_server(place):
            return Ledger(place)
        if is_uri(place):
            if run_directory is not None and split_uri(place)[0] != run_directory:
                raise ConfigError(
                    f"ledger is {place}, but object storage keeps only the ledger beside its runs, "
                    "ledger=${run.directory}/ledger.sqlite; give that, a file, or "
                    "ledger=postgresql://USER@HOST:PORT/DATABASE"
                )
            return _at_uri(place)
        if ":" in Path(place).name:
            raise ConfigError(
                f"ledger={place} names no file; give a path, or ledger=postgresql://USER@HOST:PORT/DATABASE"
            )
        return Ledger(Path(place).expanduser())
    except LedgerUnusable as error:
        raise ConfigError(str(error)) from None


def require_ledger(place: str, run_directory: str) -> None:
    """Refuse a ledger that cannot be used before anything is read or written; a new file is not made yet.

    Raises
    ------
    ConfigError
        As `open_ledger`.
    """
    if is_uri(place) or ":" in Path(place).name or Path(place).expanduser().exists():
        open_ledger(place, run_directory)


def _at_uri(place: str) -> Ledger:
    """This machine's ledger below a URI; `storage_mirror.mirrored` copies it there while a job runs."""
    from evaluation.ledger.ledger import Ledger

    folder, _ = split_uri(place)
    own = ledger_of_machine(folder)
    ledger = Ledger(own)

    def beside() -> list[Ledger]:
        local = local_directory(folder)
        wanted = lambda name: is_ledger(name) and local / name != own  # noqa: E731
        fetch(folder, local, wanted)
        others = [local / LEDGER, *sorted((local / LEDGERS).glob("*.sqlite"))]
        return [Ledger(path) for path in others if path.is_file() and path != own]

    ledger.beside = beside
    return ledger


def without_password(values: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration as it may be printed, written and sent on: without the passwords of ledger and study."""
    written, place, search = dict(values), values.get("ledger"), values.get("search")
    if isinstance(search, Mapping) and isinstance(search.get("storage"), str):
        written["search"] = {**search, "storage": hidden(search["storage"])}
    if isinstance(place, str) and is_uri(place):
        from evaluation.ledger.store import LedgerUnusable, shown

        try:
            written["ledger"] = shown(place)
        except LedgerUnusable as error:
            raise ConfigError(str(error)) from None
    return written


def hidden(argument: str) -> str:
    """A word of a command line without the password in an address, and without the number of a broker's account."""
    if argument.lstrip("+").startswith("broker"):
        argument = _ACCOUNT.sub(r"\1...", argument)
    return _PASSWORD.sub(r"\1@", argument)
