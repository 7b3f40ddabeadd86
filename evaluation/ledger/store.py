"""Where a ledger lies: an SQLite file or a PostgreSQL server, and how one event is added to its end.

A ledger is a chain of events that is only ever added to. Each event's hash covers its content and the hash before it,
so that whatever is changed or taken out later is found (`read_chain`). Large content (coverages, returns) lies beside
the events under the hash of its bytes, which the events name.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sql
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, NoSuchModuleError
from sqlalchemy.pool import NullPool

TABLES = sql.MetaData()
IDENTITY = sql.Table(
    "rayfold_ledger",
    TABLES,
    sql.Column("id", sql.String(36), primary_key=True),
    sql.Column("created_utc", sql.String(32), nullable=False),
)
EVENT = sql.Table(
    "ledger_event",
    TABLES,
    sql.Column("number", sql.Integer, primary_key=True, autoincrement=False),
    sql.Column("at_utc", sql.String(32), nullable=False),
    sql.Column("what", sql.String(16), nullable=False),
    sql.Column("look", sql.Integer, index=True),
    sql.Column("key", sql.String(64), unique=True),
    sql.Column("facts", sql.Text, nullable=False),
    sql.Column("hash", sql.String(64), nullable=False),
)
CONTENT = sql.Table(
    "ledger_content",
    TABLES,
    sql.Column("hash", sql.String(64), primary_key=True),
    sql.Column("content", sql.LargeBinary, nullable=False),
)
LOCK = 7_245_113
"""Key of the advisory lock that writers of a PostgreSQL ledger take in turn."""
AT_ONCE = 500
"""Contents that one query asks for."""
SETTINGS = {"connect_timeout": 10, "client_encoding": "utf8"}
"""Of every connection to a server; some databases have no encoding of their own."""
PATIENCE_S = 60
"""How long a writer waits for the ones before it."""


class LedgerUnusable(ValueError):
    """The ledger cannot be opened; the message is one sentence and holds no password."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """One link of the chain.

    Attributes
    ----------
    number : 1, 2, 3, ...
    what : enter | again | close | seal.
    look : number of the event that entered the look this one is about; its own for an entry.
    key : of an entry, what the same look again has in common with it.
    """

    number: int
    at_utc: str
    what: str
    look: int | None
    key: str | None
    facts: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Head:
    """The end of a ledger's chain at some moment: the ledger's identity, the number of events, the last one's hash."""

    ledger: str
    events: int
    hash: str

    def to_json(self) -> dict[str, Any]:
        return {"id": self.ledger, "events": self.events, "head": self.hash}

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Head:
        return cls(ledger=str(facts["id"]), events=int(facts["events"]), hash=str(facts["head"]))


@dataclass(frozen=True, kw_only=True)
class Chain:
    """All events of a ledger.

    Attributes
    ----------
    hashes : of each event, as stored.
    broken_at : number of the first event that is not what was written or is missing; None where the chain holds.
    """

    ledger: str
    created_utc: str
    events: Sequence[Event]
    hashes: Sequence[str]
    broken_at: int | None

    def holds(self, head: Head) -> bool:
        """Whether this chain goes on from where a run saw it."""
        if head.ledger != self.ledger or head.events > len(self.hashes):
            return False
        return head.hash == (self.hashes[head.events - 1] if head.events else genesis(self.ledger))


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def genesis(ledger: str) -> str:
    """The hash before the first event."""
    return hashlib.sha256(f"rayfold ledger {ledger}".encode()).hexdigest()


def is_server(place: str) -> bool:
    """Whether a place names a PostgreSQL server."""
    return place.partition("://")[0].partition("+")[0] in ("postgresql", "postgres") and "://" in place


def shown(place: str) -> str:
    """A place as it may be printed and written: without a password."""
    if not is_server(place):
        return place
    url = _server(place)
    query = {key: value for key, value in url.query.items() if "pass" not in key.lower()}
    bare = URL.create(
        "postgresql", url.username, host=url.host, port=url.port, database=url.database, query=query
    )
    return bare.render_as_string()


