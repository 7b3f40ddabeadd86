"""The training of a running job as a file: a line per fold and iteration, for whoever watches it from another process.

``progress.csv`` is written when a run has ended, in the order of the folds; ``live.jsonl`` grows while it trains and
stays behind when it dies. A job that goes on after a crash may write an iteration twice: the later line counts.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rayjobs.monitoring.finite_numbers import finite_numbers

LOG = logging.getLogger(__name__)
LIVE_FILE = "live.jsonl"


class LiveRows:
    """Appends rows to the live file of one run; a line is written whole or, on a full disk, not at all.

    A line that cannot be written is no reason to end a training: it is told once, and nothing further is tried.

    Parameters
    ----------
    run : its directory, made where it is not there.
    total_env_steps : of each fold. num_folds : that the run trains.
    """

    def __init__(self, run: Path, total_env_steps: int, num_folds: int) -> None:
        self._path = run / LIVE_FILE
        self._whole = {"total_env_steps": total_env_steps, "num_folds": num_folds}
        self._writes = True

    def write(self, row: Mapping[str, Any]) -> None:
        """Append a row: its finite numbers, what is flagged, and when it came."""
        if not self._writes:
            return
        line = {
            "utc": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            **self._whole,
            **finite_numbers(row),
            **{name: str(row[name]) for name in ("health", "nudges") if row.get(name)},
        }
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(line) + "\n")
        except OSError as error:
            self._writes = False
            LOG.warning(
                "%s cannot be written (%s); the dashboard will not show this training", self._path, error
            )


def read_live_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a live file by fold and iteration, the later of equal ones; none where there is no such file.

    A line that is still being written, or was cut off by a crash, is left out.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return []
    rows: dict[tuple[int, int], dict[str, Any]] = {}
    for line in text.splitlines(keepends=True):
        row = _row(line)
        if row is not None:
            rows[int(row["fold"]), int(row["iteration"])] = row
    return [rows[key] for key in sorted(rows)]


def _row(line: str) -> dict[str, Any] | None:
    if not line.endswith("\n"):
        return None
    try:
        row = json.loads(line)
    except ValueError:
        return None
    needed = ("fold", "iteration", "env_steps", "total_env_steps")
    known = isinstance(row, dict) and all(isinstance(row.get(name), (int, float)) for name in needed)
    return row if known and row["total_env_steps"] > 0 else None
