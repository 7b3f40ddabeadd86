"""The settings of all runs below one root, by dotted key: read once as runs appear, and again where a file changed."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rayjobs.pages.settings_sections import SeenParts, read_sections
from rayjobs.pages.settings_store import Kept, SettingsStore
from rayjobs.storage.started_run import CONFIG_FILE

BATCH = 500
"""Runs that are read before what was found is written down: a dashboard that is ended loses no more than these."""


class SettingsIndex:
    """Settings of runs; safe to be asked from several threads.

    What is asked for is first compared with the state of the files (times of change, size), so that nothing of it is
    older than they are.

    Parameters
    ----------
    root : of all runs.
    spare : folder of the index file where none can be written below the root; None for the user's cache.
    """

    def __init__(self, root: Path, spare: Path | None = None) -> None:
        self._store = SettingsStore(root, spare)
        self._lock = threading.Lock()
        self._known: dict[str, Kept] | None = None

    def of(self, name: str, run: Path) -> dict[str, Any]:
        """Dotted key -> value of one run, secrets blotted out; empty where its configuration cannot be read."""
        merged: dict[str, Any] = {}
        for section in self._current({name: run}, None)[name].sections:
            merged.update(section.settings)
        return merged

    def column(self, key: str, runs: Mapping[str, Path]) -> dict[str, Any]:
        """Run -> value of one setting, of those of the named runs that have it."""
        return {
            name: section.settings[key]
            for name, kept in self._current(runs, None).items()
            for section in kept.sections
            if key in section.settings
        }

    def read(self, runs: Mapping[str, Path], stopped: threading.Event) -> None:
        """Bring all of them up to date, so that the first question need not wait; leaves off when it is stopped."""
        names = list(runs)
        for first in range(0, len(names), BATCH):
            if stopped.wait(0.002):  # others want to be answered meanwhile
                return
            self._current({name: runs[name] for name in names[first : first + BATCH]}, stopped)

    def _current(self, runs: Mapping[str, Path], stopped: threading.Event | None) -> dict[str, Kept]:
        with self._lock:
            if self._known is None:
                self._known = self._store.load()
            found: dict[str, Kept] = {}
            changed: dict[str, Kept] = {}
            seen = SeenParts()
            for name, run in runs.items():
                if stopped is not None and stopped.is_set():
                    break
                stamp = _stamp(
                    run / CONFIG_FILE
                )  # before it is read: a change from here on is seen the next time
                kept = self._known.get(name)
                if kept is None or kept.stamp != stamp:
                    kept = changed[name] = Kept(stamp, read_sections(run, seen))
                found[name] = kept
            self._known |= changed
            self._store.keep(changed)
            return found


def _stamp(path: Path) -> tuple[int, ...]:
    """Times of change of content and of the file's entry (ns), and size in bytes; empty where there is no file."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size
