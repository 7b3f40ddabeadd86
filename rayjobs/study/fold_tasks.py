"""The folds of a study as Ray tasks, side by side: where they go, what they report, and how they survive losses.

They are submitted in the order of `evaluation.scoring.walk_forward.ordered_folds`.

A fold whose process or node is lost is started again by Ray, elsewhere if need be; one whose env runners or learners
are lost starts again by itself. Both go on from the newest checkpoint that the new process can see: on another node
that takes shared storage (a folder that all nodes mount, or a URI as ``run.directory``); without it the fold starts
over.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayActorError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from evaluation.ledger.trained_weights import WeightsNote
from evaluation.windows.splits import Fold
from rayjobs.cluster.placement import Demand, Reservation, Room, Waiting
from rayjobs.monitoring.live_rows import LiveRows
from rayjobs.monitoring.log_context import log_as
from rayjobs.monitoring.progress import ProgressDisplay, TrainingProgress
from rayjobs.monitoring.ray_metrics import TrainingMetrics
from rayjobs.monitoring.tracking import Tracker
from rayjobs.storage.mirror import StorageMirror
from rayjobs.storage.run_directory import original
from rayjobs.storage.uri import fetch, uri_of
from rayjobs.study.fold import FoldOutcome, run_fold
from rayjobs.study.patched_code import patched_names, takes_own_code
from rayjobs.study.study import Study
from rayjobs.training.checkpoints import CheckpointFolder

LOG = logging.getLogger(__name__)
POLL_SECONDS = 0.25
ASK_SECONDS = 0.05
MAX_LOSSES = 5
"""Times that a fold starts again after losing its process, node or actors."""

Report = Callable[[dict[str, Any]], None]
Notes = Callable[[WeightsNote], None]


@ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)
class ProgressBoard:
    """Where folds that run elsewhere leave their rows until the driver takes them, for display; and what they tell of
    their weights until the driver has written it down."""

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []
        self._told: list[WeightsNote] = []
        self._written: set[WeightsNote] = set()

    def tell(self, note: WeightsNote) -> bool:
        """Leave a note for the driver; whether it is written down already. To be asked again until it is."""
        if note not in self._written and note not in self._told:
            self._told.append(note)
        return note in self._written

    def told(self) -> list[WeightsNote]:
        """What the driver has to write down; it says so by `written`."""
        return list(self._told)

    def written(self, notes: Sequence[WeightsNote]) -> None:
        self._written.update(notes)
        self._told = [note for note in self._told if note not in self._written]

    def put(self, row: dict[str, Any]) -> None:
        self._rows.append(row)

    def take(self) -> list[dict[str, Any]]:
        rows, self._rows = self._rows, []
        return rows


@ray.remote(max_retries=MAX_LOSSES)
def fold_task(study: Study, fold: Fold, directory: Path, board: Any, noted: bool = False) -> FoldOutcome:
    """`run_fold` as a Ray task; each row goes to the board, and what ``noted`` folds tell of their weights."""
    run = study.config.run
    log_as(run=directory.parents[1].name, fold=fold.index)
    started = time.monotonic()
    steps_before: list[int] = []  # trained on before this attempt, if it goes on with an earlier one
    metrics = TrainingMetrics(experiment=run.experiment, fold=fold.index)
    with ExitStack() as stack:
        mirror = _mirror(study, directory)
        if mirror is not None:
            stack.enter_context(mirror)

        def report(row: dict[str, Any]) -> None:
            metrics.record(row)
            steps_before.append(row["env_steps"] - study.config.algo.batch_steps)
            speed = (row["env_steps"] - steps_before[0]) / max(time.monotonic() - started, 1e-9)
            board.put.remote({"fold": fold.index, **row, "env_steps_per_second": speed})
            if mirror is not None:
                mirror.check()

        def tell_weights(note: WeightsNote) -> None:
            while not ray.get(board.tell.remote(note)):
                time.sleep(ASK_SECONDS)

        outcome = _run_through_losses(study, fold, directory, report, tell_weights if noted else None)
        return replace(outcome, patched=tuple(patched_names()) if takes_own_code(study.config) else ())


def _mirror(study: Study, directory: Path) -> StorageMirror | None:
    """Bring the fold's checkpoints here if they lie elsewhere, and keep those copied there that it writes."""
    uri = uri_of(directory, study.config.run.directory)
    if uri is None:
        return None
    if not directory.is_dir():
        fetch(uri, directory)
    return StorageMirror(directory, uri, patience_s=study.config.cluster.storage_patience_s)


def _run_through_losses(
    study: Study, fold: Fold, directory: Path, report: Report, tell: Notes | None
) -> FoldOutcome:
    for losses in range(MAX_LOSSES + 1):
        try:
            return run_fold(study, fold, directory, report, tell)
        except (RayActorError, RayTaskError) as error:
            if losses == MAX_LOSSES or not isinstance(original(error), RayActorError):
                raise
            LOG.warning("lost an actor, going on from the newest checkpoint: %s", str(error).splitlines()[0])
    raise AssertionError("the last attempt returns or raises")


