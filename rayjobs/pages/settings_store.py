"""The file in which an index of settings outlives the dashboard: SQLite, with equal sections of runs kept once.

It is a copy of what the runs' own files say and nothing else: deleted or damaged, it is made again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rayjobs.pages.settings_sections import Section
from rayjobs.storage.uri import CACHE_VARIABLE

LOG = logging.getLogger(__name__)
FORMAT = 2
INDEX_FILE = ".index/settings.sqlite"
"""Below the root of all runs; hidden, so that it is not taken for a run."""
_TABLES = """
CREATE TABLE IF NOT EXISTS section (id INTEGER PRIMARY KEY, settings TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS run (name TEXT PRIMARY KEY, stamp TEXT NOT NULL, sections TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Kept:
    """The sections of a run's configuration, and the state of the file that they were read from."""

    stamp: tuple[int, ...]
    sections: tuple[Section, ...]


class SettingsStore:
    """The index file of a root: below it, or where that cannot be written in the user's cache.

    Parameters
    ----------
    root : of all runs. spare : folder to use instead; None for the user's cache.
    """

    def __init__(self, root: Path, spare: Path | None = None) -> None:
        if spare is None:
            spare = Path(os.environ.get(CACHE_VARIABLE, "~/.cache/rayfold")).expanduser() / "dashboard"
        name = f"{hashlib.sha256(str(root).encode()).hexdigest()[:24]}.sqlite"
        self._places = [root / INDEX_FILE, spare / name]

    def load(self) -> dict[str, Kept]:
        """Run -> what was kept; nothing where there is no file. One that is damaged, or of another release, goes."""
        for place in self._places:
            if not place.is_file():
                continue
            try:
                with _opened(place) as database:
                    return _loaded(database)
            except sqlite3.OperationalError as error:  # it is in use, or may not be read
                LOG.warning("%s cannot be read (%s); the settings of all runs are read anew", place, error)
            except (sqlite3.DatabaseError, ValueError, TypeError, KeyError) as error:
                LOG.info("%s is of no use (%s); it is made again", place, error)
                with suppress(OSError):
                    place.unlink()
        return {}

    def keep(self, runs: Mapping[str, Kept]) -> None:
        """Write what was read of some runs; where no file can be written, it is kept in memory alone."""
        while runs and self._places:
            place = self._places[0]
            try:
                place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                with _opened(place, new=True) as database:
                    _write(database, runs)
                return
            except (sqlite3.Error, OSError, ValueError) as error:
                LOG.info("%s cannot be written: %s", place, error)
                self._places.pop(0)
                if not self._places:
                    LOG.warning("settings are not kept (%s) and will be read anew at each start", error)


@contextmanager
def _opened(place: Path, *, new: bool = False) -> Iterator[sqlite3.Connection]:
    """The file; ``new`` makes its tables where there are none.

    Raises
    ------
    ValueError
        If it is of another release.
    sqlite3.DatabaseError
        If it is no database, or cannot be opened.
    """
    with closing(sqlite3.connect(place, timeout=5.0)) as database:
        (found,) = database.execute("PRAGMA user_version").fetchone()
        if found == 0 and new:
            database.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {FORMAT}; COMMIT;")
            place.chmod(0o600)
        elif found != FORMAT:
            raise ValueError(f"its format is {found}, and {FORMAT} is wanted")
        yield database


def _loaded(database: sqlite3.Connection) -> dict[str, Kept]:
    sections = {
        number: Section.from_text(text)
        for number, text in database.execute("SELECT id, settings FROM section")
    }
    return {
        name: Kept(tuple(json.loads(stamp)), tuple(sections[number] for number in json.loads(numbers)))
        for name, stamp, numbers in database.execute("SELECT name, stamp, sections FROM run")
    }


def _write(database: sqlite3.Connection, runs: Mapping[str, Kept]) -> None:
    """All of them or none."""
    texts = {section.text for kept in runs.values() for section in kept.sections}
    with database:
        database.execute("BEGIN IMMEDIATE")
        database.executemany(
            "INSERT OR IGNORE INTO section (settings) VALUES (?)", [(text,) for text in texts]
        )
        numbers = {
            text: database.execute("SELECT id FROM section WHERE settings = ?", (text,)).fetchone()[0]
            for text in texts
        }
        database.executemany(
            "INSERT OR REPLACE INTO run (name, stamp, sections) VALUES (?, ?, ?)",
            [
                (name, json.dumps(kept.stamp), json.dumps([numbers[one.text] for one in kept.sections]))
                for name, kept in runs.items()
            ],
        )
