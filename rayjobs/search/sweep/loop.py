"""The driver of a sweep: asks for trials, lets workers advance them from rung to rung, and records how each ends.

One process decides and writes; workers only train and score. So the study's database always tells what is known, and a
driver that was killed at any moment can be replaced by another one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import optuna
import ray
from optuna.trial import Trial, TrialState
from ray.exceptions import RayActorError, RayError, RayTaskError

from data.errors import one_line
from rayjobs.search.plan.objective import FoldScore, ScoreUndefined, objective_values
from rayjobs.search.plan.settings import SearchConfig
from rayjobs.search.proposal.population import Population
from rayjobs.search.proposal.schedulers import goes_on
from rayjobs.search.proposal.studies import ATTEMPT, GENERATION, PARENT, RETRY_OF, TrialQueue
from rayjobs.search.space.search_space import Space
from rayjobs.search.trial.order import TrialOrder, split_shares
from rayjobs.search.trial.record import State, TrialObserver, TrialRecord, fold_rows, save_return
from rayjobs.search.trial.worker import WorkerPool

POLL_SECONDS = 0.5


@dataclass(kw_only=True, eq=False)
class RunningTrial:
    """A trial under way.

    Attributes
    ----------
    orders : worker -> its share of the trial.
    rung : index of the rung that is being trained for.
    pending : calls of this rung that have not come back.
    scores : of this rung so far; ``reached`` those of the last complete rung.
    """

    trial: Trial
    params: dict[str, Any]
    overrides: dict[str, Any]
    orders: dict[Any, TrialOrder]
    started: float
    rung: int = 0
    pending: set[ray.ObjectRef] = field(default_factory=set)
    scores: list[FoldScore] = field(default_factory=list)
    reached: list[FoldScore] = field(default_factory=list)
    values: tuple[float, ...] = ()
    ended: bool = False

    @property
    def number(self) -> int:
        return self.trial.number


class SweepLoop:
    """Runs the trials of a study that are still to be run.

    Parameters
    ----------
    study, space, config : what to search, and how.
    shares : (fold, seed) pairs that every trial is scored on.
    pool : workers; a trial gets one, or several where there are more workers than trials to run.
    directory : of the study; returns go into ``trials/``.
    observers : told of every trial that ended.
    watch : called every half second and after every change, with this loop.
    population : queues the generations of population based training; None for any other search.
    """

    def __init__(
        self,
        study: optuna.Study,
        space: Space,
        config: SearchConfig,
        *,
        shares: Sequence[tuple[int, int]],
        pool: WorkerPool,
        directory: Path,
        observers: Sequence[TrialObserver] = (),
        watch: Callable[[SweepLoop], None] = lambda loop: None,
        population: Population | None = None,
    ) -> None:
        self.study, self.config = study, config
        self._space, self._shares, self._pool, self._directory = space, tuple(shares), pool, directory
        self._observers, self._watch = observers, watch
        self._population = population
        self.queue = TrialQueue(study, space, population.queue_next() if population else config.num_trials)
        self.running: list[RunningTrial] = []
        self.ended: list[TrialRecord] = []
        self._calls: dict[ray.ObjectRef, tuple[RunningTrial, Any]] = {}

    @property
    def max_concurrent(self) -> int:
        """Trials that may run side by side."""
        limit = self.config.max_concurrent
        return self._pool.size if limit == "auto" else min(limit, self._pool.size)

    def run(self) -> None:
        """Run until no trial is left. A trial's failure never ends the sweep."""
        self._start_trials()
        while self._calls:
            ready, _ = ray.wait(list(self._calls), num_returns=1, timeout=POLL_SECONDS)
            for call in ready:
                self._call_ended(call)
            self._start_trials()
            self._watch(self)

    def _start_trials(self) -> None:
        if self._population is not None and not self.running and not self.queue.remaining:
            self.queue.num_trials = self._population.queue_next()
        while len(self.running) < self.max_concurrent and self._pool.num_free and self.queue.remaining:
            slots = min(self.max_concurrent - len(self.running), self.queue.remaining)
            count = min(len(self._shares), max(1, self._pool.num_free // max(slots, 1)))
            following = self.queue.next()
            if following is None:
                return
            self._start(*following, count)

    def _start(self, trial: Trial, params: dict[str, Any], num_workers: int) -> None:
        overrides = self._space.overrides(params)
        parent = trial.user_attrs.get(PARENT, -1)
        parent = None if parent < 0 else parent
        parts = split_shares(self._shares, num_workers)
        workers = self._pool.take(len(parts))
        orders = {
            worker: TrialOrder(
                trial=trial.number,
                overrides=overrides,
                shares=part,
                parent=parent,
                keep=self._population is not None,
            )
            for worker, part in zip(workers, parts)
        }
        running = RunningTrial(
            trial=trial,
            params=params,
            overrides=overrides,
            orders=orders,
            started=time.monotonic(),
            rung=trial.user_attrs.get(GENERATION, 0),
        )
        self.running.append(running)
        for observer in self._observers:
            observer.trial_began(trial.number, overrides, trial.user_attrs.get(RETRY_OF))
        self._send(running)

    def _send(self, running: RunningTrial) -> None:
        running.scores = []
        for worker, order in running.orders.items():
            call = worker.advance.remote(order, self.config.scheduler.fractions[running.rung])
            running.pending.add(call)
            self._calls[call] = (running, worker)

    def _call_ended(self, call: ray.ObjectRef) -> None:
        running, worker = self._calls.pop(call)
        running.pending.discard(call)
        try:
            scores = ray.get(call)
        except RayTaskError as error:
            self._share_failed(running, worker, describe_failure(error), alive=True)
        except RayError as error:
            self._share_failed(running, worker, describe_failure(error), alive=False)
        else:
            if running.ended:  # another share of the trial failed meanwhile
                self._release([worker])
                return
            running.scores.extend(scores)
            if not running.pending:
                self._rung_reached(running)

    def _share_failed(self, running: RunningTrial, worker: Any, error: str, *, alive: bool) -> None:
        if not alive:
            self._pool.discard(worker)
            running.orders.pop(worker, None)
        if not running.ended:
            self._fail(running, error)
        elif alive:
            self._release([worker])

    def _rung_reached(self, running: RunningTrial) -> None:
        running.scores.sort(key=lambda one: (one.fold, one.seed))
        try:
            values = objective_values(self.config.objective, running.scores)
        except ScoreUndefined as error:
            self._fail(running, one_line(error))
            return
        running.reached, running.values = running.scores, tuple(values)
        # A member of a population trains for one rung; what follows is another trial.
        last = self._population is not None or running.rung == len(self.config.scheduler.fractions) - 1
        if len(values) == 1:
            known = self.study._storage.get_trial(running.trial._trial_id).intermediate_values
            if running.rung not in known:  # an adopted trial may have been here before
                running.trial.report(values[0], running.rung)
        if last:
            self._end(running, "complete")
        elif goes_on(self.config.scheduler, self.study, running.rung, values[0]):
            running.rung += 1
            self._send(running)
        else:
            self._end(running, "pruned")

    def _end(self, running: RunningTrial, state: State) -> None:
        record = self._record(running, state, None)
        save_return(self._directory, running.number, running.reached)
        running.trial.set_user_attr("folds", fold_rows(running.reached))
        running.trial.set_user_attr("env_steps", record.env_steps)
        running.trial.set_user_attr("seconds", round(record.seconds, 3))
        self._tell_observers(record)
        if state == "complete":
            self.study.tell(running.trial, list(running.values))
        else:
            self.study.tell(running.trial, state=TrialState.PRUNED)
        self._forget(running, record)

    def _fail(self, running: RunningTrial, error: str) -> None:
        record = self._record(running, "failed", error)
        running.trial.set_user_attr("env_steps", record.env_steps)
        running.trial.set_user_attr("seconds", round(record.seconds, 3))
        self._tell_observers(record)
        self.queue.fail(running.trial, running.params, error, self.config.retries)
        self._forget(running, record)

    def _record(self, running: RunningTrial, state: State, error: str | None) -> TrialRecord:
        return TrialRecord(
            number=running.number,
            state=state,
            params=running.params,
            overrides=running.overrides,
            values=() if state == "failed" else running.values,
            scores=tuple(running.reached),
            env_steps=sum(one.env_steps for one in running.scores or running.reached),
            seconds=time.monotonic() - running.started,
            error=error,
            repeat_of=running.trial.user_attrs.get(RETRY_OF),
            repeated=state == "failed" and running.trial.user_attrs.get(ATTEMPT, 0) < self.config.retries,
        )

    def _tell_observers(self, record: TrialRecord) -> None:
        for observer in self._observers:
            observer.trial_ended(record)

    def _forget(self, running: RunningTrial, record: TrialRecord) -> None:
        running.ended = True
        self.running.remove(running)
        self.ended.append(
            replace(record, scores=())
        )  # returns stay on disk: memory does not grow with the trials
        busy = {worker for other, worker in self._calls.values() if other is running}
        self._release([worker for worker in running.orders if worker not in busy])

    def _release(self, workers: Sequence[Any]) -> None:
        for worker in workers:
            worker.drop.remote()
        self._pool.give_back(workers)


def describe_failure(error: Exception) -> str:
    """A lost worker or an exception inside one, on one line, by its own type and message."""
    if isinstance(error, RayActorError):
        return f"the worker died: {one_line(error)[:400]}"
    cause = getattr(error, "cause", None) or error
    return f"{type(cause).__name__}: {one_line(cause)[:400]}"
