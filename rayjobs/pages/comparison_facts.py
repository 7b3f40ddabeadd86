"""What the page that compares runs shows: their numbers, what they differ by with intervals, settings, equity."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evaluation.statistics.metrics import equity_curve
from evaluation.statistics.paired import LEAST_BARS, paired_difference
from rayjobs.config.typed_config import ConfigError
from rayjobs.pages.answers import as_json, epoch_seconds, rounded, shared_index
from rayjobs.pages.secrets import without_secrets
from rayjobs.replay.run_seal import unvouched
from rayjobs.search.comparison.run_view import READ, SHOWN, RunView, differences, run_rows, view_run

MORE = ("annual_return", "sortino", "calmar", "mean_gross_exposure", "time_in_market", "win_rate", "num_bars")
MAX_RUNS = 12
DRAWS = 1000


def comparison_answer(root: str, names: tuple[str, ...]) -> bytes:
    """Everything about some finished runs, the first of them the one that the others are held against."""
    if len(names) > MAX_RUNS:
        raise ConfigError(f"{len(names)} runs are too many to compare at once; choose up to {MAX_RUNS}")
    views = [_named(Path(root), name) for name in names]
    rows = [
        {**row, **{name: view.summary.get(name) for name in MORE}}
        for row, view in zip(run_rows(views), views)
    ]
    return as_json(
        {
            "columns": ["run", "verdict", *SHOWN, *MORE],
            "rows": rows,
            "pairs": [_pair(views[0], other) for other in views[1:]],
            "settings": _settings(views),
            "equity": _equity(views),
            "warnings": [warning for view in views if (warning := _unvouched(view)) is not None],
        }
    )


def _named(root: Path, name: str) -> RunView:
    try:
        return dataclasses.replace(view_run(root / name), name=name)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{name} has no results that can be compared: {error}") from error


def _unvouched(view: RunView) -> str | None:
    ledger = view.settings.get("ledger")
    try:
        return unvouched(view.directory, [str(ledger)] if ledger else [], READ)
    except ValueError as error:
        return str(error)


def _pair(first: RunView, other: RunView) -> dict[str, Any]:
    """What the first is ahead of another by, on the bars that both were scored on."""
    ours, theirs = _returns(first), _returns(other)
    shared = ours.index.intersection(theirs.index)
    years = [view.summary.get("periods_per_year") for view in (first, other)]
    found: dict[str, Any] = {"first": first.name, "other": other.name, "num_bars": len(shared)}
    if len(shared) < LEAST_BARS:
        return found | {
            "why": f"fewer than {LEAST_BARS} bars were scored in both, so nothing can be said of their difference"
        }
    if years[0] != years[1] or not years[0]:
        return found | {"why": f"a year has {years[0]} bars in one and {years[1]} in the other"}
    difference = paired_difference(
        ours[shared].to_numpy(),
        theirs[shared].to_numpy(),
        np.random.default_rng(0),
        periods_per_year=float(years[0]),
        num_draws=DRAWS,
    )
    return found | dataclasses.asdict(difference) | {"of_first": len(ours), "of_other": len(theirs)}


def _returns(view: RunView) -> pd.Series:
    """Per-bar net returns of a run, by bar."""
    table = pd.read_parquet(
        view.directory / "walk_forward" / "returns.parquet", columns=["bar_utc", "net_return"]
    )
    returns = table.set_index("bar_utc")["net_return"].sort_index()
    return returns[~returns.index.duplicated()]


def _settings(views: Sequence[RunView]) -> list[dict[str, Any]]:
    rows = differences(views)
    shown = [without_secrets({str(row["setting"]): "x"})[str(row["setting"])] == "x" for row in rows]
    hidden = [
        {name: value if name == "setting" else "(hidden)" for name, value in row.items()} for row in rows
    ]
    return [row if keep else blot for row, keep, blot in zip(rows, shown, hidden)]


def _equity(views: Sequence[RunView]) -> dict[str, Any]:
    """Equity of every run on one axis of time, each from 1 at the first bar that all of them were scored on."""
    returns = {view.name: _returns(view) for view in views}
    shared = None
    for one in returns.values():
        shared = one.index if shared is None else shared.intersection(one.index)
    if shared is None or len(shared) < 2:
        return {"bar": [], "utc": [], "curves": {}}
    curves = {name: equity_curve(one[shared].to_numpy())[1:] for name, one in returns.items()}
    at = shared_index(list(curves.values()))
    return {
        "bar": at.tolist(),
        "utc": epoch_seconds(shared.tz_localize(None).to_numpy()[at] if shared.tz else shared.to_numpy()[at]),
        "curves": {name: rounded(curve[at]) for name, curve in curves.items()},
        "num_bars": len(shared),
    }
