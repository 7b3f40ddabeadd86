"""Sends every trial that ended to W&B or TensorBoard, a run each, in one group per study; outside the driver's process.

What is sent is read from the study, so that a resumed sweep sends what a killed one had not; a trial is sent once.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import ray
from optuna.trial import FrozenTrial

from evaluation.statistics.metrics import equity_curve
from rayjobs.monitoring.tracking import TrackingConfig, tracker
from rayjobs.search.page.leaderboard import STATES
from rayjobs.search.proposal.studies import ERROR, FINISHED
from rayjobs.search.sweep.study_run import StudyRun
from rayjobs.search.trial.record import returns_path

LOG = logging.getLogger(__name__)
SENT = "sent"
"""Marks the folder of a trial that was sent whole."""


@dataclass(frozen=True, kw_only=True)
class TrackedTrial:
    """What is sent of one trial.

    Attributes
    ----------
    values : the trial's configuration, by parameter label.
    rungs : (env steps, score) at each rung.
    summary, folds, equity : final numbers; a row per fold and seed; the curve over the validation windows.
    """

    number: int
    values: Mapping[str, Any]
    rungs: tuple[tuple[int, float], ...]
    summary: Mapping[str, Any]
    folds: tuple[Mapping[str, Any], ...]
    equity: tuple[float, ...]


@ray.remote(num_cpus=0)
class TrackingWorker:
    """Sends one trial after another."""

    def __init__(self, config: TrackingConfig, directory: Path, study: str) -> None:
        logging.getLogger().setLevel(logging.ERROR)
        self._config = replace(config, group=config.group or study)
        self._directory, self._study = directory, study

    def send(self, trial: TrackedTrial) -> None:
        """Send a trial; what an earlier attempt left half-sent is sent anew."""
        folder = self._directory / f"{self._study}-t{trial.number:05d}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with tracker(self._config, run_directory=folder, experiment=self._study, values=trial.values) as log:
            for env_steps, value in trial.rungs:
                log.log({"score": value}, env_steps=env_steps, prefix="trial")
            log.table("folds", trial.folds)
            if trial.equity:
                log.curve("equity", trial.equity)
            log.summary(trial.summary)
        (folder / SENT).touch()


class TrialTracking:
    """Finds the trials of a study that ended and were not sent, and has them sent; does nothing without a backend.

    Parameters
    ----------
    directory : of the study; runs are stored in ``tracking/``.
    """

    def __init__(
        self, config: TrackingConfig, study: optuna.Study, directory: Path, fractions: Sequence[float]
    ) -> None:
        self._study, self._directory, self._fractions = study, directory, fractions
        self._worker: Any = None
        self._calls: dict[int, ray.ObjectRef] = {}
        self._seen = 0
        if config.backend == "none":
            return
        folder = directory.absolute() / "tracking"
        self._worker = TrackingWorker.remote(config, folder, directory.name)
        for trial in study.get_trials(deepcopy=False, states=FINISHED):
            if not (folder / f"{directory.name}-t{trial.number:05d}" / SENT).exists():
                self._send(trial)

    def update(self, run: StudyRun) -> None:
        """Send the trials that ended since the last call."""
        if self._worker is None:
            return
        trials = self._study.get_trials(deepcopy=False) if len(run.ended) > self._seen else []
        for record in run.ended[self._seen :]:
            self._send(trials[record.number])
        self._seen = len(run.ended)

    def finish(self) -> None:
        """Wait until everything is sent. What could not be sent is reported and leaves the sweep alone."""
        for number, call in self._calls.items():
            try:
                ray.get(call)
            except ray.exceptions.RayError as error:
                LOG.warning("trial %d was not tracked: %s", number, getattr(error, "cause", None) or error)
        if self._worker is not None:
            self._worker.__ray_terminate__.remote()

    def _send(self, trial: FrozenTrial) -> None:
        self._calls[trial.number] = self._worker.send.remote(tracked(trial, self._directory, self._fractions))


def tracked(trial: FrozenTrial, directory: Path, fractions: Sequence[float]) -> TrackedTrial:
    """What is sent of a trial that ended."""
    folds = trial.user_attrs.get("folds", [])
    env_steps = int(trial.user_attrs.get("env_steps", 0))
    last = trial.last_step or 0
    rungs = [
        (round(env_steps * fractions[rung] / fractions[last]), value)
        for rung, value in sorted(trial.intermediate_values.items())
    ]
    summary: dict[str, Any] = {"state": STATES[trial.state], "env_steps": env_steps}
    summary |= {f"objective_{index}": value for index, value in enumerate(trial.values or [])}
    if rungs:
        summary["score"] = rungs[-1][1]
    if ERROR in trial.user_attrs:
        summary["error"] = trial.user_attrs[ERROR]
    numbers = [name for name, value in (folds[0] if folds else {}).items() if isinstance(value, (int, float))]
    for name in numbers:
        known = [row[name] for row in folds if row[name] is not None]
        summary[f"mean_{name}"] = float(np.mean(known)) if known else None
    path = returns_path(directory, trial.number)
    return TrackedTrial(
        number=trial.number,
        values=dict(trial.params),
        rungs=tuple(rungs),
        summary=summary,
        folds=tuple(folds),
        equity=tuple(equity_curve(np.load(path)).tolist()) if path.is_file() else (),
    )
