"""The directory of one run: ``<directory>/<experiment>/<run_id>/``, what it was started with, and how it ended.

``config.yaml`` and ``status.json`` are there from the first moment; results are written at the end. So a directory
counts as a result only when its status is ``done``: see `latest_run`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import socket
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from data.errors import DataError
from data.own_objects import own_code
from rayjobs.config.later_settings import with_later_settings
from rayjobs.config.terminal import speech
from rayjobs.config.typed_config import ConfigError
from rayjobs.monitoring.log_context import log_as
from rayjobs.storage.ledger_place import without_password
from rayjobs.storage.mirror import mirrored
from rayjobs.storage.provenance import provenance
from rayjobs.storage.started_run import CONFIG_FILE, StartedRun
from rayjobs.storage.uri import local_directory

if TYPE_CHECKING:  # the database's library is slow to import
    from evaluation.ledger.store import Head

LOG = logging.getLogger(__name__)
Status = Literal["running", "failed", "interrupted", "done"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
RUN_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")
"""How a run's directory is named."""
SWEEPS = "sweeps"
"""Folder of the studies among the runs of an experiment."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Where a run is written.

    Parameters
    ----------
    experiment : name of the folder that holds the runs of one experiment.
    directory : root of all runs: relative to the current directory, absolute, or a URI such as ``s3://bucket/runs``.
    """

    experiment: str
    directory: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.experiment):
            raise ValueError(
                f"experiment is {self.experiment!r}; use letters, digits, '_', '-' and '.', it becomes a folder name"
            )


class JobFailed(RuntimeError):
    """A job that has a run directory raised.

    Attributes
    ----------
    directory : of the run.
    log : where its traceback is; None where nothing can be written there, as on a full disk.
    """

    def __init__(self, message: str, directory: Path, log: Path | None) -> None:
        super().__init__(message)
        self.directory, self.log = directory, log


def original(error: BaseException) -> BaseException:
    """The exception that a Ray task raised, without the remote traceback that Ray puts into the message."""
    return getattr(error, "cause", None) or error


