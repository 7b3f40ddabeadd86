"""The mean of a series and its error, from the means of a few long blocks of time.

Neighbouring bars are alike, by more than an autocorrelation shows where each is small; whole blocks hardly are. So the
error is that of the blocks' means, and their number that of the observations of Student's t ("batch means": Schmeiser,
"Batch size effects in the analysis of simulation output", Operations Research 30, 1982, who advises 10 to 30 blocks).
Axes: T bars.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class BlockMean:
    """mean : of the blocks' means. error : standard error of it, 0 where all are the same. num_blocks : 2 or more."""

    mean: float
    error: float
    num_blocks: int

    @property
    def t(self) -> float:
        """The mean over its error, with num_blocks - 1 degrees of freedom; 0 without an error."""
        return self.mean / self.error if self.error > 0.0 else 0.0


def block_mean(values: FloatArray, most_blocks: int) -> BlockMean:
    """Cut a series (T,) of two bars or more into at most so many blocks of time, of two bars at least."""
    blocks = max(min(most_blocks, len(values) // 2), 2)
    means = np.array([block.mean() for block in np.array_split(values, blocks)])
    error = float(means.std(ddof=1)) / math.sqrt(blocks)
    return BlockMean(mean=float(means.mean()), error=error, num_blocks=blocks)
