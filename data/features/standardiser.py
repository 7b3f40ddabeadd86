"""Standardisation of asset features with the statistics of a training window, and of nothing else.

Axes: T time, A asset, F feature.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.array_types import BoolArray, FloatArray
from data.features.compute import FeatureSet
from data.features.hidden_markov import HiddenMarkov
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
    models : name of an output -> hidden Markov models that turn it from what they observe into a probability.
    """

    feature_hash: str
    mean: FloatArray
    std: FloatArray
    clip: float
    pruned: tuple[str, ...] = ()
    models: Mapping[str, HiddenMarkov] = field(default_factory=dict)

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
    def fit(cls, features: FeatureSet, train: slice, *, clip: float = 10.0) -> Standardiser:
        """Return the standardiser of the bars of `train` (start and stop as bar indices, step None).

        Raises
        ------
        ValueError
            If the window is empty or reaches outside the bars.
        """
        num_bars = len(features.asset)
        start = 0 if train.start is None else train.start
        stop = num_bars if train.stop is None else train.stop
        if train.step not in (None, 1) or not 0 <= start < stop <= num_bars:
            raise ValueError(
                f"The training window {train} is not a part of the {num_bars} bars; give start < stop inside."
            )
        models = {
            name: HiddenMarkov.fit(
                features.asset[start:stop, :, features.asset_names.index(name)], window_bars=bars
            )
            for name, bars in features.filtered.items()
        }
        num_assets, num_features = features.asset.shape[1:]
        mean, std = np.empty((num_assets, num_features)), np.empty((num_assets, num_features))
        for f in range(num_features):  # one feature at a time, in float64, to need little memory
            window = _values(features, f, slice(start, stop), models).astype(np.float64)
            known = np.isfinite(window)
            count = np.maximum(known.sum(axis=0), 1)
            mean[:, f] = np.where(known, window, 0.0).sum(axis=0) / count
            deviation = np.where(known, window - mean[:, f], 0.0)
            std[:, f] = np.sqrt((deviation**2).sum(axis=0) / count)
        # Float32 rounding of a constant is no variation.
        std[std <= 1e-6 * np.abs(mean)] = 0.0
        return cls(feature_hash=features.feature_hash, mean=mean, std=std, clip=clip, models=models)

    def known(self, features: FeatureSet, bars: slice) -> NDArray[np.float32]:
        """Return (N, A, F) the features of some bars, not standardised, with what the models make of them."""
        if not self.models:
            return features.asset[bars]
        columns = [_values(features, f, bars, self.models) for f in range(self.mean.shape[1])]
        return np.stack(columns, axis=2)

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
            If these are not the features that it was fitted on, or the bars do not hold the window of a model.
        """
        if features.feature_hash != self.feature_hash or features.asset.shape[1:] != self.mean.shape:
            raise ValueError(
                f"The features {features.feature_hash[:12]} {features.asset.shape[1:]} are not those of the "
                f"standardiser ({self.feature_hash[:12]} {self.mean.shape}); use the features and assets of "
                "the training run."
            )
        self._check_windows(features)
        scale = np.divide(1.0, self.std, out=np.zeros_like(self.std), where=self.std > 0.0)
        standardised = np.empty_like(features.asset, subok=False)
        for f in range(self.mean.shape[1]):
            known = _values(features, f, slice(0, len(features.asset)), self.models)
            values = (known - self.mean[:, f]) * scale[:, f]
            np.clip(values, -self.clip, self.clip, out=values)
            standardised[:, :, f] = np.where(np.isfinite(values), values, 0.0)
        standardised.flags.writeable = False
        return replace(features, asset=standardised, filtered={})

    def _check_windows(self, features: FeatureSet) -> None:
        if set(features.filtered) != set(self.models):
            raise ValueError(
                f"The features {sorted(features.filtered)} need hidden Markov models and the standardiser has those of "
                f"{sorted(self.models)}; fit it on features that are not standardised yet."
            )
        needed = max((model.window_bars for model in self.models.values()), default=0)
        if needed and len(features.asset) <= needed:
            raise ValueError(
                f"{len(features.asset)} bars were given, and a hidden Markov model filters {needed}; give the features "
                f"of the last {needed + 1} bars or more, not standardised."
            )

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and numbers, for JSON; `from_dict` gives the standardiser back, bit for bit."""
        # Where nothing was pruned nothing is said of it, as in contracts that are older than pruning.
        told: dict[str, Any] = {"pruned": list(self.pruned)} if self.pruned else {}
        if self.models:
            told["models"] = {name: model.to_dict() for name, model in self.models.items()}
        return told | {
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
            models={
                str(name): HiddenMarkov.from_dict(model) for name, model in state.get("models", {}).items()
            },
        )


def _values(
    features: FeatureSet, f: int, bars: slice, models: Mapping[str, HiddenMarkov]
) -> NDArray[np.float32]:
    """(N, A) one feature at some bars (start and stop), filtered where a model observes it."""
    model = models.get(features.asset_names[f])
    if model is None:
        return features.asset[bars, :, f]
    first = max(bars.start - model.window_bars, 0)
    return model.filtered(features.asset[first : bars.stop, :, f])[bars.start - first :]
