"""A record's returns summed over buckets of time, by which looks at different bars and bar lengths are compared.

A bucket is 60 seconds times a power of two wide and starts at a multiple of its width, so that of two sketches the
finer one can be brought to the width of the coarser: neighbours are added.

Axes: D buckets, N looks.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.ledger_records import Record

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
    sums : (D,) sum of the returns of the bars that open in it; nan where none does.
    """

    level: int
    first: int
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
        while (seconds.max() // (BASE_SECONDS << level)) - (seconds.min() // (BASE_SECONDS << level)) >= MAX_BUCKETS:
            level += 1
        bucket = seconds // (BASE_SECONDS << level)
        place = bucket - bucket.min()
        sums = np.bincount(place, weights=record.net_return).astype(np.float32)
        sums[np.bincount(place) == 0] = np.nan
        return cls(level=level, first=int(bucket.min()), sums=sums)

    def at(self, level: int) -> Sketch:
        """The same at a coarser level."""
        if level < self.level:
            raise ValueError(f"a sketch of level {self.level} cannot be made finer, {level}")
        step = level - self.level
        if not step:
            return self
        place = ((self.first + np.arange(len(self.sums))) >> step) - (self.first >> step)
        known = np.isfinite(self.sums)
        sums = np.bincount(place, weights=np.where(known, self.sums, 0.0)).astype(np.float32)
        sums[np.bincount(place, weights=known) == 0] = np.nan
        return Sketch(level=level, first=self.first >> step, sums=sums)

    def to_bytes(self) -> bytes:
        head = np.array([self.level, self.first], dtype=np.int64).tobytes()
        return zlib.compress(head + self.sums.tobytes(), 1)

    @classmethod
    def from_bytes(cls, content: bytes) -> Sketch:
        raw = zlib.decompress(content)
        level, first = np.frombuffer(raw[:16], dtype=np.int64)
        return cls(level=int(level), first=int(first), sums=np.frombuffer(raw[16:], dtype=np.float32))
