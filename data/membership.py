"""Which instants are among others, where both ascend: a binary search, several times as fast as hashing or sorting."""

from __future__ import annotations

import numpy as np

from data.array_types import BoolArray, TimeArray


def among(instants: TimeArray, ascending: TimeArray) -> BoolArray:
    """(N,) whether each of `instants` is one of `ascending` (M,); they need not be unique."""
    if not len(ascending):
        return np.zeros(len(instants), dtype=bool)
    at = np.searchsorted(ascending, instants)
    found: BoolArray = ascending[np.minimum(at, len(ascending) - 1)] == instants
    return found
