"""Changes one entry of one result of a run, at random, and says which."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

RESULTS = (
    "walk_forward/folds.csv", "walk_forward/returns.parquet", "walk_forward/decisions.parquet",
    "walk_forward/fills.parquet", "backtest/portfolio_history.csv", "backtest/daily_report.csv", "backtest/trades.csv",
    "backtest/summary.json", "verdict.json", "evidence.json",
)  # fmt: skip


def edit_at_random(run: Path, random: np.random.Generator) -> tuple[str, str]:
    """Returns the file, relative to the run, and the entry's name: of a table its column."""
    file = str(random.choice(RESULTS))
    path = run / file
    if path.suffix == ".json":
        content = json.loads(path.read_text())
        entry = _edit_json(content, random)
        path.write_text(json.dumps(content, indent=2))
        return file, entry
    parquet = path.suffix == ".parquet"
    table = pd.read_parquet(path) if parquet else pd.read_csv(path)
    name, row = str(random.choice(table.columns)), int(random.integers(len(table)))
    column = table[name].astype(object) if not parquet or _is_text(table[name]) else table[name].copy()
    column.iloc[row] = _other(column.iloc[row], random)
    table[name] = column
    table.to_parquet(path) if parquet else table.to_csv(path, index=False)
    return file, f"column {name}, row {row}"


def _is_text(column: pd.Series) -> bool:
    return not pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_datetime64_any_dtype(column)


def _edit_json(content: Any, random: np.random.Generator) -> str:
    """Change, remove or add a leaf, and return the last key on the way to it."""
    at = content
    while True:
        keys = list(range(len(at))) if isinstance(at, list) else list(at)
        key = keys[int(random.integers(len(keys)))]
        if not isinstance(at[key], (dict, list)) or not at[key]:
            break
        at = at[key]
    kind = (
        random.choice(["change", "change", "remove", "add"])
        if isinstance(at, dict) and key != "name"
        else "change"
    )
    if kind == "remove":
        del at[key]
    elif kind == "add":
        key = "invented"
        at[key] = 1.0
    else:
        at[key] = _other(at[key], random)
    return str(key)


def _other(value: Any, random: np.random.Generator) -> Any:
    """Something else of the same kind: a number a thousandth away or more, another text, another time."""
    if isinstance(value, pd.Timestamp):
        return value + pd.Timedelta(minutes=30)
    if isinstance(value, (bool, np.bool_)):
        return not value
    if isinstance(value, (int, np.integer)):
        return int(value) + 1
    if isinstance(value, (float, np.floating)):
        return float(value) * 1.001 if np.isfinite(value) and abs(value) > 1e-6 else 0.5
    if value is None or (isinstance(value, (list, dict)) and not value):
        return 0.5
    return f"{value}x"
