"""What a sweep writes and prints at its end: ``trials.csv``, ``study.json``, the page, the leaderboard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
import pandas as pd

from evaluation.gate.search_significance import StudySignificance, study_significance
from evaluation.gate.verdict import Verdict
from evaluation.ledger.looks import Looks
from rayjobs.monitoring.result_tables import print_paths, print_table
from rayjobs.monitoring.tracking import Tracker
from rayjobs.search.page.leaderboard import (
    counts,
    num_counted,
    print_trials,
    significance_facts,
    trial_rows,
    write_study,
    write_trials,
)
from rayjobs.search.page.study_page import write_study_page
from rayjobs.search.page.study_view import view_study
from rayjobs.search.sweep.config import SweepConfig
from rayjobs.search.sweep.data import SweepData
from rayjobs.search.trial.record import load_returns

FILES = ("trials.csv", "study.json", "report.html")
"""Files of a study for a reader."""


def write_results(
    config: SweepConfig,
    data: SweepData,
    study: optuna.Study,
    directory: Path,
    looks: Looks | None,
    verdict: Verdict | None,
) -> StudySignificance:
    """Write ``trials.csv`` and ``study.json``; called again once the winner is judged.

    Parameters
    ----------
    looks : at the validation bars, of this study and of others, as the ledger counts them.
    """
    numbers = [trial.number for trial in study.get_trials(deepcopy=False)]
    _, returns_TN = load_returns(directory, numbers)
    significance = study_significance(returns_TN, max(num_counted(study), 1), looks)
    tests = [fold.test for fold in data.windows.folds]
    validated = slice(min(test.start for test in tests), max(test.stop for test in tests))
    periods = data.full.panel.bars_a_year(validated)
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
            "objective": {
                "metrics": config.search.objective.metrics,
                "spread_penalty": config.search.objective.spread_penalty,
            },
            "sampler": config.search.sampler.kind,
            "scheduler": config.search.scheduler.kind,
            "rungs": config.search.scheduler.fractions,
            "space": config.space.rows(),
            "trials": counts(study),
            "env_steps": sum(row["own_env_steps"] for row in rows),
            "validation_windows": [window(fold.test) for fold in data.windows.folds],
            "holdout_window": window(holdout),
            "significance": significance_facts(significance),
            "periods_per_year": periods,
            "best": best,
            "verdict": verdict.to_dict() if verdict else None,
        },
    )
    return significance


def report_sweep(
    config: SweepConfig,
    data: SweepData,
    study: optuna.Study,
    directory: Path,
    significance: StudySignificance,
    verdict: Verdict | None,
    status: str = "done",
) -> None:
    """Print the leaderboard, what the number of trials means, and the paths.

    Parameters
    ----------
    status : how the sweep ends, which its directory does not say yet.
    """
    rows = trial_rows(study, directory, config.search.objective, significance)
    print_trials(
        f"Leaderboard, out of sample on the validation folds ({len(rows)} trials)",
        rows[:10],
        list(config.space.parameters),
    )
    facts: dict[str, Any] = {
        "looks counted": significance.num_trials,
        "effective": significance.effective_trials,
        "PBO": significance.probability_of_overfitting,
        "probability of loss": significance.probability_of_loss,
        "naive best validation score": rows[0]["score"] if rows else None,
        "DSR of the best": rows[0]["dsr"] if rows else None,
        "holdout": "not opened" if verdict is None else ("passed" if verdict.passed else "refused"),
    }
    print_table("What choosing the best of them means", [facts])
    page = write_study_page(view_study(directory, status), directory / "report.html")
    paths = [directory / name for name in ("study.db", *FILES[:2])]
    print_paths([*paths, *([directory / "winner" / "report.html"] if verdict else []), page])


def track_study(directory: Path, tracker: Tracker) -> None:
    """Send a study that ended as a run of its own: its counts, its best trial, all trials as a table, the files."""
    facts = json.loads((directory / "study.json").read_text())
    best, verdict, significance = facts["best"] or {}, facts["verdict"], facts["significance"]
    trials = pd.read_csv(directory / "trials.csv")
    summary = {
        **{f"trials_{state}": facts["trials"][state] for state in ("complete", "pruned", "failed")},
        "env_steps": facts["env_steps"],
        "best_trial": best.get("trial"),
        **{name: best.get(name) for name in ("score", "spread", "dsr", "chained_return", "chained_drawdown")},
        "pbo": significance["probability_of_overfitting"],
        "probability_of_loss": significance["probability_of_loss"],
        "holdout": "sealed" if verdict is None else ("approved" if verdict["pass"] else "refused"),
    }
    tracker.summary({name: value for name, value in summary.items() if value is not None})
    tracker.table("trials", trials.astype(object).where(trials.notna(), None).to_dict("records"))
    tracker.attach([directory / name for name in FILES])
