"""The files that a scored study leaves in its run directory.

walk_forward/folds.csv decisions.parquet fills.parquet returns.parquet
walk_forward/paths.parquet, of combinatorial cross-validation
backtest/summary.json portfolio_history.csv daily_report.csv trades.csv
verdict.json
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from evaluation.artefacts import tables
from evaluation.files import write_csv, write_json, write_parquet
from evaluation.gate.verdict import Verdict
from evaluation.scoring.walk_forward import WalkForwardResult


def write_artefacts(
    directory: Path, result: WalkForwardResult, summary: Mapping[str, Any], verdict: Verdict | None = None
) -> list[Path]:
    """Write every file named at the head of this module below `directory`, and return their paths.

    Parameters
    ----------
    directory : the run directory; folders are made as needed.
    result : the study.
    summary : content of summary.json (`evaluation.artefacts.summary.summarise`).
    verdict : the gate's decision; no verdict.json without it.
    """
    trades = tables.trades_table(result)
    jobs: dict[str, Callable[[Path], None]] = {
        "walk_forward/returns.parquet": lambda p: write_parquet(p, tables.returns_table(result)),
        "walk_forward/decisions.parquet": lambda p: write_parquet(p, tables.decisions_table(result)),
        "walk_forward/fills.parquet": lambda p: write_parquet(p, tables.fills_table(result)),
        "walk_forward/folds.csv": lambda p: write_csv(p, tables.folds_table(result)),
        "backtest/portfolio_history.csv": lambda p: write_csv(p, tables.history_table(result)),
        "backtest/daily_report.csv": lambda p: write_csv(p, tables.daily_table(result, trades)),
        "backtest/trades.csv": lambda p: write_csv(p, trades),
        "backtest/summary.json": lambda p: write_json(p, summary),
    }
    if result.paths:
        jobs["walk_forward/paths.parquet"] = lambda p: write_parquet(p, tables.paths_table(result))
    if verdict is not None:
        jobs["verdict.json"] = lambda p: write_json(p, verdict.to_dict())
    for name, write in jobs.items():
        write(directory / name)
    return [directory / name for name in jobs]
