"""A sweep from end to end: cut the windows, run the trials, rank them, and let the winner meet the holdout."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna

from evaluation.gate.verdict import Verdict
from evaluation.ledger.ledger import Ledger
from rayjobs.cluster.placement import Room
from rayjobs.monitoring.tracking import Tracker
from rayjobs.search.page.leaderboard import best_trial, counts
from rayjobs.search.page.sealed_holdout import opening_command
from rayjobs.search.proposal.population import Population, lineage
from rayjobs.search.proposal.studies import enqueue_first, open_study
from rayjobs.search.sweep.config import SweepConfig
from rayjobs.search.sweep.data import SweepData
from rayjobs.search.sweep.display import SweepDisplay
from rayjobs.search.sweep.engine import TrialPlaces, run_study
from rayjobs.search.sweep.ledger import LedgerEntries
from rayjobs.search.sweep.looks import (
    holdout_entry,
    holdout_look,
    looks_at_validation,
    note_sweep,
    trials_entry,
    validation_bars,
)
from rayjobs.search.sweep.results import report_sweep, track_study, write_results
from rayjobs.search.sweep.study_run import StudyRun
from rayjobs.search.sweep.tracked_trials import TrialTracking, tell_upload
from rayjobs.search.sweep.trial_artefacts import TrialArtefacts
from rayjobs.search.sweep.winner import judge_winner, open_for_winner
from rayjobs.search.trial.policy_trials import PolicyTrials, share_study
from rayjobs.search.trial.record import TrialObserver, save_bars
from rayjobs.storage.started_run import StartedRun
from rayjobs.study.fold_tasks import demand_of

LOG = logging.getLogger(__name__)


class SweepFailed(RuntimeError):
    """No trial could be scored."""


def run_trials(
    config: SweepConfig,
    data: SweepData,
    study: optuna.Study,
    directory: Path,
    observers: Sequence[TrialObserver],
) -> None:
    """Run the trials that are still to be run."""
    if config.search.sampler.kind == "grid":
        points: Sequence[Mapping[str, Any]] = config.space.grid(config.search.sampler.grid_points)
        limit = min(config.search.num_trials, len(points))
        config = replace(config, search=replace(config.search, num_trials=limit))
    else:
        points = config.search.enqueue
    enqueue_first(study, points)
    save_bars(directory, validation_bars(data))
    shares = [(fold.index, seed) for fold in data.windows.folds for seed in config.search.seeds]
    shared = share_study(config.values, data.sealed, data.windows.folds, config.search.scoring)
    cluster = config.train.cluster
    room = Room.of_cluster(cluster.node_types)
    places = TrialPlaces(demand_of(data.sealed), room, wait_s=cluster.wait_s)
    population = None
    if config.search.scheduler.kind == "pbt":
        population = Population(study, config.space, config.search.scheduler, config.train.seed)
    display = SweepDisplay(config.search.objective.metrics[0])
    tracking = TrialTracking(
        config.train.tracking,
        study,
        directory,
        config.search.scheduler.fractions,
        values=StartedRun.read(directory).config(),
        space=config.space,
    )

    def watch(run: StudyRun) -> None:
        display.update(run)
        tracking.update(run)

    with display:
        run_study(
            study,
            config.space,
            config.search,
            program=PolicyTrials,
            shared=shared,
            shares=shares,
            places=places,
            directory=directory,
            observers=observers,
            watch=watch,
            population=population,
        )
    tracking.finish()


def run_sweep(
    config: SweepConfig, data: SweepData, directory: Path, tracker: Tracker, ledger: Ledger
) -> Verdict | None:
    """Run or go on with the study of this directory, and judge its winner; None when nothing was judged."""
    started = time.monotonic()
    provenance = StartedRun.read(directory).provenance
    study = open_study(config.search, directory, config.train.seed)
    entry = trials_entry(config, data, directory, provenance)
    note_sweep(entry, directory, ledger)
    entries = LedgerEntries(
        ledger, entry, bar_utc=validation_bars(data), bar_seconds=data.full.panel.bar_seconds
    )
    artefacts = TrialArtefacts(study, directory, validation_bars(data))
    run_trials(config, data, study, directory, [entries, artefacts])
    # Trials of other studies on the same bars count too: a new name does not make the data fresh.
    looks = looks_at_validation(config, data, study, directory, ledger)
    significance = write_results(config, data, study, directory, looks, None)
    verdict = None
    winner = best_trial(study)
    if winner is None and not counts(study)["pruned"]:
        report_sweep(config, data, study, directory, significance, None, status="failed")
        raise SweepFailed(f"every trial failed; the errors stand in {directory / 'trials.csv'}")
    if winner is not None and not config.search.opens_holdout_for(winner.values[0]):
        if config.search.open_holdout == "auto":
            LOG.info(
                "trial %d is the best and scores %.3f on the validation folds, a loss: the holdout stays sealed; to "
                "judge it all the same: %s",
                winner.number, winner.values[0], opening_command(directory),
            )  # fmt: skip
    elif winner is not None:
        opening = holdout_entry(config, data, directory, provenance)
        if open_for_winner(ledger, opening, directory, winner.number):
            verdict = judge_winner(
                config,
                lineage(study, winner.number),
                data.full,
                data.hygiene,
                data.windows,
                significance,
                directory / "winner",
                provenance,
                holdout_look(config, data, opening, directory, ledger),
            )
            write_results(config, data, study, directory, looks, verdict)
    LOG.info("the sweep took %.0f s", time.monotonic() - started)
    report_sweep(config, data, study, directory, significance, verdict)
    track_study(directory, tracker)
    tell_upload(config.train.tracking, directory)
    return verdict
