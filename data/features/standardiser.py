"""Standardisation of asset features with the statistics of a training window, and of nothing else.

Axes: T time, A asset, F feature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from data.array_types import BoolArray, FloatArray
from data.features.compute import FeatureSet
from data.schema import frozen


@dataclass(frozen=True, kw_only=True, eq=False)
class Standardiser:
    """Mean and standard deviation of each asset's features on the training window.

    Parameters
    ----------
    feature_hash : of the features that it was fitted on; others are refused.
    mean, std : (A, F) float64, ddof 0; std is 0 where the feature was constant or never known in the window.
    clip : standardised values are limited to [-clip, clip], standard deviations.
    pruned : names of features that were left out on the training window (`data.features.pruning`); their std is 0.
    """

    feature_hash: str
    mean: FloatArray
    std: FloatArray
    clip: float
    pruned: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", frozen(self.mean, np.float64))
        object.__setattr__(self, "std", frozen(self.std, np.float64))
        if self.mean.ndim != 2 or self.mean.shape != self.std.shape:
            raise ValueError(
                f"mean is {self.mean.shape} and std {self.std.shape}; both must be (assets, features)."
            )
        if not self.clip > 0.0:
            raise ValueError(f"clip is {self.clip}; it must be above 0 standard deviations.")

    @classmethod
    def fit(cls, features: FeatureSet, train: slice | Sequence[slice], *, clip: float = 10.0) -> Standardiser:
        """Return the standardiser of the bars of `train` (start and stop as bar indices, step None).

        Parameters
        ----------
        train : one window, or the stretches of one with bars between them that are not to be known.

        Raises
        ------
        ValueError
            If the window is empty or reaches outside the bars.
        """
        parts = [_inside(part, len(features.asset)) for part in stretches(train)]
        num_assets, num_features = features.asset.shape[1:]
        mean, std = np.empty((num_assets, num_features)), np.empty((num_assets, num_features))
        for f in range(num_features):  # one feature at a time, in float64, to need little memory
            window = np.concatenate([features.asset[part, :, f] for part in parts]).astype(np.float64)
            known = np.isfinite(window)
            count = np.maximum(known.sum(axis=0), 1)
            mean[:, f] = np.where(known, window, 0.0).sum(axis=0) / count
            deviation = np.where(known, window - mean[:, f], 0.0)
            std[:, f] = np.sqrt((deviation**2).sum(axis=0) / count)
        # Float32 rounding of a constant is no variation.
        std[std <= 1e-6 * np.abs(mean)] = 0.0
        return cls(feature_hash=features.feature_hash, mean=mean, std=std, clip=clip)

    def without(self, names: tuple[str, ...], places: BoolArray) -> Standardiser:
        """Return the standardiser that leaves these features out: 0 ever after.

        Parameters
        ----------
        names : of what is left out. places : (F,) True there.
        """
        return replace(self, std=np.where(places, 0.0, self.std), pruned=names)

    def transform(self, features: FeatureSet) -> FeatureSet:
        """Return the features standardised: 0 where not known, or where `std` is 0; clock features unchanged.

        Raises
        ------
        ValueError
            If these are not the features that it was fitted on.
        """
        if features.feature_hash != self.feature_hash or features.asset.shape[1:] != self.mean.shape:
            raise ValueError(
                f"The features {features.feature_hash[:12]} {features.asset.shape[1:]} are not those of the "
                f"standardiser ({self.feature_hash[:12]} {self.mean.shape}); use the features and assets of "
                "the training run."
            )
        scale = np.divide(1.0, self.std, out=np.zeros_like(self.std), where=self.std > 0.0)
        standardised = np.empty_like(features.asset, subok=False)
        for f in range(self.mean.shape[1]):
            values = (features.asset[:, :, f] - self.mean[:, f]) * scale[:, f]
            np.clip(values, -self.clip, self.clip, out=values)
            standardised[:, :, f] = np.where(np.isfinite(values), values, 0.0)
        standardised.flags.writeable = False
        return replace(features, asset=standardised)

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and numbers, for JSON; `from_dict` gives the standardiser back, bit for bit."""
        # Where nothing was pruned nothing is said of it, as in contracts that are older than pruning.
        return ({"pruned": list(self.pruned)} if self.pruned else {}) | {
            "feature_hash": self.feature_hash,
            "mean": self.mean.tolist(),
            "std": self.std.tolist(),
            "clip": float(self.clip),
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Standardiser:
        """Return the standardiser that `to_dict` described."""
        return cls(
            feature_hash=str(state["feature_hash"]),
            mean=np.array(state["mean"], dtype=np.float64),
            std=np.array(state["std"], dtype=np.float64),
            clip=float(state["clip"]),
            pruned=tuple(str(name) for name in state.get("pruned", ())),
        )


def stretches(train: slice | Sequence[slice]) -> tuple[slice, ...]:
    """A training window as the stretches that it is made of."""
    return (train,) if isinstance(train, slice) else tuple(train)


def _inside(train: slice, num_bars: int) -> slice:
    start = 0 if train.start is None else train.start
    stop = num_bars if train.stop is None else train.stop
    if train.step not in (None, 1) or not 0 <= start < stop <= num_bars:
        raise ValueError(
            f"The training window {train} is not a part of the {num_bars} bars; give start < stop inside."
        )
    return slice(start, stop)
