"""The journal: orders before they are sent, and fills as they come, on disk before anything follows from them.

SQLite with a write-ahead log and a full fsync at each commit, so that what was written survives a kill and a power
cut. One process writes; the file is locked for the others.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from envs.live.broker import BrokerError, Fill, Order
from envs.live.orders import TrackedOrder

_SCHEMA = """
CREATE TABLE IF NOT EXISTS book (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS baseline (symbol TEXT PRIMARY KEY, units REAL NOT NULL);
CREATE TABLE IF NOT EXISTS orders (
    client_order_id TEXT PRIMARY KEY, terms TEXT NOT NULL, venue_order_id TEXT NOT NULL, planned_utc TEXT NOT NULL,
    status TEXT NOT NULL, permanent_id TEXT, told_units REAL NOT NULL, reason TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS fills (
    execution_id TEXT NOT NULL, revision INTEGER NOT NULL, client_order_id TEXT, symbol TEXT NOT NULL,
    units REAL NOT NULL, price REAL NOT NULL, commission REAL, filled_utc TEXT NOT NULL,
    PRIMARY KEY (execution_id, revision));
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY AUTOINCREMENT, at_utc TEXT NOT NULL, kind TEXT NOT NULL, what TEXT NOT NULL);
"""
VERSION = "1"
OPEN_WAIT_S = 2.0
"""How long a file is waited for that someone only looks into; who trades in it holds it for as long as it lives."""


class Journal:
    """The journal of one account at one venue.

    Parameters
    ----------
    path : the file; its folder must exist.
    book : name of venue and account, such as `ibkr/paper`; a file that was begun for another is refused. No account
        number belongs here.

    Raises
    ------
    BrokerError
        If another process has it open, or it was begun for another book or by another version.
    """

    def __init__(self, path: Path, book: str) -> None:
        self.path = path
        self._db = sqlite3.connect(path, isolation_level=None, timeout=OPEN_WAIT_S)
        try:
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA.split(";"):
                self._db.execute(statement)
            self._db.execute("INSERT OR IGNORE INTO book VALUES ('name', ?), ('version', ?)", (book, VERSION))
            begun = dict(self._db.execute("SELECT key, value FROM book"))
            self._db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            self._db.close()
            raise BrokerError(
                f"{path} cannot be opened ({error}); if another process trades this account, stop that one first"
            ) from error
        if (begun["name"], begun["version"]) != (book, VERSION):
            self._db.close()
            raise BrokerError(
                f"{path} is the journal of {begun['name']!r}, version {begun['version']}, not of {book!r}, version "
                f"{VERSION}; name another file"
            )

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Written

    def plan(self, orders: Sequence[TrackedOrder]) -> None:
        """Write orders that are about to be sent, all or none. Raises sqlite3.IntegrityError if one is there."""
        with self._db_transaction():
            for tracked in orders:
                self._db.execute(
                    "INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        tracked.order.client_order_id,
                        json.dumps(asdict(tracked.order)),
                        tracked.venue_order_id,
                        tracked.planned_utc.isoformat(),
                        tracked.status,
                        tracked.permanent_id,
                        tracked.told_units,
                        tracked.reason,
                    ),
                )

    def update(self, tracked: TrackedOrder) -> None:
        """Write where an order stands."""
        self._db.execute(
            "UPDATE orders SET terms = ?, status = ?, permanent_id = ?, told_units = ?, reason = ? "
            "WHERE client_order_id = ?",
            (
                json.dumps(asdict(tracked.order)),
                tracked.status,
                tracked.permanent_id,
                tracked.told_units,
                tracked.reason,
                tracked.order.client_order_id,
            ),
        )

    def book(self, fill: Fill) -> None:
        """Write an execution; one that is there gains its commission and is otherwise left alone."""
        self._db.execute(
            "INSERT INTO fills VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (execution_id, revision) DO UPDATE SET "
            "commission = coalesce(fills.commission, excluded.commission)",
            (
                fill.execution_id,
                fill.revision,
                fill.client_order_id,
                fill.symbol,
                fill.units,
                fill.price,
                fill.commission,
                fill.filled_utc.isoformat(),
            ),
        )

    def note(self, at_utc: datetime, kind: str, what: str) -> None:
        """Write an event that explains the rest: a lost line, a mismatch, an order given up."""
        self._db.execute(
            "INSERT INTO events (at_utc, kind, what) VALUES (?, ?, ?)", (at_utc.isoformat(), kind, what)
        )

    def begin(self, baseline: dict[str, float]) -> None:
        """Write what was held before the first order; once for good."""
        with self._db_transaction():
            if self.baseline() is not None:
                raise BrokerError(f"{self.path} has its baseline already")
            self._db.execute("INSERT INTO book VALUES ('begun', 'yes')")
            self._db.executemany("INSERT INTO baseline VALUES (?, ?)", list(baseline.items()))

    # Read

    def baseline(self) -> dict[str, float] | None:
        """Units held before the first order; None where trading has not begun."""
        if self._db.execute("SELECT value FROM book WHERE key = 'begun'").fetchone() is None:
            return None
        return dict(self._db.execute("SELECT symbol, units FROM baseline"))

    def orders(self) -> list[TrackedOrder]:
        """Every order, in the order in which they were planned."""
        rows = self._db.execute("SELECT * FROM orders ORDER BY rowid").fetchall()
        return [
            TrackedOrder(
                order=Order(**json.loads(terms)),
                venue_order_id=venue_order_id,
                planned_utc=datetime.fromisoformat(planned),
                status=status,
                permanent_id=permanent_id,
                told_units=told,
                reason=reason,
            )
            for _, terms, venue_order_id, planned, status, permanent_id, told, reason in rows
        ]

    def fills(self) -> list[Fill]:
        """Every execution and correction, in the order in which they came."""
        names = [
            "execution_id",
            "revision",
            "client_order_id",
            "symbol",
            "units",
            "price",
            "commission",
            "filled_utc",
        ]
        rows = self._db.execute(f"SELECT {', '.join(names)} FROM fills ORDER BY rowid").fetchall()
        return [
            Fill(**{**dict(zip(names, row)), "filled_utc": datetime.fromisoformat(row[-1])}) for row in rows
        ]

    def events(self) -> list[tuple[str, str, str]]:
        """(time, kind, words) of what was noted."""
        return self._db.execute("SELECT at_utc, kind, what FROM events ORDER BY number").fetchall()

    def _db_transaction(self) -> _Transaction:
        return _Transaction(self._db)


class _Transaction:
    """All of the statements inside, or none."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: Any, *_: object) -> None:
        if kind is None:
            self._db.execute("COMMIT")
        else:
            with suppress(sqlite3.OperationalError):
                self._db.execute("ROLLBACK")
