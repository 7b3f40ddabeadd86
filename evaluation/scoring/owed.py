"""What a record owes to one assumption: the Sharpe ratio as scored beside that of the same decisions without it.

Axes: N bars of the record.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from evaluation.scoring.walk_forward import WalkForwardResult, window_return
from evaluation.statistics.metrics import sharpe_ratio
from evaluation.statistics.sharpe_lead import sharpe_lead
from evaluation.statistics.time_blocks import block_mean

FloatArray = NDArray[np.float64]
NUM_BLOCKS = 50
SIGNIFICANCE = 0.005
"""Of a loss: an honest record shows one by chance in fewer runs than this."""
TRIFLE = 0.1
"""Share of the Sharpe ratio up to which what it owes is a by-product."""


def return_without(result: WalkForwardResult, name: tuple[str, ...]) -> FloatArray | None:
    """(N,) the record without what `name` stands for in `FoldResult.delayed`; None where no fold was run again.

    A fold that was not run again counts as it was.
    """
    tracks = [(fold.delayed or {}).get(name) for fold in result.folds]
    if not any(track is not None for track in tracks):
        return None
    return np.concatenate(
        [
            window_return(fold.recording if track is None else track, fold.fold.test)
            for fold, track in zip(result.folds, tracks, strict=True)
        ]
    )


def owed_to(result: WalkForwardResult, name: tuple[str, ...]) -> tuple[float, float] | None:
    """Annual Sharpe ratios as scored and without `name`, where the second is lower by more than a trifle and chance.

    The loss of return is tested over blocks of time, and so is that of the Sharpe ratio: smaller fills alone earn less
    and lose nothing of it.
    """
    record, year = return_without(result, name), result.periods_per_year
    if record is None:
        return None
    own = sharpe_ratio(result.net_return, periods_per_year=year)
    without = sharpe_ratio(record, periods_per_year=year)
    without = 0.0 if math.isnan(without) else without
    if not own > 0.0 or without > (1.0 - TRIFLE) * own:
        return None
    lost = block_mean(result.net_return - record, NUM_BLOCKS)
    beyond_chance = lost.t > stats.t.ppf(1.0 - SIGNIFICANCE, lost.num_blocks - 1)
    if not beyond_chance or sharpe_lead(result.net_return, record).confidence < 1.0 - SIGNIFICANCE:
        return None
    return own, without
