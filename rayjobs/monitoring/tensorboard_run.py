"""A run as TensorBoard files: curves over env steps, tables as text, searched parameters for its HPARAMS page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter
from tensorboardX.summary import hparams

from rayjobs.monitoring.finite_numbers import finite_numbers

MOST_POINTS = 1000
"""Points of a curve."""


class TensorboardRun:
    """A `Tracker` that writes TensorBoard files."""

    def __init__(self, writer: SummaryWriter) -> None:
        self._writer = writer

    def log(self, metrics: Mapping[str, float | None], *, env_steps: int, prefix: str = "train") -> None:
        for name, value in finite_numbers(metrics).items():
            self._writer.add_scalar(f"{prefix}/{name}", value, env_steps)

    def log_again(self, metrics: Mapping[str, float | None], *, env_steps: int, prefix: str) -> None:
        """The files of the process before are there still."""

    def summary(self, values: Mapping[str, Any]) -> None:
        """A table of text: single numbers are no curves."""
        lines = [f"| {name} | {value} |" for name, value in values.items() if not isinstance(value, Mapping)]
        self._writer.add_text("summary", "\n".join(["| | |", "|---|---|", *lines]))

    def attach(self, paths: Sequence[Path]) -> None:
        return

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            columns = list(rows[0])
            lines = [f"| {' | '.join(str(row[key]) for key in columns)} |" for row in rows]
            head = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
            self._writer.add_text(name, "\n".join([*head, *lines]))

    def curve(self, name: str, values: Sequence[float]) -> None:
        for index in range(0, len(values), max(1, len(values) // MOST_POINTS)):
            self._writer.add_scalar(name, float(values[index]), index)

    def parameters(self, values: Mapping[str, Any], results: Mapping[str, Any]) -> None:
        """Into the run's own files; `SummaryWriter.add_hparams` would make a second run of it."""
        plain = {k: v if isinstance(v, (bool, int, float, str)) else str(v) for k, v in values.items()}
        numbers = {f"result/{name}": value for name, value in finite_numbers(results).items()}
        for piece in hparams(plain, numbers):
            self._writer.file_writer.add_summary(piece)
        for name, value in numbers.items():
            self._writer.add_scalar(name, value)

    def keep_policy(self, name: str, directory: Path) -> None:
        return


@contextmanager
def tensorboard_run(directory: Path) -> Iterator[TensorboardRun]:
    """Files of one run, closed with the block."""
    with SummaryWriter(str(directory)) as writer:
        yield TensorboardRun(writer)
