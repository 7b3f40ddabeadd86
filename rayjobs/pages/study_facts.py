"""What the page of a study shows, read from its database and its folder by the readers of `rayjobs.search`.

First come the trials as Optuna has them, which takes a moment; what follows from every trial's returns (deflation,
overfitting) takes longer and is asked for on its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd

from evaluation.statistics.metrics import equity_curve
from evaluation.statistics.significance import (
    expected_maximum_sharpe,
    probabilistic_sharpe_ratio,
    sharpe_moments,
)
from rayjobs.config.compose import compose
from rayjobs.config.dotted_keys import value_or_none
from rayjobs.config.typed_config import ConfigError
from rayjobs.pages.answers import as_json, epoch_seconds, rounded, shared_index
from rayjobs.pages.secrets import without_secrets
from rayjobs.pages.training_curves import curves_of
from rayjobs.pages.trial_command import trial_command
from rayjobs.search.page.leaderboard import PARAM, best_trial
from rayjobs.search.page.sealed_holdout import SEALED, sealed_because
from rayjobs.search.page.study_view import (
    StudyView,
    parameter_importance,
    pareto_front,
    trained_furthest,
    view_study,
)
from rayjobs.search.plan.objective import METRICS
from rayjobs.search.proposal.studies import RETRY_OF, read_study
from rayjobs.search.trial.record import bars_path, load_progress, load_returns
from rayjobs.storage.run_directory import RunDirectory

FANOVA_TRIALS = 150
"""Complete trials up to which fANOVA takes no more than a few seconds."""
COLUMNS = (
    "rank", "trial", "state", "score", "rung", "mean", "spread", "dsr", "chained_return", "chained_drawdown", "sharpe",
    "max_drawdown", "annual_turnover", "env_steps", "own_env_steps", "seconds", "repeat_of", "error",
)  # fmt: skip
"""Columns of the table of trials; parameters follow."""


@lru_cache(maxsize=4)
def _database(directory: str, storage: str | None) -> optuna.Study:
    """Optuna's record, kept open: only trials that changed are read again."""
    return read_study(Path(directory), storage)


def _view(directory: str, *, with_returns: bool) -> StudyView:
    path = Path(directory)
    storage = value_or_none(RunDirectory(path).config(), "search.storage")
    try:
        study = _database(directory, storage)
    except Exception as error:
        raise ConfigError(f"{directory} holds no study that can be read: {error}") from error
    return view_study(path, study=study, with_returns=with_returns, keep_returns=False)


def study_answer(directory: str) -> bytes:
    """The trials, the space, rungs, folds and the front; nothing that needs the trials' returns."""
    view = _view(directory, with_returns=False)
    metrics = view.search.objective.metrics
    maximize = METRICS[metrics[0]] == "maximize"
    trials = view.trials
    best = best_trial(view.study)
    return as_json(
        {
            "status": view.status,
            "experiment": view.experiment,
            "objective": list(metrics),
            "maximize": maximize,
            "spread_penalty": view.search.objective.spread_penalty,
            "num_trials": _trials_in_all(view),
            "best": None if best is None else best.number,
            "columns": [*COLUMNS, *(f"{PARAM}{label}" for label in view.parameters)],
            "trials": _rows(trials, view.parameters),
            "space": _space(view),
            "rungs": rung_rows(view.study, view.search.scheduler.fractions, maximize),
            "folds": _folds(view, metrics[0]),
            "front": _front(view),
            "env_steps": int(trials["own_env_steps"].sum()) if len(trials) else 0,
            "sampler": view.search.sampler.kind,
            "scheduler": view.search.scheduler.kind,
            "headline": _headline(view),
        }
    )


def _trials_in_all(view: StudyView) -> int:
    """Trials at its end; a grid, which is queued whole at its start, has no more than are queued."""
    queued = sum(RETRY_OF not in trial.user_attrs for trial in view.study.get_trials(deepcopy=False))
    total = view.search.total_trials
    return min(total, queued) if view.search.sampler.kind == "grid" else total


def _headline(view: StudyView) -> str:
    """The verdict in a line, or why a study that is done has none."""
    verdict = view.facts.get("verdict")
    if verdict is None:
        return f"{SEALED} {sealed_because(view)}" if view.status == "done" else ""
    return str(verdict.get("headline", ""))


