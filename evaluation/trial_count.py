"""How many different things were tried: trials whose returns move together count as one."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform


def trial_clusters(returns_TN: ArrayLike, *, min_correlation: float = 0.5) -> NDArray[np.int64]:
    """Cluster number of each trial: average linkage on ``1 - correlation``, cut at `min_correlation`.

    Parameters
    ----------
    returns_TN : (T, N) returns of N trials on the same bars. Trials without variance (never traded) form one cluster.
    min_correlation : trials that correlate by more, on average over a cluster, count as one.

    Returns
    -------
    (N,) numbers from 1 on.
    """
    returns = np.asarray(returns_TN, dtype=np.float64)
    if returns.ndim != 2 or returns.shape[1] < 1 or not np.isfinite(returns).all():
        raise ValueError(f"returns_TN has shape {returns.shape} or holds NaN; give (T bars, N >= 1 trials)")
    if not 0.0 < min_correlation < 1.0:
        raise ValueError(f"min_correlation is {min_correlation}; it must lie between 0 and 1")
    clusters = np.ones(returns.shape[1], dtype=np.int64)
    moving = np.flatnonzero(np.ptp(returns, axis=0) > 0.0)
    if len(moving) >= 2:
        distance = 1.0 - np.atleast_2d(np.corrcoef(returns[:, moving], rowvar=False))
        np.fill_diagonal(distance, 0.0)
        condensed = squareform(np.clip((distance + distance.T) / 2.0, 0.0, 2.0), checks=False)
        clusters[moving] = fcluster(linkage(condensed, "average"), 1.0 - min_correlation, "distance")
    still = np.setdiff1d(np.arange(returns.shape[1]), moving)
    if len(still) and len(moving):
        clusters[still] = clusters[moving].max() + 1
    return clusters


def effective_number_of_trials(returns_TN: ArrayLike, *, min_correlation: float = 0.5) -> int:
    """Number of clusters of `trial_clusters`: between 1 and N. Trials that failed have no returns: add their number."""
    return len(np.unique(trial_clusters(returns_TN, min_correlation=min_correlation)))