def _server(place: str) -> URL:
    try:
        url = make_url(place)
    except (ArgumentError, ValueError):
        url = None
    if url is None:
        raise LedgerUnusable("ledger names a server, but not as postgresql://USER@HOST:PORT/DATABASE")
    return url.set(drivername="postgresql+psycopg")


class Store:
    """One ledger's database. A connection per call: nothing is shared between threads, processes or tasks.

    schema : of a server, where another chain than its ledger lies; a file holds one chain alone.
    """

    def __init__(self, place: Path | str, *, schema: str | None = None) -> None:
        self.place = str(place)
        self.server = is_server(self.place)
        self._engine = _server_engine(self.place) if self.server else _file_engine(Path(self.place))
        if self.server and schema is not None:
            self._engine = self._engine.execution_options(schema_translate_map={None: schema})
        try:
            with self.writing() as connection:
                if self.server and schema is not None:
                    connection.execute(sql.schema.CreateSchema(schema, if_not_exists=True))
                TABLES.create_all(connection)
                row = connection.execute(sql.select(IDENTITY)).first()
                self.id, self.created_utc = (
                    (str(uuid.uuid4()), now()) if row is None else (str(row[0]), str(row[1]))
                )
                if row is None:
                    connection.execute(IDENTITY.insert().values(id=self.id, created_utc=self.created_utc))
        except (DBAPIError, sqlite3.Error, OSError) as error:
            raise LedgerUnusable(self._why(error)) from None  # the cause may hold the password

    def _why(self, error: Exception) -> str:
        reason = " ".join(str(getattr(error, "orig", None) or error).split())
        if self.server:
            password = _server(self.place).password
            reason = reason.replace(str(password), "***") if password else reason
            return (
                f"the ledger {shown(self.place)} cannot be used ({reason}); start the server, correct the address, or "
                "give the password in PGPASSWORD or ~/.pgpass"
            )
        if isinstance(error, DatabaseError) and "not a database" in reason:
            return f"{self.place} is not a ledger ({reason}); give another path or move that file"
        return f"the ledger {self.place} cannot be used ({reason}); give another path with ledger=PATH"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that no other writer has at the same time."""
        with self._engine.connect().execution_options(writes=True) as connection, connection.begin():
            if self.server:
                connection.execute(sql.text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
            yield connection

    def append(
        self,
        connection: Connection,
        what: str,
        facts: Mapping[str, Any],
        *,
        look: int | None = None,
        key: str | None = None,
        at_utc: str | None = None,
    ) -> int:
        """Add an event to the end of the chain, within a writing transaction; returns its number.

        Parameters
        ----------
        look : None for an entry, which is about itself.
        """
        query = sql.select(EVENT.c.number, EVENT.c.hash).order_by(EVENT.c.number.desc()).limit(1)
        last = connection.execute(query).first()
        number, previous = (1, genesis(self.id)) if last is None else (int(last[0]) + 1, str(last[1]))
        about = number if look is None and what == "enter" else look
        text, at = json.dumps(facts, sort_keys=True), at_utc or now()
        row = (number, at, what, about, key, text)
        connection.execute(EVENT.insert().values((*row, _link(previous, row))))
        return number

    def keep(self, connection: Connection, content: bytes) -> str:
        """Write a content where it is new; returns its hash."""
        digest = hashlib.sha256(content).hexdigest()
        known = connection.execute(sql.select(CONTENT.c.hash).where(CONTENT.c.hash == digest)).first()
        if known is None:
            connection.execute(CONTENT.insert().values(hash=digest, content=content))
        return digest

    def contents(self, hashes: Sequence[str]) -> dict[str, bytes]:
        """Contents by their hash; those that are missing or are not what was written are left out."""
        found: dict[str, bytes] = {}
        wanted = sorted(set(hashes))
        with self.reading() as connection:
            for start in range(0, len(wanted), AT_ONCE):
                query = sql.select(CONTENT).where(CONTENT.c.hash.in_(wanted[start : start + AT_ONCE]))
                for digest, content in connection.execute(query):
                    if hashlib.sha256(content).hexdigest() == digest:
                        found[str(digest)] = bytes(content)
        return found

    def entry(self, connection: Connection, key: str) -> int | None:
        """Number of the look that was entered with this key; None where none was."""
        found = connection.execute(sql.select(EVENT.c.number).where(EVENT.c.key == key)).first()
        return None if found is None else int(found[0])

    def events_of(self, connection: Connection, look: int) -> list[Event]:
        """Events about one look, in order."""
        query = sql.select(EVENT).where(EVENT.c.look == look).order_by(EVENT.c.number)
        return [_event(row[:-1]) for row in connection.execute(query)]

    def head(self) -> Head:
        """The end of the chain now."""
        query = sql.select(EVENT.c.number, EVENT.c.hash).order_by(EVENT.c.number.desc()).limit(1)
        with self.reading() as connection:
            last = connection.execute(query).first()
        if last is None:
            return Head(ledger=self.id, events=0, hash=genesis(self.id))
        return Head(ledger=self.id, events=int(last[0]), hash=str(last[1]))

    def chain(self) -> Chain:
        """Read every event and check that each follows from the one before."""
        events: list[Event] = []
        hashes: list[str] = []
        broken: int | None = None
        previous = genesis(self.id)
        with self.reading() as connection:
            for row in connection.execute(sql.select(EVENT).order_by(EVENT.c.number)):
                *values, stored = row
                if broken is None and (values[0] != len(hashes) + 1 or _link(previous, values) != stored):
                    broken = len(hashes) + 1
                previous = str(stored)
                hashes.append(previous)
                try:
                    events.append(_event(values))
                except (ValueError, TypeError):  # facts that are no JSON object any more
                    broken = broken or len(hashes)
        return Chain(
            ledger=self.id, created_utc=self.created_utc, events=events, hashes=hashes, broken_at=broken
        )


def _event(row: Sequence[Any]) -> Event:
    """An event from its columns, in the order of the table, without its hash."""
    number, at_utc, what, look, key, text = row
    facts = json.loads(text)
    if not isinstance(facts, dict):
        raise TypeError("the facts of an event are an object")
    return Event(number=int(number), at_utc=str(at_utc), what=str(what), look=look, key=key, facts=facts)


def _link(previous: str, row: Sequence[Any]) -> str:
    """Hash of an event: over the one before it and all of its columns."""
    return hashlib.sha256("\n".join([previous, *map(str, row)]).encode()).hexdigest()


def _file_engine(path: Path) -> Engine:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerUnusable(
            f"cannot make the folder of the ledger {path}: {error.strerror}; give another path with ledger=PATH"
        ) from error
    engine = sql.create_engine(
        URL.create("sqlite", database=str(path)), poolclass=NullPool, connect_args={"timeout": PATIENCE_S}
    )

    @sql.event.listens_for(engine, "connect")
    def configure(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # transactions are begun below
        _write_ahead(connection)

    @sql.event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A writer takes its turn before it reads: two processes must not both find nothing.
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Set the journal's mode; SQLite does not wait here while another process that made the file does the same."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def _server_engine(place: str) -> Engine:
    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise LedgerUnusable(
            f"ledger={shown(place)} needs the driver psycopg, which is not installed: pip install -e '.[postgres]'"
        ) from None
    try:
        return sql.create_engine(_server(place), poolclass=NullPool, connect_args=SETTINGS)
    except (ArgumentError, NoSuchModuleError) as error:
        raise LedgerUnusable(f"ledger={shown(place)} is not understood: {error}") from None
