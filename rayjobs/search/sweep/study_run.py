"""The trials of a study that are still to be run: which comes next, what each reached, and how each ended.

One process decides and writes; the processes of trials only train and score. So the study's database always tells what
is known, and a driver that was killed at any moment can be replaced by another one. Tune calls what is here through
`rayjobs.search.sweep.tune_hooks`; everything that it must not lose is written before the study is told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import Trial, TrialState
from ray.exceptions import RayActorError

from data.errors import one_line
from rayjobs.search.plan.objective import FoldScore
from rayjobs.search.plan.settings import SearchConfig
from rayjobs.search.proposal.population import Population
from rayjobs.search.proposal.pruning import RUNG_SCORES, RungPruning
from rayjobs.search.proposal.studies import ATTEMPT, GENERATION, PARENT, PASSED, RETRY_OF, TrialQueue
from rayjobs.search.space.search_space import Space
from rayjobs.search.trial.record import (
    State,
    TrialObserver,
    TrialRecord,
    fold_rows,
    save_progress,
    save_return,
)
from rayjobs.search.trial.shelf import TrialShelf
from rayjobs.search.trial.task import TrialTask

OUT_OF_TIME = "the search ended before this trial was scored"


@dataclass(kw_only=True, eq=False)
class RunningTrial:
    """A trial under way.

    Attributes
    ----------
    task : what its processes are to do.
    started : when it found room; None while it waits for it.
    rung : that is being trained for.
    reached : scores of the last rung that it came to, ``values`` what they are worth.
    """

    trial: Trial
    params: dict[str, Any]
    task: TrialTask
    started: float | None = None
    rung: int = 0
    reached: list[FoldScore] = field(default_factory=list)
    values: tuple[float, ...] = ()

    @property
    def number(self) -> int:
        return self.trial.number

    @property
    def is_scored_to_the_end(self) -> bool:
        """It came to its last rung."""
        return self.rung > self.task.rungs[-1][0]

    @property
    def seconds(self) -> float:
        return 0.0 if self.started is None else time.monotonic() - self.started


class StudyRun:
    """Hands out the trials of a study and records what becomes of them.

    Parameters
    ----------
    study, space, config : what to search, and how.
    shares : (fold, seed) pairs that every trial is scored on.
    directory : of the study; returns go into ``trials/``.
    shelf : where trials leave what they need to go on.
    place : number of trials that are to run side by side -> the parts of each and their resources, as changes of its
        `TrialTask`.
    observers : told of every trial that began or ended.
    watch : called every half second and after every change, with this object.
    population : queues the generations of population based training; None for any other search.
    """

    def __init__(
        self,
        study: optuna.Study,
        space: Space,
        config: SearchConfig,
        *,
        shares: Sequence[tuple[int, int]],
        directory: Path,
        shelf: TrialShelf,
        place: Callable[[int], Mapping[str, Any]],
        observers: Sequence[TrialObserver] = (),
        watch: Callable[[StudyRun], None] = lambda run: None,
        population: Population | None = None,
    ) -> None:
        self.study, self.config, self.watch, self.directory = study, config, watch, directory
        self._space, self._shares, self._shelf = space, tuple(shares), shelf
        self._place, self._observers, self._population = place, observers, population
        self._pruning = RungPruning(config.scheduler, study)
        self.queue = TrialQueue(study, space, population.queue_next() if population else config.num_trials)
        self.underway: dict[str, RunningTrial] = {}
        self.ended: list[TrialRecord] = []
        self.queued_again = False  # an attempt waits for a run of Tune that asks for more trials

    @property
    def remaining(self) -> int:
        """Trials that are still to begin, those of generations that are not queued yet included."""
        later = 0 if self._population is None else max(0, self._population.total - self.queue.num_trials)
        return self.queue.remaining + later

    @property
    def running(self) -> list[RunningTrial]:
        """Trials that found room."""
        return [trial for trial in self.underway.values() if trial.started is not None]

    def begin_next(self, key: str) -> TrialTask | None:
        """Begin the next trial; None when none is left, or the present generation has to end first.

        Parameters
        ----------
        key : by which the trial is named from now on.
        """
        if self._population is not None and not self.underway and not self.queue.remaining:
            self.queue.num_trials = self._population.queue_next()
        side_by_side = len(self.underway) + self.queue.remaining
        following = self.queue.next()
        if following is None:
            return None
        trial, params = following
        task = self._task(trial, params, side_by_side)
        self.underway[key] = RunningTrial(trial=trial, params=params, task=task, rung=task.rungs[0][0])
        self._tell_began(self.underway[key])
        return task

    def _task(self, trial: Trial, params: Mapping[str, Any], side_by_side: int) -> TrialTask:
        rungs = tuple(enumerate(self.config.scheduler.fractions))
        if self._population is not None:  # a member trains for one rung; what follows is another trial
            rungs = (rungs[trial.user_attrs[GENERATION]],)
        parent = trial.user_attrs.get(PARENT, -1)
        if parent >= 0:
            known = self.study.get_trials(deepcopy=False)[parent]
            parent = known.user_attrs.get(RETRY_OF, parent)
        return TrialTask(
            trial=trial.user_attrs.get(RETRY_OF, trial.number),
            overrides=self._space.overrides(params),
            shares=self._shares,
            rungs=rungs,
            objective=self.config.objective,
            parent=None if parent < 0 else parent,
            keep=self._population is not None,
            **self._place(side_by_side),
        )

    def attempts_left(self, key: str) -> int:
        """How often the trial may still be tried again."""
        return max(0, self.config.retries - self.underway[key].trial.user_attrs.get(ATTEMPT, 0))

    def found_room(self, key: str) -> None:
        """The trial's process runs."""
        self.underway[key].started = time.monotonic()

    def reached(
        self,
        key: str,
        rung: int,
        scores: Sequence[FoldScore],
        values: Sequence[float],
        shares: Sequence[float],
    ) -> None:
        """Record what a trial scored at a rung; again what was recorded already is left as it is.

        Parameters
        ----------
        shares : the first metric on each fold and seed.
        """
        running = self.underway[key]
        running.reached, running.values, running.rung = list(scores), tuple(values), rung + 1
        if len(values) > 1:
            return
        known = self.study._storage.get_trial(running.trial._trial_id)
        if self._pruning.compares_shares:
            earlier = known.user_attrs.get(RUNG_SCORES, {})
            running.trial.set_user_attr(RUNG_SCORES, earlier | {str(rung): list(shares)})
        if rung not in known.intermediate_values:  # another attempt may have been here before
            running.trial.report(values[0], rung)

    def goes_on(self, key: str) -> bool:
        """Whether a trial trains on after the rung that it reached; decided once for all its attempts."""
        running = self.underway[key]
        rung = running.rung - 1
        if rung <= running.trial.user_attrs.get(PASSED, -1):
            return True
        if not self._pruning.goes_on(running.number, rung):
            return False
        running.trial.set_user_attr(PASSED, rung)
        return True

    def ended_scored(self, key: str) -> None:
        """Record a trial that came to its end, or was ended at a rung."""
        running = self.underway[key]
        state: State = "complete" if running.is_scored_to_the_end else "pruned"
        record = self._record(running, state, None)
        save_return(self.directory, running.number, running.reached)
        save_progress(self.directory, running.number, running.reached)
        running.trial.set_user_attr("folds", fold_rows(running.reached))
        self._note(running, record)
        if state == "complete":
            self.study.tell(running.trial, list(running.values))
        else:
            self.study.tell(running.trial, state=TrialState.PRUNED)
        self._forget(key, record)

    def failed(self, key: str, error: str) -> None:
        """Record a trial that failed for good."""
        running = self.underway[key]
        record = self._record(running, "failed", error)
        self._note(running, record)
        self.queue.fail(running.trial, error)
        self._forget(key, record)

    def try_again(self, key: str, error: str) -> None:
        """Record an attempt that failed or was lost, and begin the next one, which goes on from its checkpoint."""
        running = self._attempt_failed(key, error)
        trial, params = self.queue.try_again(running.trial, error)
        first = running.task.rungs[0][0]
        self.underway[key] = RunningTrial(trial=trial, params=params, task=running.task, rung=first)
        self._tell_began(self.underway[key])

    def try_again_later(self, key: str, error: str) -> None:
        """Record an attempt that failed or was lost, and put the next one into the queue."""
        running = self._attempt_failed(key, error)
        self.queue.try_again_later(running.trial, error)
        self.queued_again = True

    def _attempt_failed(self, key: str, error: str) -> RunningTrial:
        running = self.underway.pop(key)
        record = replace(self._record(running, "failed", error), repeated=True)
        self._note(running, record)
        self.ended.append(replace(record, scores=()))
        return running

    def end_underway(self) -> None:
        """Record what is still under way when a search ends early: scored where it came to a rung, else failed."""
        for key, running in list(self.underway.items()):
            if running.values:
                self.ended_scored(key)
            else:
                self.failed(key, OUT_OF_TIME)

    def _note(self, running: RunningTrial, record: TrialRecord) -> None:
        """Write down everything about a trial that ended, before the study is told that it did."""
        running.trial.set_user_attr("env_steps", record.env_steps)
        running.trial.set_user_attr("seconds", round(record.seconds, 3))
        for observer in self._observers:
            observer.trial_ended(record)

    def _tell_began(self, running: RunningTrial) -> None:
        for observer in self._observers:
            repeat_of = running.trial.user_attrs.get(RETRY_OF)
            observer.trial_began(running.number, running.task.overrides, repeat_of)

    def _record(self, running: RunningTrial, state: State, error: str | None) -> TrialRecord:
        return TrialRecord(
            number=running.number,
            state=state,
            params=running.params,
            overrides=running.task.overrides,
            values=() if state == "failed" else running.values,
            scores=tuple(running.reached),
            env_steps=sum(one.env_steps for one in running.reached),
            seconds=running.seconds,
            error=error,
            repeat_of=running.trial.user_attrs.get(RETRY_OF),
            repeated=False,
        )

    def _forget(self, key: str, record: TrialRecord) -> None:
        running = self.underway.pop(key)
        # Returns stay on disk: memory does not grow with the trials.
        self.ended.append(replace(record, scores=()))
        if not running.task.keep:
            self._shelf.drop(running.task.trial)


def describe_failure(error: Exception) -> str:
    """A lost process or an exception inside one, on one line, by its own type and message."""
    cause = getattr(error, "cause", None) or error
    if isinstance(cause, RayActorError):
        return f"the worker died: {one_line(cause)[:400]}"
    return f"{type(cause).__name__}: {one_line(cause)[:400]}"
