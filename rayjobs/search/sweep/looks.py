"""A sweep in the ledger: what its trials have in common, the looks they were chosen from, and the holdout's opening."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray

from data.coverage.coverage import Coverage
from data.sources import describe
from evaluation.ledger.ledger import Ledger, LookEntry
from evaluation.ledger.looks import Looks
from evaluation.ledger.records import Record
from rayjobs.search.page.leaderboard import best_trial
from rayjobs.search.sweep.config import CHANGEABLE, SweepConfig
from rayjobs.search.sweep.data import SweepData
from rayjobs.search.trial.record import load_returns
from rayjobs.storage.uri import local_directory
from rayjobs.study.looks.counted import JudgedBars, count_at, features_read
from rayjobs.study.looks.entered import EnteredLook, code_version, identity, scored_bars
from rayjobs.study.looks.on_disk import note_look, run_id

LATER = ("percentile", "patience", "p_threshold")
"""Settings of the scheduler that are no part of a look's identity."""


def sweep_study(config: SweepConfig, directory: Path) -> str:
    """Name of the sweep in the ledger."""
    return f"{config.train.run.experiment}/{directory.name}"


def validation_bars(data: SweepData) -> NDArray[np.datetime64]:
    """Labels of the bars that trials are scored on."""
    return np.concatenate([data.sealed.panel.bar_utc[fold.test] for fold in data.windows.folds])


def trials_entry(
    config: SweepConfig, data: SweepData, directory: Path, provenance: Mapping[str, Any]
) -> LookEntry:
    """What the trials of a sweep have in common."""
    settings = {
        name: value
        for name, value in dataclasses.asdict(config.search).items()
        if f"search.{name}" not in CHANGEABLE and name != "storage"
    }
    # Names that came later are left out: a trial of an earlier release is the same look when its study goes on.
    scheduler = {name: value for name, value in settings["scheduler"].items() if name not in LATER}
    settings["scheduler"] = scheduler
    windows = [
        [fold.train.start, fold.train.stop, fold.test.start, fold.test.stop] for fold in data.windows.folds
    ]
    facts = {**identity(config.train, config.values), "job": "sweep", "search": settings, "windows": windows}
    return LookEntry(
        kind="sweep trial",
        study=sweep_study(config, directory),
        identity=facts,
        seed=config.search.seeds[0],
        data_fingerprint=data.full.panel.fingerprint,
        code_commit=code_version(provenance),
        run=run_id(directory),
        coverage=Coverage.of(
            data.full.panel, scored_bars(data.windows.folds), source=describe(config.train.data)
        ),
    )


def note_sweep(entry: LookEntry, directory: Path, ledger: Ledger) -> None:
    """Leave in the sweep's directory that its trials look at bars, and where the ledger's chain ends now."""
    note_look(
        directory,
        kind=entry.kind,
        study=entry.study,
        data_fingerprint=entry.data_fingerprint,
        coverage=entry.coverage,
        head=ledger.head(),
    )


def looks_at_validation(
    config: SweepConfig, data: SweepData, study: optuna.Study, directory: Path, ledger: Ledger
) -> Looks | None:
    """Looks at the bars that trials were scored on, of this sweep and of others; None before a trial has returns."""
    best = best_trial(study)
    numbers = [trial.number for trial in study.get_trials(deepcopy=False)]
    found, returns_TN = load_returns(directory, numbers)
    if not found:
        return None
    column = found.index(best.number) if best is not None and best.number in found else 0
    own = Record.of(returns_TN[:, column], validation_bars(data), data.full.panel.bar_seconds)
    judged = _judged(config, data, scored_bars(data.windows.folds), directory)
    return count_at(ledger, judged, own).looks


def holdout_entry(
    config: SweepConfig, data: SweepData, directory: Path, provenance: Mapping[str, Any]
) -> LookEntry:
    """The opening of the holdout, for the sweep's winner."""
    return replace(
        trials_entry(config, data, directory, provenance),
        kind="holdout opening",
        run=run_id(directory / "winner"),
        coverage=Coverage.of(data.full.panel, _holdout(data), source=describe(config.train.data)),
    )


def holdout_look(
    config: SweepConfig, data: SweepData, entry: LookEntry, directory: Path, ledger: Ledger
) -> EnteredLook:
    """The look of the winner, once the holdout is opened for it.

    It was chosen on the validation bars, so looks at these count as well as those at the holdout.
    """
    number = ledger.holdout_look(entry.study)
    assert number is not None, "the holdout is opened first"
    winner = directory / "winner"
    winner.mkdir(exist_ok=True)
    note_look(
        winner,
        kind=entry.kind,
        study=entry.study,
        data_fingerprint=entry.data_fingerprint,
        coverage=entry.coverage,
        head=ledger.head(),
    )
    chosen_on = slice(scored_bars(data.windows.folds).start, data.full.panel.num_bars)
    judged = _judged(config, data, chosen_on, winner)
    return EnteredLook(ledger, number, winner, replace(judged, weights_of=judged.run))


def _judged(config: SweepConfig, data: SweepData, bars: slice, run: Path) -> JudgedBars:
    return JudgedBars(
        panel=data.full.panel,
        data=config.train.data,
        bars=bars,
        run=run_id(run),
        roots=(local_directory(config.train.run.directory),),
        features=features_read(data.full),
    )


def _holdout(data: SweepData) -> slice:
    return slice(data.windows.holdout_start, data.full.panel.num_bars)
