"""Tune runs the trials of a study: it places them, starts more as nodes come, and tries lost ones again.

Each process of a sweep is one run of Tune below ``tune/`` in the study's folder, for `tune.ResultGrid` and TensorBoard.
Going on with a study is a new run over what the study still has to do.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna
import ray
from ray import tune
from ray.tune.experiment import Trial

from rayjobs.cluster.placement import Demand, Room, Waiting
from rayjobs.config.typed_config import ConfigError
from rayjobs.search.plan.settings import SearchConfig
from rayjobs.search.proposal.population import Population
from rayjobs.search.space.search_space import Space
from rayjobs.search.sweep.study_run import StudyRun
from rayjobs.search.sweep.tune_hooks import Mishap, RungScheduler, StudyCallback, StudySearcher, StudyStopper
from rayjobs.search.trial.record import TrialObserver
from rayjobs.search.trial.shelf import TrialShelf
from rayjobs.search.trial.task import MakeProgram
from rayjobs.search.trial.trainable import TASK, TrialTrainable

LOG = logging.getLogger(__name__)
TUNE, CHECKPOINTS = "tune", "checkpoints"
"""Folders of a study: runs of Tune, and what trials need to go on."""

_TUNE_SETTINGS = {
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C ends a sweep as it ends any other job
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # the display says what failed
    "TUNE_WARN_THRESHOLD_S": "5",
}


class TrialPlaces:
    """What each trial asks of the cluster.

    Parameters
    ----------
    demand : of one process of a trial with what it starts.
    num_cpus : of that process itself.
    wait_s : seconds to wait for a node (``cluster.wait_s``).
    room : where trainings could go.

    Raises
    ------
    ConfigError
        If nothing could ever hold one.
    """

    def __init__(self, demand: Demand, room: Room, *, wait_s: float, num_cpus: float = 1) -> None:
        self._demand, self._num_cpus, self._room = demand, num_cpus, room
        self.waiting = Waiting(demand, "a trial", wait_s)
        room.require(demand, "a training")

    @property
    def side_by_side(self) -> int:
        """Trainings that the living nodes hold."""
        return self._count(self._room.living)

    @property
    def could_be_added(self) -> int:
        """Trainings that nodes could hold which are not there yet."""
        return self._count(self._room.possible) - self.side_by_side

    def _count(self, nodes: Sequence[Any]) -> int:
        if self._num_cpus == 1:
            return self._demand.fits(nodes)
        return int(sum(node.cpus for node in nodes) / self._num_cpus)

    def of_trial(self, trials: int, max_concurrent: int | None, num_shares: int) -> Mapping[str, Any]:
        """Parts of a trial and their resources, as changes of its `TrialTask`.

        Where there is more room than trials, a trial's folds and seeds are dealt to several processes.

        Parameters
        ----------
        trials : under way or still to come.
        """
        trials = max(1, trials if max_concurrent is None else min(trials, max_concurrent))
        parts = min(num_shares, max(1, self.side_by_side // trials))
        first, *others = self._demand.bundles
        strategy = self._room.strategy(self._demand)
        return {
            "parts": parts,
            "bundles": (first | {"CPU": self._num_cpus}, *others),
            "strategy": "PACK" if parts > 1 or strategy == "SPREAD" else strategy,
        }


def run_study(
    study: optuna.Study,
    space: Space,
    config: SearchConfig,
    *,
    program: MakeProgram,
    shared: Any,
    shares: Sequence[tuple[int, int]],
    places: TrialPlaces,
    directory: Path,
    observers: Sequence[TrialObserver] = (),
    watch: Callable[[StudyRun], None] = lambda run: None,
    population: Population | None = None,
) -> StudyRun:
    """Run the trials that are still to be run. A trial's failure never ends the sweep.

    Parameters
    ----------
    program, shared : what a trial's process runs, and what all trials share.
    places : what a trial asks of the cluster.

    Others see `StudyRun`.

    Raises
    ------
    ConfigError
        On a cluster that is reached through a Ray client: Tune would run on its head, without the study.
    """
    if ray.util.client.ray.is_connected():
        raise ConfigError(
            "a sweep cannot be driven through ray://; submit it with `python -m rayjobs.submit job=sweep`"
        )
    limit = None if config.max_concurrent == "auto" else config.max_concurrent
    shelf = TrialShelf(directory.absolute() / CHECKPOINTS)
    run = StudyRun(
        study,
        space,
        config,
        shares=shares,
        directory=directory,
        shelf=shelf,
        place=lambda trials: places.of_trial(trials, limit, len(shares)),
        observers=observers,
        watch=watch,
        population=population,
    )
    if run.queue.remaining:
        LOG.info("%d trials to run, room for %d side by side", run.remaining, places.side_by_side)
        trainable = tune.with_parameters(TrialTrainable, make_program=program, shared=shared, shelf=shelf)
        trainable.__qualname__ = TrialTrainable.__name__  # the name of its processes
        with _settings(TUNE_MAX_PENDING_TRIALS_PG=str(max(1, places.could_be_added))):
            _fit(run, trainable, places, limit)
            while run.queued_again:
                run.queued_again = False
                _fit(run, trainable, places, limit)
        run.end_underway()
    watch(run)
    shelf.close()
    return run


def _fit(run: StudyRun, trainable: type[tune.Trainable], places: TrialPlaces, limit: int | None) -> None:
    mishap, config = Mishap(), run.config
    tuner = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            num_samples=-1,  # until the searcher says that it has finished
            search_alg=StudySearcher(run, mishap),
            scheduler=RungScheduler(run, mishap),
            max_concurrent_trials=limit,
            time_budget_s=config.time_budget_s,
            reuse_actors=True,
            trial_name_creator=trial_name,
            trial_dirname_creator=trial_name,
        ),
        run_config=tune.RunConfig(
            name=f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}",
            storage_path=str(run.directory.absolute() / TUNE),
            # The shelf has what a trial goes on from; Tune's storage would have to be seen by all nodes.
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            failure_config=tune.FailureConfig(max_failures=config.retries),
            callbacks=[StudyCallback(run, mishap, places.waiting)],
            stop=StudyStopper(run),
            verbose=0,
        ),
    )
    try:
        tuner.fit()
    except Exception:
        if mishap.error is not None:
            raise mishap.error from None
        raise
    if mishap.error is not None:
        raise mishap.error


def trial_name(trial: Trial) -> str:
    """``trial_00007``: by the number of its first attempt."""
    return f"trial_{trial.config[TASK].trial:05d}"


@contextlib.contextmanager
def _settings(**more: str) -> Iterator[None]:
    """Tune reads these from the environment; errors of trials are told by the sweep's own display."""
    wanted = _TUNE_SETTINGS | more
    before = {name: os.environ.get(name) for name in wanted}
    loggers = [logging.getLogger(f"ray.tune.{name}") for name in ("tune", "execution", "trainable")]
    levels = [logger.level for logger in loggers]
    os.environ.update(wanted)
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)
