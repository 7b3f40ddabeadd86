"""Several studies in one table: how each stands, its best trial, the settings in which they differ, and a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from evaluation.statistics.metrics import equity_curve
from rayjobs.monitoring.result_tables import print_paths, print_prose, print_table
from rayjobs.search.comparison.comparison import CompareConfig, known_columns, select
from rayjobs.search.comparison.run_page import write_run_page
from rayjobs.search.comparison.run_view import RunView, differences, plain_settings
from rayjobs.search.page.leaderboard import FORMS, PARAM, parameters
from rayjobs.search.page.study_view import StudyView, view_study
from rayjobs.storage.run_directory import RunDirectory

OF_BEST = ("score", "spread", "dsr", "chained_return", "chained_drawdown")
"""Columns of a study that are its best trial's, as in the study's own ranking."""
NOTE = (
    "A study's score is that of its best complete trial on its own validation folds: more trials have a higher one by "
    "luck alone, and other bars, folds or objectives make other scores."
)

CURVES = "Growth of 1.00 of each study's best trial over its validation folds, chained; these bars chose it."


def compare_studies(directories: Sequence[Path], config: CompareConfig) -> None:
    """Print a row per study and the settings that differ, and write a page of them."""
    views = [view_study(directory) for directory in directories]
    rows = select(pd.DataFrame([study_row(view) for view in views]), config)
    columns = known_columns(config.columns or list(rows.columns), rows)
    shown = rows.head(config.top).to_dict("records")
    print_table(
        f"{len(rows)} of {len(views)} studies",
        shown,
        columns={name: FORMS.get(name, "") for name in columns},
    )
    print_prose(NOTE)
    by_name = {view.directory.name: _as_run(view) for view in views}
    kept = [by_name[row["study"]] for row in shown]
    changed = differences(kept)
    if changed:
        print_table("Settings that differ", changed)
    path = Path(config.output) if config.output else directories[0].parent / "comparison.html"
    print_paths([write_run_page(kept, shown, changed, path, kind="studies", curves=CURVES)])


def study_row(view: StudyView) -> dict[str, Any]:
    """One study: how it stands, how its trials ended, and its best trial, empty where none is complete."""
    best = best_row(view)
    states = list(view.trials["state"]) if len(view.trials) else []
    verdict = view.facts.get("verdict")
    return {
        "study": view.directory.name,
        "experiment": view.experiment,
        "status": view.status,
        "holdout": "sealed" if verdict is None else ("approved" if verdict["pass"] else "refused"),
        **{state: states.count(state) for state in ("complete", "pruned", "failed")},
        "objective": ", ".join(view.search.objective.metrics),
        **{name: best.get(name) for name in OF_BEST},
        "env_steps": int(view.trials["own_env_steps"].sum()) if len(view.trials) else 0,
        "best_trial": best.get("trial"),
        "parameters": parameters(_parameters(best)),
    }


def best_row(view: StudyView) -> Mapping[str, Any]:
    """The best complete trial, which the ranking has first; empty without one."""
    if not len(view.trials) or view.trials.iloc[0]["state"] != "complete":
        return {}
    return dict(view.trials.iloc[0])


def _parameters(row: Mapping[str, Any]) -> dict[str, Any]:
    known = {name.removeprefix(PARAM): value for name, value in row.items() if name.startswith(PARAM)}
    return {name: value for name, value in known.items() if value is not None and value == value}


def _as_run(view: StudyView) -> RunView:
    """What the page of runs shows of a study: its settings, and the equity of its best trial."""
    best = best_row(view)
    returns = view.return_of(int(best["trial"])) if best else None
    equity = (
        pd.Series(dtype=float)
        if returns is None
        else pd.Series(equity_curve(returns)[1:], index=view.bar_utc)
    )
    return RunView(
        directory=view.directory,
        name=view.directory.name,
        summary={},
        verdict=view.facts.get("verdict"),
        settings=plain_settings(RunDirectory(view.directory).config()),
        equity=equity,
    )
