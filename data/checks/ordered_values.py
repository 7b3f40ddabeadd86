"""An input's values in the order of what followed them: what numbers of states say, and what a missing value says.

A state that was named afterwards (3 before a rise, 1 and 4 before a fall) ranks no return as it is, and a network
learns it all the same. So each value, or each eighth of the values where there are many, and being unknown, gets
the place that the mean of the returns after it has among them in the *other* parts of the bars. In its own part
that order is no fit: an input that says nothing has no correlation there.

Axes: T time, A asset, K kinds of values.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from data.array_types import FloatArray

ORDERED = "its values in the order of what followed them elsewhere"
"""Name of the form."""
MOST_VALUES = 32
"""Distinct values up to which each counts by itself."""
SHARES = 8
LEAST_BARS = 20
"""Of a kind, beside a part, without which nothing is known of it there."""


def in_order_of_returns(
    values: FloatArray, unforeseen: FloatArray, parts: Sequence[slice], bars_ahead: int
) -> FloatArray:
    """Return (T, A) the place in [0, 1] of each value's kind by the returns that follow it in the other parts.

    Parameters
    ----------
    values : (T, A), NaN unknown: a kind of its own between a symbol's first and last value, and NaN outside of them.
    unforeseen : (T, A) returns, NaN or 0 unknown. bars_ahead : of the return that counts.
    """
    kinds = _kinds(values)
    later = np.full(values.shape, np.nan)
    later[:-bars_ahead] = unforeseen[bars_ahead:]
    out = np.full(values.shape, np.nan)
    for part in parts:
        beside = np.ones(len(values), dtype=np.bool_)
        beside[part] = False
        places = _places(kinds[beside], later[beside], int(kinds.max()) + 1)
        out[part] = np.where(kinds[part] >= 0, places[kinds[part]], np.nan)
    return out


def _kinds(values: FloatArray) -> NDArray[np.int64]:
    """(T, A) number of each value's kind, the last one for unknown, -1 outside of a symbol's values."""
    known = np.isfinite(values)
    distinct = np.unique(values[known])
    if len(distinct) > MOST_VALUES:
        edges = np.unique(np.quantile(values[known], np.linspace(0.0, 1.0, SHARES + 1)[1:-1]))
        kinds = np.searchsorted(edges, values, side="right")
    else:
        edges = distinct
        kinds = np.searchsorted(distinct, values)
    begun = np.maximum.accumulate(known, axis=0)
    goes_on = np.maximum.accumulate(known[::-1], axis=0)[::-1]
    return np.where(known, kinds, np.where(begun & goes_on, len(edges) + 1, -1)).astype(np.int64)


def _places(kinds: NDArray[np.int64], later: FloatArray, number: int) -> FloatArray:
    """(K,) place in [0, 1] of each kind by the mean of the returns after it; the middle where little is known."""
    usable = (kinds >= 0) & np.isfinite(later)
    counts = np.bincount(kinds[usable], minlength=number)
    means = np.bincount(kinds[usable], later[usable], minlength=number) / np.maximum(counts, 1)
    enough = np.flatnonzero(counts >= LEAST_BARS)
    places = np.full(number, 0.5)
    if len(enough) > 1:
        order = np.argsort(np.argsort(means[enough], kind="stable"), kind="stable")
        places[enough] = order / (len(enough) - 1)
    return places
