"""What Tune calls while it runs the trials of a study: its searcher, scheduler, stopper and callback.

They hold nothing of their own; what they are told goes to the `StudyRun`, and what they answer comes from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import optuna
from optuna.terminator import BestValueStagnationEvaluator, StaticErrorEvaluator, Terminator
from ray import cloudpickle, tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from ray.tune.stopper import Stopper

from rayjobs.cluster.placement import Waiting
from rayjobs.search.plan.objective import METRICS
from rayjobs.search.plan.settings import SearchConfig
from rayjobs.search.sweep.study_run import StudyRun, describe_failure
from rayjobs.search.trial.trainable import ENV_STEPS, HOPELESS, RUNG, SCORE, SCORES, TASK, VALUES

WATCH_SECONDS = 0.5
Answer = TypeVar("Answer")


class Mishap:
    """The first exception of our own code: Tune takes some for a trial's, but a sweep must not go on after one."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    def noted(self, call: Callable[..., Answer]) -> Callable[..., Answer]:
        """The same function, whose exception is kept."""

        @wraps(call)
        def noting(*arguments: Any, **named: Any) -> Answer:
            try:
                return call(*arguments, **named)
            except Exception as error:
                self.error = self.error or error
                raise

        return noting


class _Unsaved:
    """Tune stores the objects that it is given; these have nothing that the study does not hold."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class StudySearcher(_Unsaved, Searcher):
    """Hands Tune the trials of the study and records how each ended."""

    def __init__(self, run: StudyRun, mishap: Mishap) -> None:
        super().__init__()
        self._run = run
        self._complete = mishap.noted(self._record)

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Configuration of the next trial; None to be asked again, FINISHED when no trial is left."""
        task = self._run.begin_next(trial_id)
        if task is not None:
            # Labels for Tune's own tables and TensorBoard's hyperparameters; the task for the trial itself.
            return {"params": self._run.underway[trial_id].params, TASK: task}
        generations = self._run.config.scheduler.kind == "pbt"
        return None if generations and self._run.underway else self.FINISHED

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """See `ray.tune.search.Searcher`; of a trial that failed the scheduler has recorded it already."""
        self._complete(trial_id, result or {})

    def _record(self, trial_id: str, result: dict[str, Any]) -> None:
        running = self._run.underway.get(trial_id)
        if running is None:
            return
        if HOPELESS in result:
            self._run.failed(trial_id, result[HOPELESS])
        elif running.values:
            self._run.ended_scored(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the study's database holds everything."""

    def restore(self, checkpoint_path: str) -> None:
        """Refused."""
        raise RuntimeError(
            "a sweep goes on by `python -m rayjobs.sweep resume=STUDY`, not from Tune's own files"
        )


class RungScheduler(_Unsaved, FIFOScheduler):
    """Lets a trial go on at a rung, or ends it, as the study's pruner decides."""

    def __init__(self, run: StudyRun, mishap: Mishap) -> None:
        super().__init__()
        self._run = run
        self._decide = mishap.noted(self._decision)
        self._fail = mishap.noted(self._failed)
        self._add = mishap.noted(self._added)

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """A trial that an earlier driver has tried already has fewer attempts left."""
        self._add(trial)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Of every rung but the last, at which the trial ends by itself."""
        return self._decide(trial.trial_id, result)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """An attempt failed; Tune starts the next one, or gives the trial up."""
        self._fail(trial)

    def _added(self, trial: Trial) -> None:
        if trial.trial_id in self._run.underway and not trial.run_metadata.num_failures:
            trial.max_failures = self._run.attempts_left(trial.trial_id)

    def _decision(self, trial_id: str, result: dict[str, Any]) -> str:
        note_rung(self._run, trial_id, result)
        return TrialScheduler.CONTINUE if self._run.goes_on(trial_id) else TrialScheduler.STOP

    def _failed(self, trial: Trial) -> None:
        if trial.trial_id not in self._run.underway:
            return
        error = describe_failure(error_of(trial))
        if trial.status == Trial.ERROR:  # Tune has put it back into its queue
            self._run.try_again(trial.trial_id, error)
        elif self._run.attempts_left(
            trial.trial_id
        ):  # it gives up what is lost between two trials of a process
            self._run.try_again_later(trial.trial_id, error)
        else:
            self._run.failed(trial.trial_id, error)


def error_of(trial: Trial) -> Exception:
    """The newest exception of a trial, from where Tune put it on this machine."""
    path = trial.pickled_error_file
    if path is None:
        return RuntimeError("Tune says only that it failed")
    with open(path, "rb") as stream:
        return cloudpickle.load(stream)


class StudyCallback(_Unsaved, tune.Callback):
    """Keeps scores out of what Tune stores, shows progress, and ends the sweep when our own code fails.

    Parameters
    ----------
    waiting : the wait for the first node with room for a trial.
    """

    def __init__(self, run: StudyRun, mishap: Mishap, waiting: Waiting) -> None:
        self._run, self._mishap = run, mishap
        self._waiting: Waiting | None = waiting
        self._shown, self._ended = 0.0, 0
        self._result = mishap.noted(self._note)

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """See `tune.Callback`."""
        self._waiting = None
        self._run.found_room(trial.trial_id)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """Record the last rung, which the scheduler is not asked about, and take the scores out."""
        self._result(trial.trial_id, result)

    def _note(self, trial_id: str, result: dict[str, Any]) -> None:
        if SCORES in result and trial_id in self._run.underway:
            note_rung(self._run, trial_id, result)
        result.pop(SCORES, None)
        result.pop(VALUES, None)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Let go of most of what Tune keeps of every trial to the end: its running means, statistics of timers."""
        metadata = trial.run_metadata
        metadata.metric_n_steps.clear()
        for name in metadata.metric_analysis.keys() - {RUNG, SCORE, ENV_STEPS}:
            del metadata.metric_analysis[name]
        metadata.invalidate_cache()

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Show progress."""
        if self._mishap.error is not None:
            raise self._mishap.error
        if self._waiting is not None and self._run.underway and self._waiting.is_over():
            self._waiting = None
        now = time.monotonic()
        if len(self._run.ended) != self._ended or now - self._shown > WATCH_SECONDS:
            self._shown, self._ended = now, len(self._run.ended)
            self._run.watch(self._run)


def note_rung(run: StudyRun, trial_id: str, result: dict[str, Any]) -> None:
    """Record a result at a rung, unless it is recorded already."""
    if run.underway[trial_id].rung <= result[RUNG]:
        metric = run.config.objective.metrics[0]
        shares = [float(one.metrics[metric]) for one in result[SCORES]]
        run.reached(trial_id, result[RUNG], result[SCORES], result[VALUES], shares)


class StudyStopper(_Unsaved, Stopper):
    """Ends the search when its target is reached, or when trials no longer get better, as Optuna's terminator says."""

    def __init__(self, run: StudyRun) -> None:
        self._run, self._config = run, run.config
        self._asked, self._stops = -1, False
        patience = run.config.stagnant_trials
        self._terminator = None if patience is None else _stagnation(patience)

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """No trial is ended by itself."""
        return False

    def stop_all(self) -> bool:
        """Whether nothing is to go on; the study is looked at only after a trial ended."""
        if len(self._run.ended) != self._asked:
            self._asked = len(self._run.ended)
            self._stops = reached_target(self._config, self._run.study) or (
                self._terminator is not None and self._terminator.should_terminate(self._run.study)
            )
        return self._stops


def _stagnation(trials: int) -> Terminator:
    return Terminator(
        improvement_evaluator=BestValueStagnationEvaluator(max_stagnation_trials=trials),
        error_evaluator=StaticErrorEvaluator(constant=0.0),
        min_n_trials=1,
    )


def reached_target(config: SearchConfig, study: optuna.Study) -> bool:
    """Whether a complete trial is as good as ``search.target_score``, by the first objective."""
    if config.target_score is None:
        return False
    sign = 1.0 if METRICS[config.objective.metrics[0]] == "maximize" else -1.0
    complete = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    return any(sign * trial.values[0] >= sign * config.target_score for trial in complete)
