"""One pass over all pairs of returns: which seen ones lie in a long run of pairs that agree one after the other.

N seen returns, M given returns.
"""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np
from numpy.typing import NDArray

from data.array_types import FloatArray
from data.placement import read_only


def in_runs(
    ours: FloatArray,
    theirs: FloatArray,
    step: int,
    tolerance: float,
    same: NDArray[np.int64],
    least_of: Callable[[int], int],
) -> NDArray[np.bool_]:
    """(N,) seen returns in runs of at least so many pairs, each `step` given places further.

    Parameters
    ----------
    least_of : number of pairs that agree -> length of a run that counts; 0 for none.
    ours : (N,), NaN for what is not compared. theirs : (M,). tolerance : largest difference of two that agree.
    same : (N,) place of the given return that is the seen one itself, and does not count; -1 without.
    """
    arrays = (np.ascontiguousarray(each, dtype=np.float64) for each in (ours, theirs))
    places = np.ascontiguousarray(same, dtype=np.int64)
    seen, given, found = *map(read_only, arrays), np.zeros(len(ours), dtype=np.bool_)
    least = least_of(int(_number(seen, given, tolerance, read_only(places))))
    if least > 0:
        _mark_runs(seen, given, step, tolerance, read_only(places), least, found)
    return found


@numba.njit(cache=True)
def _number(ours, theirs, tolerance, same):  # type: ignore
    """How many pairs agree."""
    number = 0
    for i in range(len(ours)):
        for j in range(len(theirs)):
            number += abs(ours[i] - theirs[j]) <= tolerance
        if same[i] >= 0 and same[i] < len(theirs):
            number -= abs(ours[i] - theirs[same[i]]) <= tolerance
    return number


@numba.njit(cache=True)
def _mark_runs(ours, theirs, step, tolerance, same, least, found):  # type: ignore
    """Mark in `found` (N,) the seen returns that lie in runs."""
    before, now = np.zeros(len(theirs), np.int64), np.zeros(len(theirs), np.int64)
    for i in range(len(ours)):
        for j in range(len(theirs)):
            if abs(ours[i] - theirs[j]) <= tolerance and j != same[i]:
                now[j] = (before[j - step] if j >= step else 0) + 1
                if now[j] == least:
                    found[i - least + 1 : i + 1] = True
                elif now[j] > least:
                    found[i] = True
            else:
                now[j] = 0
        before, now = now, before
