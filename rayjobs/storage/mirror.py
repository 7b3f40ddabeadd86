"""Copying a growing run directory to its URI while the job runs, and stopping the job when that fails for long."""

from __future__ import annotations

import logging
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from rayjobs.storage.uri import (
    CHECKPOINT_RECORD,
    Storage,
    checkpoint_of,
    ledger_of_machine,
    local_directory,
    uri_of,
)

LOG = logging.getLogger(__name__)
INTERVAL_SECONDS = 2.0
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.5, 30.0
DATABASES = (".db", ".sqlite")
_BESIDE_DATABASES = ("-wal", "-shm", "-journal")


class StorageFailed(RuntimeError):
    """The storage could not be written to for longer than allowed; names the last good checkpoint."""


class StorageMirror:
    """Copies what changes below a folder to a URI, in a thread of its own; a context manager.

    A checkpoint counts as there once its record, its last file, is. Databases are copied as SQLite sees them, between
    two transactions. A write that fails is tried again after a wait that doubles.

    Parameters
    ----------
    local, uri : the folder, and where it goes.
    patience_s : seconds of failing after which `check` and the end of the block raise.
    wanted : of a file's name relative to the folder.
    """

    def __init__(
        self, local: Path, uri: str, *, patience_s: float, wanted: Callable[[str], bool] = lambda name: True
    ) -> None:
        self._local, self._uri, self._patience_s, self._wanted = local, uri, patience_s, wanted
        self._storage = Storage(uri)
        self._known: dict[str, tuple[int, ...]] = {}
        self._failure: StorageFailed | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="storage mirror", daemon=True)

    def __enter__(self) -> StorageMirror:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()
        if error is None:
            self.check()
        elif self._failure is not None:
            LOG.error("%s", self._failure)

    def check(self) -> None:
        """Raise if the storage has failed for too long.

        Raises
        ------
        StorageFailed
            With the reason, the last good checkpoint and how to go on.
        """
        if self._failure is not None:
            raise self._failure

    def last_good_checkpoint(self) -> str | None:
        """The newest checkpoint that is whole at the URI; None before the first."""
        whole = [name for name in self._known if Path(name).name == CHECKPOINT_RECORD]
        newest = max(whole, key=lambda name: Path(name).parent.name, default=None)
        return None if newest is None else Path(newest).parent.as_posix()

    def _run(self) -> None:
        while self._failure is None:
            last = self._ending.wait(INTERVAL_SECONDS)
            try:
                self._sync_patiently()
            except Exception as error:  # the thread's boundary: nothing may end it unseen
                self._failure = StorageFailed(self._explain(error, 0.0))
                self._failure.__cause__ = error
            if last:
                return

    def _sync_patiently(self) -> None:
        wait, failing_since = FIRST_WAIT_SECONDS, None
        while True:
            try:
                self._sync()
                return
            except (OSError, sqlite3.Error) as error:
                failing_since = failing_since or time.monotonic()
                away = time.monotonic() - failing_since
                if away + wait > self._patience_s:
                    self._failure = StorageFailed(self._explain(error, away))
                    return
                LOG.warning(
                    "cannot write to %s, trying again in %.1f s: %s", self._uri, wait, _first_line(error)
                )
            time.sleep(wait)
            wait = min(2.0 * wait, LONGEST_WAIT_SECONDS)

    def _explain(self, error: Exception, away_s: float) -> str:
        checkpoint = self.last_good_checkpoint()
        return (
            f"cannot write to {self._uri} for {away_s:.0f} s: {_first_line(error)}; last good checkpoint there: "
            f"{checkpoint or 'none yet'}; fix the storage, then continue with resume=URI of the run"
        )

    def _sync(self) -> None:
        """Copy what has changed, records of checkpoints and the status last; then drop checkpoints that are gone."""
        found = {path.relative_to(self._local).as_posix(): path for path in _files(self._local)}
        names = [name for name in found if self._wanted(name)]
        for name in sorted(names, key=_order):
            try:
                version = _version(found[name])
                if self._known.get(name) != version:
                    self._copy(found[name], name)
                    self._known[name] = version
            except FileNotFoundError:
                continue  # an older checkpoint that was dropped meanwhile
        for name in sorted(self._known, key=lambda name: Path(name).name != CHECKPOINT_RECORD):
            if name not in found and checkpoint_of(name) is not None:
                self._storage.delete(name)
                del self._known[name]

    def _copy(self, path: Path, name: str) -> None:
        if path.suffix not in DATABASES:
            self._storage.upload(path, name)
            return
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / path.name
            with (
                closing(sqlite3.connect(path, timeout=60.0)) as source,
                closing(sqlite3.connect(copy)) as target,
            ):
                source.backup(target)
            self._storage.upload(copy, name)


@contextmanager
def mirrored(run: Path, config: Mapping[str, Any]) -> Iterator[None]:
    """Copy a run directory to where its configuration says for the length of the block; nothing for a folder.

    Folds copy their own checkpoints, wherever they run. This machine's ledger goes along.

    Parameters
    ----------
    run : the local run directory.
    config : its configuration, plain.

    Raises
    ------
    StorageFailed
        At the end, if the storage could not be written to for longer than ``cluster.storage_patience_s``.
    """
    directory = str(config.get("run", {}).get("directory", ""))
    uri = uri_of(run, directory)
    if uri is None:
        yield
        return
    patience = float(config["cluster"]["storage_patience_s"])
    root = local_directory(directory)
    ledger = ledger_of_machine(directory).relative_to(root).as_posix()
    with (
        StorageMirror(root, directory, patience_s=patience, wanted=lambda name: name == ledger),
        StorageMirror(
            run, uri, patience_s=patience, wanted=lambda name: "checkpoints" not in name.split("/")
        ),
    ):
        yield


def _files(local: Path) -> list[Path]:
    """Files to copy: no links, nothing hidden (being written), nothing that SQLite keeps beside a database."""
    return [
        path
        for path in local.rglob("*")
        if path.is_file()
        and not path.is_symlink()
        and not any(part.startswith(".") for part in path.relative_to(local).parts)
        and not any(parent.is_symlink() for parent in path.parents if parent.is_relative_to(local))
        and not path.name.endswith(_BESIDE_DATABASES)
    ]


def _version(path: Path) -> tuple[int, ...]:
    """Changes whenever the content does; for a database its write-ahead log counts too."""
    beside = path.with_name(path.name + "-wal")
    stats = [path.stat(), *([beside.stat()] if beside.is_file() else [])]
    return tuple(number for stat in stats for number in (stat.st_mtime_ns, stat.st_size))


def _order(name: str) -> tuple[int, str]:
    last = {CHECKPOINT_RECORD: 1, "status.json": 2}
    return last.get(Path(name).name, 0), name


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
