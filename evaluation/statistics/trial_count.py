"""How many different things were tried: looks whose returns are nearly the same count by their effective number.

Looks are clustered around leaders (Hartigan, "Clustering algorithms", 1975, ch. 3): each look joins the leader that it
correlates with most if that is at least `MIN_CORRELATION`, else it leads a cluster of its own. The best of n looks
without skill that correlate by rho with each other is expected at ``sqrt(1 - rho) * E[max of n]`` above what they
share, so a cluster counts as the number of independent looks whose best is expected there. Exact copies count once,
and nothing that a search could gain by many near-copies is lost.

Axes: N looks, D buckets of time, T bars.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

from evaluation.statistics.significance import expected_maximum_sharpe
from evaluation.statistics.trial_rows import ArrayRows, TrialRows

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
MIN_CORRELATION = 0.95
"""From which two looks are nearly the same."""
MIN_COMMON = 8
"""Buckets in common below which only equal returns are the same."""
MOST_CHOICES = 1e100
"""Looks that one counts as, at most: their best without skill is expected 21 standard deviations up."""
HUGE = 1_000_000_000
"""Looks from which on their power of ten is told."""
SAME = 1e-4
"""Part of a look's returns that is not another's below which the two are one."""


def leader_clusters(returns_ND: ArrayLike | TrialRows) -> tuple[IntArray, FloatArray]:
    """Cluster looks that have returns at the same times.

    Parameters
    ----------
    returns_ND : (N, D) returns, in the order in which the looks were entered. Rows that are constant (never traded)
        form one cluster.

    Returns
    -------
    leader_N : index of each look's leader, the earliest of its cluster; a leader's is its own.
    correlation_N : with the leader.
    """
    rows = returns_ND if isinstance(returns_ND, TrialRows) else _array_rows(returns_ND)
    num_looks, num_times = rows.shape
    leader, correlation = np.arange(num_looks), np.ones(num_looks)
    still = _still(rows)
    leader[still] = still[:1] if len(still) else still
    moving = np.setdiff1d(np.arange(num_looks), still)
    if num_times < MIN_COMMON:
        _, first, inverse = np.unique(rows.take(moving), axis=0, return_index=True, return_inverse=True)
        leader[moving] = moving[first[inverse.ravel()]]
        return leader, correlation
    inside, correlation[moving] = _led(rows, moving, needed_correlation(num_times))
    leader[moving] = moving[inside]
    return leader, correlation


def _array_rows(returns_ND: ArrayLike) -> TrialRows:
    rows = np.asarray(returns_ND, dtype=np.float64)
    if rows.ndim != 2:
        raise ValueError(f"returns_ND has shape {rows.shape} or holds NaN; give (N looks, D times)")
    return ArrayRows(rows)


def _still(rows: TrialRows) -> IntArray:
    """Places of the rows that are constant; all of them where there are no times."""
    if not rows.shape[1]:
        return np.arange(rows.shape[0])
    found = np.zeros(rows.shape[0], dtype=bool)
    for places in rows.parts():
        part = rows.take(places)
        if not np.isfinite(part).all():
            raise ValueError(f"returns_ND has shape {rows.shape} or holds NaN; give (N looks, D times)")
        found[places] = np.ptp(part, axis=1) == 0.0
    return np.flatnonzero(found)


def _led(rows: TrialRows, chosen_M: IntArray, least: float) -> tuple[IntArray, FloatArray]:
    """Leader of each chosen row, as its place among them, and correlation with it; `least` what it takes to join."""
    size_M = len(chosen_M)
    leader, correlation = np.arange(size_M), np.ones(size_M)
    leaders = _Leaders(rows, chosen_M)
    for start in range(0, size_M, rows.at_once):
        part = comparable(rows.take(chosen_M[start : start + rows.at_once]))
        among, size = similarity(part, part), part.shape[1]
        places, closest = leaders.nearest(part, least)
        fresh: list[int] = []
        for row in range(size):
            r, at = closest[row], places[row]
            if fresh:
                candidates = among[row, fresh]
                k = int(candidates.argmax())
                if candidates[k] > r:  # of equal ones the earliest
                    r, at = candidates[k], start + fresh[k]
            if r >= least:
                leader[start + row], correlation[start + row] = at, min(float(r), 1.0)
            else:
                fresh.append(row)
        leaders.add(part[0, fresh], start + np.array(fresh, dtype=np.int64))
    return leader, correlation


class _Leaders:
    """Rows that lead a cluster, as `comparable`; of their ranks only those that some row has come near to are made.

    Most looks that differ do so by their returns already, so that the other half of what they are compared by is
    neither reckoned nor held: memory of an array that nothing was written to is not taken.
    """

    def __init__(self, rows: TrialRows, chosen_M: IntArray) -> None:
        self._rows, self._chosen_M = rows, chosen_M
        self._lead = np.empty((2, len(chosen_M), rows.shape[1]), dtype=np.float32)
        self._places, self._ranked = (
            np.empty(len(chosen_M), dtype=np.int64),
            np.zeros(len(chosen_M), dtype=bool),
        )
        self._size = 0

    def add(self, standardised_nD: NDArray[np.float32], places_n: IntArray) -> None:
        """More leaders: their rows, standardised, and their places among the chosen ones."""
        new = slice(self._size, self._size + len(places_n))
        self._lead[0, new], self._places[new], self._size = standardised_nD, places_n, new.stop

    def nearest(self, part: NDArray[np.float32], least: float) -> tuple[IntArray, NDArray[np.float32]]:
        """For each row the place of the leader that it is most similar to, and how similar, if that is `least`."""
        products = part[0] @ self._lead[0, : self._size].T
        near = np.flatnonzero((products >= least).any(axis=0))
        if not len(near):
            return np.zeros(part.shape[1], dtype=np.int64), np.full(part.shape[1], -np.inf, dtype=np.float32)
        self._rank(near[~self._ranked[near]])
        similar = np.empty((part.shape[1], len(near)), dtype=np.float32)
        for first in range(0, len(near), self._rows.at_once):
            some = slice(first, first + self._rows.at_once)
            similar[:, some] = np.minimum(products[:, near[some]], part[1] @ self._lead[1, near[some]].T)
        best = similar.argmax(axis=1)
        return self._places[near[best]], similar[np.arange(len(best)), best]

    def _rank(self, missing: IntArray) -> None:
        for first in range(0, len(missing), self._rows.at_once):
            some = missing[first : first + self._rows.at_once]
            self._lead[1, some] = _ranks(self._rows.take(self._chosen_M[self._places[some]]))
        self._ranked[missing] = True


def needed_correlation(num_common: int) -> float:
    """Correlation from which two looks are nearly the same, one standard error (Fisher's z) above `MIN_CORRELATION`.

    Parameters
    ----------
    num_common : times at which both have returns, at least `MIN_COMMON`.
    """
    return math.tanh(math.atanh(MIN_CORRELATION) + 1.0 / math.sqrt(num_common - 3))


def comparable(rows_ND: FloatArray) -> NDArray[np.float32]:
    """(2, N, D) rows as they are and their ranks, each `standardised`, for `similarity`."""
    return np.stack([standardised(rows_ND), _ranks(rows_ND)])


def _ranks(rows_ND: FloatArray) -> NDArray[np.float32]:
    return standardised(rankdata(rows_ND, axis=1))


def similarity(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, M) correlation of `comparable` rows, or that of their ranks where it is less.

    One bar on which all looks hold the same (a crash, a split that was not adjusted) can have more variance than all
    others together, so that looks that differ everywhere else correlate by nearly 1; their ranks do not.
    """
    products: NDArray[np.float32] = (ours @ theirs.swapaxes(1, 2)).min(axis=0)
    return products


def standardised(rows_ND: FloatArray) -> NDArray[np.float32]:
    """Rows of mean zero and length one, whose products are correlations; a constant row becomes zeros."""
    centred = rows_ND - rows_ND.mean(axis=1, keepdims=True)
    length = np.sqrt((centred**2).sum(axis=1, keepdims=True))
    return np.divide(centred, length, out=np.zeros_like(centred), where=length > 0.0).astype(np.float32)


def effective_size(size: int, correlation: float) -> float:
    """Number of independent looks whose best is expected as high as that of `size` that correlate; 1 to `size`.

    Parameters
    ----------
    correlation : mean over the cluster, 0 to 1.
    """
    if size <= 1 or correlation >= 1.0:
        return 1.0
    wanted = math.sqrt(1.0 - max(correlation, 0.0)) * expected_maximum_sharpe(size, 1.0)
    return _looks_reaching(wanted, float(size))


def _looks_reaching(wanted: float, most: float) -> float:
    """Number of independent looks whose best is expected at `wanted` standard deviations; at most `most`."""
    pair = expected_maximum_sharpe(2, 1.0)
    if wanted <= pair:  # between one and two the approximation has no value of its own
        return 1.0 + max(wanted, 0.0) / pair
    low, high = 2.0, most
    for _ in range(60):
        middle = (low + high) / 2.0 if high < 4.0 * low else math.sqrt(low * high)
        low, high = (middle, high) if expected_maximum_sharpe(middle, 1.0) < wanted else (low, middle)
    return high


def number_of_choices(shown: int, taken: int) -> float:
    """Number of independent looks whose best is expected as high as the best `taken` of `shown` symbols together.

    Each symbol's result is a draw of equal spread without skill. The `taken` highest have the mean of as many normal
    order statistics (Blom, "Statistical estimates and transformed beta-variables", 1958), and as a portfolio a mean
    ``sqrt(taken)`` times as far from chance. Of symbols that go together there is less to choose from, so that this is
    cautious for them.

    Returns
    -------
    1 where all are taken, `shown` where one is; at most `MOST_CHOICES`.
    """
    if shown <= taken:
        return 1.0
    ranks = np.arange(shown - taken + 1, shown + 1)
    wanted = math.sqrt(taken) * float(ndtri((ranks - 0.375) / (shown + 0.25)).mean())
    return min(_looks_reaching(wanted, MOST_CHOICES), MOST_CHOICES)


def effective_number_apart(returns_ND: ArrayLike, judged_D: ArrayLike) -> float:
    """Effective number of looks by what each earned apart from the judged one, which is counted: at least 1.

    Looks that hold the same market most of the time are nearly the same by their returns, yet each leads that market,
    or trails it, by luck of its own.

    Parameters
    ----------
    returns_ND : (N, D) returns of the others, NaN at times at which one was not: there it is nothing apart. judged_D :
        (D,) those of the judged look, at the same times.
    """
    rows, judged = np.asarray(returns_ND, dtype=np.float64), np.asarray(judged_D, dtype=np.float64)
    if not len(rows) or np.ptp(judged) <= 0.0:
        return 1.0
    known = np.isfinite(rows)
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    centred = np.where(known, rows, 0.0)
    centred = np.where(known, centred - centred.sum(axis=1, keepdims=True) / count, 0.0)
    own = np.where(known, judged, 0.0)
    own = np.where(known, own - own.sum(axis=1, keepdims=True) / count, 0.0)
    length = np.maximum((own**2).sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    apart = centred - (centred * own).sum(axis=1, keepdims=True) / length * own
    apart = apart[np.linalg.norm(apart, axis=1) > SAME * np.linalg.norm(centred, axis=1)]
    return 1.0 + (effective_number(*leader_clusters(apart)) if len(apart) else 0.0)


def effective_number(
    leader_N: IntArray, correlation_N: FloatArray, windows_N: IntArray | FloatArray | None = None
) -> float:
    """Sum of the clusters' effective sizes.

    Parameters
    ----------
    windows_N : results that each look showed, of which one could be chosen; a cluster counts as often as its largest.
    """
    windows_N = np.ones(len(leader_N)) if windows_N is None else windows_N
    leaders, place, sizes = np.unique(leader_N, return_inverse=True, return_counts=True)
    windows = np.ones(len(leaders))
    np.maximum.at(windows, place, windows_N)
    total = float(windows[sizes == 1].sum())
    for k in np.flatnonzero(sizes > 1):
        members = np.flatnonzero((leader_N == leaders[k]) & (np.arange(len(leader_N)) != leaders[k]))
        total += float(windows[k]) * effective_size(len(members) + 1, float(correlation_N[members].mean()))
    return total


def whole_number(effective: float) -> int:
    """A sum of effective sizes as a number of looks: rounded up from a fifth on, at least 1."""
    return max(math.ceil(effective - 0.2), 1)


def in_digits(number: int) -> str:
    """A whole number; of a huge one the power of ten."""
    return f"{number}" if number < HUGE else f"{float(number):.0e}"


def effective_number_of_trials(returns_TN: ArrayLike | TrialRows) -> int:
    """Effective number of trials on the same bars, between 1 and N. Trials that left no returns: add their number."""
    if isinstance(returns_TN, TrialRows):
        return whole_number(effective_number(*leader_clusters(returns_TN)))
    returns = np.asarray(returns_TN, dtype=np.float64)
    if returns.ndim != 2 or returns.shape[1] < 1 or not np.isfinite(returns).all():
        raise ValueError(f"returns_TN has shape {returns.shape} or holds NaN; give (T bars, N >= 1 trials)")
    return whole_number(effective_number(*leader_clusters(returns.T)))
