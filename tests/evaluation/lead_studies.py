"""Paired records of a policy and its baselines whose true Sharpe ratios are known, drawn many at a time.

Returns have fat tails (Student's t), stretches of high and low volatility that all records share, and a mean that
wanders from bar to bar, so that neighbours are alike, as those of a strategy that holds its positions. Every two
records of a study correlate alike. Axes: N studies, K records (the policy first), T bars.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

FloatArray = NDArray[np.float64]
CALM, WILD = 0.5, math.sqrt(1.75)
"""Volatility of the stretches, as likely as each other: a mean square of 1."""


@dataclass(frozen=True, kw_only=True)
class LeadLaw:
    """What kind of records are drawn.

    Attributes
    ----------
    years, bars_a_year : length of the records.
    policy, baselines : true annual Sharpe ratios.
    correlation : of every two records, 0 to 1.
    degrees : of freedom of the tails, above 2.
    wandering : share of the variance that belongs to the wandering mean, whose autocorrelation is 0.9; 0 leaves it out.
    stretch : mean length of the stretches of one volatility, bars.
    """

    years: float
    bars_a_year: int
    policy: float
    baselines: tuple[float, ...]
    correlation: float
    degrees: float = 4.0
    wandering: float = 0.03
    stretch: int = 60

    def draw(self, count: int, random: np.random.Generator) -> FloatArray:
        """(N, K, T) returns of unit variance."""
        bars = round(self.years * self.bars_a_year)
        shape = (count, 1 + len(self.baselines), bars)
        own, common = self._moves(shape, random), self._moves((count, 1, bars), random)
        moves = math.sqrt(self.correlation) * common + math.sqrt(1.0 - self.correlation) * own
        turns = random.random((count, 1, bars)) < 1.0 / self.stretch
        wild = (turns.cumsum(axis=2) + random.integers(2, size=(count, 1, 1))) % 2
        means = np.array([self.policy, *self.baselines]) / math.sqrt(self.bars_a_year)
        return means[:, None] + np.where(wild, WILD, CALM) * moves

    def _moves(self, shape: tuple[int, ...], random: np.random.Generator) -> FloatArray:
        """Moves of unit variance: a fat-tailed part and a wandering one."""
        shocks = random.standard_t(self.degrees, shape) * math.sqrt((self.degrees - 2.0) / self.degrees)
        if not self.wandering:
            return shocks
        slow = lfilter(
            [math.sqrt(1.0 - 0.9**2)], [1.0, -0.9], random.standard_normal((*shape[:2], shape[2] + 50))
        )
        return math.sqrt(1.0 - self.wandering) * shocks + math.sqrt(self.wandering) * slow[..., 50:]
