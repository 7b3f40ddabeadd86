"""Run directories as jobs leave them, made by hand: for tests of what lists and shows runs."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

GONE = 2**22 + 1
"""Beyond the largest process id."""


def make_run(
    root: Path,
    name: str,
    *,
    status: str = "done",
    sharpe: float | None = 1.0,
    passed: bool | None = False,
    config: dict[str, Any] | None = None,
    pid: int = GONE,
    host: str | None = None,
    returns: np.ndarray | None = None,
) -> Path:
    """Write the run ``root/name`` and return its directory."""
    run = root / name
    run.mkdir(parents=True)
    values = {
        "run": {"experiment": name.split("/")[0], "directory": str(root)},
        "algo": {"gamma": 0.97},
        "ledger": str(root / "ledger.sqlite"),
        **(config or {}),
        "provenance": {"run_id": run.name, "seed": 0},
    }
    (run / "config.yaml").write_text(yaml.safe_dump(values))
    facts = {"status": status, "host": host or socket.gethostname(), "pid": pid,
             "started_utc": f"2026-01-{1 + len(list(root.rglob('status.json'))):02d}T00:00:00Z"}  # fmt: skip
    (run / "status.json").write_text(json.dumps(facts))
    if status == "done" and sharpe is not None:
        (run / "backtest").mkdir()
        summary = {"sharpe": sharpe, "total_return": sharpe / 10, "num_trades": 7, "periods_per_year": 252.0}
        (run / "backtest" / "summary.json").write_text(json.dumps(summary))
        (run / "report.html").write_text("<h1>the report</h1>")
    if passed is not None and status == "done":
        verdict = {"pass": passed, "headline": "Refused: too short.", "lowered": [], "criteria": []}
        (run / "verdict.json").write_text(json.dumps(verdict))
    if returns is not None:
        (run / "walk_forward").mkdir()
        bars = pd.date_range("2024-01-01", periods=len(returns), freq="D", tz="UTC")
        table = pd.DataFrame(
            {"fold": 0, "bar_utc": bars, "net_return": returns, "equity": np.cumprod(1 + returns)}
        )
        table.to_parquet(run / "walk_forward" / "returns.parquet")
    return run


def write_live(run: Path, *rows: dict[str, Any], cut: str = "", num_folds: int = 1) -> None:
    """Write the live file of a run that trains; ``cut`` is a line that is not written whole."""
    lines = "".join(
        json.dumps({"total_env_steps": 1000, "num_folds": num_folds, **row}) + "\n" for row in rows
    )
    (run / "live.jsonl").write_text(lines + cut)
