"""Which rows of a subject were tested for which look-ahead, and how many that leaves.

Axes: T time.
"""

from __future__ import annotations

import numpy as np

from envs.checks.sampling import BoolArray, Level, Sampling, levels

FEWEST_ROWS = 3
"""Rows that a comparison needs: one before the cut, the cut and one after it."""


class TestedRows:
    """Rows `first` .. of a panel of `num_bars`, for the look-aheads of `levels` and, at last, for all longer ones.

    Indexed by level: (T,) bool, True where a row was tested for it.
    """

    __test__ = False  # no test class

    def __init__(self, first: int, num_bars: int, lookback_bars: int) -> None:
        self.first, self.num_bars = first, num_bars
        span = num_bars - first
        self.levels = levels(span, lookback_bars) if span >= FEWEST_ROWS else []
        longer = self.levels[-1].length + 1 if self.levels else 1
        self.rest = Level(reach=min(longer, max(span - 2, 1)), length=num_bars)
        self._tested = {level: np.zeros(num_bars, dtype=bool) for level in [*self.levels, self.rest]}

    def __getitem__(self, level: Level) -> BoolArray:
        return self._tested[level]

    def count(self, valid: BoolArray, redrawn: BoolArray) -> None:
        """Enter which rows were tested for each look-ahead: valid ones, so far before a bar that was redrawn."""
        for level, tested in self._tested.items():
            tested[: -level.reach] |= valid[: -level.reach] & redrawn[level.reach :]

    def count_before(self, cut: int, num_rows: int) -> None:
        """Enter that the last `num_rows` rows up to the cut were tested with all bars after it redrawn."""
        for level, tested in self._tested.items():
            if level.reach <= num_rows:
                tested[max(cut + 1 - level.reach, 0) : cut + 1] = True

    def rows_of(self, level: Level) -> BoolArray:
        """(T,) rows that could look so far ahead."""
        rows = np.zeros(self.num_bars, dtype=bool)
        rows[self.first : self.num_bars - level.reach] = True
        return rows

    def sampling(self, name: str, computations: int) -> Sampling:
        """How much was compared so far, for the look-ahead for which it was least."""
        shares = []
        if not any(tested.any() for tested in self._tested.values()):
            rows = self.num_bars - self.first
            return Sampling(name=name, num_rows=rows, tested_rows=0, computations=computations)
        for level, tested in self._tested.items():
            domain = self.rows_of(level)
            shares.append((int((tested & domain).sum()), int(domain.sum())))
        least, rows = min(shares, key=lambda pair: pair[0] / max(pair[1], 1))
        return Sampling(name=name, num_rows=rows, tested_rows=least, computations=computations)
