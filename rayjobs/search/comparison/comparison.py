"""What ``rayjobs.compare`` prints and writes of a study, or of several runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from rayjobs.config.typed_config import ConfigError, did_you_mean
from rayjobs.monitoring.result_tables import print_paths, print_sentence, print_table
from rayjobs.replay.run_seal import unvouched
from rayjobs.search.comparison.run_page import write_run_page
from rayjobs.search.comparison.run_view import READ, SHOWN, RunView, differences, run_rows, view_run
from rayjobs.search.page.leaderboard import FORMS, PARAM, print_trials
from rayjobs.search.page.study_page import write_study_page
from rayjobs.search.page.study_view import view_study


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """``conf/compare.yaml``.

    Parameters
    ----------
    sort : column, with a minus for the largest first; None keeps the order.
    filter : expression over the columns that rows must meet; None keeps all.
    top : rows of the table.
    columns : columns of the table; empty for the usual ones.
    output : HTML file; None for the usual place.
    ledger : in which compared runs are counted; None for the one that each run names.
    """

    sort: str | None
    filter: str | None
    top: int
    columns: tuple[str, ...]
    output: str | None
    ledger: str | None

    def __post_init__(self) -> None:
        if self.top < 1:
            raise ValueError(f"top is {self.top}; it must be at least 1")


def compare_study(directory: Path, config: CompareConfig) -> None:
    """Print a study's trials and write its page."""
    view = view_study(directory)
    rows = select(view.trials.rename(columns=lambda name: name.removeprefix(PARAM)), config)
    print_trials(
        f"{view.experiment}, sweep {directory.name} ({view.status}): {len(rows)} of {len(view.trials)} trials",
        rows.head(config.top).to_dict("records"),
        view.parameters,
        known_columns(config.columns, rows),
    )
    path = Path(config.output) if config.output else directory / "report.html"
    print_paths([write_study_page(view, path)])


def compare_runs(directories: Sequence[Path], config: CompareConfig) -> None:
    """Print the numbers of finished runs and the settings that differ, and write a page of them."""
    runs = [view_run(directory) for directory in directories]
    warnings = [unvouched(run.directory, _ledgers(run, config), READ) for run in runs]
    rows = select(pd.DataFrame(run_rows(runs)), config)
    columns = known_columns(config.columns or ("run", "verdict", *SHOWN), rows)
    print_table(
        f"{len(rows)} of {len(runs)} runs",
        rows.head(config.top).to_dict("records"),
        columns={name: FORMS.get(name, "") for name in columns},
    )
    for sentence in warnings:
        if sentence is not None:
            print_sentence(f"Warning: {sentence}")
    kept = [run for run in runs if run.name in set(rows["run"].head(config.top))]
    order: Mapping[str, int] = {name: place for place, name in enumerate(rows["run"])}
    kept.sort(key=lambda run: order[run.name])
    changed = differences(kept)
    if changed:
        print_table("Settings that differ", changed)
    path = Path(config.output) if config.output else directories[0].parent / "comparison.html"
    print_paths([write_run_page(kept, rows.head(config.top).to_dict("records"), changed, path)])


def _ledgers(run: RunView, config: CompareConfig) -> list[str]:
    """Where the seal of a run may be: the ledger that was asked for, and the one that the run names."""
    return [str(place) for place in (config.ledger, run.settings.get("ledger")) if place]


def select(rows: pd.DataFrame, config: CompareConfig) -> pd.DataFrame:
    """Filter, then sort.

    Raises
    ------
    ConfigError
        For a column that is not there, or a filter that is not understood.
    """
    if config.filter:
        try:
            rows = rows.query(config.filter)
        except Exception as error:
            raise ConfigError(
                f"filter={config.filter!r} was not understood: {error}; columns are {', '.join(rows.columns)}"
            ) from error
    if config.sort:
        name = config.sort.removeprefix("-")
        known_columns([name], rows)
        rows = rows.sort_values(
            name, ascending=not config.sort.startswith("-"), kind="stable", na_position="last"
        )
    return rows


def known_columns(columns: Sequence[str], rows: pd.DataFrame) -> list[Any]:
    """The columns, if all of them are there.

    Raises
    ------
    ConfigError
        For one that is not, with the nearest that is.
    """
    if not len(rows.columns):
        return list(columns)
    for name in columns:
        if name not in rows.columns:
            raise ConfigError(
                f"{name} is no column; {did_you_mean(name, [str(column) for column in rows.columns])}"
            )
    return list(columns)
