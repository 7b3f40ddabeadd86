"""Instants among others, where these are in order: a search in each, and no table of all."""

from __future__ import annotations

import numpy as np

from data.array_types import BoolArray, TimeArray


def among(labels: TimeArray, ascending: TimeArray) -> BoolArray:
    """Return (N,) True where a label (N,) is one of `ascending` (M,), which must not descend; as `np.isin` does."""
    if not len(ascending):
        return np.zeros(len(labels), dtype=np.bool_)
    at = np.minimum(np.searchsorted(ascending, labels), len(ascending) - 1)
    found: BoolArray = ascending[at] == labels
    return found
