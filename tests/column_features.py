"""A market's further columns as features, as they are: nothing is computed and no bar is waited for."""

from __future__ import annotations

import numpy as np

from data.features.compute import FeatureSet
from data.schema import Panel


def column_features(panel: Panel, **more: np.ndarray) -> FeatureSet:
    """A feature of each column of the panel, by name, then of each (T, A) array of `more`."""
    columns = dict(sorted(panel.exogenous.items())) | more
    return FeatureSet(
        asset=np.stack(list(columns.values()), axis=-1).astype(np.float32),
        clock=np.zeros((panel.num_bars, 1), dtype=np.float32),
        asset_names=tuple(columns),
        clock_names=("none",),
        lookback_bars=0,
        feature_hash="columns",
    )
