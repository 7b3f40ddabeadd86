"""The line that an ingest shows while it runs: pieces, bars, time left, calls left."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from rayjobs.ingest.fetching import Tally
from rayjobs.ingest.pacing import CallsLeft
from rayjobs.monitoring.live_display import LiveDisplay

LOG = logging.getLogger(__name__)
LOG_EVERY_S = 30.0


class IngestProgress(LiveDisplay):
    """A bar on a terminal, a line every half minute elsewhere.

    Parameters
    ----------
    clock : seconds.
    """

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(console, keep_last=False)
        self._clock, self._began, self._logged = clock, clock(), clock()
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(),
            TextColumn("{task.fields[told]}"),
        )  # fmt: skip
        self._task = self._progress.add_task("pieces", total=None, told="")

    def tell(self, tally: Tally, left: Mapping[str, CallsLeft]) -> None:
        """Show how far it is."""
        text = line(tally, left, self._clock() - self._began)
        self._progress.update(
            self._task, completed=tally.done + len(tally.left), total=tally.pieces, told=text
        )
        self.redraw(self._progress)
        if not self.redraws and self._clock() - self._logged >= LOG_EVERY_S:
            self._logged = self._clock()
            LOG.info("%d of %d pieces, %s", tally.done, tally.pieces, text)


def line(tally: Tally, left: Mapping[str, CallsLeft], seconds: float) -> str:
    """What a run tells in words: bars, time left, calls left of each vendor that counts them."""
    parts = [f"{tally.rows:,} bars"]
    to_do = tally.pieces - tally.done - len(tally.left)
    if tally.done and to_do > 0:
        parts.append(f"about {duration(seconds / tally.done * to_do)} left")
    for name, calls in left.items():
        told = [
            f"{count:,} calls left this {unit}"
            for count, unit in ((calls.minute, "minute"), (calls.day, "day"))
            if count is not None
        ]
        if told:
            parts.append(f"{name}: {', '.join(told)}")
    if tally.failures:
        parts.append(f"{tally.failures:,} failures")
    return "; ".join(parts)


def duration(seconds: float) -> str:
    """A length of time in words."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
