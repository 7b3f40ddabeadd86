"""Rank correlation of one series with another some bars later, at all leads at once by the convolution theorem.

Axes: N bars, A series that may lead, B series that may follow, K leads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.stats import rankdata

from data.array_types import FloatArray


@dataclass(frozen=True, kw_only=True)
class RankedSeries:
    """Series (N, A) as standardised ranks, 0 where they are unknown, and the weight of each bar: 1 known, 0 not."""

    values: FloatArray
    known: FloatArray

    @classmethod
    def of(cls, values_NA: FloatArray) -> RankedSeries:
        each = [standardised_ranks(column) for column in values_NA.T]
        return cls(
            values=np.stack([ranks for ranks, _ in each], axis=1),
            known=np.stack([known for _, known in each], axis=1).astype(np.float64),
        )

    def at(self, place: int) -> RankedSeries:
        """One of the series (N, 1)."""
        return RankedSeries(values=self.values[:, [place]], known=self.known[:, [place]])

    def mean_of_others(self, at: int) -> RankedSeries:
        """The mean (N, 1) of all series but one, over its standard deviation."""
        others = np.delete(np.arange(self.values.shape[1]), at)
        count = self.known[:, others].sum(axis=1, keepdims=True)
        mean = self.values[:, others].sum(axis=1, keepdims=True) / np.maximum(count, 1.0)
        spread = max(float(mean.std()), 1e-12)
        return RankedSeries(values=mean / spread, known=(count > 0.0).astype(np.float64))


def standardised_ranks(values: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Average ranks of (N,) values, standardised, 0 where unknown; and where they are known."""
    known = np.isfinite(values)
    out = np.zeros(len(values))
    if known.any():
        rank = rankdata(values[known])
        spread = rank.std()
        out[known] = (rank - rank.mean()) / spread if spread > 0.0 else 0.0
    return out, known


def lead_correlations(
    leaders: RankedSeries, followers: RankedSeries, furthest: int
) -> tuple[FloatArray, FloatArray]:
    """Correlation (K, A, B) of each leader with each follower 0 to `furthest` bars later, and of how many bars.

    The same ranks serve all leads. A lead at which no bar is known of both has correlation 0.
    """
    size = fft.next_fast_len(len(leaders.values) + furthest)

    def products(first: FloatArray, second: FloatArray) -> FloatArray:
        ours, theirs = (np.conj(fft.rfft(first.T, size)), fft.rfft(second.T, size))
        each = [fft.irfft(one * theirs, size)[:, : furthest + 1] for one in ours]
        return np.stack(each).transpose(2, 0, 1)

    if leaders.known.all() and followers.known.all():
        left = len(leaders.values) - np.arange(furthest + 1, dtype=np.float64)
        count = np.broadcast_to(left[:, None, None], (furthest + 1, *_shape(leaders, followers)))
    else:
        count = np.rint(products(leaders.known, followers.known))
    correlation = products(leaders.values, followers.values) / np.maximum(count, 1.0)
    return np.clip(correlation, -1.0, 1.0), np.maximum(count, 0.0)


def student_t(correlation: FloatArray, count: FloatArray) -> FloatArray:
    """Student's t of correlations of so many pairs."""
    return correlation * np.sqrt(np.maximum(count - 2.0, 0.0) / np.maximum(1.0 - correlation**2, 1e-12))


def _shape(leaders: RankedSeries, followers: RankedSeries) -> tuple[int, int]:
    return leaders.values.shape[1], followers.values.shape[1]
