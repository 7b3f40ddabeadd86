"""From specs to arrays: find each feature, compute it, name its outputs, and hash what was meant.

Axes: T time, A asset, F asset feature, C clock feature.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import DataError
from data.features.definition import Feature
from data.features.library import FEATURES, check_params, find_feature
from data.features.panel_parts import block_of, rows_of, write_columns
from data.features.planned import PlannedFeatures, bars_at_once
from data.locked_arrays import frozen
from data.schema import Panel

Float32Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class FeatureSpec:
    """One feature that is asked for.

    Parameters
    ----------
    name : a built-in feature, or `package.module:NAME` of a `Feature` of your own.
    params : its parameters, all of them.
    """

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", dict(self.params))
        check_params(resolve_feature(self.name), self.params)


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureSet:
    """Features of a panel, not standardised.

    Parameters
    ----------
    asset : (T, A, F) float32; NaN where not known (the first `lookback_bars` rows, and at missing bars).
    clock : (T, C) float32, never NaN.
    asset_names, clock_names : F and C names of outputs.
    lookback_bars : bars before t that row t may read, the largest of all features.
    feature_hash : SHA-256 (hex) of names, parameters, versions and outputs; not of the values.
    filtered : name of an output -> bars over which a hidden Markov model is filtered, of which `asset` holds what it
        observes: `Standardiser.transform` makes it the feature.
    unscaled : names of asset outputs that are flags, which `Standardiser` leaves as they are.
    """

    asset: Float32Array
    clock: Float32Array
    asset_names: tuple[str, ...]
    clock_names: tuple[str, ...]
    lookback_bars: int
    feature_hash: str
    filtered: Mapping[str, int] = field(default_factory=dict)
    unscaled: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "asset", frozen(self.asset, np.float32))
        object.__setattr__(self, "clock", frozen(self.clock, np.float32))
        if self.asset.ndim != 3 or self.asset.shape[2] != len(self.asset_names):
            raise ValueError(
                f"asset is {self.asset.shape}; expected (bars, assets, {len(self.asset_names)})."
            )
        if self.clock.shape != (len(self.asset), len(self.clock_names)):
            raise ValueError(
                f"clock is {self.clock.shape}; expected {(len(self.asset), len(self.clock_names))}."
            )


def resolve_feature(name: str) -> Feature:
    """Return the built-in feature of this name, or the user's at `package.module:NAME`.

    Raises
    ------
    ValueError
        If there is none; the message names the nearest built-in one.
    """
    return find_feature(name, FEATURES)


def compute_features(panel: Panel, specs: Sequence[FeatureSpec]) -> FeatureSet:
    """Compute the features of every bar of a panel.

    Rows before a feature's lookback are NaN for asset features. Order of outputs = order of specs.

    Raises
    ------
    DataError
        If the panel is not longer than the lookback, or a column is not in it.
    ValueError
        If two features give outputs of the same name, or a function returns a wrong shape.
    """
    panel = panel.positive()
    features = [resolve_feature(spec.name) for spec in specs]
    lookbacks = [int(f.lookback_bars(s.params)) for f, s in zip(features, specs, strict=True)]
    lookback = max(lookbacks, default=0)
    if panel.num_bars <= lookback:
        raise DataError(
            f"The data have {panel.num_bars} bars, but the features look back {lookback}; "
            "give more bars or shorten the windows."
        )
    names: dict[str, list[str]] = {"asset": [], "clock": []}
    for feature, spec in zip(features, specs, strict=True):
        names[feature.kind] += _output_names(feature, spec, panel)
    for kind, found in names.items():
        if len(set(found)) != len(found):
            raise ValueError(f"The {kind} features {found} repeat a name; ask for each feature once.")
    # Filled in place: a large panel's features are the largest array there is, and are held once.
    filled = {
        "asset": np.empty((panel.num_bars, panel.num_assets, len(names["asset"])), np.float32),
        "clock": np.empty((panel.num_bars, len(names["clock"])), np.float32),
    }
    reached = {"asset": 0, "clock": 0}
    columns = []
    for feature, spec in zip(features, specs, strict=True):
        start = reached[feature.kind]
        reached[feature.kind] += len(_output_names(feature, spec, panel))
        columns.append(_Columns(feature, spec, slice(start, reached[feature.kind])))
    rest = _fill_by_plan(panel, columns, filled["asset"])
    _fill_by_blocks(panel, [c for c in rest if c.feature.by_blocks], filled["asset"])
    for column in columns:
        if not column.feature.by_blocks:
            values = _evaluate(column.feature, column.spec, panel)
            filled[column.feature.kind][..., column.place] = values
        if column.feature.kind == "asset":
            filled["asset"][: column.feature.unknown_bars(column.spec.params), :, column.place] = np.nan
    for array in filled.values():
        array.flags.writeable = False
    return FeatureSet(
        asset=filled["asset"],
        clock=filled["clock"],
        asset_names=tuple(names["asset"]),
        clock_names=tuple(names["clock"]),
        lookback_bars=lookback,
        feature_hash=_hash(features, specs, names),
        filtered=_filtered(columns, names["asset"]),
        unscaled=tuple(n for c in columns if c.feature.unscaled for n in names["asset"][c.place]),
    )


def _filtered(columns: Sequence[_Columns], names: Sequence[str]) -> dict[str, int]:
    """Name of an output -> bars of its filter, for those that a hidden Markov model observes."""
    found = [(c.place, c.feature.filter_bars(c.spec.params)) for c in columns if c.feature.filter_bars]
    return {name: bars for place, bars in found for name in names[place]}


def _output_names(feature: Feature, spec: FeatureSpec, panel: Panel) -> list[str]:
    if feature.name == "column":
        return list(feature.outputs(panel, spec.params))
    stem = feature.stem(feature.name, spec.params)
    return [f"{stem}_{suffix}" if suffix else stem for suffix in feature.outputs(panel, spec.params)]


@dataclass(frozen=True)
class _Columns:
    """A feature that is asked for, and the columns that its outputs take on the feature axis."""

    feature: Feature
    spec: FeatureSpec
    place: slice

    @property
    def lookback_bars(self) -> int:
        return int(self.feature.lookback_bars(self.spec.params))


NOT_FINITE = "returned values that are not finite; only asset features may use NaN, for not known."
BLOCK_CELLS = 32_768
"""Bars times assets of a block: its arrays of 256 kB stay in the processor's cache."""
LOOKBACK_STEPS = (64, 512, 2048)
"""Features with lookbacks up to the same step share their blocks, and the series that they are made of."""


