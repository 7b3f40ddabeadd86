"""The study as tables: ranking, ``trials.csv``, ``study.json``, and what the number of trials does to the best of them.

Axes: T bars of all validation windows, N trials that left returns.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from evaluation.files import write_csv
from evaluation.gate.search_significance import StudySignificance
from evaluation.statistics.significance import deflated_probability
from rayjobs.monitoring.result_tables import print_table
from rayjobs.search.plan.objective import METRICS, ObjectiveConfig
from rayjobs.search.proposal.studies import ERROR, GENERATION, RETRY_OF
from rayjobs.search.trial.record import load_returns
from rayjobs.storage.run_directory import write_atomically

STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}
PARAM = "param_"
"""Prefix of the columns that hold parameters."""
USUAL_COLUMNS = (
    "rank",
    "trial",
    "state",
    "score",
    "spread",
    "dsr",
    "max_drawdown",
    "annual_turnover",
    "env_steps",
)
FORMS = {
    "score": "+.3f", "mean": "+.3f", "spread": ".3f", "dsr": ".3f", "sharpe": "+.3f", "total_return": "+.2%",
    "max_drawdown": ".2%", "volatility": ".2%", "annual_turnover": ",.0f", "env_steps": ",", "seconds": ",.0f",
    "total_cost": ",.0f", "num_trades": ",",
}  # fmt: skip
"""Formats of the numbers of trials and runs in tables."""
MAX_PARAMETER_COLUMNS = 4


def num_counted(study: optuna.Study) -> int:
    """Trials that were begun; a failed trial counts, its repeats do not: they are the same configuration."""
    return sum(
        trial.state != TrialState.WAITING and RETRY_OF not in trial.user_attrs
        for trial in study.get_trials(deepcopy=False)
    )


def best_trial(study: optuna.Study) -> FrozenTrial | None:
    """The best complete trial by the first objective, the earliest of equals; of a population in its last rung."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    last = max((trial.user_attrs.get(GENERATION, 0) for trial in complete), default=0)
    complete = [trial for trial in complete if trial.user_attrs.get(GENERATION, 0) == last]
    sign = -1.0 if study.directions[0] == optuna.study.StudyDirection.MAXIMIZE else 1.0
    return min(complete, key=lambda trial: (sign * trial.values[0], trial.number), default=None)


def trial_rows(
    study: optuna.Study,
    directory: Path,
    objective: ObjectiveConfig,
    significance: StudySignificance,
) -> list[dict[str, Any]]:
    """A row per trial, best first: complete ones, then pruned ones by how far they came, then the rest."""
    rows = [
        _row(trial, directory, objective, significance)
        for trial in study.get_trials(deepcopy=False)
        if trial.state != TrialState.WAITING
    ]
    order = {name: place for place, name in enumerate(("complete", "pruned", "running", "failed"))}
    sign = -1.0 if METRICS[objective.metrics[0]] == "maximize" else 1.0

    def key(row: Mapping[str, Any]) -> tuple[Any, ...]:
        value = row["score"]
        return (
            order[row["state"]],
            -(row["rung"] or 0),
            math.inf if value is None else sign * value,
            row["trial"],
        )

    rows.sort(key=key)
    return [{"rank": rank, **row} for rank, row in enumerate(rows, start=1)]


def _row(
    trial: FrozenTrial,
    directory: Path,
    objective: ObjectiveConfig,
    significance: StudySignificance,
) -> dict[str, Any]:
    folds = trial.user_attrs.get("folds", [])
    last = trial.last_step
    values = trial.values or ([trial.intermediate_values[last]] if last is not None else [])
    metric = objective.metrics[0]
    found = [row[metric] for row in folds if row.get(metric) is not None]
    row: dict[str, Any] = {
        "trial": trial.number,
        "state": STATES[trial.state],
        "score": values[0] if values else None,
        "rung": last,
        "mean": float(np.mean(found)) if found else None,
        "spread": float(np.std(found, ddof=1)) if len(found) > 1 else None,
        "dsr": _deflated(directory, trial.number, significance) if folds else None,
    }
    for name in METRICS:
        known = [one[name] for one in folds if one.get(name) is not None]
        row[name] = float(np.mean(known)) if known else None
    if len(values) > 1:
        row |= {f"objective_{name}": value for name, value in zip(objective.metrics, values)}
    row |= {
        "env_steps": trial.user_attrs.get("env_steps", 0),
        "seconds": trial.user_attrs.get("seconds"),
        "train_seconds": sum(one["train_seconds"] for one in folds) if folds else None,
        "scoring_seconds": sum(one["scoring_seconds"] for one in folds) if folds else None,
        "repeat_of": trial.user_attrs.get(RETRY_OF),
        "error": trial.user_attrs.get(ERROR),
    }
    return row | {f"{PARAM}{name}": value for name, value in trial.params.items()}


def _deflated(directory: Path, number: int, significance: StudySignificance) -> float | None:
    """Deflated Sharpe ratio of one trial's validation returns, given all trials of the study."""
    _, returns = load_returns(directory, [number])
    if not returns.size:
        return None
    value = deflated_probability(
        returns[:, 0], max(1, significance.effective_trials), significance.sharpe_variance
    )
    return None if math.isnan(value) else value


def print_trials(
    title: str, rows: Sequence[Mapping[str, Any]], labels: Sequence[str], columns: Sequence[str] = ()
) -> None:
    """Print trials as a table.

    Parameters
    ----------
    labels : parameters; with more than four they share a column.
    columns : columns to show instead of the usual ones.
    """
    shown = [{key.removeprefix(PARAM): value for key, value in row.items()} for row in rows]
    if not columns and len(labels) > MAX_PARAMETER_COLUMNS:
        for row in shown:
            row["parameters"] = parameters(
                {name: row.get(name) for name in labels if not _missing(row.get(name))}
            )
        labels = ["parameters"]
    chosen = columns or [*USUAL_COLUMNS, *labels]
    print_table(title, shown, columns={name: FORMS.get(name, "") for name in chosen})


def parameters(params: Mapping[str, Any]) -> str:
    """``kl_stop=0.031 core=lstm``."""
    return " ".join(
        f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in params.items()
    )


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def write_trials(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write ``trials.csv``: the union of all rows' columns, undefined numbers empty."""
    write_csv(path, pd.DataFrame(list(rows)))
    return path


def write_study(path: Path, facts: Mapping[str, Any]) -> Path:
    """Write ``study.json``; undefined numbers are null."""
    write_atomically(path, json.dumps(_plain(facts), indent=2, allow_nan=False) + "\n")
    return path


def counts(study: optuna.Study) -> dict[str, int]:
    """Trials by state."""
    states = [STATES[trial.state] for trial in study.get_trials(deepcopy=False)]
    return {name: states.count(name) for name in STATES.values()}


def significance_facts(significance: StudySignificance) -> dict[str, Any]:
    return asdict(significance)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
