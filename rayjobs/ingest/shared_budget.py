"""One budget of calls for all ingests of a lake on a machine: each call is written down beside the lake beforehand.

Two commands that run at once together stay within what a vendor allows, a rest that one was told is kept by the other,
and the calls of a day are remembered by a command that is started again. The file is SQLite's, `.pacing.sqlite` in the
folder of the lake; a lake in object storage has none, and there each process keeps its own count.

Seconds are those of the machine's clock, as processes have no other in common.
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from data.lake.files import LakeError
from data.vendors.definition import Budget

FILE = ".pacing.sqlite"
_BUSY_S = 60.0
_KEPT_S = 2 * 86_400.0
"""Age from which on a call is forgotten, beyond every window that a process may have been told of."""
_TABLES = (
    "CREATE TABLE IF NOT EXISTS calls (vendor TEXT NOT NULL, at REAL NOT NULL)",
    "CREATE INDEX IF NOT EXISTS calls_of ON calls (vendor, at)",
    "CREATE TABLE IF NOT EXISTS rests (vendor TEXT PRIMARY KEY, until REAL NOT NULL)",
)


class Limit(NamedTuple):
    """At most `calls` in any stretch of `seconds`."""

    calls: int
    seconds: float

    @classmethod
    def of(cls, calls: float, seconds: float) -> Limit:
        """Half a call a minute is one call in two."""
        return cls(max(1, math.floor(calls)), seconds if calls >= 1.0 else seconds / calls)


class SharedBudget:
    """The calls of one vendor by every process that uses the same lake.

    Parameters
    ----------
    folder : of the lake; it need not exist. vendor : whose budget it is.
    budget : as this process was told. now : the machine's clock, s.
    """

    def __init__(
        self, folder: Path, vendor: str, budget: Budget, now: Callable[[], float] = time.time
    ) -> None:
        self._path, self._vendor, self._now = folder / FILE, vendor, now
        stated = ((budget.calls_per_minute, 60.0), (budget.calls_per_day, 86_400.0))
        self._limits: Sequence[Limit] = [Limit.of(calls, s) for calls, s in stated if calls is not None]

    def take(self) -> float:
        """Write one call down and return 0.0, or return the seconds until one more is allowed.

        Raises
        ------
        LakeError
            If the file cannot be used.
        """
        with self._alone() as rows:
            now = self._now()
            wait = max(self._rest(rows, now), *(self._wait(rows, limit, now) for limit in self._limits), 0.0)
            if wait <= 0.0:
                rows.execute("INSERT INTO calls VALUES (?, ?)", (self._vendor, now))
            return wait

    def add(self, calls: int) -> None:
        """Write down calls that were made beyond those that leave was asked for, such as further pages."""
        if calls > 0:
            with self._alone() as rows:
                now = self._now()
                rows.executemany("INSERT INTO calls VALUES (?, ?)", [(self._vendor, now)] * calls)

    def rest(self, seconds: float) -> None:
        """Let every process leave the vendor alone for this long."""
        with self._alone() as rows:
            rows.execute(
                "INSERT INTO rests VALUES (?, ?) ON CONFLICT (vendor) DO UPDATE SET until = max(until, excluded.until)",
                (self._vendor, self._now() + seconds),
            )

    def _rest(self, rows: sqlite3.Connection, now: float) -> float:
        found = rows.execute("SELECT until FROM rests WHERE vendor = ?", (self._vendor,)).fetchone()
        return 0.0 if found is None else float(found[0]) - now

    def _wait(self, rows: sqlite3.Connection, limit: Limit, now: float) -> float:
        """Seconds until the oldest call that is one too many has left the window."""
        made = rows.execute(
            "SELECT at FROM calls WHERE vendor = ? AND at > ? ORDER BY at DESC LIMIT 1 OFFSET ?",
            (self._vendor, now - limit.seconds, limit.calls - 1),
        ).fetchone()
        # A clock that was set back leaves calls in the future; they wait no longer than a window.
        return 0.0 if made is None else min(float(made[0]) + limit.seconds - now, limit.seconds)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[sqlite3.Connection]:
        """The tables, while no other process reads or writes them."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(
                sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None)
            ) as rows:
                rows.execute("BEGIN IMMEDIATE")
                for table in _TABLES:
                    rows.execute(table)
                rows.execute("DELETE FROM calls WHERE at <= ?", (self._now() - _KEPT_S,))
                yield rows
                rows.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            raise LakeError(
                f"cannot keep the count of calls in {self._path}: {error}; give the lake a folder that can be written "
                f"to, or remove that file, which holds nothing but the calls of the last day."
            ) from error


def shared_budget(lake_place: str, vendor: str, budget: Budget) -> SharedBudget | None:
    """The budget shared beside a lake; None where it is in object storage, or where nothing limits the vendor."""
    if "://" in lake_place or (budget.calls_per_minute is None and budget.calls_per_day is None):
        return None
    return SharedBudget(Path(lake_place).expanduser().absolute(), vendor, budget)
