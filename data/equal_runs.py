"""Where runs of equal neighbours begin and end: the bars of a session, of a month, of a fold.

Axes: T values in their order, R runs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.array_types import BoolArray


def begins_run(values: NDArray[Any]) -> BoolArray:
    """(T,) whether each of (T,) values differs from the one before it; the first begins a run. NaN equals nothing."""
    begins = np.ones(len(values), dtype=np.bool_)
    begins[1:] = values[1:] != values[:-1]
    return begins


def run_starts(values: NDArray[Any]) -> NDArray[np.int64]:
    """(R,) index of the first of each run of equal neighbours; empty for no values."""
    return np.flatnonzero(begins_run(values))


def run_ends(values: NDArray[Any]) -> NDArray[np.int64]:
    """(R,) index of the last of each run of equal neighbours; empty for no values."""
    return np.append(run_starts(values)[1:], len(values))[: len(values)] - 1
