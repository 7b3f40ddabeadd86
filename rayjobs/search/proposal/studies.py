"""Optuna's study, kept in a database: the one record of which trials there are and how each ended.

A trial is RUNNING from the moment it is asked for until its result is told. A driver that was killed leaves RUNNING
trials behind; the next one adopts them under their own number.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from rayjobs.search.plan.settings import SearchConfig
from rayjobs.search.proposal.pruning import make_pruner
from rayjobs.search.proposal.samplers import make_sampler
from rayjobs.search.space.search_space import Space

RETRY_OF, ATTEMPT, ERROR = "retry_of", "attempt", "error"
AGAIN = "again"
"""Marks a failed trial that is to be tried again."""
PASSED = "passed"
"""The last rung after which a trial was let go on: another attempt is not asked about it again."""
ENQUEUED = "enqueued"
GENERATION, MEMBER, PARENT = "generation", "member", "parent"
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)

optuna.logging.set_verbosity(optuna.logging.WARNING)


def open_study(config: SearchConfig, directory: Path, seed: int) -> optuna.Study:
    """Create the study of this directory, or open it again.

    Parameters
    ----------
    directory : of the study; its name is the study's.
    seed : of the sampler.
    """
    url = study_url(directory, config.storage)
    # SQLite waits for another reader (a dashboard, rayjobs.compare) instead of failing at once.
    options = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
    storage = optuna.storages.RDBStorage(url, engine_kwargs=options)
    names = {
        summary.study_name for summary in optuna.get_all_study_summaries(storage, include_best_trial=False)
    }
    recorded = (
        len(optuna.load_study(study_name=directory.name, storage=storage).get_trials(deepcopy=False))
        if directory.name in names
        else 0
    )
    return optuna.create_study(
        study_name=directory.name,
        storage=storage,
        sampler=make_sampler(config.sampler, seed, recorded),
        pruner=make_pruner(config.scheduler),
        directions=config.directions,
        load_if_exists=True,
    )


def read_study(directory: Path, storage: str | None) -> optuna.Study:
    """Open an existing study to read it."""
    return optuna.load_study(study_name=directory.name, storage=study_url(directory, storage))


def study_url(directory: Path, storage: str | None) -> str:
    """Where Optuna keeps the study of a directory: `search.storage`, or a file in the directory.

    A PostgreSQL server without a driver's name is reached through psycopg, which the extra `postgres` brings for the
    ledger too.
    """
    if storage is None:
        return f"sqlite:///{directory.absolute() / 'study.db'}"
    scheme, mark, rest = storage.partition("://")
    return f"postgresql+psycopg{mark}{rest}" if scheme in ("postgresql", "postgres") else storage


def enqueue_first(study: optuna.Study, points: Sequence[Mapping[str, Any]]) -> None:
    """Queue known configurations, in order; a study that goes on queues those that a killed driver had not."""
    known = sum(ENQUEUED in trial.user_attrs for trial in study.get_trials(deepcopy=False))
    for point in points[known:]:
        study.enqueue_trial(dict(point), user_attrs={ENQUEUED: True})


class TrialQueue:
    """Hands out the trials of a study: adopted ones, then repeats of failed ones and enqueued ones, then new ones.

    Parameters
    ----------
    num_trials : trials in all; repeats of failed trials do not count.
    """

    def __init__(self, study: optuna.Study, space: Space, num_trials: int) -> None:
        self._study, self._space = study, space
        self.num_trials = num_trials
        trials = study.get_trials(deepcopy=False)
        self._adopted = [trial for trial in trials if trial.state == TrialState.RUNNING]
        for trial in trials:  # a driver that was killed may have queued no repeat of a trial that failed
            if AGAIN in trial.user_attrs and self._repeat_of(trial) is None:
                self._queue_repeat(trial)
        trials = study.get_trials(deepcopy=False)
        self._begun = sum(_counts(trial) for trial in trials if trial.state != TrialState.WAITING)
        self._repeats = sum(not _counts(trial) for trial in trials if trial.state == TrialState.WAITING)

    @property
    def remaining(self) -> int:
        """Trials that are still to be handed out."""
        return len(self._adopted) + self._repeats + max(0, self.num_trials - self._begun)

    def next(self) -> tuple[Trial, dict[str, Any]] | None:
        """A trial and its parameters by label; None when there is none left."""
        if self._adopted:
            trial = Trial(self._study, self._adopted.pop(0)._trial_id)
            return trial, self._suggest(trial)
        if self._begun >= self.num_trials and not self._repeats:
            return None
        trial = self._ask()
        if RETRY_OF in trial.user_attrs:
            self._repeats -= 1
        else:
            self._begun += 1
        return trial, self._suggest(trial)

    def _ask(self) -> Trial:
        if self._begun < self.num_trials or not self._repeats:
            return self._study.ask()
        # Only repeats are wanted: enqueued trials beyond `num_trials` keep waiting.
        waiting = self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        repeat = next(trial for trial in waiting if not _counts(trial))
        self._study._storage.set_trial_state_values(repeat._trial_id, TrialState.RUNNING)
        return Trial(self._study, repeat._trial_id)

    def _suggest(self, trial: Trial) -> dict[str, Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an enqueued value need not lie on a parameter's steps
            return self._space.suggest(trial)

    def fail(self, trial: Trial, error: str) -> None:
        """Record that a trial failed for good."""
        trial.set_user_attr(ERROR, error)
        self._study.tell(trial, state=TrialState.FAIL)

    def try_again(self, trial: Trial, error: str) -> tuple[Trial, dict[str, Any]]:
        """Record that an attempt failed, and begin another one with the same parameters, as a trial of its own."""
        repeat = self._fail_and_queue(trial, error)
        self._study._storage.set_trial_state_values(repeat._trial_id, TrialState.RUNNING)
        following = Trial(self._study, repeat._trial_id)
        return following, self._suggest(following)

    def try_again_later(self, trial: Trial, error: str) -> None:
        """Record that an attempt failed, and put another one into the queue."""
        self._fail_and_queue(trial, error)
        self._repeats += 1

    def _fail_and_queue(self, trial: Trial, error: str) -> FrozenTrial:
        trial.set_user_attr(AGAIN, True)
        self.fail(trial, error)
        failed = self._study.get_trials(deepcopy=False)[trial.number]
        if self._repeat_of(failed) is None:  # a driver that was killed may have queued it before
            self._queue_repeat(failed)
        repeat = self._repeat_of(failed)
        assert repeat is not None
        return repeat

    def _queue_repeat(self, failed: FrozenTrial) -> None:
        kept = {
            name: failed.user_attrs[name]
            for name in (GENERATION, MEMBER, PARENT, PASSED)
            if name in failed.user_attrs
        }
        self._study.enqueue_trial(dict(failed.params), user_attrs=_attempt_after(failed) | kept)

    def _repeat_of(self, failed: FrozenTrial) -> FrozenTrial | None:
        wanted = _attempt_after(failed).items()
        trials = self._study.get_trials(deepcopy=False)
        return next((trial for trial in trials if wanted <= trial.user_attrs.items()), None)


def _attempt_after(failed: FrozenTrial) -> dict[str, int]:
    attempt = failed.user_attrs.get(ATTEMPT, 0)
    return {RETRY_OF: failed.user_attrs.get(RETRY_OF, failed.number), ATTEMPT: attempt + 1}


def _counts(trial: FrozenTrial) -> bool:
    return RETRY_OF not in trial.user_attrs
