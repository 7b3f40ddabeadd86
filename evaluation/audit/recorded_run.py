"""The files of a run directory as tables, times as bars of the panel."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FILES = {
    "folds": "walk_forward/folds.csv",
    "returns": "walk_forward/returns.parquet",
    "fills": "walk_forward/fills.parquet",
    "decisions": "walk_forward/decisions.parquet",
    "history": "backtest/portfolio_history.csv",
    "daily": "backtest/daily_report.csv",
    "trades": "backtest/trades.csv",
    "progress": "progress.csv",
}

PAID = ("fills", "history", "daily", "trades")
"""Tables with a column for each cost."""


@dataclass(frozen=True, kw_only=True)
class RecordedRun:
    """What a run wrote; see `evaluation.artefacts.tables` for the columns."""

    folds: pd.DataFrame
    returns: pd.DataFrame
    fills: pd.DataFrame
    decisions: pd.DataFrame
    history: pd.DataFrame
    daily: pd.DataFrame
    trades: pd.DataFrame
    progress: pd.DataFrame
    summary: dict[str, Any]
    verdict: dict[str, Any] | None


def read_recorded(directory: Path) -> RecordedRun:
    """Read the files of a run directory.

    Raises
    ------
    ValueError
        If one is missing or cannot be read; verdict.json may be missing.
    """
    tables = {name: _table(directory / file) for name, file in FILES.items()}
    for name in PAID:
        tables[name] = with_dividends(tables[name])
    verdict = directory / "verdict.json"
    return RecordedRun(
        **tables,
        summary=_with_dividends_summed(_json(directory / "backtest" / "summary.json")),
        verdict=_json(verdict) if verdict.is_file() else None,
    )


def with_dividends(table: pd.DataFrame) -> pd.DataFrame:
    """A table of costs with a column of dividends; runs that are older than the column paid none."""
    return table if table.empty or "dividend_cost" in table else table.assign(dividend_cost=0.0)


def _with_dividends_summed(summary: dict[str, Any]) -> dict[str, Any]:
    costs = summary.get("costs")
    return summary | {"costs": {**costs, "dividend": costs.get("dividend", 0.0)}} if costs else summary


def _table(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise ValueError(f"{path} is missing; the run directory is not complete")
    try:
        return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except pd.errors.EmptyDataError:
        return pd.DataFrame()
    except Exception as error:  # pyarrow raises many kinds of its own
        raise ValueError(f"{path} cannot be read: {' '.join(str(error).split())}") from error


def _json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"{path} cannot be read: {' '.join(str(error).split())}") from error


def headline(run: RecordedRun) -> RecordedRun:
    """The run with a fold for each account of its headline record.

    Of combinatorial cross-validation that is path 0, whose groups begin with a new account each, though one policy may
    have traded two of them: there every table takes the number of the group as that of the fold.
    """
    if "group" not in run.folds:
        return run
    folds = run.folds[run.folds["path"] == 0] if run.folds["path"].notna().any() else run.folds
    folds = folds.assign(fold=folds["group"]).sort_values("group", ignore_index=True)
    begins = pd.to_datetime(folds["test_first_utc"], utc=True).dt.tz_localize(None).to_numpy()

    def grouped(table: pd.DataFrame, time: str) -> pd.DataFrame:
        if table.empty:
            return table
        at = pd.to_datetime(table[time], utc=True).dt.tz_localize(None).to_numpy()
        place = np.maximum(np.searchsorted(begins, at, side="right") - 1, 0)
        return table.assign(fold=folds["fold"].to_numpy()[place])

    return replace(
        run,
        folds=folds,
        returns=grouped(run.returns, "bar_utc"),
        history=grouped(run.history, "bar_utc"),
        fills=grouped(run.fills, "filled_utc"),
        trades=grouped(run.trades, "exit_time"),
    )


def bars_of(labels: pd.Series, bar_utc: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """(R,) panel index of each label, -1 where the panel has no such bar."""
    times = pd.to_datetime(labels, utc=True).dt.tz_localize(None).to_numpy().astype("datetime64[ns]")
    at = np.minimum(np.searchsorted(bar_utc, times), len(bar_utc) - 1)
    return np.where(bar_utc[at] == times, at, -1).astype(np.int64)
