"""Blocks of a training with and without open pages, and what they say of a slowdown."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median, stdev


@dataclass
class Blocks:
    """Seconds of each iteration by block, wall and CPU time of the training, and CPU time of the dashboard.

    Attributes
    ----------
    wall, cpu : block -> seconds of its iterations. dashboard : block -> share of one core.
    opened : whether the pages were open in a block.
    """

    opened: list[bool] = field(default_factory=list)
    wall: list[list[float]] = field(default_factory=list)
    cpu: list[list[float]] = field(default_factory=list)
    dashboard: list[float] = field(default_factory=list)

    def slowdown(self, seconds: list[list[float]]) -> tuple[float, float]:
        """How much longer an iteration takes with pages open, and the standard error of that; both in per cent.

        Blocks 2k and 2k + 1 are a pair, in either order.
        """
        changes = []
        for first in range(0, len(self.opened) - 1, 2):
            pair = {self.opened[at]: fmean(seconds[at]) for at in (first, first + 1)}
            changes.append(100.0 * math.log(pair[True] / pair[False]))
        error = stdev(changes) / math.sqrt(len(changes)) if len(changes) > 1 else math.nan
        return fmean(changes), error

    def rate(self, env_steps: int, opened: bool) -> float:
        """Env steps a second of the median iteration."""
        return env_steps / median(
            s for block, is_open in zip(self.wall, self.opened) if is_open == opened for s in block
        )

    def dashboard_share(self, opened: bool) -> float:
        """CPU time of the dashboard's processes in per cent of one core."""
        return 100.0 * fmean(s for s, is_open in zip(self.dashboard, self.opened) if is_open == opened)


def cpu_seconds(process: int) -> float:
    """CPU time so far of a process and of those that it started, seconds."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        # Counted from the state, the third field of proc(5): parent, then utime and stime, the 14th and 15th.
        if int(path.parent.name) == process or int(fields[1]) == process:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
