"""A job as a look of the ledger: entered before it shows anything, closed however it ends, counted by the gate.

The same configuration, seed, data and code again is the same look; anything else that is tried on the same bars is
another, whatever its name.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from data.coverage.coverage import Coverage
from data.sources import describe
from evaluation.ledger.ledger import Ledger, LookEntry, fold_facts
from evaluation.ledger.looks import Counted
from evaluation.ledger.records import LookKind, Record
from evaluation.ledger.trained_weights import WeightsNote
from evaluation.scoring.walk_forward import WalkForwardResult, window_return
from evaluation.statistics.metrics import sharpe_ratio
from evaluation.windows.splits import Fold
from rayjobs.storage.started_run import StartedRun
from rayjobs.storage.uri import local_directory
from rayjobs.study.config import TrainConfig
from rayjobs.study.fold import FoldOutcome
from rayjobs.study.looks.counted import JudgedBars, count_at, features_read
from rayjobs.study.looks.on_disk import note_head, note_look, run_id
from rayjobs.study.study import Study

LOG = logging.getLogger(__name__)
CHANGES_NOTHING = (
    "run", "ledger", "cluster", "tracking", "resume", "gate", "seed", "trainer.num_seeds", "trainer.checkpoint_every",
    "walk_forward.only_fold", "walk_forward.fold_order", "scoring",
)  # fmt: skip
"""Keys that change neither what is trained nor on what: where it runs, how it is judged, what is looked at."""


class EnteredLook:
    """The entry of one job.

    Parameters
    ----------
    number : of the look in the ledger.
    run : the run directory.
    judged : the bars that it is judged on.
    entry : as it was entered; None for the winner of a search, whose seeds are the search's.
    """

    def __init__(
        self, ledger: Ledger, number: int, run: Path, judged: JudgedBars, entry: LookEntry | None = None
    ) -> None:
        self.ledger, self.number, self.run, self._judged, self._entry = ledger, number, run, judged, entry

    def note_weights(self, note: WeightsNote, entry: LookEntry | None = None) -> None:
        """Write what a training of this look tells of its weights.

        Parameters
        ----------
        entry : of the trained configuration; None for that of the look, which a search's winner does not have.
        """
        entry = entry or self._entry
        assert entry is not None
        self.ledger.note_weights(note, entry, run_id(self.run))

    def finish(self, seeds: Mapping[int, Sequence[FoldOutcome]], result: WalkForwardResult) -> Counted:
        """Write what was earned, and count the looks at the same bars.

        Parameters
        ----------
        seeds : seed -> its folds. result : those of the first seed, chained.
        """
        folds = [
            fold_facts(
                fold=one.fold.index,
                seed=seed,
                policy_hash=one.policy_hash,
                net_return=window_return(one.recording, one.fold.test),
            )
            for seed, outcomes in seeds.items()
            for outcome in outcomes
            for one in outcome.results
        ]
        own = record_of(result)
        score = sharpe_ratio(own.net_return, periods_per_year=result.periods_per_year)
        self.ledger.finish(self.number, score=score, record=own, folds=folds)
        if self._entry is not None and self._entry.identity["job"] == "train":
            self._enter_other_seeds(seeds, result)
        return self.counted(own)

    def _enter_other_seeds(
        self, seeds: Mapping[int, Sequence[FoldOutcome]], result: WalkForwardResult
    ) -> None:
        """Each further seed is a look for whoever trains with it alone later; the run's own headline is never it."""
        assert self._entry is not None
        for seed, outcomes in seeds.items():
            if seed == self._entry.seed:
                continue
            shown = WalkForwardResult.of(
                result.panel, [one for outcome in outcomes for one in outcome.results]
            )
            number = self.ledger.enter(replace(self._entry, kind="other seed", seed=seed))
            score = sharpe_ratio(shown.net_return, periods_per_year=shown.periods_per_year)
            self.ledger.finish(number, score=score, record=record_of(shown))

    def counted(self, own: Record) -> Counted:
        """The looks at the judged bars, and where the ledger's chain ended when they were counted."""
        found = count_at(self.ledger, self._judged, own)
        note_head(self.run, self.ledger.head())
        for note in found.looks.notes:
            LOG.warning("%s", note)
        return found


def record_of(result: WalkForwardResult) -> Record:
    """The headline returns of a result, with their bars, and how many symbols were traded."""
    panel = result.panel
    traded = {
        int(s) for fold in result.folds for s in np.unique(fold.recording.symbols[fold.recording.fills.asset])
    }
    return Record.of(result.net_return, panel.bar_utc[result.bar], panel.bar_seconds, symbols=len(traded))


def scored_bars(folds: Sequence[Fold]) -> slice:
    """From the first scored bar to the last."""
    return slice(min(fold.test.start for fold in folds), max(fold.test.stop for fold in folds))


def shown_bars(config: TrainConfig, folds: Sequence[Fold]) -> slice:
    """From the first bar on which a job shows a number to the last: validation and training windows, where scored, too.

    Who chooses by a score in sample or on validation bars, and is then judged on them, has looked at them.
    """
    scored = scored_bars(folds)
    if config.scoring.in_sample:
        first = [fold.train.start for fold in folds]
    elif config.validates:
        first = [_first_validated(config, fold) for fold in folds]
    else:
        return scored
    return slice(min(scored.start, *first), scored.stop)


