"""The price features that fitted baselines always read, whatever features a configuration names.

A configuration may name few features, or hand the policy an input in a form that no linear model can use: then models
of the same features are no rivals. So each is fitted a second time on `PRICE_FEATURES`, which no setting changes. They
are computed from the study's own bars, up to 256 of them back, and standardised on the fold's training bars; a value
that is not known (yet) counts as the mean. Axes: T time, A asset, F feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from data.features import FeatureSet, FeatureSpec, Standardiser, compute_features, resolve_feature
from data.schema import Panel

CLIP = 10.0
"""Standardised values are limited to this, standard deviations of the training bars: what conf/features ships."""
PRICE_FEATURES = (
    *(("log_return", {"horizon_bars": bars}) for bars in (1, 4, 16, 64, 256)),
    *(("realised_volatility", {"window_bars": bars}) for bars in (16, 64)),
    ("rsi", {"window_bars": 14}),
    ("relative_volume", {"window_bars": 16}),
)
"""Name and parameters, bars: returns of every speed, how much prices move, and how much is traded."""


@cache
def _specs() -> tuple[tuple[int, FeatureSpec], ...]:
    """Lookback in bars, and the feature."""
    specs = [FeatureSpec(name=name, params=params) for name, params in PRICE_FEATURES]
    return tuple((int(resolve_feature(spec.name).lookback_bars(spec.params)), spec) for spec in specs)


def price_features(panel: Panel, train: Sequence[slice], bars: slice) -> NDArray[np.float32]:
    """(N, A, F) standardised price features of the bars ``bars``, which hold the training stretches; 0 where not known.

    Parameters
    ----------
    panel : bars of the study. What looks further back than it has bars is left out.
    train : stretches whose statistics standardise all of them, each symbol by its own.
    """
    known = [(lookback, spec) for lookback, spec in _specs() if lookback < bars.stop]
    first = max(bars.start - max((lookback for lookback, _ in known), default=0), 0)
    part = panel.slice_bars(first, bars.stop)
    found: FeatureSet = compute_features(part, [spec for _, spec in known])
    within = [slice(stretch.start - first, stretch.stop - first) for stretch in train]
    standardised = Standardiser.fit(found, within, clip=CLIP).transform(found)
    return standardised.asset[bars.start - first :]