def _rows(trials: pd.DataFrame, labels: Sequence[str]) -> list[list[Any]]:
    """The table, a list per row in the order of the columns."""
    if not len(trials):
        return []
    names = [*COLUMNS, *(f"{PARAM}{label}" for label in labels)]
    table = trials.reindex(columns=names).astype(object)
    return table.where(table.notna(), None).to_numpy().tolist()


def _space(view: StudyView) -> list[dict[str, Any]]:
    return [
        {
            "label": label,
            "key": parameter.key,
            "choices": [str(choice) for choice in parameter.choices]
            if parameter.kind == "categorical"
            else None,
            "low": parameter.low,
            "high": parameter.high,
            "log": parameter.kind == "log_uniform" or bool(parameter.log),
        }
        for label, parameter in view.space.parameters.items()
        if label in view.parameters
    ]


def rung_rows(study: optuna.Study, fractions: Sequence[float], maximize: bool) -> list[dict[str, Any]]:
    """A row per rung: trials that were scored there, those that ended there, the best and the median score."""
    trials = study.get_trials(deepcopy=False)
    rows = []
    for rung, fraction in enumerate(fractions):
        scores = [t.intermediate_values[rung] for t in trials if rung in t.intermediate_values]
        ended = [t for t in trials if t.state == optuna.trial.TrialState.PRUNED and t.last_step == rung]
        finite = [score for score in scores if math.isfinite(score)]
        best = (max if maximize else min)(finite) if finite else None
        median = float(np.median(finite)) if finite else None
        rows.append(
            {"rung": rung, "share": fraction, "scored": len(scores), "ended": len(ended), "best": best,
             "median": median}
        )  # fmt: skip
    return rows


def _folds(view: StudyView, metric: str, top: int = 40) -> dict[str, Any]:
    """The metric of the best trials per fold and seed."""
    numbers = [int(n) for n in view.trials["trial"].head(top)] if len(view.trials) else []
    numbers = [number for number in numbers if number in view.folds]
    keys = sorted({(row["fold"], row["seed"]) for number in numbers for row in view.folds[number]})
    table = []
    for number in numbers:
        known = {(row["fold"], row["seed"]): row.get(metric) for row in view.folds[number]}
        table.append({"trial": number, "values": [known.get(key) for key in keys]})
    several = len({seed for _, seed in keys}) > 1
    names = [f"fold {fold}, seed {seed}" if several else f"fold {fold}" for fold, seed in keys]
    return {"metric": metric, "columns": names, "rows": table}


def _front(view: StudyView) -> dict[str, Any]:
    """Trials by two objectives, and which of them no other beats in both; of Sharpe and drawdown where one is asked."""
    metrics = view.search.objective.metrics
    pair = metrics[:2] if len(metrics) > 1 else ("sharpe", "max_drawdown")
    columns = [f"objective_{name}" if len(metrics) > 1 else name for name in pair]
    known = view.trials[view.trials["state"] == "complete"] if len(view.trials) else view.trials
    known = known.dropna(subset=columns) if set(columns) <= set(known.columns) else known.head(0)
    signs = [-1.0 if METRICS[name] == "maximize" else 1.0 for name in pair]
    values = known[columns].to_numpy(dtype=np.float64) if len(known) else np.empty((0, 2))
    front = pareto_front(values * signs) if len(known) else np.empty(0, dtype=bool)
    return {
        "axes": list(pair),
        "points": [
            [int(t), *map(float, row), bool(on)] for t, row, on in zip(known.get("trial", ()), values, front)
        ],
    }


def deflation_answer(directory: str) -> bytes:
    """What every trial's returns say, by trial, and what one would have believed without counting trials."""
    view = _view(directory, with_returns=True)
    names = ("dsr", "chained_return", "chained_drawdown")
    rows = {
        str(row["trial"]): [row[name] for name in names] for row in view.trials.to_dict("records")
    } if len(view.trials) else {}  # fmt: skip
    return as_json({"names": names, "trials": rows, "belief": belief(view)})


