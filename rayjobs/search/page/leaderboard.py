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
from evaluation.statistics.metrics import max_drawdown, total_return
from evaluation.statistics.significance import deflated_probability
from rayjobs.monitoring.result_tables import print_prose, print_table
from rayjobs.search.plan.objective import METRICS, ObjectiveConfig
from rayjobs.search.proposal.studies import ERROR, GENERATION, PARENT, RETRY_OF
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
    "chained_return",
    "chained_drawdown",
    "annual_turnover",
    "env_steps",
)
"""Columns of the ranking; `USUAL_NOTE` says what the numbers are."""
USUAL_NOTE = (
    "Score and annual turnover are means over folds and seeds, of the score less a penalty on their spread; what is "
    "called chained, and the DSR, are of one equity curve through all folds."
)
FORMS = {
    "score": "+.3f", "mean": "+.3f", "spread": ".3f", "dsr": ".3f", "sharpe": "+.3f", "total_return": "+.2%",
    "max_drawdown": ".2%", "chained_return": "+.2%", "chained_drawdown": ".2%", "volatility": ".2%",
    "annual_turnover": ",.0f", "env_steps": ",", "seconds": ",.0f", "total_cost": ",.0f", "num_trades": ",",
}  # fmt: skip
"""Formats of the numbers of trials and runs in tables."""


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
    significance: StudySignificance | None,
) -> list[dict[str, Any]]:
    """A row per trial, best first: complete ones, then pruned ones by how far they came, then the rest.

    Names of `METRICS` hold means over folds and seeds; ``chained_`` columns are of one curve through all folds.
    ``own_env_steps`` leaves out what a parent of the trial was trained for, so that it may be added up. Without a
    ``significance`` returns are not read, and what follows from them is None.
    """
    trials = study.get_trials(deepcopy=False)
    rows = [
        _row(trial, directory, objective, significance) | {"own_env_steps": own_env_steps(trials, trial)}
        for trial in trials
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
    significance: StudySignificance | None,
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
        **_of_returns(directory, trial.number, significance),
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


def own_env_steps(trials: Sequence[FrozenTrial], trial: FrozenTrial) -> int:
    """Env steps of a trial beyond those of the one that it went on from."""
    parent = trial.user_attrs.get(PARENT, -1)
    before = trials[parent].user_attrs.get("env_steps", 0) if parent >= 0 else 0
    return max(0, int(trial.user_attrs.get("env_steps", 0)) - int(before))


def _of_returns(
    directory: Path, number: int, significance: StudySignificance | None
) -> dict[str, float | None]:
    """What one trial's validation returns, fold after fold, say; its Sharpe ratio deflated for all trials."""
    names = ("dsr", "chained_return", "chained_drawdown")
    if significance is None:
        return dict.fromkeys(names)
    _, returns = load_returns(directory, [number])
    if not returns.size:
        return dict.fromkeys(names)
    chained = returns[:, 0]
    trials = max(1, significance.effective_trials)
    deflated = deflated_probability(chained, trials, significance.sharpe_variance)
    values = (deflated, total_return(chained), max_drawdown(chained))
    return {name: None if math.isnan(value) else float(value) for name, value in zip(names, values)}


def print_trials(
    title: str, rows: Sequence[Mapping[str, Any]], labels: Sequence[str], columns: Sequence[str] = ()
) -> None:
    """Print trials as a table.

    Parameters
    ----------
    labels : parameters, a column each.
    columns : columns to show instead of the usual ones.
    """
    shown = [{key.removeprefix(PARAM): value for key, value in row.items()} for row in rows]
    chosen = columns or [*USUAL_COLUMNS, *labels]
    print_table(title, shown, columns={name: FORMS.get(name, "") for name in chosen})
    if not columns:
        print_prose(USUAL_NOTE)


def parameters(params: Mapping[str, Any]) -> str:
    """``kl_stop=0.031 core=lstm``."""
    return " ".join(
        f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in params.items()
    )


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
