"""A record's returns summed over buckets of time, by which looks at different bars and bar lengths are compared.

A bucket is 60 seconds times a power of two wide and starts at a multiple of its width, so that of two sketches the
finer one can be brought to the width of the coarser: neighbours are added.

Axes: D buckets, N looks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.equal_runs import run_starts
from evaluation.ledger.records import Record

Float32Array = NDArray[np.float32]
MAX_BUCKETS = 2048
"""Buckets of a sketch, at most."""
BASE_SECONDS = 60


@dataclass(frozen=True, kw_only=True, eq=False)
class Sketch:
    """Sums of returns by bucket.

    Attributes
    ----------
    level : a bucket is ``60 * 2 ** level`` seconds wide.
    first : index of the first bucket, from 1970.
    bar_seconds : length of the record's bars.
    sums : (D,) sum of the returns of the bars that open in it; nan where none does.
    """

    level: int
    first: int
    bar_seconds: int
    sums: Float32Array

    @classmethod
    def of(cls, record: Record) -> Sketch | None:
        """The finest sketch of at most `MAX_BUCKETS` buckets; None where the bars are not known."""
        if record.bar_utc is None or not len(record.bar_utc):
            return None
        seconds = record.bar_utc.astype("datetime64[s]").astype(np.int64)
        level = 0
        while BASE_SECONDS << level < record.bar_seconds:
            level += 1
        while (seconds.max() // (BASE_SECONDS << level)) - (
            seconds.min() // (BASE_SECONDS << level)
        ) >= MAX_BUCKETS:
            level += 1
        bucket = seconds // (BASE_SECONDS << level)
        place = bucket - bucket.min()
        sums = np.bincount(place, weights=record.net_return).astype(np.float32)
        sums[np.bincount(place) == 0] = np.nan
        return cls(level=level, first=int(bucket.min()), bar_seconds=record.bar_seconds, sums=sums)

    def at(self, level: int) -> Sketch:
        """The same at a coarser level."""
        if level < self.level:
            raise ValueError(f"a sketch of level {self.level} cannot be made finer, {level}")
        first, sums = coarser(self.first, self.sums[None, :], level - self.level)
        return replace(self, level=level, first=first, sums=sums[0].astype(np.float32))

    @property
    def known_buckets(self) -> NDArray[np.int64]:
        """Indices from 1970 of the buckets in which bars open."""
        return self.first + np.flatnonzero(np.isfinite(self.sums))

    def to_bytes(self) -> bytes:
        head = np.array([self.level, self.first, self.bar_seconds], dtype=np.int64)
        return head.tobytes() + self.sums.tobytes()

    @classmethod
    def from_bytes(cls, content: bytes) -> Sketch:
        level, first, bar_seconds = (int(value) for value in np.frombuffer(content[:24], dtype=np.int64))
        sums = np.frombuffer(content[24:], dtype=np.float32)
        return cls(level=level, first=first, bar_seconds=bar_seconds, sums=sums)


def coarser(first: int, sums_ND: NDArray[Any], step: int) -> tuple[int, NDArray[np.float64]]:
    """Bring sketches that begin together to buckets ``2 ** step`` times as wide; returns their first bucket and sums.

    A bucket is known (not nan) where any of its parts is; the rows have the same ones.
    """
    place = (first + np.arange(sums_ND.shape[1])) >> step
    starts = run_starts(place)
    known = np.isfinite(sums_ND[0])
    sums = np.add.reduceat(np.where(known, sums_ND, 0.0).astype(np.float64), starts, axis=1)
    sums[:, np.add.reduceat(known.astype(np.int64), starts) == 0] = np.nan
    return first >> step, sums
