"""Sends every trial to W&B or TensorBoard, a run each, in one group per study; outside the driver's process.

A trial's run is opened when the trial begins, shows its learning curves and scores at every rung, and is closed when it
ends, so that its duration is the trial's. What is sent at the end is read from the study, so that a resumed sweep sends
what a killed one had not; a trial is sent once.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import ray
from optuna.trial import FrozenTrial

from evaluation.statistics.metrics import equity_curve, max_drawdown, total_return
from rayjobs.config.dotted_keys import with_values
from rayjobs.monitoring.tracking import RunLabel, Tracker, TrackingConfig, short_id, tracker
from rayjobs.search.page.leaderboard import STATES
from rayjobs.search.plan.objective import METRICS
from rayjobs.search.proposal.studies import ERROR, FINISHED
from rayjobs.search.space.search_space import Space
from rayjobs.search.sweep.study_run import RunningTrial, StudyRun
from rayjobs.search.trial.record import load_progress, progress_rows, returns_path

LOG = logging.getLogger(__name__)
SENT = "sent"
"""Marks the folder of a trial that was sent whole."""
NO_CURVES = ("iteration", "env_steps", "fold", "seed", "num_minibatches")
"""Columns of a trial's progress that are no curves."""


@dataclass(frozen=True, kw_only=True)
class TrackedTrial:
    """What is sent of one trial.

    Attributes
    ----------
    values : the whole configuration that it ran with, nested, with its number and ``params`` under ``trial``.
    params : by label of the space.
    rungs : (rung, env steps, score) so far.
    progress : a row per iteration of every fold and seed so far.
    summary, folds, equity : of one that ended: final numbers; a row per fold and seed; the curve over the validation
        windows.
    """

    number: int
    values: Mapping[str, Any]
    params: Mapping[str, Any]
    rungs: tuple[tuple[int, int, float], ...] = ()
    progress: tuple[Mapping[str, Any], ...] = ()
    summary: Mapping[str, Any] | None = None
    folds: tuple[Mapping[str, Any], ...] = ()
    equity: tuple[float, ...] = ()


class _OpenTrial:
    """A trial's run while it is open."""

    def __init__(self, config: TrackingConfig, folder: Path, study: str, trial: TrackedTrial) -> None:
        shutil.rmtree(folder, ignore_errors=True)  # what an earlier attempt left half-sent is sent anew
        folder.mkdir(parents=True)
        self._folder, self._stack, self._rung = folder, ExitStack(), -1
        label = RunLabel(
            run_id=folder.name,
            name=f"{short_id(study)}-t{trial.number:03d}",
            job_type="trial",
            side_by_side=True,
        )
        opened = tracker(config, run_directory=folder, experiment=study, values=trial.values, label=label)
        self._log: Tracker = self._stack.enter_context(opened)

    def show(self, trial: TrackedTrial) -> None:
        """Curves and scores as they stand; points that are there already are not sent again."""
        several = len({row["seed"] for row in trial.progress}) > 1
        for row in trial.progress:
            prefix = f"fold_{row['fold']}" + (f"_seed_{row['seed']}" if several else "")
            curves = {name: value for name, value in row.items() if name not in NO_CURVES}
            self._log.log(curves, env_steps=int(row["env_steps"]), prefix=prefix)
        for rung, env_steps, value in trial.rungs:
            if rung > self._rung:
                self._log.log({"score": value}, env_steps=env_steps, prefix="trial")
                self._rung = rung

    def end(self, trial: TrackedTrial) -> None:
        """Send the rest and close the run."""
        with self._stack:
            self.show(trial)
            self._log.table("folds", trial.folds)
            if trial.equity:
                self._log.curve("equity", trial.equity)
            summary = dict(trial.summary or {})
            self._log.parameters(trial.params, summary)
            self._log.summary(summary)
        (self._folder / SENT).touch()


class TrackingWorker:
    """Holds the runs of all trials under way, as an actor of Ray."""

    def __init__(self, config: TrackingConfig, directory: Path, study: str) -> None:
        logging.getLogger().setLevel(logging.ERROR)
        self._config = replace(config, group=config.group or study)
        self._directory, self._study = directory, study
        self._open: dict[int, _OpenTrial] = {}

    def show(self, trial: TrackedTrial) -> None:
        """Open the trial's run, or show how far it came."""
        self._of(trial).show(trial)

    def send(self, trial: TrackedTrial) -> None:
        """Send a trial that ended, whole."""
        self._of(trial).end(trial)
        del self._open[trial.number]

    def _of(self, trial: TrackedTrial) -> _OpenTrial:
        if trial.number not in self._open:
            folder = self._directory / f"{self._study}-t{trial.number:05d}"
            self._open[trial.number] = _OpenTrial(self._config, folder, self._study, trial)
        return self._open[trial.number]