def _first_validated(config: TrainConfig, fold: Fold) -> int:
    if fold.validation is not None:
        return fold.validation.start
    length = fold.train.stop - fold.train.start
    return fold.train.stop - int(length * config.trainer.validation_fraction)


def chosen_bars(study: Study, folds: Sequence[Fold], *, of_search: bool) -> slice:
    """The bars that a result was chosen on: the scored ones, and those on which a search chose its winner before."""
    scored = scored_bars(folds)
    if not of_search:
        return scored
    first = study.config.walk_forward.folds_in(study.panel)[0]
    chosen_on = first.test if first.validation is None else first.validation
    return slice(min(chosen_on.start, scored.start), scored.stop)


@contextmanager
def entered(
    ledger: Ledger,
    entry: LookEntry,
    study: Study,
    run: Path,
    folds: Sequence[Fold],
    *,
    of_search: bool = False,
    trained_by: Path | None = None,
    weights_of: Path | None = None,
    roots: Sequence[Path] = (),
) -> Iterator[EnteredLook]:
    """Enter a look; an exception closes it as failed, a kill leaves it open: both count.

    Parameters
    ----------
    entry : without its run and coverage, which are filled in.
    folds : that are scored. of_search : the policies are those of a search's winner, scored on its own holdout.
    trained_by : run directory of the trainings that are judged on their own bars; None where others are.
    weights_of : run directory that trained the policies, on whatever bars they are judged.
    roots : of runs, beside that of the configuration.
    """
    panel, data = study.shown_panel, study.config.data
    coverage = Coverage.of(panel, shown_bars(study.config, folds), source=describe(data))
    head = ledger.head()
    entry = replace(entry, run=run_id(run), coverage=coverage)
    number = ledger.enter(entry)
    note_look(
        run,
        kind=entry.kind,
        study=entry.study,
        data_fingerprint=study.panel.fingerprint,
        coverage=coverage,
        head=head,
    )
    judged = JudgedBars(
        panel=panel,
        data=data,
        bars=chosen_bars(study, folds, of_search=of_search),
        run=run_id(run),
        trained_by="" if trained_by is None else run_id(trained_by),
        weights_of="" if weights_of is None else run_id(weights_of),
        roots=(local_directory(study.config.run.directory), *roots),
        features=features_read(study),
    )
    try:
        yield EnteredLook(ledger, number, run, judged, entry)
    except Exception as error:
        ledger.fail(number, str(error) or type(error).__name__)
        raise


def enter_shown(ledger: Ledger, entry: LookEntry, run: Path) -> int:
    """Enter a look that earns nothing of its own (a screening), before it is shown; returns its number."""
    head = ledger.head()
    number = ledger.enter(replace(entry, run=run_id(run)))
    note_look(
        run,
        kind=entry.kind,
        study=entry.study,
        data_fingerprint=entry.data_fingerprint,
        coverage=entry.coverage,
        head=head,
        features=entry.features,
    )
    return number


@contextmanager
def trained_look(
    study: Study, values: Mapping[str, Any], folds: Sequence[Fold], run: Path, ledger: Ledger
) -> Iterator[EnteredLook]:
    """Enter a training job, or one that scores a script.

    Parameters
    ----------
    values : the resolved configuration. run : the run directory, whose config.yaml names the code's commit.
    """
    config = study.config
    kind: LookKind = "training" if config.only_fold is None else "single fold"
    entry = LookEntry(
        kind="scripted policy" if config.script is not None else kind,
        study=config.run.experiment,
        identity=identity(config, values),
        seed=config.seed,
        data_fingerprint=study.panel.fingerprint,
        code_commit=code_version(StartedRun.read(run).provenance),
    )
    with entered(ledger, entry, study, run, folds, trained_by=run, weights_of=run) as look:
        yield look


def identity(config: TrainConfig, values: Mapping[str, Any]) -> dict[str, Any]:
    """What makes this look another than the ones before it: all that decides its policy, its costs and its folds."""
    kept = {key: value for key, value in values.items() if key not in CHANGES_NOTHING}
    for key in CHANGES_NOTHING:
        group, _, name = key.partition(".")
        if name and group in kept:
            kept[group] = {inner: value for inner, value in kept[group].items() if inner != name}
    facts = {
        "job": "train", "script": config.script, "cost_factor": config.scoring.cost_factor, "config": kept
    }  # fmt: skip
    return facts if config.only_fold is None else {**facts, "only_fold": config.only_fold}


def code_version(provenance: Mapping[str, Any]) -> str:
    """Commit of the source, "unknown" outside a checkout; marked where tracked files were changed, and by own code."""
    commit = str(provenance.get("git_commit") or "unknown")
    own = "".join(f"+{name}={digest[:12]}" for name, digest in (provenance.get("own_code") or {}).items())
    return f"{commit}{'-changed' if provenance.get('git_dirty') else ''}{own}"
