"""Fair value gaps: ranges that three bars in a row jumped over, open until the price has traded back through them.

Axes: T time, A asset.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from data.array_types import FloatArray
from data.features.kernels import compiled
from data.features.plan import codes
from data.features.plan.graph import Series


class OpenGaps(NamedTuple):
    """(T, A) each. far_edge : of the newest open gap of the window, NaN where none is open. number : of open ones."""

    far_edge: FloatArray
    number: FloatArray


def rising_gaps(high: FloatArray, low: FloatArray, window_bars: int) -> OpenGaps:
    """Gaps that opened at bars t - window_bars + 1 to t: low[g] > high[g - 2]; filled once a low reaches
    high[g - 2].
    """
    if isinstance(high, Series):
        return OpenGaps(*high.steps(codes.GAPS, 2, low, whole=(window_bars,)))
    found = np.full((2, high.size), np.nan)
    # For read-only arrays the kernel would be compiled once more.
    flat = [values.copy().reshape(-1) for values in (high, low)]
    open_gaps(*flat, high.shape[1], window_bars, np.empty(2 * window_bars), *found)
    return OpenGaps(*(part.reshape(high.shape) for part in found))


def falling_gaps(high: FloatArray, low: FloatArray, window_bars: int) -> OpenGaps:
    """As `rising_gaps`, upside down: high[g] < low[g - 2]; filled once a high reaches low[g - 2]."""
    gaps = rising_gaps(-low, -high, window_bars)
    return OpenGaps(-gaps.far_edge, gaps.number)


@compiled
def open_gaps(high, low, stride, window_bars, work, far_edge, number):  # type: ignore[no-untyped-def]
    """Write what `OpenGaps` says of the last bars of high and low (N,), as many as the results are long.

    The bars before are read: window_bars + 1 of them are enough. work : (2 window_bars,) or longer. far_edge,
    number : empty where not asked for.
    """
    size = max(len(far_edge), len(number))
    rows, skipped = len(high) // stride, (len(high) - size) // stride
    edge, opened = work[:window_bars], work[window_bars : 2 * window_bars]  # open gaps, oldest first
    for a in range(stride):
        count = 0
        for t in range(rows):
            at = t * stride + a
            kept = 0
            for k in range(count):
                # A missing bar fills nothing: its low is not at or below anything.
                if opened[k] > t - window_bars and not (low[at] <= edge[k]):
                    edge[kept], opened[kept] = edge[k], opened[k]
                    kept += 1
            count = kept
            if t >= 2 and low[at] > high[at - 2 * stride]:
                edge[count], opened[count] = high[at - 2 * stride], t
                count += 1
            if t >= skipped:
                if len(number):
                    number[at - skipped * stride] = count
                if len(far_edge):
                    far_edge[at - skipped * stride] = edge[count - 1] if count else np.nan
