"""The registry: an append-only chain of decisions about versions of policies, beside the ledger or on its server.

Each event names who, when and why; its hash covers the one before it, so that a history that was rewritten is found
when it is read. Stages follow from the events alone.
"""

from __future__ import annotations

import getpass
import json
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy.engine import Connection

from evaluation.artefacts.manifest import SealedFile
from evaluation.ledger.store import LedgerUnusable, Store, is_server, shown
from rayjobs.config.typed_config import ConfigError, did_you_mean
from rayjobs.registry.anchoring import note_head, refuse_cut
from rayjobs.registry.stages import STAGES, Stage
from rayjobs.registry.versions import PolicyFacts, Version, versions_of
from rayjobs.storage.uri import is_uri

REGISTRY = "registry.sqlite"
"""Name of the file, beside the ledger's."""
SCHEMA = "rayfold_registry"
"""Where a registry lies on the server of a ledger."""


def registry_place(registry: str | None, ledger: str) -> str:
    """Where the registry lies: as named, else beside the ledger's file, or on the ledger's server.

    Raises
    ------
    ConfigError
        If the ledger lies in object storage, where two machines cannot both add to one chain.
    """
    if registry is not None:
        return registry
    if is_server(ledger):
        return ledger
    if is_uri(ledger):
        raise ConfigError(
            f"the ledger lies at {shown(ledger)}, where no registry can; name one with registry=FILE or "
            "registry=postgresql://USER@HOST:PORT/DATABASE"
        )
    return str(Path(ledger).expanduser().parent / REGISTRY)