def demand_of(study: Study) -> Demand:
    """What a fold asks for: one process, unless a network is trained."""
    config = study.config
    return Demand.one_process() if config.script or config.supervised else Demand.of(config.algo)


def require_room(study: Study) -> Room:
    """Where folds can go.

    Raises
    ------
    ConfigError
        If no node that the cluster has or could start holds one.
    """
    room = Room.of_cluster(study.config.cluster.node_types)
    room.require(demand_of(study), "a fold")
    return room


def run_folds(
    study: Study, folds: Sequence[Fold], run: Path, tracker: Tracker, note: Notes | None = None
) -> list[FoldOutcome]:
    """Run every fold as a Ray task, as many side by side as there is room for, and show their progress.

    Parameters
    ----------
    note : writes down what a training tells of its weights; None where nobody asks.
    """
    algo, demand = study.config.algo, demand_of(study)
    room = require_room(study)
    side_by_side = max(1, demand.fits(room.living))
    strategy = room.strategy(demand)
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    board = ProgressBoard.options(scheduling_strategy=here).remote()
    shared = ray.put(study)
    checkpoints = run.absolute() / "checkpoints"
    places = {fold.index: Reservation(demand, strategy) for fold in folds}
    tasks = {
        fold_task.options(**places[fold.index].options).remote(
            shared, fold, checkpoints / f"fold_{fold.index:02d}", board, note is not None
        ): fold
        for fold in folds
    }
    for fold in folds:
        _log_again(tracker, fold, checkpoints / f"fold_{fold.index:02d}")
    outcomes: list[FoldOutcome] = []
    total = max(algo.batch_steps, study.config.trainer.total_env_steps // algo.batch_steps * algo.batch_steps)
    if study.config.supervised is None:
        LOG.info("training %d folds of %s env steps, %d side by side", len(folds), f"{total:,}", side_by_side)
    else:
        LOG.info("fitting %d folds, %d side by side", len(folds), side_by_side)
    try:
        Waiting(demand, "a fold", study.config.cluster.wait_s).until_over()
        live = LiveRows(run, total, len(folds))
        with ProgressDisplay(len(folds), parallel_folds=side_by_side) as display:
            waiting = list(tasks)
            while waiting:
                done, waiting = ray.wait(waiting, timeout=POLL_SECONDS)
                if note is not None:
                    _write_down(board, note)
                for row in ray.get(board.take.remote()):
                    live.write(row)
                    _show(row, total, display, tracker)
                outcomes.extend(_results(done))
                for task in done:
                    places[tasks[task].index].release()
    finally:
        for place in places.values():
            place.release()
    return sorted(outcomes, key=lambda outcome: outcome.result.fold.index)


def _write_down(board: Any, note: Notes) -> None:
    told = ray.get(board.told.remote())
    for one in told:
        note(one)
    if told:
        ray.get(board.written.remote(told))


def run_seeds(
    study: Study, folds: Sequence[Fold], run: Path, tracker: Tracker, note: Notes | None = None
) -> dict[int, list[FoldOutcome]]:
    """Run every fold once per seed (``trainer.num_seeds``); a script has no seed, so it is run once.

    Returns
    -------
    seed -> its folds; the configured seed first, the others in directories ``seed_N`` of their own.
    """
    first = study.config.seed
    outcomes = {first: run_folds(study, folds, run, tracker, note)}
    for seed in range(first + 1, first + study.config.trainer.num_seeds) if not study.config.script else ():
        other = replace(study, config=replace(study.config, seed=seed))
        outcomes[seed] = run_folds(other, folds, run / f"seed_{seed}", tracker, note)
    return outcomes


def _results(tasks: Sequence[Any]) -> list[FoldOutcome]:
    """What folds return; an exception as the fold raised it, without Ray's copy of the traceback in its message."""
    try:
        return ray.get(list(tasks))
    except RayTaskError as error:
        raise error.cause from error


def _show(row: dict[str, Any], total: int, display: ProgressDisplay, tracker: Tracker) -> None:
    display.update(
        TrainingProgress(
            fold=row["fold"],
            env_steps=row["env_steps"],
            total_env_steps=total,
            env_steps_per_second=row["env_steps_per_second"],
            episode_return=row["episode_return"],
            approx_kl=row["approx_kl"],
            clip_fraction=row["clip_fraction"],
            entropy=row["entropy"],
            explained_variance=row["explained_variance"],
        )
    )
    tracker.log(_curves(row), env_steps=row["env_steps"], prefix=f"fold_{row['fold']}")


def _curves(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("fold", "env_steps")}


def _log_again(tracker: Tracker, fold: Fold, directory: Path) -> None:
    """Curves of the iterations that a resumed fold goes on after."""
    folder = CheckpointFolder(directory)
    checkpoint = folder.newest()
    if checkpoint is not None:
        for row in folder.read_record(checkpoint).rows:
            tracker.log_again(_curves(row), env_steps=row["env_steps"], prefix=f"fold_{fold.index}")
