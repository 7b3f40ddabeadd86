"""Of how many looks that move like the judged one its lead over a baseline was chosen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evaluation.ledger.return_sketch import Sketch
from evaluation.statistics.trial_count import (
    MIN_COMMON,
    comparable,
    effective_number_apart,
    needed_correlation,
    similarity,
    whole_number,
)

MIN_SHARED = 0.5
"""Share of the judged times that a look must have in common to be compared with them, and to be a rival."""


def looks_in_lead(sketches: Sequence[Sketch], leader: NDArray[np.int64], mine: Sketch | None) -> int:
    """Effective number of looks that are nearly the same as the judged one, by what they earned apart from it.

    Looks at other times (a day later, a fold less) count by the times in common, if these are half of the judged ones;
    where a look was not, it is taken for the judged one.
    """
    own = next((k for k, sketch in enumerate(sketches) if _same_sketch(sketch, mine)), None)
    if own is None or mine is None:
        return 1
    others = [k for k in range(len(sketches)) if k != own]
    level = max((sketches[k].level for k in others), default=mine.level)
    judged = mine.at(max(level, mine.level))
    known = np.isfinite(judged.sums)
    rows = np.array([_at_times(sketches[k].at(judged.level), judged)[known] for k in others])
    if not len(rows):
        return 1
    enough = np.isfinite(rows).sum(axis=1) >= max(MIN_COMMON, MIN_SHARED * int(known.sum()))
    together = leader[others] == leader[own]
    beside = [
        row
        for row, alike in zip(rows[enough], together[enough], strict=True)
        if alike or _nearly_same(row, judged.sums[known])
    ]
    if not beside:
        return 1
    return whole_number(effective_number_apart(np.array(beside), judged.sums[known]))


def _nearly_same(row: NDArray[np.float32], judged: NDArray[np.float32]) -> bool:
    """Whether two looks correlate where both were, as it takes to be in one cluster."""
    both = np.isfinite(row)
    pair = np.stack([row[both], judged[both].astype(np.float64)])
    centred = pair - pair.mean(axis=1, keepdims=True)
    sizes = np.linalg.norm(centred, axis=1)
    least = needed_correlation(int(both.sum()))
    if not sizes.min() > 0.0 or float(centred[0] @ centred[1]) < least * float(sizes.prod()):
        return False
    return float(similarity(comparable(pair[:1]), comparable(pair[1:]))[0, 0]) >= least


def _at_times(theirs: Sketch, mine: Sketch) -> NDArray[np.float32]:
    """(D,) sums of a sketch at the buckets of another one of its level; NaN where it has none."""
    out = np.full(len(mine.sums), np.nan, dtype=np.float32)
    start, stop = (
        max(theirs.first, mine.first),
        min(theirs.first + len(theirs.sums), mine.first + len(mine.sums)),
    )
    if stop > start:
        out[start - mine.first : stop - mine.first] = theirs.sums[start - theirs.first : stop - theirs.first]
    return out


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