def who_decides() -> str:
    """The person at this machine, as the history names them."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):
        return f"unknown@{socket.gethostname()}"


class Registry:
    """Versions of policies by name.

    Parameters
    ----------
    place : file or PostgreSQL address; made where it is new.
    now : the clock; aware, UTC.

    Raises
    ------
    ConfigError
        If it cannot be used.
    """

    def __init__(self, place: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.now = now
        target: Path | str = place if is_server(place) else Path(place).expanduser()
        try:
            self._store = Store(target, schema=SCHEMA)
        except LedgerUnusable as error:
            raise ConfigError(str(error).replace("the ledger", "the registry", 1)) from None
        self.place = shown(place)

    @classmethod
    def existing(cls, place: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Registry:
        """A registry that is there.

        Raises
        ------
        ConfigError
            If there is none.
        """
        if not is_server(place) and not Path(place).expanduser().is_file():
            raise ConfigError(
                f"there is no registry at {place}; register a policy first (python -m rayjobs.deploy register), or "
                "name another with registry=PLACE"
            )
        return cls(place, now)

    # Read

    def versions(self) -> dict[tuple[str, int], Version]:
        """Every version by name and number.

        Raises
        ------
        ConfigError
            If the chain of events is not what was written.
        """
        chain = self._store.chain()
        if chain.broken_at is not None:
            raise ConfigError(
                f"the registry {self.place} was changed by other hands at event {chain.broken_at}, so nothing in it "
                "can be trusted; put back a copy from before"
            )
        return versions_of(chain.events)

    def version(self, reference: str) -> Version:
        """The version that `NAME@NUMBER` or `NAME@STAGE` names.

        Raises
        ------
        ConfigError
            If there is none, or a stage has several.
        """
        name, number = parse_reference(reference)
        return self._chosen(self.versions(), name, number, reference)

    def files(self, version: Version) -> tuple[SealedFile, ...]:
        """Every file of the version's run as it was registered.

        Raises
        ------
        ConfigError
            If the list is not there any more.
        """
        content = self._store.contents([version.facts.files]).get(version.facts.files)
        if content is None:
            raise ConfigError(f"the registry {self.place} has lost the list of files of {version.reference}")
        return tuple(SealedFile(**row) for row in json.loads(content))

    # Written

    def keep_files(self, files: tuple[SealedFile, ...]) -> str:
        """Write a list of files, and return its hash."""
        with self._store.writing() as connection:
            return self._store.keep(connection, json.dumps([asdict(file) for file in files]).encode())

    def register(self, name: str, facts: PolicyFacts, why: str) -> Version:
        """Add a version as a candidate; the same policy again is the version that it is, unless that was retired.

        Raises
        ------
        ConfigError
            If the name cannot be one.
        """
        refuse_odd_name(name)
        with self._store.writing() as connection:
            known = self._read(connection)
            numbers = [version.number for version in known.values() if version.name == name]
            for version in known.values():
                same = (version.facts.manifest, version.facts.fold) == (facts.manifest, facts.fold)
                if same and version.name == name and version.stage != "retired":
                    return version
            number = max(numbers, default=0) + 1
            self._add(
                connection, "register", name, number, "candidate", why=why, extra={"policy": asdict(facts)}
            )
        note_head(self._store.head(), facts)
        return self.version(f"{name}@{number}")

    def move(
        self,
        version: Version,
        what: str,
        stage: Stage,
        *,
        why: str,
        forced: bool = False,
        evidence: Mapping[str, Any] | None = None,
        who: str | None = None,
    ) -> Version:
        """Put a version into a stage; a champion that another takes the place of goes back to shadow.

        Raises
        ------
        ConfigError
            If it is not where it was when this was decided.
        """
        with self._store.writing() as connection:
            known = self._read(connection)
            current = known[version.name, version.number]
            if len(current.history) != len(version.history):
                raise ConfigError(
                    f"{version.reference} is {current.stage} by now: somebody else decided meanwhile; look again"
                )
            if stage == "champion":
                for other in known.values():
                    if other.name == version.name and other.stage == "champion":
                        replaced = f"replaced by {version.reference}"
                        self._add(
                            connection, "demote", other.name, other.number, "shadow", why=replaced, who=who
                        )
            self._add(
                connection,
                what,
                version.name,
                version.number,
                stage,
                why=why,
                forced=forced,
                evidence=evidence,
                who=who,
            )
        note_head(self._store.head(), version.facts)
        return self.version(version.reference)

    def refuse_cut(self, version: Version) -> None:
        """Refuse to go on where the ledger knows of decisions that are not here. Raises ConfigError."""
        refuse_cut(self._store.chain(), version.facts, self.place)

    # Inside

    def _read(self, connection: Connection) -> dict[tuple[str, int], Version]:
        """All versions within a writing transaction: nobody else adds to the chain until it ends."""
        del connection  # readers see the chain as it is; the transaction keeps it so
        return self.versions()

    def _add(
        self,
        connection: Connection,
        what: str,
        name: str,
        number: int,
        stage: Stage,
        *,
        why: str,
        forced: bool = False,
        evidence: Mapping[str, Any] | None = None,
        who: str | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        facts = {
            "name": name,
            "version": number,
            "stage": stage,
            "who": who or who_decides(),
            "why": why,
            "forced": forced,
            "evidence": dict(evidence or {}),
            **(extra or {}),
        }
        at = self.now().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._store.append(connection, what, facts, at_utc=at)

    def _chosen(
        self, known: Mapping[tuple[str, int], Version], name: str, wanted: str, reference: str
    ) -> Version:
        mine = [version for version in known.values() if version.name == name]
        if not mine:
            names = sorted({version.name for version in known.values()})
            raise ConfigError(
                f"{reference}: the registry {self.place} has no policy {name}; {did_you_mean(name, names)}"
            )
        if wanted.isdigit():
            found = [version for version in mine if version.number == int(wanted)]
        else:
            found = [version for version in mine if version.stage == wanted]
        if len(found) == 1:
            return found[0]
        there = ", ".join(f"{version.reference} ({version.stage})" for version in found or mine)
        if found:
            raise ConfigError(f"{reference} names {len(found)} versions; say which: {there}")
        raise ConfigError(f"{reference}: there is no such version; there are {there}")


def is_reference(given: str) -> bool:
    """Whether a text names a version of a registry rather than a path."""
    name, at, wanted = given.rpartition("@")
    return bool(at) and "/" not in given and bool(name) and bool(wanted)


def parse_reference(reference: str) -> tuple[str, str]:
    """(name, number or stage) of `NAME@3` or `NAME@champion`.

    Raises
    ------
    ConfigError
        If it is neither.
    """
    name, _, wanted = reference.rpartition("@")
    if not name or not wanted:
        raise ConfigError(f"{reference!r} names no version; write NAME@3 or NAME@champion")
    if not wanted.isdigit() and wanted not in STAGES:
        raise ConfigError(
            f"{reference}: {wanted!r} is neither a version's number nor a stage; {did_you_mean(wanted, STAGES)}"
        )
    return name, wanted


def refuse_odd_name(name: str) -> None:
    """Refuse a name that no reference could hold.

    Raises
    ------
    ConfigError
        With what it may be made of.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name):
        raise ConfigError(f"name is {name!r}; use letters, digits, '_', '-' and '.', at most 64 of them")