def _fill_by_plan(panel: Panel, columns: Sequence[_Columns], filled: Float32Array) -> list[_Columns]:
    """Write the features that can be planned into filled (T, A, F); returns the others."""
    rows = bars_at_once(panel.num_bars, panel.num_assets)
    plan = PlannedFeatures([(c.feature, c.spec.params) for c in columns], panel, rows)
    places = np.array([columns[number].place.start + k for number, k in plan.of], dtype=np.int64)
    unknown = [columns[number].feature.unknown_bars(columns[number].spec.params) for number, _ in plan.of]
    with np.errstate(all="ignore"):
        for start, stop in plan.parts_of(panel, rows):
            for k, bars in enumerate(unknown):
                if bars > start:
                    plan.block[k, : (bars - start) * panel.num_assets] = np.nan
            count = (stop - start) * panel.num_assets
            if not write_columns(plan.block, count, places, filled, start * panel.num_assets):
                infinite = np.flatnonzero(np.isinf(plan.block[:, :count]).any(axis=1))
                name = columns[plan.of[infinite[0]][0]].spec.name
                raise ValueError(f"Feature {name!r} {NOT_FINITE}")
    planned = set(plan.planned)
    return [column for number, column in enumerate(columns) if number not in planned]


def _fill_by_blocks(panel: Panel, columns: Sequence[_Columns], filled: Float32Array) -> None:
    """Write the features of `columns` into filled (T, A, F), block after block with the lookback before it.

    All features whose blocks are of one length are written at once: a row of `filled` then goes through the cache once,
    not once for each lookback.
    """
    groups: dict[int, list[_Columns]] = {}
    for column in columns:
        groups.setdefault(int(np.searchsorted(LOOKBACK_STEPS, column.lookback_bars)), []).append(column)
    by_length: dict[int, list[list[_Columns]]] = {}
    for group in groups.values():
        lookback = max(column.lookback_bars for column in group)
        rows = max(BLOCK_CELLS // panel.num_assets, 2 * lookback, 1)
        by_length.setdefault(rows, []).append(group)
    for rows, alike in by_length.items():
        places = np.concatenate([np.arange(c.place.start, c.place.stop) for group in alike for c in group])
        held = block_of(len(places), min(rows, panel.num_bars) * panel.num_assets)
        for start in range(0, panel.num_bars, rows):
            stop = min(start + rows, panel.num_bars)
            count = (stop - start) * panel.num_assets
            block = held[:, :count].reshape(len(places), stop - start, panel.num_assets)  # the same memory
            _compute_block(panel, alike, start, stop, block)
            if not write_columns(held, count, places, filled, start * panel.num_assets):
                _refuse_infinite(alike, block)


def _compute_block(
    panel: Panel, alike: Sequence[Sequence[_Columns]], start: int, stop: int, block: Float32Array
) -> None:
    """Fill block (K, N, A), which holds those of the bars before, with the features of bars [start, stop): group after
    group with its own lookback.
    """
    reached = 0
    for group in alike:
        lookback = max(column.lookback_bars for column in group)
        part = rows_of(panel, max(start - lookback, 0), stop)
        for column in group:
            first, reached = reached, reached + column.place.stop - column.place.start
            if column.feature.unscaled and start > 0:
                continue  # flags that are the same at every bar stand there since the first block
            values = _values(column.feature, column.spec, part)[start - stop :]
            with np.errstate(over="ignore"):  # infinite then, and refused
                for k in range(values.shape[2]):
                    block[first + k] = values[..., k]


def _refuse_infinite(alike: Sequence[Sequence[_Columns]], block: Float32Array) -> None:
    reached = 0
    for column in (column for group in alike for column in group):
        count = column.place.stop - column.place.start
        if np.isinf(block[reached : reached + count]).any():
            raise ValueError(f"Feature {column.spec.name!r} {NOT_FINITE}")
        reached += count


def _evaluate(feature: Feature, spec: FeatureSpec, panel: Panel) -> NDArray[np.float64]:
    values = _values(feature, spec, panel)
    if np.isinf(values).any() or (feature.kind == "clock" and np.isnan(values).any()):
        raise ValueError(f"Feature {spec.name!r} {NOT_FINITE}")
    return values


def _values(feature: Feature, spec: FeatureSpec, panel: Panel) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore", divide="ignore"):
        values = np.asarray(feature.function(panel, **spec.params), dtype=np.float64)
    leading = (panel.num_bars, panel.num_assets) if feature.kind == "asset" else (panel.num_bars,)
    outputs = len(feature.outputs(panel, spec.params))
    if values.shape == leading:
        values = values[..., None]
    if values.shape != (*leading, outputs):
        raise ValueError(
            f"Feature {spec.name!r} returned shape {values.shape}; expected {(*leading, outputs)}."
        )
    return values


@dataclass(frozen=True)
class SingleFeature:
    """One feature on its own, for checks that compute it many times on other bars.

    Attributes
    ----------
    spec : what is asked for. names : K names of its outputs on the panel that it was made for.
    """

    spec: FeatureSpec
    names: tuple[str, ...]

    @classmethod
    def of(cls, spec: FeatureSpec, panel: Panel) -> SingleFeature:
        """The feature of this spec, its outputs named as on this panel."""
        return cls(spec, tuple(_output_names(resolve_feature(spec.name), spec, panel)))

    @property
    def kind(self) -> str:
        """`asset` or `clock`."""
        return resolve_feature(self.spec.name).kind

    @property
    def lookback_bars(self) -> int:
        """Bars before t that row t reads, as declared."""
        return int(resolve_feature(self.spec.name).lookback_bars(self.spec.params))

    def values(self, panel: Panel) -> Float32Array:
        """Return (T, A, K), or (T, K) of a clock feature, as `compute_features` does, but infinite values pass."""
        feature, panel = resolve_feature(self.spec.name), panel.positive()
        part = rows_of(panel, 0, panel.num_bars) if feature.by_blocks else panel
        values = _values(feature, self.spec, part).astype(np.float32)
        if self.kind == "asset":
            values[: feature.unknown_bars(self.spec.params)] = np.nan
        return values


def _hash(features: Sequence[Feature], specs: Sequence[FeatureSpec], names: Mapping[str, list[str]]) -> str:
    meant = [
        [s.name, dict(sorted(s.params.items())), f.version, f.kind]
        for f, s in zip(features, specs, strict=True)
    ]
    return hashlib.sha256(json.dumps([meant, names], sort_keys=True).encode()).hexdigest()
