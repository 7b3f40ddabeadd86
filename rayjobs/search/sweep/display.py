"""A sweep's progress for a person: one live table on a terminal, plain lines otherwise."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from rayjobs.monitoring.live_display import LiveDisplay
from rayjobs.monitoring.result_tables import number
from rayjobs.search.page.leaderboard import parameters
from rayjobs.search.plan.objective import METRICS
from rayjobs.search.sweep.study_run import RunningTrial, StudyRun
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

    def update(self, run: StudyRun) -> None:
        """Show the trials as they stand."""
        for record in run.ended[self._shown :]:
            self._note(record)
            self._tell(record, run)
        self._shown = len(run.ended)
        if self.redraws:
            self.redraw(Group(self._table(run), Text(self._summary(run), style="dim")))

    def _note(self, record: TrialRecord) -> None:
        if record.state != "complete":
            return
        sign = 1.0 if METRICS[self._metric] == "maximize" else -1.0
        if self.best is None or sign * record.values[0] > sign * self.best.values[0]:
            self.best = record

    def _tell(self, record: TrialRecord, run: StudyRun) -> None:
        """Print a trial that ended: one line, or on a terminal as many as it takes without cutting a word."""
        lines = [self._line(record)]
        if self.redraws:  # how the whole stands is below
            lines = textwrap.wrap(
                lines[0], self._console.width, subsequent_indent=" " * len("trial"),
                break_long_words=False, break_on_hyphens=False,
            )  # fmt: skip
        elif record.state != "failed":
            lines = [f"{lines[0]}  [{self._summary(run)}]"]
        for line in lines:
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _line(self, record: TrialRecord) -> str:
        head = f"trial {record.number:>4} {record.state:<8} "
        if record.state == "failed":
            again = "; will be tried again" if record.repeated else ""
            return f"{head}{record.error}{again}"
        score = ", ".join(number(value, "+.3f") for value in record.values)
        return (
            f"{head}score {score}  {record.env_steps:,} env steps in {record.seconds:.0f} s  "
            f"{parameters(record.params)}"
        )

    def _summary(self, run: StudyRun) -> str:
        states = [record.state for record in run.ended if not record.repeated]
        parts = [
            f"{states.count('complete')} done",
            f"{states.count('pruned')} pruned",
            f"{states.count('failed')} failed",
        ]
        parts.append(f"{run.remaining} waiting")
        if self.best is not None:
            parts.append(f"best {number(self.best.values[0], '+.3f')} (trial {self.best.number})")
        left = self.seconds_left(run)
        if left is not None:
            parts.append(f"{duration(left)} left")
        return ", ".join(parts)

    def seconds_left(self, run: StudyRun) -> float | None:
        """Time to the end at the pace of this session so far; None before the first trial ended."""
        if not run.ended:
            return None
        pace = (self._clock() - self._started) / len(run.ended)
        return pace * (run.remaining + 0.5 * len(run.running))

    def _table(self, run: StudyRun) -> Table:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name in ("trial", "for", "rung", f"{self._metric} there", "parameters"):
            folds = name == "parameters"
            table.add_column(name, justify="left" if folds else "right", no_wrap=not folds)
        for running in run.running:
            table.add_row(*self._row(running, run))
        return table

    def _row(self, running: RunningTrial, run: StudyRun) -> tuple[str, ...]:
        rungs = run.config.scheduler.fractions
        return (
            str(running.number),
            f"{running.seconds:.0f} s",
            f"{running.rung + 1} of {len(rungs)}",
            number(running.values[0], "+.3f") if running.values else "-",
            parameters(running.params),
        )


def duration(seconds: float) -> str:
    """``45 s``, ``12 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
