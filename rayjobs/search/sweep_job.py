"""A sweep from end to end: cut the windows, run the trials, rank them, and let the winner meet the holdout."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import ray
import yaml

from data.features import compute_features
from data.hygiene import HygieneReport
from evaluation.gate import Verdict
from evaluation.ledger import HoldoutOpenedError, Ledger
from rayjobs.fold_job import Study, training_windows
from rayjobs.result_tables import print_paths, print_table
from rayjobs.search.leaderboard import (
    StudySignificance,
    best_trial,
    counts,
    num_counted,
    print_trials,
    significance_facts,
    study_significance,
    trial_rows,
    write_study,
    write_trials,
)
from rayjobs.search.policy_trials import PolicyTrials, share_study
from rayjobs.search.population import Population, lineage
from rayjobs.search.studies import enqueue_first, open_study
from rayjobs.search.study_page import write_study_page
from rayjobs.search.study_view import view_study
from rayjobs.search.sweep_config import SweepConfig
from rayjobs.search.sweep_display import SweepDisplay
from rayjobs.search.sweep_loop import SweepLoop
from rayjobs.search.trial_ledger import LedgerEntries
from rayjobs.search.trial_record import TrialObserver, load_returns, save_bars
from rayjobs.search.trial_tracking import TrialTracking
from rayjobs.search.trial_worker import WorkerPool
from rayjobs.search.windows import SearchWindows, search_windows
from rayjobs.search.winner import judge_winner
from rayjobs.study import load_study
from rayjobs.tracking import Tracker

LOG = logging.getLogger(__name__)


class SweepFailed(RuntimeError):
    """No trial could be scored."""


@dataclass(frozen=True, kw_only=True)
class SweepData:
    """The bars of a sweep.

    Attributes
    ----------
    full : all bars; only the winner's last training sees them.
    sealed : the same without the holdout: what trials are given.
    """

    full: Study
    sealed: Study
    hygiene: HygieneReport
    windows: SearchWindows


def load_sweep(config: SweepConfig) -> SweepData:
    """Load the bars and seal the holdout.

    Raises
    ------
    ValueError
        If the bars cannot be used, or leave no validation fold before the holdout.
    """
    full, hygiene, _ = load_study(config.train)
    windows = search_windows(config.train.walk_forward, full.panel.num_bars, config.search.holdout_bars)
    panel = full.panel.slice_bars(0, windows.holdout_start)
    sealed = replace(
        full,
        panel=panel,
        features=compute_features(panel, config.train.features.enabled),
        oracle_direction=None,
    )
    for fold in windows.folds:
        training_windows(config.train, fold, sealed.features.lookback_bars)
    return SweepData(full=full, sealed=sealed, hygiene=hygiene, windows=windows)


def describe(config: SweepConfig, data: SweepData) -> None:
    """Print the space and the windows before anything starts."""
    search, windows = config.search, data.windows
    print_table(f"Search space: {config.space.size()}", config.space.rows())
    labels = data.full.panel.bar_utc.astype("datetime64[m]")
    spans = {f"validation fold {fold.index}": fold.test for fold in windows.folds}
    spans["holdout, sealed"] = slice(windows.holdout_start, len(labels))
    rows = [
        {
            "window": name,
            "first bar": labels[bars.start],
            "last bar": labels[bars.stop - 1],
            "bars": bars.stop - bars.start,
        }
        for name, bars in spans.items()
    ]
    print_table(
        f"{search.num_trials} trials, each scored on {len(windows.folds)} folds x {len(search.seeds)} seeds",
        rows,
    )


def num_workers(config: SweepConfig) -> int:
    """Trainings that the cluster has room for.

    Raises
    ------
    ValueError
        If there is no room for one.
    """
    algo = config.train.algo
    each = 1 + algo.num_env_runners + algo.num_learners
    cpus = int(ray.cluster_resources().get("CPU", 1))
    if each > cpus:
        raise ValueError(
            f"a training needs {each} CPUs (1 + {algo.num_env_runners} env runners + {algo.num_learners} learners) but "
            f"the cluster has {cpus}; lower algo.num_env_runners or algo.num_learners"
        )
    return cpus // each


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
    bars = [data.sealed.panel.bar_utc[fold.test] for fold in data.windows.folds]
    save_bars(directory, np.concatenate(bars))
    shares = [(fold.index, seed) for fold in data.windows.folds for seed in config.search.seeds]
    checkpoints = directory.absolute() / "checkpoints"
    shared = ray.put(
        share_study(config.values, data.sealed, data.windows.folds, config.search.scoring, checkpoints)
    )
    population = None
    if config.search.scheduler.kind == "pbt":
        population = Population(study, config.space, config.search.scheduler, config.train.seed)
    display = SweepDisplay(config.search.objective.metrics[0])
    tracking = TrialTracking(config.train.tracking, study, directory, config.search.scheduler.fractions)

    def watch(loop: SweepLoop) -> None:
        display.update(loop)
        tracking.update(loop)

    with WorkerPool(PolicyTrials, shared, num_workers(config)) as pool, display:
        loop = SweepLoop(
            study,
            config.space,
            config.search,
            shares=shares,
            pool=pool,
            directory=directory,
            observers=observers,
            watch=watch,
            population=population,
        )
        LOG.info("%d trials to run, %d side by side", loop.queue.remaining, loop.max_concurrent)
        loop.run()
        watch(loop)
    tracking.finish()


def run_sweep(config: SweepConfig, data: SweepData, directory: Path, tracker: Tracker) -> Verdict | None:
    """Run or go on with the study of this directory, and judge its winner; None when nothing was judged."""
    started = time.monotonic()
    provenance = yaml.safe_load((directory / "config.yaml").read_text())["provenance"]
    ledger = Ledger(Path(config.train.run.directory).expanduser() / "ledger.sqlite")
    entry = ledger.study(f"{config.train.run.experiment}/{directory.name}")
    study = open_study(config.search, directory, config.train.seed)
    fingerprint, commit = data.full.panel.fingerprint, str(provenance["git_commit"])
    entries = LedgerEntries(
        ledger,
        entry,
        data_fingerprint=fingerprint,
        code_commit=commit,
        seed=config.search.seeds[0],
        first_bar=data.windows.folds[0].test.start,
    )
    run_trials(config, data, study, directory, [entries])
    # Trials of other studies on the same bars count too: a new name does not make the data fresh.
    recorded = max(ledger.count(entry).all, ledger.count_on_data(fingerprint))
    significance = write_results(config, data, study, directory, recorded, None)
    verdict = None
    winner = best_trial(study)
    if winner is None and not counts(study)["pruned"]:
        report_sweep(config, data, study, directory, significance, None)
        raise SweepFailed(f"every trial failed; the errors stand in {directory / 'trials.csv'}")
    if winner is not None and config.search.open_holdout:
        bars = data.full.panel.bar_utc[[data.windows.holdout_start, -1]].astype("datetime64[s]")
        try:
            ledger.open_holdout(
                entry,
                data_fingerprint=fingerprint,
                first_bar_utc=f"{bars[0]}Z",
                last_bar_utc=f"{bars[1]}Z",
                code_commit=commit,
                purpose=f"the winner of {directory.name}, trial {winner.number}",
            )
        except HoldoutOpenedError as error:
            LOG.warning("the winner is not judged: %s", error)
        else:
            verdict = judge_winner(
                config,
                lineage(study, winner.number),
                data.full,
                data.hygiene,
                data.windows,
                significance,
                directory / "winner",
                provenance,
                tracker,
            )
            write_results(config, data, study, directory, recorded, verdict)
    LOG.info("the sweep took %.0f s", time.monotonic() - started)
    report_sweep(config, data, study, directory, significance, verdict)
    return verdict


def write_results(
    config: SweepConfig,
    data: SweepData,
    study: optuna.Study,
    directory: Path,
    recorded: int,
    verdict: Verdict | None,
) -> StudySignificance:
    """Write ``trials.csv`` and ``study.json``; called again once the winner is judged."""
    numbers = [trial.number for trial in study.get_trials(deepcopy=False)]
    _, returns_TN = load_returns(directory, numbers)
    significance = study_significance(returns_TN, max(recorded, num_counted(study), 1))
    periods = data.full.panel.periods_per_year
    rows = trial_rows(study, directory, config.search.objective, significance)
    write_trials(directory / "trials.csv", rows)
    best = rows[0] if rows and rows[0]["state"] == "complete" else None
    labels = data.full.panel.bar_utc.astype("datetime64[s]")

    def window(bars: slice) -> list[str]:
        return [f"{labels[bars.start]}Z", f"{labels[bars.stop - 1]}Z"]

    holdout = slice(data.windows.holdout_start, data.full.panel.num_bars)
    write_study(
        directory / "study.json",
        {
            "study": directory.name,
            "experiment": config.train.run.experiment,
            "objective": {"metrics": config.search.objective.metrics,
                          "spread_penalty": config.search.objective.spread_penalty},
            "sampler": config.search.sampler.kind,
            "scheduler": config.search.scheduler.kind,
            "rungs": config.search.scheduler.fractions,
            "space": config.space.rows(),
            "trials": counts(study),
            "env_steps": sum(row["env_steps"] for row in rows),
            "validation_windows": [window(fold.test) for fold in data.windows.folds],
            "holdout_window": window(holdout),
            "significance": significance_facts(significance),
            "periods_per_year": periods,
            "best": best,
            "verdict": verdict.to_dict() if verdict else None,
        },
    )  # fmt: skip
    return significance


def report_sweep(
    config: SweepConfig,
    data: SweepData,
    study: optuna.Study,
    directory: Path,
    significance: StudySignificance,
    verdict: Verdict | None,
) -> None:
    """Print the leaderboard, what the number of trials means, and the paths."""
    rows = trial_rows(study, directory, config.search.objective, significance)
    print_trials(
        f"Leaderboard, out of sample on the validation folds ({len(rows)} trials)",
        rows[:10],
        list(config.space.parameters),
    )
    facts: dict[str, Any] = {
        "trials counted": significance.num_trials,
        "effective": significance.effective_trials,
        "PBO": significance.probability_of_overfitting,
        "probability of loss": significance.probability_of_loss,
        "naive best validation score": rows[0]["score"] if rows else None,
        "DSR of the best": rows[0]["dsr"] if rows else None,
        "holdout": "not opened" if verdict is None else ("passed" if verdict.passed else "refused"),
    }
    print_table("What choosing the best of them means", [facts])
    page = write_study_page(view_study(directory), directory / "report.html")
    paths = [directory / name for name in ("study.db", "trials.csv", "study.json")]
    print_paths([*paths, *([directory / "winner" / "report.html"] if verdict else []), page])
