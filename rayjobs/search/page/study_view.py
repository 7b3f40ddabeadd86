"""Reads a study back from its directory: its trials as rows, the score of every fold, the returns."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
from numpy.typing import NDArray
from optuna.trial import TrialState

from evaluation.gate.search_significance import StudySignificance, study_significance
from rayjobs.config.typed_config import ConfigError, build_dataclass
from rayjobs.search.page.leaderboard import PARAM, num_counted, trial_rows
from rayjobs.search.plan.settings import SearchConfig
from rayjobs.search.proposal.studies import read_study
from rayjobs.search.space.search_space import Space
from rayjobs.search.trial.record import StoredReturns, bars_path, load_returns
from rayjobs.storage.run_directory import RunDirectory, read_status
from rayjobs.storage.running_process import was_killed


@dataclass(frozen=True, kw_only=True)
class StudyView:
    """A study as it stands; it may still be running.

    Attributes
    ----------
    search, space : what was searched, and how.
    study : Optuna's record, for parameter importance.
    trials : a row per trial, best first; see `trial_rows`.
    folds : trial number -> rows per fold and seed.
    bar_utc : (T,) labels of the validation bars, and (T, N) ``returns`` of the trials ``returned``.
    facts : content of ``study.json``; empty before it is written.
    significance : what the number of trials does to the best of them; None where returns were not read.
    status : running, killed, interrupted, failed or done.
    """

    directory: Path
    experiment: str
    search: SearchConfig
    space: Space
    study: optuna.Study
    trials: pd.DataFrame
    folds: Mapping[int, list[dict[str, Any]]]
    bar_utc: NDArray[np.datetime64]
    returned: list[int]
    returns: NDArray[np.float64]
    facts: Mapping[str, Any]
    status: str
    significance: StudySignificance | None = None

    @property
    def parameters(self) -> list[str]:
        """Labels of the space that some trial has a value for."""
        return [label for label in self.space.parameters if f"{PARAM}{label}" in self.trials]

    def return_of(self, trial: int) -> NDArray[np.float64] | None:
        """(T,) returns of a trial over the validation windows, read where not held; None where it left none."""
        if trial in self.returned:
            return self.returns[:, self.returned.index(trial)]
        _, returns = load_returns(self.directory, [trial])
        return returns[:, 0] if returns.size else None


def is_study(directory: Path) -> bool:
    """Whether a sweep was run in this directory."""
    return (directory / "config.yaml").is_file() and "search" in RunDirectory(directory).config()


UNDER_WAY = ("running", "stopped")
"""States of a trial that has no end on record: of a study that is at work, and of one that is not."""


def study_status(directory: Path) -> str:
    """How a study stands: running, interrupted, failed, done, or killed where its process ended without a word."""
    status = read_status(directory) or {}
    return "killed" if was_killed(status) else str(status.get("status", "unknown"))


def view_study(
    directory: Path,
    status: str | None = None,
    *,
    study: optuna.Study | None = None,
    with_returns: bool = True,
    keep_returns: bool = True,
) -> StudyView:
    """Read a study.

    Parameters
    ----------
    status : how it stands, where the directory does not say so yet; None reads it.
    study : Optuna's record where it is open already; it is read on from there.
    with_returns : read what every trial returned, bar by bar, and deflate for their number; without, which takes a
        tenth of the time, `returned` is empty and what follows from returns is None in every row.
    keep_returns : hold what was read; without, which takes much less memory, `returned` is empty.

    Raises
    ------
    ConfigError
        If its database cannot be found.
    """
    values = RunDirectory(directory).config()
    search = build_dataclass(SearchConfig, values["search"], "search")
    try:
        study = study or read_study(directory, search.storage)
    except Exception as error:
        raise ConfigError(f"{directory} holds no study that can be read: {error}") from error
    path = directory / "study.json"
    facts = json.loads(path.read_text()) if path.is_file() else {}
    numbers = [trial.number for trial in study.get_trials(deepcopy=False)]
    kept = with_returns and keep_returns
    returned, returns = load_returns(directory, numbers if kept else [])
    shown = returns if kept else StoredReturns(directory, numbers)
    significance = _significance(facts, shown, study) if with_returns else None
    rows = trial_rows(study, directory, search.objective, significance)
    status = study_status(directory) if status is None else status
    if status != "running":
        rows = [row | {"state": "stopped"} if row["state"] == "running" else row for row in rows]
    bars = bars_path(directory)
    return StudyView(
        directory=directory,
        experiment=values["run"]["experiment"],
        search=search,
        space=Space(search.space),
        study=study,
        trials=pd.DataFrame(rows),
        folds={
            t.number: t.user_attrs["folds"]
            for t in study.get_trials(deepcopy=False)
            if "folds" in t.user_attrs
        },
        bar_utc=np.load(bars) if bars.is_file() else np.empty(0, dtype="datetime64[ns]"),
        returned=returned,
        returns=returns,
        facts=facts,
        status=status,
        significance=significance,
    )


def _significance(
    facts: Mapping[str, Any], returns: NDArray[np.float64] | StoredReturns, study: optuna.Study
) -> StudySignificance:
    """As the study recorded it at its end; before that of the trials so far."""
    recorded = facts.get("significance")
    return (
        StudySignificance(**recorded) if recorded else study_significance(returns, max(1, num_counted(study)))
    )


def parameter_importance(view: StudyView, *, quick: bool = False) -> dict[str, float]:
    """Share of the score's variance that each parameter explains, most important first; empty below four trials.

    fANOVA (Hutter, Hoos and Leyton-Brown 2014) over complete trials that have all parameters; of a thousand trials it
    takes half a minute.

    Parameters
    ----------
    quick : PED-ANOVA (Watanabe, Bansal and Hutter 2023) instead, which asks what sets the best tenth apart and takes
        a moment.
    """
    complete = view.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    shared = set.intersection(*(set(trial.params) for trial in complete)) if complete else set()
    varying = [name for name in shared if len({repr(trial.params[name]) for trial in complete}) > 1]
    if len(complete) < 4 or not varying:
        return {}
    # PED-ANOVA takes the lowest values for the best; fANOVA is blind to the sign.
    maximize = view.study.directions[0] == optuna.study.StudyDirection.MAXIMIZE
    sign = -1.0 if quick and maximize else 1.0
    try:
        return optuna.importance.get_param_importances(
            view.study,
            params=varying,
            target=lambda trial: sign * trial.values[0],
            evaluator=optuna.importance.PedAnovaImportanceEvaluator()
            if quick
            else optuna.importance.FanovaImportanceEvaluator(seed=0),
        )
    except (ImportError, RuntimeError, ValueError):  # fANOVA needs scikit-learn, and scores that differ
        return {}


def trained_furthest(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """(N,) trials that trained to the end, whose scores may be compared; of a population those of its last rung."""
    complete = (rows["state"] == "complete").to_numpy()
    rung = pd.to_numeric(rows["rung"]).fillna(-1).to_numpy()  # no rung: of several objectives
    return np.asarray(complete & (rung == rung[complete].max(initial=-1)))


def pareto_front(costs: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,) rows of ``costs`` (N, K), less is better, that no other beats in a column without losing in another."""
    at_most = (costs[:, None, :] <= costs[None, :, :]).all(axis=2)
    less = (costs[:, None, :] < costs[None, :, :]).any(axis=2)
    return np.asarray(~(at_most & less).any(axis=0))
