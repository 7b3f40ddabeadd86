"""Clusters of looks that were scored at different times or bar lengths, by the sketches of their returns.

Looks at the same times are clustered first (`statistics.trial_count`); then the leaders of two such groups are
compared at the buckets that both have. Over n_1 and n_2 buckets of which n are common, two mean returns correlate by
``r * n / sqrt(n_1 * n_2)`` where the common returns correlate by r, so that starting one bar later is nearly the same
look, while one fold of several, or another window of the same policy, is a look of its own: the best of those was
chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evaluation.ledger.return_sketch import BASE_SECONDS, Sketch, coarser
from evaluation.statistics.trial_count import (
    MIN_COMMON,
    FloatArray,
    IntArray,
    comparable,
    leader_clusters,
    needed_correlation,
    similarity,
)

MANY = 1000
"""Looks at the same times from which sketches are compared more coarsely."""
FEW_BUCKETS = 512
ROWS_AT_ONCE = 64
"""Sketches that are made coarser together: a part that fits in a core's cache."""
BARS_PER_BUCKET = 32
"""Of the longer bars, where looks at bars of two lengths are compared."""


@dataclass(eq=False)
class _Group:
    """Leaders with buckets in common: their places among all looks, and (L, D) sums at one level and start."""

    members: list[int]
    level: int
    first: int
    bar_seconds: int
    sums: FloatArray
    _coarser: dict[int, tuple[int, FloatArray]] = field(default_factory=dict)

    def at(self, level: int) -> tuple[int, FloatArray]:
        """First bucket and sums at a coarser level, without the two at the ends, which may be covered in part."""
        if level not in self._coarser:
            first, sums = coarser(self.first, self.sums, level - self.level)
            self._coarser[level] = first + 1, sums[:, 1:-1]
        return self._coarser[level]


def cluster_looks(sketches: Sequence[Sketch]) -> tuple[IntArray, FloatArray]:
    """Leader of each look and its correlation with it, as `leader_clusters`, whatever the times.

    Parameters
    ----------
    sketches : in the order in which the looks were entered.
    """
    leader, correlation = np.arange(len(sketches)), np.ones(len(sketches))
    by_times: dict[tuple[int, int, int, bytes], list[int]] = {}
    for place, sketch in enumerate(sketches):
        times = (sketch.level, sketch.first, sketch.bar_seconds, np.isfinite(sketch.sums).tobytes())
        by_times.setdefault(times, []).append(place)
    groups: list[_Group] = []
    for members in by_times.values():
        group = _grouped(sketches, members)
        known = np.isfinite(group.sums[0])
        inside, close = leader_clusters(group.sums[:, known])
        leader[members], correlation[members] = np.array(members)[inside], close
        leading = np.flatnonzero(inside == np.arange(len(members)))
        group.members, group.sums = [members[k] for k in leading], group.sums[leading]
        groups.append(group)
    for later in range(1, len(groups)):
        for place, into, r in _joined(groups[later], groups[:later], leader):
            correlation[leader == place] *= r
            leader[leader == place] = leader[into]
    return leader, correlation


def _grouped(sketches: Sequence[Sketch], members: list[int]) -> _Group:
    head, step = sketches[members[0]], 0
    last = head.first + len(head.sums) - 1
    while len(members) > MANY and (last >> step) - (head.first >> step) >= FEW_BUCKETS:
        step += 1
    parts, first = [], head.first
    for start in range(0, len(members), ROWS_AT_ONCE):
        part = np.array([sketches[k].sums for k in members[start : start + ROWS_AT_ONCE]], dtype=np.float64)
        if step:
            first, part = coarser(head.first, part, step)
        parts.append(part)
    return _Group(
        members=members,
        level=head.level + step,
        first=first,
        bar_seconds=head.bar_seconds,
        sums=np.concatenate(parts),
    )


def _joined(group: _Group, earlier: Sequence[_Group], leader: IntArray) -> list[tuple[int, int, float]]:
    """Leaders of a group that are nearly the same as one of another: (place, place of that one, correlation)."""
    best: dict[int, tuple[float, int]] = {}
    for other in earlier:
        for mine, theirs, r in _similar(group, other):
            place = group.members[mine]
            if place not in best or r > best[place][0]:
                best[place] = r, other.members[theirs]
    return [(place, into, r) for place, (r, into) in best.items()]


def _similar(one: _Group, other: _Group) -> list[tuple[int, int, float]]:
    level = max(one.level, other.level)
    if one.bar_seconds != other.bar_seconds:  # bars that lie across the ends of buckets must not matter
        while BASE_SECONDS << level < BARS_PER_BUCKET * max(one.bar_seconds, other.bar_seconds):
            level += 1
    first, sums = one.at(level)
    other_first, other_sums = other.at(level)
    start = max(first, other_first)
    stop = min(first + sums.shape[1], other_first + other_sums.shape[1])
    if stop - start < MIN_COMMON:
        return []
    ours, theirs = (
        sums[:, start - first : stop - first],
        other_sums[:, start - other_first : stop - other_first],
    )
    common: NDArray[np.bool_] = np.isfinite(ours[0]) & np.isfinite(theirs[0])
    if common.sum() < MIN_COMMON:
        return []
    lengths = np.isfinite(sums[0]).sum() * np.isfinite(other_sums[0]).sum()
    shared = float(common.sum() / np.sqrt(float(lengths)))
    r = shared * similarity(comparable(ours[:, common]), comparable(theirs[:, common]))
    best = r.argmax(axis=1)
    least = needed_correlation(int(common.sum()))
    return [
        (int(k), int(best[k]), min(float(r[k, best[k]]), 1.0)) for k in np.flatnonzero(r.max(axis=1) >= least)
    ]
