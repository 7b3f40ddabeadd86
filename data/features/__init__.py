"""Causal features: named pure functions of the bars up to t, each with a declared lookback."""

from data.features.compute import FeatureSet, FeatureSpec, compute_features, resolve_feature
from data.features.definition import Feature
from data.features.standardiser import Standardiser
from data.features.stream import ClosedBar, FeatureStream

__all__ = [
    "ClosedBar",
    "Feature",
    "FeatureSet",
    "FeatureSpec",
    "FeatureStream",
    "Standardiser",
    "compute_features",
    "resolve_feature",
]
