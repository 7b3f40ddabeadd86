"""Standardisation of asset features: with the statistics of a training window, or with each symbol's own past.

Three ways (`METHODS`): ``by_symbol``, each symbol by its own statistics of the training window; ``pooled``, all by
those of all training symbols together, so that a symbol that was never trained on can be standardised as well;
``own_past``, each value by the symbol's own values up to and with that bar, which needs no training window at all.

Axes: T time, A asset, F feature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.array_types import BoolArray, FloatArray
from data.features.compute import FeatureSet
from data.features.hidden_markov import HiddenMarkov
from data.locked_arrays import frozen

METHODS = ("by_symbol", "pooled", "own_past")
OWN_PAST_VALUES = 100
"""Known values of a symbol's own before ``own_past`` says anything; 0 until then."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Standardiser:
    """Mean and standard deviation of each asset's features on the training window.

    Parameters
    ----------
    feature_hash : of the features that it was fitted on; others are refused.
    mean, std : (A, F) float64, ddof 0; std is 0 where the feature was constant or never known in the window, and mean 0
        and std 1 of flags, which are seen as they are.
    clip : standardised values are limited to [-clip, clip], standard deviations.
    pruned : names of features that were left out on the training window (`data.features.pruning`); their std is 0.
    method : one of `METHODS`. Pooled statistics are the same for each asset; of ``own_past`` there are none, and `mean`
        is 0 and `std` 1 but where a feature is pruned.
    models : name of an output -> hidden Markov models that turn it from what they observe into a probability.
    """

    feature_hash: str
    mean: FloatArray
    std: FloatArray
    clip: float
    pruned: tuple[str, ...] = ()
    method: str = "by_symbol"
    models: Mapping[str, HiddenMarkov] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_method(self.method)
        object.__setattr__(self, "mean", frozen(self.mean, np.float64))
        object.__setattr__(self, "std", frozen(self.std, np.float64))
        if self.mean.ndim != 2 or self.mean.shape != self.std.shape:
            raise ValueError(
                f"mean is {self.mean.shape} and std {self.std.shape}; both must be (assets, features)."
            )
        if not self.clip > 0.0:
            raise ValueError(f"clip is {self.clip}; it must be above 0 standard deviations.")

    @classmethod
    def fit(
        cls,
        features: FeatureSet,
        train: slice | Sequence[slice],
        *,
        clip: float = 10.0,
        method: str = "by_symbol",
    ) -> Standardiser:
        """Return the standardiser of the bars of `train` (start and stop as bar indices, step None).

        Parameters
        ----------
        train : one window, or the stretches of one with bars between them that are not to be known.
        method : one of `METHODS`.

        Raises
        ------
        ValueError
            If the window is empty or reaches outside the bars, there is no such method, or a feature needs a model of
            each symbol and the method has none.
        """
        parts = [_inside(part, len(features.asset)) for part in stretches(train)]
        check_method(method)
        if features.filtered and method != "by_symbol":
            raise ValueError(
                f"the features {sorted(features.filtered)} fit a hidden Markov model to each symbol's training window, "
                f"and features.standardise={method} is for symbols without one; switch them off, or set it to by_symbol"
            )
        models = {
            name: HiddenMarkov.fit(_apart(features, name, parts, bars), window_bars=bars)
            for name, bars in features.filtered.items()
        }
        num_assets, num_features = features.asset.shape[1:]
        if method == "own_past":
            nothing = np.zeros((num_assets, num_features))
            return cls(
                feature_hash=features.feature_hash, mean=nothing, std=nothing + 1.0, clip=clip, method=method
            )
        mean, std = np.empty((num_assets, num_features)), np.empty((num_assets, num_features))
        for f in range(num_features):  # one feature at a time, in float64, to need little memory
            window = np.concatenate([_values(features, f, part, models) for part in parts]).astype(np.float64)
            if method == "pooled":
                window = window.reshape(-1, 1)
            known = np.isfinite(window)
            count = np.maximum(known.sum(axis=0), 1)
            centre = np.where(known, window, 0.0).sum(axis=0) / count
            mean[:, f] = centre
            deviation = np.where(known, window - centre, 0.0)
            std[:, f] = np.sqrt((deviation**2).sum(axis=0) / count)
        # Float32 rounding of a constant is no variation.
        std[std <= 1e-6 * np.abs(mean)] = 0.0
        flags = _flags(features)
        mean[:, flags], std[:, flags] = 0.0, 1.0
        return cls(
            feature_hash=features.feature_hash, mean=mean, std=std, clip=clip, method=method, models=models
        )

    def known(self, features: FeatureSet, train: slice | Sequence[slice]) -> NDArray[np.float32]:
        """Return (N, A, F) the features of some bars, not standardised, with what the models make of them."""
        parts = [_inside(part, len(features.asset)) for part in stretches(train)]
        if not self.models:
            return (
                np.concatenate([features.asset[part] for part in parts])
                if len(parts) > 1
                else features.asset[parts[0]]
            )
        columns = [
            np.concatenate([_values(features, f, part, self.models) for part in parts])
            for f in range(self.mean.shape[1])
        ]
        return np.stack(columns, axis=2)

    def for_assets(self, num_assets: int) -> Standardiser:
        """Return the standardiser for another number of symbols, none of which it need have been fitted on.

        Raises
        ------
        ValueError
            If every symbol has statistics of its own.
        """
        if self.method == "by_symbol":
            raise ValueError(
                "every symbol was standardised by statistics of its own training window, and other symbols have none; "
                "set features.standardise to pooled or own_past"
            )
        rows = [np.repeat(part[:1], num_assets, axis=0) for part in (self.mean, self.std)]
        return replace(self, mean=rows[0], std=rows[1])

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
        if self.method == "own_past":
            return self._by_own_past(features)
        standardised = np.empty_like(features.asset, subok=False)
        for f in range(self.mean.shape[1]):
            known = _values(features, f, slice(0, len(features.asset)), self.models)
            standardised[:, :, f] = self.observed(known, f)
        standardised.flags.writeable = False
        return replace(features, asset=standardised, filtered={})

    def observed(self, values: NDArray[np.float32], feature: int) -> NDArray[np.float32]:
        """Return (..., A) values of one feature as they are observed by the statistics of the training window.

        0 where not known, and where `std` is 0. Never falls where a value rises, so that order is kept.

        Parameters
        ----------
        values : (..., A), not standardised. feature : its place.
        """
        std = self.std[:, feature]
        scale = np.divide(1.0, std, out=np.zeros_like(std), where=std > 0.0)
        scaled = (values - self.mean[:, feature]) * scale
        np.clip(scaled, -self.clip, self.clip, out=scaled)
        return np.where(np.isfinite(scaled), scaled, 0.0).astype(np.float32)

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

    def _by_own_past(self, features: FeatureSet) -> FeatureSet:
        standardised, flags = np.zeros_like(features.asset, subok=False), _flags(features)
        for f in range(self.mean.shape[1]):
            own = features.asset[:, :, f]
            values = np.nan_to_num(own.astype(np.float64)) if flags[f] else expanding_score(own)
            standardised[:, :, f] = np.clip(values, -self.clip, self.clip) * (self.std[:, f] > 0.0)
        standardised.flags.writeable = False
        return replace(features, asset=standardised)

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and numbers, for JSON; `from_dict` gives the standardiser back, bit for bit."""
        # Where nothing was pruned nothing is said of it, as in contracts that are older than pruning; so of the method.
        said: dict[str, Any] = {"pruned": list(self.pruned)} if self.pruned else {}
        said |= {} if self.method == "by_symbol" else {"method": self.method}
        if self.models:
            said["models"] = {name: model.to_dict() for name, model in self.models.items()}
        return said | {
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
            method=str(state.get("method", "by_symbol")),
            models={
                str(name): HiddenMarkov.from_dict(model) for name, model in state.get("models", {}).items()
            },
        )


def _flags(features: FeatureSet) -> BoolArray:
    """(F,) True for a flag, which a policy sees as it is."""
    return np.isin(features.asset_names, features.unscaled)


def expanding_score(values: NDArray[np.float32]) -> FloatArray:
    """(T, A) each value less the mean of all known ones of its column so far, over their deviation (ddof 0).

    The value itself counts. 0 where it is not known, where fewer than `OWN_PAST_VALUES` are, or they hardly differ.
    """
    known = np.isfinite(values)
    column = values.astype(np.float64)
    first = column[np.argmax(known, axis=0), np.arange(column.shape[1])]
    # Around the first value, so that a level far from 0 takes no digits from the deviation.
    moved = np.where(known, column - np.where(np.isfinite(first), first, 0.0), 0.0)
    count = np.cumsum(known, axis=0)
    size = np.maximum(count, 1)
    mean = np.cumsum(moved, axis=0) / size
    deviation = np.sqrt(np.maximum(np.cumsum(moved**2, axis=0) / size - mean**2, 0.0))
    level = np.abs(mean + np.where(np.isfinite(first), first, 0.0))
    said = known & (count >= OWN_PAST_VALUES) & (deviation > 1e-6 * level)
    return np.where(said, (moved - mean) / np.where(said, deviation, 1.0), 0.0)


def check_method(method: str) -> None:
    """Raise ValueError where there is no such way to standardise."""
    if method not in METHODS:
        raise ValueError(f"features.standardise is {method!r}; it must be one of {', '.join(METHODS)}")


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


def _values(
    features: FeatureSet, f: int, bars: slice, models: Mapping[str, HiddenMarkov]
) -> NDArray[np.float32]:
    """(N, A) one feature at some bars (start and stop), filtered where a model observes it."""
    model = models.get(features.asset_names[f])
    if model is None:
        return features.asset[bars, :, f]
    first = max(bars.start - model.window_bars, 0)
    return model.filtered(features.asset[first : bars.stop, :, f])[bars.start - first :]


def _apart(features: FeatureSet, name: str, parts: Sequence[slice], window_bars: int) -> NDArray[np.float32]:
    """(N, A) what a model observes on the training bars, with a window of nothing known between two stretches."""
    f = features.asset_names.index(name)
    gap = np.full((window_bars, features.asset.shape[1]), np.nan, dtype=np.float32)
    pieces = [piece for part in parts for piece in (gap, features.asset[part, :, f])]
    return np.concatenate(pieces[1:])
