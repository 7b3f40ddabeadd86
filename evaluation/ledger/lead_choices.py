"""Of how many looks that move like the judged one its lead over a baseline was chosen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evaluation.ledger.return_sketch import Sketch
from evaluation.statistics.trial_count import MIN_COMMON, effective_number_apart, whole_number


def looks_in_lead(sketches: Sequence[Sketch], leader: NDArray[np.int64], mine: Sketch | None) -> int:
    """Effective number of looks in the judged one's cluster, at its times, by what they earned apart from it."""
    own = next((k for k, sketch in enumerate(sketches) if _same_sketch(sketch, mine)), None)
    if own is None or mine is None:
        return 1
    known = np.isfinite(mine.sums)
    beside = [
        sketches[k].sums[known]
        for k in np.flatnonzero(leader == leader[own]).tolist()
        if k != own and _same_times(sketches[k], mine)
    ]
    if not beside or known.sum() < MIN_COMMON:
        return 1
    return whole_number(effective_number_apart(np.array(beside), mine.sums[known]))


def _same_times(one: Sketch, other: Sketch) -> bool:
    return (one.level, one.first, one.bar_seconds) == (
        other.level,
        other.first,
        other.bar_seconds,
    ) and np.array_equal(np.isfinite(one.sums), np.isfinite(other.sums))


def _same_sketch(one: Sketch, other: Sketch | None) -> bool:
    return (
        other is not None and _same_times(one, other) and np.array_equal(one.sums, other.sums, equal_nan=True)
    )