class RunDirectory:
    """One run's directory; as a context manager it records how the run ended.

    >>> with RunDirectory.create(config.run, values, seed=3, data_fingerprint=panel.fingerprint) as run:
    ...     write_results(run.path)
    """

    def __init__(self, path: Path, started: StartedRun | None = None) -> None:
        self.path = path
        self._started = started
        self._mirrors = ExitStack()

    @property
    def started(self) -> StartedRun:
        """What the run was started with: as `create` wrote it, or read back from an earlier run's directory."""
        if self._started is None:
            self._started = StartedRun.read(self.path)
        return self._started

    @property
    def run_id(self) -> str:
        """Sortable by start: UTC time to the second and six hexadecimal digits."""
        return self.path.name

    @classmethod
    def create(
        cls,
        run: RunConfig,
        config: Mapping[str, Any],
        *,
        seed: int,
        data_fingerprint: str | None,
        ledger: Head | None = None,
        data_lineage: Sequence[tuple[str, str]] = (),
    ) -> RunDirectory:
        """Make a new directory, never an existing one, and write ``config.yaml`` and ``status.json``.

        Parameters
        ----------
        config : the resolved configuration, written as it is; versions, commit, fingerprint and seed follow
            under ``provenance``.
        ledger : the end of the ledger's chain now: what the run will be counted in.
        data_lineage : (symbol, what its bars come from), as a lake knows it.

        Raises
        ------
        ConfigError
            If the directory cannot be written to.
        """
        parent = local_directory(run.directory) / run.experiment
        moment = datetime.now(UTC)
        try:
            parent.mkdir(parents=True, exist_ok=True)
            path = _new_directory(parent, moment, config)
        except OSError as error:
            reason = error.strerror or error
            raise ConfigError(
                f"cannot write runs to {parent.absolute()}: {reason}; choose another place with run.directory=PATH"
            ) from error
        facts = provenance(path.name, seed, data_fingerprint)
        if own := own_code(config):
            facts["own_code"] = own
        if data_lineage:
            facts["data_lineage"] = dict(data_lineage)
        if ledger is not None:
            facts["ledger"] = ledger.to_json()
        directory = cls(path, StartedRun(values=without_password(config), provenance=facts))
        write_atomically(path / CONFIG_FILE, directory.started.text())
        directory.write_status("running", started_utc=_iso(moment))
        return directory

    @classmethod
    def resume(cls, path: Path, *, done_too: bool = False) -> RunDirectory:
        """Open the directory of an earlier run to go on with it.

        Raises
        ------
        ConfigError
            If it is not a run directory, or its run is done; ``done_too`` where the caller knows of something to do.
        """
        status = read_status(path)
        if status is None:
            raise ConfigError(f"{path} is not a run directory: it has no readable status.json")
        if status["status"] == "done" and not done_too:
            raise ConfigError(f"the run in {path} is done; there is nothing to resume")
        directory = cls(path)
        directory.write_status("running", resumed_utc=_iso(datetime.now(UTC)))
        return directory

    def config(self) -> dict[str, Any]:
        """The configuration that the run was started with, without its provenance."""
        return with_later_settings(self.started.config())

    def __enter__(self) -> RunDirectory:
        log_as(run=self.run_id)
        self._mirrors.enter_context(mirrored(self.path, self.config()))
        if speech().as_json and speech().directory is None:  # told even if the job is interrupted
            speech().directory = self.path
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._mirrors:  # which copies what is written now, and then ends
            self._note_end(error)
        log_as(run=None)

    def _note_end(self, error: BaseException | None) -> None:
        if error is None:
            self._end("done")
        elif isinstance(error, (ConfigError, DataError)):
            if not self._drop_if_empty():
                self._end("failed", error=str(original(error)))
        elif isinstance(error, Exception):
            message = f"{type(original(error)).__name__}: {original(error)}"
            raise JobFailed(message, self.path, self._note_failure(error, message)) from error
        else:
            self._end("interrupted", error=type(error).__name__)

    def _note_failure(self, error: Exception, message: str) -> Path | None:
        """Write the traceback down; None where the disk is full. Such a run still counts as one that can go on."""
        log = self.path / "error.log"
        trace = "".join(traceback.format_exception(error))
        try:
            log.write_text(trace)
            self._end("failed", error=message)
        except OSError as unwritten:
            LOG.error("%s\n%s cannot be written: %s", trace, log, unwritten.strerror or unwritten)
            return None
        return log

    def _end(self, status: Status, **facts: Any) -> None:
        self.write_status(status, ended_utc=_iso(datetime.now(UTC)), **facts)

    def _drop_if_empty(self) -> bool:
        """Remove the directory if the run has written nothing into it yet."""
        if {entry.name for entry in self.path.iterdir()} <= {CONFIG_FILE, "status.json"}:
            shutil.rmtree(self.path)
            return True
        return False

    def write_status(self, status: Status, **facts: Any) -> None:
        """Note how the run stands, on this host and by this process, beside what is known of it already."""
        known = read_status(self.path) or {}
        known.pop("error", None)
        facts = {**known, "status": status, "host": socket.gethostname(), "pid": os.getpid(), **facts}
        write_atomically(self.path / "status.json", json.dumps(facts, indent=2) + "\n")


def read_status(path: Path) -> dict[str, Any] | None:
    """The content of ``status.json``, or None where there is none that can be read."""
    try:
        status = json.loads((path / "status.json").read_text())
    except (OSError, ValueError):
        return None
    return status if isinstance(status, dict) and "status" in status else None


def list_runs(directory: Path, status: Status | None = "done") -> list[Path]:
    """Run directories directly under ``directory``, oldest first; of one status, or all for None."""
    if not directory.is_dir():
        return []
    runs = sorted(path for path in directory.iterdir() if RUN_ID.fullmatch(path.name))
    return [run for run in runs if (found := read_status(run)) and status in (None, found["status"])]


def latest_run(directory: Path, status: Status | None = "done") -> Path:
    """The newest run of an experiment's folder (``runs/crypto_portfolio``), or ``directory`` if it is a run itself.

    Raises
    ------
    ConfigError
        If there is none.
    """
    if read_status(directory) is not None:
        return directory
    runs = list_runs(directory, status)
    if not runs:
        wanted = f"run with status {status}" if status else "run"
        raise ConfigError(f"{directory} holds no {wanted}; start one with python -m rayjobs.train")
    return runs[-1]


def write_atomically(path: Path, text: str) -> None:
    """Write a text file so that a reader sees the old content or the new, never a part."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _new_directory(parent: Path, started: datetime, config: Mapping[str, Any]) -> Path:
    for attempt in range(1000):
        seed = f"{started.isoformat()} {os.getpid()} {socket.gethostname()} {attempt} {config!r}"
        name = f"{started:%Y%m%dT%H%M%SZ}-{hashlib.sha256(seed.encode()).hexdigest()[:6]}"
        try:
            (parent / name).mkdir()
        except FileExistsError:
            continue
        return parent / name
    raise FileExistsError(17, "no free run id", str(parent))


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
