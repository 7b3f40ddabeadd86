"""A comparison as looks of the ledger: whoever compares runs picks one, so each run counts that the ledger lacks.

A run that was counted when it was made stays one look, however often it is compared. One that came from elsewhere, from
another user with another ledger or from before there was one, is entered with what it earned.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from evaluation.ledger.ledger import Ledger, LookEntry
from evaluation.ledger.records import Record
from rayjobs.config.typed_config import ConfigError
from rayjobs.storage.ledger_place import open_ledger
from rayjobs.storage.started_run import CONFIG_FILE, StartedRun
from rayjobs.study.looks.entered import code_version
from rayjobs.study.looks.on_disk import RunOnDisk, read_run

LOG = logging.getLogger(__name__)


def enter_compared(directories: Iterable[Path], place: str | None) -> int:
    """Enter the runs and sweeps that are about to be shown, where the ledger lacks them; returns how many looks.

    Parameters
    ----------
    place : the ledger; None takes the one that each run names.

    Raises
    ------
    ConfigError
        If a ledger cannot be used.
    """
    by_place: dict[str, list[RunOnDisk]] = {}
    for directory in directories:
        run = read_run(directory)
        if run is not None:
            by_place.setdefault(place or _ledger_of(directory), []).append(run)
    return sum(_enter(open_ledger(place), runs) for place, runs in by_place.items())


def _ledger_of(directory: Path) -> str:
    values = _started(directory).values
    if not isinstance(values.get("ledger"), str):
        raise ConfigError(f"{directory} does not say in which ledger it is counted; give ledger=PATH")
    return str(values["ledger"])


def _started(directory: Path) -> StartedRun:
    try:
        return StartedRun.read(directory)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{directory / CONFIG_FILE} cannot be read: {error}") from error


def _enter(ledger: Ledger, runs: Iterable[RunOnDisk]) -> int:
    known = ledger.state().runs
    entered = 0
    for run in runs:
        if known[run.run] >= run.num_looks():
            continue
        started = _started(run.path)
        entry = LookEntry(
            kind="comparison",
            study=run.study,
            identity={"job": "compare", "config": dict(started.values), "run": run.run},
            seed=int(started.provenance.get("seed") or 0),
            data_fingerprint=run.data_fingerprint,
            code_commit=code_version(started.provenance),
            run=run.run,
            coverage=run.coverage(),
        )
        records = run.records()[known[run.run] :]
        for number, record in enumerate(records):
            trial = {"trial": number} if run.is_sweep or number else {}
            _enter_one(ledger, replace(entry, identity={**entry.identity, **trial}), record)
        entered += len(records)
    if entered:
        LOG.info("%d looks that the ledger %s lacked are compared, and entered", entered, ledger.place)
    return entered


def _enter_one(ledger: Ledger, entry: LookEntry, record: Record | None) -> None:
    number = ledger.enter(entry)
    if record is not None:
        ledger.finish(number, score=float("nan"), record=record)
