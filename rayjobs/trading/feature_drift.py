"""How far the features of the traded bars lie from those of the bars before them."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from envs.market import Market
from evaluation.statistics.drift import drift

MOST_VALUES = 20_000
"""Values of a feature that are read, evenly spaced: quantiles of more are no sharper for this purpose."""


def feature_drift_table(market: Market, start: int, stop: int) -> pd.DataFrame:
    """A row per feature: its PSI and KL over all symbols, traded bars [start, stop) against every known bar before.

    Returns
    -------
    Columns feature, and those of `evaluation.statistics.drift.Drift`; NaN where there are too few bars to judge.
    """
    first = min(market.first_bar, start)
    rows = []
    for column, name in enumerate(market.asset_names):
        then = _thinned(market.features[first:start, :, column])
        now = _thinned(market.features[start:stop, :, column])
        rows.append({"feature": name, **asdict(drift(then, now))})
    return pd.DataFrame(rows, columns=["feature", *drift(np.zeros(0), np.zeros(0)).__dataclass_fields__])


def _thinned(values: NDArray[np.float32]) -> NDArray[np.float64]:
    flat = values.reshape(-1).astype(np.float64)
    return flat[:: max(1, -(-len(flat) // MOST_VALUES))]
