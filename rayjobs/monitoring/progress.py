"""Training progress for a person: one live table on a terminal, plain lines otherwise.

What it is given comes from `rayjobs.study.fold_tasks`; a sweep's line is `rayjobs.search.sweep.display`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from policies.health import health_flags
from rayjobs.monitoring.live_display import LiveDisplay
from rayjobs.monitoring.result_tables import number


@dataclass(frozen=True, kw_only=True)
class TrainingProgress:
    """Where one fold's training stands after an iteration; None where a number is not known yet.

    Attributes
    ----------
    fold : index of the fold.
    env_steps, total_env_steps : trained on so far, and in all.
    env_steps_per_second : end to end, since the training started or was resumed.
    episode_return : mean return of the episodes that ended, in units of the reward.
    approx_kl, clip_fraction, entropy, explained_variance : means over the last update.
    """

    fold: int
    env_steps: int
    total_env_steps: int
    env_steps_per_second: float
    episode_return: float | None
    approx_kl: float | None
    clip_fraction: float | None
    entropy: float | None
    explained_variance: float | None

    @property
    def health(self) -> dict[str, str]:
        """What lies outside its healthy range (`policies.health`): ``KL``, ``clip`` or ``value`` -> how."""
        known = {
            name: math.nan if getattr(self, name) is None else getattr(self, name)
            for name in ("approx_kl", "clip_fraction", "explained_variance")
        }
        flags = health_flags(**known, progress=self.env_steps / self.total_env_steps)
        return dict(flag.split() for flag in flags)

    @property
    def seconds_left(self) -> float | None:
        """Time to the end of this fold at the present speed; None while there is no speed."""
        if self.env_steps_per_second <= 0.0:
            return None
        return max(0, self.total_env_steps - self.env_steps) / self.env_steps_per_second


class ProgressDisplay(LiveDisplay):
    """Shows folds that train side by side; a context manager.

    On a terminal a table is redrawn in place. Elsewhere each fold prints a line at its first report, then at most one
    every ``seconds_between_lines``, and one at its end.

    Parameters
    ----------
    num_folds : folds of the job, for the remaining time of the whole.
    parallel_folds : how many of them train side by side.
    clock : seconds, monotonic; tests pass their own.
    """

    def __init__(
        self,
        num_folds: int,
        *,
        parallel_folds: int = 1,
        console: Console | None = None,
        seconds_between_lines: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._num_folds = num_folds
        self._parallel_folds = max(1, parallel_folds)
        super().__init__(console, keep_last=True)
        self._seconds_between_lines = seconds_between_lines
        self._clock = clock
        self._latest: dict[int, TrainingProgress] = {}
        self._printed_at: dict[int, float] = {}

    def update(self, progress: TrainingProgress) -> None:
        """Show the newest report of a fold."""
        self._latest[progress.fold] = progress
        if self.redraws:
            self.redraw(self._table())
            return
        now = self._clock()
        last = self._printed_at.get(progress.fold)
        finished = progress.env_steps >= progress.total_env_steps
        if last is None or finished or now - last >= self._seconds_between_lines:
            self._printed_at[progress.fold] = now
            self._console.print(progress_line(progress), markup=False, highlight=False, soft_wrap=True)

    @property
    def seconds_left(self) -> float | None:
        """Time to the end of all folds: what is left of those that run, and the folds that wait at their speed."""
        running = [p for p in self._latest.values() if p.env_steps < p.total_env_steps]
        known = [p.seconds_left for p in running if p.seconds_left is not None]
        if not known:
            return None
        waiting = self._num_folds - len(self._latest)
        whole = max(p.total_env_steps / p.env_steps_per_second for p in running if p.seconds_left is not None)
        return max(known) + whole * -(-waiting // self._parallel_folds)

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name in (
            "fold",
            "env steps",
            "steps/s",
            "return",
            "KL",
            "clipped",
            "entropy",
            "expl. var.",
            "left",
        ):
            table.add_column(name, justify="right")
        for fold in sorted(self._latest):
            table.add_row(*_cells(self._latest[fold]))
        waiting = self._num_folds - len(self._latest)
        note = f"{waiting} more to come, " if waiting else ""
        table.caption = f"{note}{_duration(self.seconds_left)} left in all"
        table.caption_justify = "right"
        return table


def progress_line(progress: TrainingProgress) -> str:
    """One report as a plain line; without a return as long as no episode has ended."""
    fold, steps, speed, episode_return, kl, clipped, entropy, explained, left = map(str, _cells(progress))
    earned = "" if episode_return == number(None, "") else f"return {episode_return}, "
    return (
        f"fold {fold}: {steps} env steps, {speed} steps/s, {earned}KL {kl}, clipped {clipped}, "
        f"entropy {entropy}, explained variance {explained}, {left}"
    )


def _cells(progress: TrainingProgress) -> tuple[str | Text, ...]:
    share = progress.env_steps / progress.total_env_steps
    health = progress.health
    return (
        str(progress.fold),
        f"{progress.env_steps:,} ({share:.0%})",
        f"{progress.env_steps_per_second:,.0f}",
        number(progress.episode_return, "+.3f"),
        _judged(number(progress.approx_kl, ".4f"), health.get("KL")),
        _judged(number(progress.clip_fraction, ".2f"), health.get("clip")),
        number(progress.entropy, ".2f"),
        _judged(number(progress.explained_variance, ".2f"), health.get("value")),
        "done" if share >= 1.0 else f"{_duration(progress.seconds_left)} left",
    )


def _judged(text: str, flag: str | None) -> Text:
    return Text(text) if flag is None else Text(f"{text} {flag}", style="cyan" if flag == "low" else "yellow")


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
