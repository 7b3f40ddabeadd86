"""Curves of a training, by fold: of a job that runs from its live file, of one that has ended from ``progress.csv``."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rayjobs.monitoring.live_rows import LIVE_FILE, read_live_rows

CURVES = {
    "episode_net_return": "Net return of training episodes",
    "validation_sharpe": "Validation Sharpe ratio, per bar",
    "approx_kl": "KL divergence of an update",
    "clip_fraction": "Clip fraction",
    "explained_variance": "Explained variance of the value function",
    "entropy": "Entropy",
    "learning_rate": "Learning rate",
    "total_loss": "Total loss",
    "env_steps_per_second": "Env steps a second",
}
"""Column -> how its chart is called."""
MAX_POINTS = 600


def training_curves(run: Path) -> dict[str, Any]:
    """Curves of a run, its seeds of their own beside it: see `curves_of`."""
    found = curves_of(_rows(run))
    for seed in sorted(run.glob("seed_*")):
        for name, lines in curves_of(_rows(seed), f"{seed.name.replace('_', ' ')}, ")["curves"].items():
            found["curves"].setdefault(name, {}).update(lines)
    return found


def _rows(run: Path) -> list[dict[str, Any]]:
    path = run / "progress.csv"
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as stream:
            return [
                {key: _number(value) for key, value in row.items() if key} for row in csv.DictReader(stream)
            ]
    return read_live_rows(run / LIVE_FILE)


def curves_of(rows: Iterable[Mapping[str, Any]], before: str = "") -> dict[str, Any]:
    """Column -> line -> (env steps, values), of the columns of `CURVES` that hold a number; and the newest rows.

    Parameters
    ----------
    before : start of every line's name.
    """
    curves: dict[str, dict[str, tuple[list[float], list[float]]]] = {}
    newest: dict[str, dict[str, Any]] = {}
    for row in rows:
        line = before + _line(row)
        newest[line] = {"line": line, **{k: v for k, v in row.items() if _shown(v)}}
        for name in CURVES:
            if _finite(row.get(name)):
                steps, values = curves.setdefault(name, {}).setdefault(line, ([], []))
                steps.append(float(row["env_steps"]))
                values.append(float(row[name]))
    thinned = {
        name: {line: _thinned(*points) for line, points in lines.items()} for name, lines in curves.items()
    }
    return {"titles": CURVES, "curves": thinned, "newest": list(newest.values())}


def _line(row: Mapping[str, Any]) -> str:
    fold = f"fold {int(row['fold'])}"
    return f"{fold}, seed {int(row['seed'])}" if _finite(row.get("seed")) else fold


def _thinned(steps: list[float], values: list[float]) -> tuple[list[float], list[float]]:
    """At most `MAX_POINTS` points, each one that was measured, the last among them."""
    every = math.ceil(len(steps) / MAX_POINTS)
    at = sorted({*range(0, len(steps), every), len(steps) - 1})
    return [steps[i] for i in at], [values[i] for i in at]


def _number(text: str | None) -> Any:
    try:
        return float(text or "nan")
    except ValueError:
        return text


def _finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _shown(value: Any) -> bool:
    return _finite(value) or isinstance(value, str)
