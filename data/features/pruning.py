"""Which features a policy does without: unknown, always the same, or copies of another, on its training window alone.

What is pruned keeps its place in the observation and is always 0 there, so that policies of all folds have one layout;
the standardiser says which these are, and travels in the policy's contract.

Axes: T time, A asset, F asset feature.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.array_types import BoolArray, FloatArray
from data.features.compute import FeatureSet
from data.features.standardiser import Standardiser, stretches

MAX_ROWS = 100_000
"""Bars of a window that correlations are measured on, evenly spaced: more say the same."""


@dataclass(frozen=True, kw_only=True)
class PruneConfig:
    """When a feature is left out.

    Parameters
    ----------
    max_correlation : two features correlated by more than this, with either sign: the later one is left out; 1 keeps
        all.
    min_known : a feature known at a smaller share of the window's values is left out, 0 to 1.
    max_same : a feature that has one and the same value at a larger share of its known values is left out, 0 to 1.
    """

    max_correlation: float
    min_known: float
    max_same: float

    def __post_init__(self) -> None:
        for name in ("max_correlation", "min_known", "max_same"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"features.prune.{name} is {getattr(self, name)}; it must be from 0 to 1")


def fit_standardiser(
    features: FeatureSet,
    train: slice | Sequence[slice],
    *,
    clip: float,
    prune: PruneConfig | None,
    method: str = "by_symbol",
    doubts: Callable[[BoolArray], BoolArray] | None = None,
) -> Standardiser:
    """Return the standardiser of a training window, with the features that `prune` leaves out; None leaves out none.

    Parameters
    ----------
    train, method : as `Standardiser.fit` takes them.
    doubts : of the features (F,) that `prune` keeps, which are left out for another reason; None leaves out no more.

    Raises
    ------
    ValueError
        If the window is empty or outside of the bars, or no feature would be left.
    """
    fitted = Standardiser.fit(features, train, clip=clip, method=method)
    if prune is None or not features.asset_names:
        return fitted
    of_window = fitted if method != "own_past" else Standardiser.fit(features, train, clip=clip)
    left_out = pruned(features, of_window, train, prune)
    if doubts is not None and not left_out.all():
        left_out |= doubts(~left_out)
    if left_out.all():
        parts = stretches(train)
        raise ValueError(
            f"features.prune leaves none of the {len(left_out)} features of bars {parts[0].start} to {parts[-1].stop}; "
            "loosen it, or choose other features"
        )
    return fitted.without(tuple(np.array(features.asset_names)[left_out].tolist()), left_out)


def pruned(
    features: FeatureSet, fitted: Standardiser, train: slice | Sequence[slice], prune: PruneConfig
) -> BoolArray:
    """Return (F,) True where a feature is left out. Clock features are never."""
    window = fitted.known(features, train)
    window = window[:: -(-len(window) // MAX_ROWS)]
    flat = window.reshape(-1, window.shape[2])
    left_out = np.array([_says_little(flat[:, k], prune) for k in range(flat.shape[1])])
    left_out |= (fitted.std == 0.0).all(axis=0)
    correlation_FF = np.abs(_correlations(window, fitted))
    for k in range(len(left_out) if prune.max_correlation < 1.0 else 0):  # rounding may lead beyond 1
        kept = ~left_out[:k]
        left_out[k] |= bool((correlation_FF[k, :k][kept] > prune.max_correlation).any())
    return left_out


def _says_little(values: NDArray[np.float32], prune: PruneConfig) -> bool:
    known = values[np.isfinite(values)]
    if not len(known) or len(known) < prune.min_known * len(values):
        return True
    counts = np.unique(known, return_counts=True)[1]
    return bool(counts.max() > prune.max_same * len(known))


def _correlations(window: NDArray[np.float32], fitted: Standardiser) -> FloatArray:
    """(F, F) of values standardised as a policy sees them: each asset by its own statistics, unknown ones 0."""
    scale = np.divide(1.0, fitted.std, out=np.zeros_like(fitted.std), where=fitted.std > 0.0)
    ready = np.clip((window - fitted.mean) * scale, -fitted.clip, fitted.clip)
    flat = np.nan_to_num(ready).reshape(-1, window.shape[2])
    flat -= flat.mean(axis=0)
    spread = np.sqrt((flat**2).sum(axis=0))
    flat /= np.where(spread > 0.0, spread, np.inf)
    return np.asarray(flat.T @ flat)
