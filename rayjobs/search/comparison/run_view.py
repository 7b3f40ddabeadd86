"""Reads finished runs back from their directories, for comparison: summary, settings, equity."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from rayjobs.config.dotted_keys import value_or_none
from rayjobs.config.override_errors import flatten
from rayjobs.config.typed_config import ConfigError
from rayjobs.search.page.study_view import is_study
from rayjobs.storage.run_directory import SWEEPS, RunDirectory, list_runs

SHOWN = (
    "sharpe",
    "total_return",
    "max_drawdown",
    "volatility",
    "dsr",
    "num_trades",
    "annual_turnover",
    "total_cost",
)
READ = ("config.yaml", "verdict.json", "backtest/summary.json", "walk_forward/returns.parquet")
"""Files of a run that are read here."""
IGNORED = ("run", "resume", "tracking", "cluster")
"""Groups of the configuration that do not make runs differ."""


@dataclass(frozen=True, kw_only=True)
class RunView:
    """A finished run.

    Attributes
    ----------
    summary : content of ``backtest/summary.json``; ``verdict`` of ``verdict.json``, if it was judged.
    settings : dotted key -> value of the configuration.
    equity : (T,) by bar, starting from the first bar's end.
    """

    directory: Path
    name: str
    summary: Mapping[str, Any]
    verdict: Mapping[str, Any] | None
    settings: Mapping[str, Any]
    equity: pd.Series


def find_results(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Studies and runs that these paths name; a folder of an experiment stands for all finished runs and studies in it.

    Raises
    ------
    ConfigError
        For a path that holds neither.
    """
    studies: list[Path] = []
    runs: list[Path] = []
    for path in paths:
        if is_study(path):
            studies.append(path)
        elif (path / "backtest" / "summary.json").is_file():
            runs.append(path)
        else:
            below = [*list_runs(path, None), *list_runs(path / SWEEPS, None)]
            found_studies = [run for run in below if is_study(run)]
            found_runs = [run for run in below if (run / "backtest" / "summary.json").is_file()]
            if not found_studies and not found_runs:
                raise ConfigError(
                    f"{path} is neither a study nor a finished run, and holds none; give such folders"
                )
            studies += found_studies
            runs += found_runs
    return studies, runs


def view_run(directory: Path) -> RunView:
    """Read a finished run."""
    verdict = directory / "verdict.json"
    values = RunDirectory(directory).config()
    returns = pd.read_parquet(directory / "walk_forward" / "returns.parquet")
    equity = returns.set_index("bar_utc")["equity"].sort_index()
    return RunView(
        directory=directory,
        name=directory.name if directory.name != "winner" else f"{directory.parent.name}/winner",
        summary=json.loads((directory / "backtest" / "summary.json").read_text()),
        verdict=json.loads(verdict.read_text()) if verdict.is_file() else None,
        settings=plain_settings(values),
        equity=equity,
    )


def plain_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted key -> value of what may make results differ."""
    leaves = [key for key in flatten(values) if not isinstance(value_or_none(values, key), Mapping)]
    return {key: value_or_none(values, key) for key in leaves if key.split(".")[0] not in IGNORED}


def run_rows(runs: Sequence[RunView]) -> list[dict[str, Any]]:
    """A row per run with its numbers and verdict."""
    return [
        {
            "run": run.name,
            "verdict": "not judged"
            if run.verdict is None
            else ("approved" if run.verdict["pass"] else "refused"),
            **{name: run.summary.get(name) for name in SHOWN},
        }
        for run in runs
    ]


def differences(runs: Sequence[RunView]) -> list[dict[str, Any]]:
    """A row per setting in which the runs are not all alike."""
    keys = sorted({key for run in runs for key in run.settings})
    rows = []
    for key in keys:
        values = [run.settings.get(key) for run in runs]
        if any(value != values[0] for value in values):
            rows.append({"setting": key, **{run.name: str(run.settings.get(key)) for run in runs}})
    return rows
