"""Prices on a tick grid whose expectation is the price before, and how far a bar reaches beyond open and close.

Rounding to the nearest tick would make a martingale predictable by up to half a tick. Here a price between two ticks
takes the upper one with the probability that keeps the mean, and the next return starts from there.

High and low are those of a Brownian motion from open to close with the bar's variance (each by its own law; jointly
independent): P(max > m) = exp(-2 (m - x)(m - y) / variance) for logs x of open and y of close. So a stop or a target
that is touched inside a bar is a fair bet as well. Both are cut to the last tick that was reached.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from data.array_types import FloatArray

TickArray = NDArray[np.int64]


@numba.njit(cache=True)
def walk_ticks(
    start: int, gap_T: Any, move_T: Any, variance_T: Any, draw_T4: Any, bars_T4: Any
) -> int:  # pragma: no cover - compiled
    """Fill `bars_T4` with open, high, low and close in ticks, and return how often a price was held up at one tick.

    Parameters
    ----------
    start : price before the first bar, ticks.
    gap_T, move_T : simple returns before the open and from open to close, above -1.
    variance_T : of the bar's log return, for its reach.
    draw_T4 : uniform draws in [0, 1): rounding of open and of close, reach up and down.
    """
    price, held = start, 0
    for t in range(len(gap_T)):
        opened = price
        if gap_T[t] != 0.0:
            opened = int(np.floor(price * (1.0 + gap_T[t]) + draw_T4[t, 0]))
        if opened < 1:
            opened, held = 1, held + 1
        closed = int(np.floor(opened * (1.0 + move_T[t]) + draw_T4[t, 1]))
        if closed < 1:
            closed, held = 1, held + 1
        first, last = np.log(opened), np.log(closed)
        spread2 = (first - last) ** 2
        up = np.sqrt(spread2 - 2.0 * variance_T[t] * np.log(1.0 - draw_T4[t, 2]))
        down = np.sqrt(spread2 - 2.0 * variance_T[t] * np.log(1.0 - draw_T4[t, 3]))
        high = int(np.floor(np.exp(0.5 * (first + last + up))))
        low = int(np.ceil(np.exp(0.5 * (first + last - down))))
        bars_T4[t, 0] = opened
        bars_T4[t, 1] = max(high, opened, closed)
        bars_T4[t, 2] = max(min(low, opened, closed), 1)
        bars_T4[t, 3] = closed
        price = closed
    return held


def tick_prices(ticks: TickArray, tick: float) -> FloatArray:
    """Prices of whole ticks: where a tick is one over a whole number, the float nearest to the decimal (0.07)."""
    parts = round(1.0 / tick)
    if parts >= 1 and abs(parts * tick - 1.0) < 1e-9:
        return np.divide(ticks, float(parts), dtype=np.float64)
    return np.multiply(ticks, tick, dtype=np.float64)
