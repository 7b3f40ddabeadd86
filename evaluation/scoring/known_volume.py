"""What a score owes to the volume of the very bars that orders fill in: the same policy by the volume known before.

A cap on participation, and slippage by volume, take the volume of the bar that an order fills in, which nobody knows at
its open. Where that volume goes along with the bar's return (bought volume, a column that was written afterwards), what
fills is large in bars that rise, and an edge appears that no order could have. So the policy is run once more where
each bar's volume is the last one above 0 before it; impact and average volume read earlier bars in any case. A score
that is honest loses nothing but chance, for the size of a fill then says nothing of the bar.

Axes: T time, S symbol, N bars of a window, A asset slot.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from data.last_known import known_before
from envs.config import PortfolioEnvConfig
from envs.kernel import columns as c
from envs.market import Market
from envs.recording import Recording

FloatArray = NDArray[np.float64]
OWN_VOLUME = ("the volume of the bar that fills",)
"""Name, among what a score may hang on, of the volume that is not known at the open; no column is called so."""


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
