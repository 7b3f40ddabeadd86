"""Which outputs of a feature set belong to which feature that was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from data.features.compute import FeatureSpec, _output_names, resolve_feature
from data.schema import Panel


@dataclass(frozen=True, kw_only=True)
class FeatureOutputs:
    """The outputs of one feature.

    Attributes
    ----------
    name : what its outputs' names begin with, such as `log_return_48`; of its only output it is the name.
    kind : of the axis that they stand in. places : their places on it. names : of each output.
    own : a feature of the user's, `package.module:NAME`, or one whose parameters are facts of the user's.
    columns : it hands on exogenous columns as they are.
    """

    name: str
    kind: Literal["asset", "clock"]
    places: tuple[int, ...]
    names: tuple[str, ...]
    own: bool
    columns: bool


def feature_outputs(panel: Panel, specs: Sequence[FeatureSpec]) -> tuple[FeatureOutputs, ...]:
    """The outputs of each spec, places counted as `compute_features` lays them out."""
    reached = {"asset": 0, "clock": 0}
    found = []
    for spec in specs:
        feature = resolve_feature(spec.name)
        names = tuple(_output_names(feature, spec, panel))
        start = reached[feature.kind]
        reached[feature.kind] += len(names)
        stem = feature.stem(feature.name, spec.params)
        found.append(
            FeatureOutputs(
                name=stem,
                kind=feature.kind,
                places=tuple(range(start, start + len(names))),
                names=names,
                own=":" in spec.name or feature.users_facts,
                columns=spec.name == "column",
            )
        )
    return tuple(found)
