"""How far a distribution has moved from the one it was judged on: PSI and KL over bins of the reference.

Sources: Siddiqi, "Credit Risk Scorecards", 2006 (PSI, the sum of both relative entropies over bins); Kullback and
Leibler, "On information and sufficiency", Annals of Mathematical Statistics 22, 1951; Yurdakul and Naranjo,
"Statistical properties of the population stability index", Journal of Risk Model Validation 14, 2020: without drift
PSI is about (1/n + 1/m) times a chi-squared variable with bins - 1 degrees of freedom.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2

FloatArray = NDArray[np.float64]
LEAST = 20
"""Values below which a distribution is not judged."""


@dataclass(frozen=True, kw_only=True)
class Drift:
    """One variable's drift.

    Attributes
    ----------
    psi : population stability index, nats, >= 0. kl : relative entropy of what is live to the reference, nats, >= 0.
    p_value : probability of such a PSI without drift, values taken for independent.
    num_reference, num_live : finite values. missing_reference, missing_live : share of values that are not finite.
    num_bins : bins of the reference, the one of values that are missing included.
    """

    psi: float
    kl: float
    p_value: float
    num_reference: int
    num_live: int
    missing_reference: float
    missing_live: float
    num_bins: int


def drift(reference: ArrayLike, live: ArrayLike, *, num_bins: int = 10) -> Drift:
    """Drift of a number: bins are quantiles of the reference; missing values are a bin of their own.

    Parameters
    ----------
    reference : (N,) numbers it was judged on. live : (M,) numbers since.
    num_bins : asked for; ties of the reference leave fewer.

    Returns
    -------
    With nan in place of numbers where either has fewer than `LEAST` values.

    Raises
    ------
    ValueError
        If either is not one series, or there are fewer than 2 bins.
    """
    if num_bins < 2:
        raise ValueError(f"num_bins is {num_bins}; it must be at least 2")
    then, now = (_series(values, name) for values, name in ((reference, "reference"), (live, "live")))
    finite = then[np.isfinite(then)]
    edges = _edges(finite, num_bins)
    return _drift(_counts(then, edges), _counts(now, edges), then, now)


def category_drift(reference: ArrayLike, live: ArrayLike) -> Drift:
    """Drift of a choice, such as a policy's actions: each value that either takes is a bin."""
    then, now = (_series(values, name) for values, name in ((reference, "reference"), (live, "live")))
    known = np.unique(np.concatenate([then[np.isfinite(then)], now[np.isfinite(now)]]))
    edges = (known[1:] + known[:-1]) / 2.0
    return _drift(_counts(then, edges), _counts(now, edges), then, now)


def worst_drift(drifts: Mapping[str, Drift]) -> tuple[str, Drift] | None:
    """The variable that moved most by PSI; None where none is defined."""
    known = {name: found for name, found in drifts.items() if not math.isnan(found.psi)}
    return max(known.items(), key=lambda item: item[1].psi) if known else None


def _series(values: ArrayLike, name: str) -> FloatArray:
    found = np.asarray(values, np.float64)
    if found.ndim != 1:
        raise ValueError(f"{name} has shape {found.shape}; give one series")
    return found


def _edges(finite: FloatArray, num_bins: int) -> FloatArray:
    """Inner edges: quantiles, or each value apart where the reference takes few."""
    known = np.unique(finite)
    if known.size <= num_bins:
        return np.unique(np.concatenate([known, np.nextafter(known, np.inf)]))
    return np.unique(np.quantile(finite, np.linspace(0.0, 1.0, num_bins + 1)[1:-1]))


def _counts(values: FloatArray, edges: FloatArray) -> FloatArray:
    """Values by bin; the last bin holds those that are missing."""
    finite = values[np.isfinite(values)]
    counts = np.bincount(np.searchsorted(edges, finite, side="right"), minlength=len(edges) + 1)
    return np.append(counts, values.size - finite.size).astype(np.float64)


def _drift(then: FloatArray, now: FloatArray, reference: FloatArray, live: FloatArray) -> Drift:
    used = (then + now) > 0.0
    num_bins = int(used.sum())
    facts = {
        "num_reference": int(then[:-1].sum()),
        "num_live": int(now[:-1].sum()),
        "missing_reference": float(then[-1] / reference.size) if reference.size else math.nan,
        "missing_live": float(now[-1] / live.size) if live.size else math.nan,
        "num_bins": num_bins,
    }
    if min(reference.size, live.size) < LEAST:
        return Drift(psi=math.nan, kl=math.nan, p_value=math.nan, **facts)  # type: ignore[arg-type]
    # Half a value more in each bin (Jeffreys), so that an empty one does not make the sums infinite.
    p, q = ((counts[used] + 0.5) / (counts.sum() + 0.5 * num_bins) for counts in (then, now))
    psi = float(np.sum((q - p) * np.log(q / p)))
    kl = float(np.sum(q * np.log(q / p)))
    scale = 1.0 / reference.size + 1.0 / live.size
    p_value = float(chi2.sf(psi / scale, num_bins - 1)) if num_bins > 1 else 1.0
    return Drift(psi=max(psi, 0.0), kl=max(kl, 0.0), p_value=p_value, **facts)  # type: ignore[arg-type]
