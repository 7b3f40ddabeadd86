"""What a score owes to the volume of the very bars that orders fill in: the same policy by the volume known before.

A cap on participation, and slippage by volume, take the volume of the bar that an order fills in, which nobody knows at
its open. Where that volume goes along with the bar's return (bought volume, a column that was written afterwards), what
fills is large in bars that rise, and an edge appears that no order could have. So the policy is run once more where
each bar's volume is the last one above 0 before it; impact and average volume read earlier bars in any case. A score
that is honest loses nothing but chance, for the size of a fill then says nothing of the bar.

Axes: T time, S symbol, N bars of a window, A asset slot.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from data.last_known import known_before
from envs.config import PortfolioEnvConfig
from envs.kernel import columns as c
from envs.market import Market
from envs.recording import Recording
from evaluation.scoring.walk_forward import WalkForwardResult, window_return
from evaluation.statistics.metrics import sharpe_ratio
from evaluation.statistics.sharpe_lead import sharpe_lead
from evaluation.statistics.time_blocks import block_mean

FloatArray = NDArray[np.float64]
OWN_VOLUME = ("the volume of the bar that fills",)
"""Name, among what a score may hang on, of the volume that is not known at the open; no column is called so."""
NUM_BLOCKS = 50
SIGNIFICANCE = 0.005
"""Of a loss: an honest record shows one by chance in fewer runs than this."""
TRIFLE = 0.1
"""Share of the Sharpe ratio up to which what it owes to such volumes is a by-product."""


def volume_before(volume: FloatArray) -> FloatArray:
    """(T, S) the last volume above 0 before each bar; 0 where there is none."""
    return np.nan_to_num(known_before(volume, volume > 0.0), nan=0.0)


def by_known_volume(market: Market) -> Market:
    """The market with each bar's volume as it was known before the bar; features and context stay as they were."""
    bars = market.bars.copy()
    bars[..., c.VOLUME] = volume_before(market.volume)
    return replace(market, bars=bars)


def reads_own_volume(recording: Recording, market: Market, config: PortfolioEnvConfig) -> bool:
    """Whether a fill, or its price, could have been another by another volume of its bar.

    An order leads from one target or position to another, so that none is larger than twice the largest of them. Where
    each bar's volume, and the one before, has room for that, the same policy takes the same path to the bit.
    """
    costs = config.costs
    if costs.slippage == "volume" and costs.slippage_value > 0.0:
        return len(recording.fills) > 0
    if costs.max_participation is None or not len(recording.bar):
        return False
    held = np.maximum(np.abs(recording.units), np.abs(recording.target_units))
    largest_A = 2.0 * held.max(axis=0)
    first, last = int(recording.bar[0]), int(recording.bar[-1]) + 1
    volume = market.volume[:last, recording.symbols]
    least = np.minimum(volume, volume_before(volume))[first:]
    traded = market.tradable[first:last, recording.symbols]
    return bool((traded & (costs.max_participation * least < largest_A)).any())


def known_volume_return(result: WalkForwardResult) -> FloatArray | None:
    """(N,) the record by known volumes; a fold that was not run again counts as it was. None where none was."""
    tracks = [(fold.delayed or {}).get(OWN_VOLUME) for fold in result.folds]
    if not any(track is not None for track in tracks):
        return None
    return np.concatenate(
        [
            window_return(fold.recording if track is None else track, fold.fold.test)
            for fold, track in zip(result.folds, tracks, strict=True)
        ]
    )


def owed_to_own_volume(result: WalkForwardResult) -> tuple[float, float] | None:
    """Annual Sharpe ratios as scored and by known volumes, where the second is lower by more than a trifle and chance.

    The loss of return is tested over blocks of time, and so is that of the Sharpe ratio: smaller fills alone earn less
    and lose nothing of it.
    """
    known, year = known_volume_return(result), result.periods_per_year
    if known is None:
        return None
    own = sharpe_ratio(result.net_return, periods_per_year=year)
    without = sharpe_ratio(known, periods_per_year=year)
    without = 0.0 if math.isnan(without) else without
    if not own > 0.0 or without > (1.0 - TRIFLE) * own:
        return None
    lost = block_mean(result.net_return - known, NUM_BLOCKS)
    beyond_chance = lost.t > stats.t.ppf(1.0 - SIGNIFICANCE, lost.num_blocks - 1)
    if not beyond_chance or sharpe_lead(result.net_return, known).confidence < 1.0 - SIGNIFICANCE:
        return None
    return own, without
