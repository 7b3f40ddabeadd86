"""A sweep's progress for a person: one live table on a terminal, plain lines otherwise."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from rayjobs.monitoring.live_display import LiveDisplay
from rayjobs.monitoring.result_tables import number
from rayjobs.search.page.leaderboard import parameters
from rayjobs.search.plan.objective import METRICS
from rayjobs.search.sweep.loop import RunningTrial, SweepLoop
from rayjobs.search.trial.record import TrialRecord


class SweepDisplay(LiveDisplay):
    """Shows what runs, the best so far, how many ended how, and the time left; a context manager.

    On a terminal a table is redrawn in place; elsewhere each trial prints a line when it ends.

    Parameters
    ----------
    metric : first objective, which the scores are of.
    clock : seconds, monotonic; tests pass their own.
    """

    def __init__(
        self, metric: str, *, console: Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._metric = metric
        super().__init__(console, keep_last=False)
        self._clock = clock
        self._shown = 0
        self._started = clock()
        self.best: TrialRecord | None = None

    def update(self, loop: SweepLoop) -> None:
        """Show the loop as it stands."""
        for record in loop.ended[self._shown :]:
            self._note(record)
            self._console.print(self._line(record, loop), markup=False, highlight=False, soft_wrap=True)
        self._shown = len(loop.ended)
        if self.redraws:
            self.redraw(Group(self._table(loop), Text(self._summary(loop), style="dim")))

    def _note(self, record: TrialRecord) -> None:
        if record.state != "complete":
            return
        sign = 1.0 if METRICS[self._metric] == "maximize" else -1.0
        if self.best is None or sign * record.values[0] > sign * self.best.values[0]:
            self.best = record

    def _line(self, record: TrialRecord, loop: SweepLoop) -> str:
        head = f"trial {record.number:>4} {record.state:<8} "
        if record.state == "failed":
            again = "; will be tried again" if record.repeated else ""
            return f"{head}{record.error}{again}"
        score = ", ".join(number(value, "+.3f") for value in record.values)
        return (
            f"{head}score {score}  {record.env_steps:,} env steps in {record.seconds:.0f} s  "
            f"{parameters(record.params)}  [{self._summary(loop)}]"
        )

    def _summary(self, loop: SweepLoop) -> str:
        states = [record.state for record in loop.ended if not record.repeated]
        parts = [
            f"{states.count('complete')} done",
            f"{states.count('pruned')} pruned",
            f"{states.count('failed')} failed",
        ]
        parts.append(f"{loop.queue.remaining} waiting")
        if self.best is not None:
            parts.append(f"best {number(self.best.values[0], '+.3f')} (trial {self.best.number})")
        left = self.seconds_left(loop)
        if left is not None:
            parts.append(f"{duration(left)} left")
        return ", ".join(parts)

    def seconds_left(self, loop: SweepLoop) -> float | None:
        """Time to the end at the pace of this session so far; None before the first trial ended."""
        if not loop.ended:
            return None
        pace = (self._clock() - self._started) / len(loop.ended)
        return pace * (loop.queue.remaining + 0.5 * len(loop.running))

    def _table(self, loop: SweepLoop) -> Table:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name in ("trial", "for", "rung", f"{self._metric} there", "parameters"):
            table.add_column(name, justify="left" if name == "parameters" else "right")
        for running in loop.running:
            table.add_row(*self._row(running, loop))
        return table

    def _row(self, running: RunningTrial, loop: SweepLoop) -> tuple[str, ...]:
        rungs = loop.config.scheduler.fractions
        return (
            str(running.number),
            f"{time.monotonic() - running.started:.0f} s",
            f"{running.rung + 1} of {len(rungs)}",
            number(running.values[0], "+.3f") if running.values else "-",
            parameters(running.params),
        )


def duration(seconds: float) -> str:
    """``45 s``, ``12 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