class TrialTracking:
    """Has the trials of a study tracked as they run, and those that ended unsent; does nothing without a backend.

    Parameters
    ----------
    directory : of the study; runs are stored in ``tracking/``.
    fractions : of the training, at which trials are scored.
    values : the configuration that trials start from, nested; ``space`` says what each changes of it.
    """

    def __init__(
        self,
        config: TrackingConfig,
        study: optuna.Study,
        directory: Path,
        fractions: Sequence[float],
        *,
        values: Mapping[str, Any] | None = None,
        space: Space | None = None,
    ) -> None:
        self._study, self._directory, self._fractions = study, directory, fractions
        self._values, self._space = values or {}, space
        self._worker: Any = None
        self._calls: dict[int, ray.ObjectRef] = {}
        self._seen = 0
        self._shown: dict[int, int] = {}
        if config.backend == "none":
            return
        folder = directory.absolute() / "tracking"
        self._worker = ray.remote(num_cpus=0)(TrackingWorker).remote(config, folder, directory.name)
        for trial in study.get_trials(deepcopy=False, states=FINISHED):
            if not (folder / f"{directory.name}-t{trial.number:05d}" / SENT).exists():
                self._send(trial)

    def update(self, run: StudyRun) -> None:
        """Show the trials that run, and send those that ended since the last call."""
        if self._worker is None:
            return
        for running in run.running:
            if self._shown.get(running.number, -1) < running.rung:
                self._shown[running.number] = running.rung
                self._worker.show.remote(self._under_way(running))
        trials = self._study.get_trials(deepcopy=False) if len(run.ended) > self._seen else []
        for record in run.ended[self._seen :]:
            self._shown.pop(record.number, None)
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
        self._calls[trial.number] = self._worker.send.remote(
            tracked(trial, self._directory, self._fractions, self._configuration(trial.number, trial.params))
        )

    def _under_way(self, running: RunningTrial) -> TrackedTrial:
        rungs: tuple[tuple[int, int, float], ...] = ()
        if running.values:
            env_steps = sum(one.env_steps for one in running.reached)
            rungs = ((running.rung - 1, env_steps, running.values[0]),)
        return TrackedTrial(
            number=running.number,
            values=self._configuration(running.number, running.params),
            params=running.params,
            rungs=rungs,
            progress=tuple(progress_rows(running.reached)),
        )

    def _configuration(self, number: int, params: Mapping[str, Any]) -> dict[str, Any]:
        """The whole configuration of a trial, so that trials of different studies can be told apart by it."""
        overrides = {} if self._space is None else self._space.overrides(params)
        facts = {"study": self._directory.name, "number": number, "params": dict(params)}
        return {**with_values(self._values, overrides), "trial": facts}


def tracked(
    trial: FrozenTrial, directory: Path, fractions: Sequence[float], values: Mapping[str, Any]
) -> TrackedTrial:
    """What is sent of a trial that ended."""
    folds = trial.user_attrs.get("folds", [])
    env_steps = int(trial.user_attrs.get("env_steps", 0))
    last = trial.last_step or 0
    rungs = [
        (rung, round(env_steps * fractions[rung] / fractions[last]), value)
        for rung, value in sorted(trial.intermediate_values.items())
    ]
    path = returns_path(directory, trial.number)
    returns = np.load(path) if path.is_file() else None
    return TrackedTrial(
        number=trial.number,
        values=values,
        params=dict(trial.params),
        rungs=tuple(rungs),
        progress=tuple(load_progress(directory, trial.number)),
        summary=_summary(trial, env_steps) | _of_curve(returns),
        folds=tuple(folds),
        equity=() if returns is None else tuple(equity_curve(returns).tolist()),
    )


def _summary(trial: FrozenTrial, env_steps: int) -> dict[str, Any]:
    """Final numbers of a trial: score, objectives where there are several, and means over folds and seeds."""
    found: dict[str, Any] = {"state": STATES[trial.state], "env_steps": env_steps}
    if "seconds" in trial.user_attrs:
        found["seconds"] = trial.user_attrs["seconds"]
    if trial.values:
        found["score"] = trial.values[0]
    elif trial.last_step is not None:
        found["score"] = trial.intermediate_values[trial.last_step]
    if ERROR in trial.user_attrs:
        found["error"] = trial.user_attrs[ERROR]
    folds = trial.user_attrs.get("folds", [])
    for name in METRICS:
        known = [row[name] for row in folds if row.get(name) is not None]
        if known:
            found[name] = float(np.mean(known))
    return found


def _of_curve(returns: np.ndarray | None) -> dict[str, float]:
    """Return and drawdown of the one equity curve through all folds."""
    if returns is None or not len(returns):
        return {}
    return {"chained_return": total_return(returns), "chained_drawdown": max_drawdown(returns)}


def tell_upload(config: TrackingConfig, directory: Path) -> None:
    """Say how the whole study is uploaded that was kept on this disk: itself, its winner and its trials."""
    if config.backend == "wandb" and any(directory.glob("tracking/*/wandb/offline-run-*")):
        LOG.info(
            "W&B: stored offline; upload all of it with: wandb sync %s/wandb %s/tracking/*/wandb",
            directory,
            directory,
        )
