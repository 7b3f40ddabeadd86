"""Fair value gaps: ranges that three bars in a row jumped over, open until the price has traded back through them.

Axes: T time, A asset.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from data.array_types import FloatArray


class OpenGaps(NamedTuple):
    """(T, A) each. far_edge : of the newest open gap of the window, NaN where none is open. number : of open ones."""

    far_edge: FloatArray
    number: FloatArray


def rising_gaps(high: FloatArray, low: FloatArray, window_bars: int) -> OpenGaps:
    """Gaps that opened at bars t - window_bars + 1 to t: low[g] > high[g - 2]; filled once a low reaches
    high[g - 2].
    """
    return OpenGaps(*_open_gaps(high.copy(), low.copy(), window_bars))  # see `by_knowledge`


def falling_gaps(high: FloatArray, low: FloatArray, window_bars: int) -> OpenGaps:
    """As `rising_gaps`, upside down: high[g] < low[g - 2]; filled once a high reaches low[g - 2]."""
    edge, count = _open_gaps(-low, -high, window_bars)
    return OpenGaps(-edge, count)


@numba.njit(cache=True)
def _open_gaps(high, low, window_bars):  # type: ignore[no-untyped-def]
    num_bars, num_assets = high.shape
    far_edge, count = np.full((num_bars, num_assets), np.nan), np.zeros((num_bars, num_assets))
    edge, opened = np.empty(window_bars), np.empty(window_bars, np.int64)  # open gaps, oldest first
    for a in range(num_assets):
        size = 0
        for t in range(num_bars):
            kept = 0
            for k in range(size):
                # A missing bar fills nothing: its low is not at or below anything.
                if opened[k] > t - window_bars and not (low[t, a] <= edge[k]):
                    edge[kept], opened[kept] = edge[k], opened[k]
                    kept += 1
            size = kept
            if t >= 2 and low[t, a] > high[t - 2, a]:
                edge[size], opened[size] = high[t - 2, a], t
                size += 1
            count[t, a] = size
            if size:
                far_edge[t, a] = edge[size - 1]
    return far_edge, count
