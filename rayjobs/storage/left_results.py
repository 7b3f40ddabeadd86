"""What a run directory says in short: the gate's verdict, and the numbers that its job measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

VERDICTS = ("verdict.json", "winner/verdict.json")
"""Of a run, and of a sweep's winner on the sealed holdout."""
NUMBERS = ("backtest/summary.json", "study.json", "trading.json")
"""Of a run or evaluation, of a sweep, of a trading run."""


def left_results(directory: Path) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """The verdict, None where the gate judged nothing there, and the numbers, none where the job measures none."""
    return _first(directory, VERDICTS), _first(directory, NUMBERS) or {}


def _first(directory: Path, names: tuple[str, ...]) -> dict[str, Any] | None:
    found = next((directory / name for name in names if (directory / name).is_file()), None)
    if found is None:
        return None
    content: Mapping[str, Any] = json.loads(found.read_text())
    return dict(content)
