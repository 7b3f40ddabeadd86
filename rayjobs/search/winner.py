"""The winner of a sweep meets the sealed holdout: retrained walking into it, and judged by the gate, once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from optuna.trial import FrozenTrial

from data.hygiene import HygieneReport
from evaluation.gate import Verdict
from rayjobs.build import build_train_config
from rayjobs.fold_job import Study
from rayjobs.run_directory import write_atomically
from rayjobs.search.leaderboard import StudySignificance
from rayjobs.search.space import with_values
from rayjobs.search.sweep_config import SweepConfig
from rayjobs.search.windows import SearchWindows
from rayjobs.study import report_study, run_folds
from rayjobs.tracking import Tracker


def judge_winner(
    config: SweepConfig,
    winner: FrozenTrial,
    study: Study,
    hygiene: HygieneReport,
    windows: SearchWindows,
    significance: StudySignificance,
    directory: Path,
    provenance: Mapping[str, Any],
    tracker: Tracker,
) -> Verdict:
    """Retrain the winner's configuration for the holdout, write its run directory and ask the gate.

    Parameters
    ----------
    study : all bars, the holdout included.
    significance : what the gate deflates for.
    directory : where the winner's artefacts go.
    """
    overrides = config.space.overrides(winner.params) | {"seed": config.search.seeds[0]}
    values = with_values(config.values, overrides)
    directory.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump({**values, "provenance": dict(provenance)}, sort_keys=False, allow_unicode=True)
    write_atomically(directory / "config.yaml", text)
    chosen = replace(study, config=build_train_config(values))
    outcomes = run_folds(chosen, windows.holdout_folds, directory, tracker)
    return report_study(
        chosen,
        hygiene,
        outcomes,
        directory,
        tracker,
        num_trials=significance.num_trials,
        trial_sharpe_variance=significance.sharpe_variance,
        overfitting=significance.probability_of_loss,
    )
