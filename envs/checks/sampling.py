"""How many bars a leak check must look at, and which it looks at in one go.

A feature that peeks on few bars is found at one of these bars only. Row t is *tested* for a look-ahead of h bars when
it is computed again with bar t + h redrawn and all that it may read left alone. Redrawing every bar after t tests the
h rows before t + 1; *islands* of redrawn bars, further apart than the feature looks back, test a row before each.

Axes: T time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

REQUIRED_RATE = 1e-3
"""A feature that peeks on this share of all bars must be found ..."""
CONFIDENCE = 0.99
"""... with this probability."""
PLANNED_CONFIDENCE = 0.995
"""What cuts are planned for: a redrawn bar may by chance look like the bar itself to what peeks at it."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How much of a feature was compared.

    Attributes
    ----------
    name : of the feature. num_rows : bars at which it could peek.
    tested_rows : bars that were tested, for the look-ahead for which they were fewest.
    computations : how often it was computed.
    """

    name: str
    num_rows: int
    tested_rows: int
    computations: int

    @property
    def detectable_bars(self) -> int:
        """Peeks on so many bars, wherever they are, are found with the confidence."""
        return detectable_bars(self.tested_rows / self.num_rows, self.num_rows) if self.num_rows else 1

    @property
    def sufficient(self) -> bool:
        """True when that is at most the required share of bars."""
        return self.detectable_bars <= required_bars(self.num_rows)


def required_bars(num_rows: int) -> int:
    """The required rate as a number of bars, at least one."""
    return max(math.ceil(REQUIRED_RATE * num_rows), 1)


def needed_rows(num_rows: int) -> int:
    """Rows to test so that peeks on `required_bars` of them are found.

    Drawing n of T rows without replacement misses m given ones with probability of at most (1 - n / T)^m.
    """
    share = 1.0 - (1.0 - PLANNED_CONFIDENCE) ** (1.0 / required_bars(num_rows))
    return math.ceil(share * num_rows)


def detectable_bars(share: float, num_rows: int) -> int:
    """The fewest peeking bars of which one is among a tested `share` of rows with the confidence."""
    if share >= 1.0:
        return 1
    if share <= 0.0:
        return max(num_rows, 1)
    return min(max(math.ceil(math.log(1.0 - CONFIDENCE) / math.log(1.0 - share) - 1e-9), 1), num_rows)


@dataclass(frozen=True, kw_only=True)
class Level:
    """Islands of `length` redrawn bars, for look-aheads of `reach` bars up to `length`."""

    reach: int
    length: int


def levels(num_rows: int, lookback_bars: int) -> list[Level]:
    """Islands for ever longer look-aheads, each long enough that about one computation tests enough rows."""
    share = needed_rows(num_rows) / max(num_rows, 1)
    found, reach = [], 1
    while reach <= max(num_rows // 8, 1):
        enough = int(reach / share) - lookback_bars - reach
        length = max(enough, 4 * reach, lookback_bars // 12, 1)
        length = min(length, max(num_rows // 4, reach))
        found.append(Level(reach=reach, length=length))
        reach = length + 1
    return found


def islands(
    untested: BoolArray, level: Level, lookback_bars: int, first_bar: int, rng: np.random.Generator
) -> IntArray:
    """First bars of islands that test rows not tested yet, each further than the lookback after the island before.

    The distance varies by an eighth, so that no period of what peeks (a day, every 97th bar) can keep in step with it.
    """
    num_bars = len(untested)
    rows = np.where(untested, np.arange(num_bars), num_bars)
    following = np.minimum.accumulate(rows[::-1])[::-1]
    spacing = lookback_bars + level.reach + level.length
    jitter = rng.integers(0, max(spacing // 8, 1) + 1, size=num_bars // spacing + 2)
    starts: list[int] = []
    row = first_bar + int(rng.integers(0, spacing))
    for extra in jitter:
        row += int(extra)
        if row >= num_bars or following[row] >= num_bars:
            break
        start = int(following[row]) + level.reach
        if start >= num_bars:
            break
        starts.append(start)
        row = start + level.length + lookback_bars
    if not starts:  # what is left lies before the random start
        left = np.flatnonzero(untested)
        starts = [int(row) + level.reach for row in left[:1] if row + level.reach < num_bars]
    return np.array(starts, dtype=np.int64)