def belief(view: StudyView) -> dict[str, Any] | None:
    """The best trial as it looks alone, and after counting what it was chosen from; None without one.

    The probabilities are of a true Sharpe ratio above zero (alone), and above what the best of so many trials without
    skill shows (deflated); see `evaluation.statistics.significance`. Sharpe ratios are annual where the study says how
    many bars a year has, else per bar.
    """
    best, found = best_trial(view.study), view.significance
    returns = None if best is None else view.return_of(best.number)
    if best is None or found is None or returns is None:
        return None
    moments = sharpe_moments(returns)
    if math.isnan(moments.sharpe):
        return None
    year = view.facts.get("periods_per_year")
    scale = math.sqrt(year) if year else 1.0
    trials = max(1, found.effective_trials)
    variance = found.sharpe_variance
    if variance is None or math.isnan(variance):
        variance = 1.0 / max(moments.num_observations - 1, 1)
    luck = expected_maximum_sharpe(trials, variance)
    shape = {"skewness": moments.skewness, "kurtosis": moments.kurtosis}
    observations = moments.num_observations
    return {
        "trial": best.number,
        "annual": bool(year),
        "sharpe": moments.sharpe * scale,
        "luck": luck * scale,
        "naive": probabilistic_sharpe_ratio(moments.sharpe, observations, **shape),
        "deflated": probabilistic_sharpe_ratio(moments.sharpe, observations, benchmark=luck, **shape),
        "counted": found.num_trials,
        "effective": trials,
        "overfitting": found.probability_of_overfitting,
        "loss": found.probability_of_loss,
        "bars": observations,
    }


def importance_answer(directory: str) -> bytes:
    """Share of the score that each parameter explains, and by which method."""
    view = _view(directory, with_returns=False)
    complete = int((view.trials["state"] == "complete").sum()) if len(view.trials) else 0
    quick = complete > FANOVA_TRIALS
    return as_json(
        {
            "method": "PED-ANOVA: what sets the best tenth apart"
            if quick
            else "fANOVA: share of the score's variance",
            "complete": complete,
            "shares": parameter_importance(view, quick=quick),
        }
    )


def equity_answer(directory: str, trials: tuple[int, ...]) -> bytes:
    """Equity of chosen trials through all validation folds, chained."""
    path = Path(directory)
    found, returns = load_returns(path, trials)
    bars = np.load(bars_path(path)) if bars_path(path).is_file() else np.empty(0, "datetime64[ns]")
    if not found or len(bars) != len(returns):
        return as_json({"bar": [], "utc": [], "curves": {}})
    curves = [equity_curve(returns[:, place])[1:] for place in range(len(found))]
    at = shared_index(curves)
    return as_json(
        {
            "bar": at.tolist(),
            "utc": epoch_seconds(bars[at]),
            "curves": {str(number): rounded(curve[at]) for number, curve in zip(found, curves)},
        }
    )


def trial_answer(directory: str, number: int) -> bytes:
    """One trial: what it was tried with beside the study's own values and today's defaults, its folds, its curves."""
    view = _view(directory, with_returns=False)
    values, defaults = RunDirectory(Path(directory)).config(), compose("train")
    trials = view.study.get_trials(deepcopy=False)
    if not 0 <= number < len(trials):
        raise ConfigError(f"trial {number} is not there; the study has trials 0 to {len(trials) - 1}")
    overrides = view.space.overrides(trials[number].params)
    rows = [
        {
            "key": key,
            "tried": value,
            "study": value_or_none(values, key),
            "default": value_or_none(defaults, key),
        }
        for key, value in without_secrets(overrides).items()
    ]
    known = view.trials[view.trials["trial"] == number].to_dict("records") if len(view.trials) else []
    furthest = trained_furthest(view.trials) if len(view.trials) else np.empty(0, bool)
    return as_json(
        {
            "number": number,
            "row": known[0] if known else {},
            "to_the_end": bool(furthest[(view.trials["trial"] == number).to_numpy()].any())
            if known
            else False,
            "diff": rows,
            "command": trial_command(view, overrides),
            "folds": view.folds.get(number, []),
            "curves": curves_of(load_progress(Path(directory), number)),
        }
    )


def warm() -> None:
    """Imports what this module needs; called when the reader process starts."""
