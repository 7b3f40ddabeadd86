"""Features of the data as Parquet files, one per symbol, and how much of each is known."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data.errors import DataError
from data.features import FeatureSet, FeatureSpec, Standardiser
from data.schema import Panel
from rayjobs.storage.run_directory import write_atomically

LOG = logging.getLogger(__name__)
LIMIT = 1e-6
"""Known values that differ by less than this share of their mean are constant (float32 rounding)."""


def write_features(
    panel: Panel, features: FeatureSet, specs: Sequence[FeatureSpec], folder: Path
) -> list[Path]:
    """Write SYMBOL.parquet for each symbol, indexed by the bar's opening instant (UTC), and features.json beside them.

    Values are not standardised; NaN where not known. Returns the paths.

    Raises
    ------
    DataError
        If two symbols would be written to the same file.
    """
    names = [symbol.replace("/", "_") for symbol in panel.symbols]
    if len({name.casefold() for name in names}) != len(names):
        raise DataError(
            f"Two of the symbols {', '.join(panel.symbols)} would take the same file; build them apart."
        )
    paths = []
    index = pd.DatetimeIndex(panel.bar_utc, tz="UTC", name="bar_utc")
    clock = pd.DataFrame(features.clock, index=index, columns=list(features.clock_names))
    for asset, name in enumerate(names):
        own = pd.DataFrame(features.asset[:, asset], index=index, columns=list(features.asset_names))
        path = folder / f"{name}.parquet"
        pd.concat([own, clock], axis=1).to_parquet(path)
        paths.append(path)
    described = {
        "feature_hash": features.feature_hash,
        "data_fingerprint": panel.fingerprint,
        "lookback_bars": features.lookback_bars,
        "specs": [{"name": spec.name, "params": dict(spec.params)} for spec in specs],
    }
    path = folder / "features.json"
    write_atomically(path, json.dumps(described, indent=2) + "\n")
    return [*paths, path]


def with_models(features: FeatureSet, train: slice) -> FeatureSet:
    """The features with what hidden Markov models make of their observations, fitted on a training window."""
    LOG.info(
        "%s: fitted on bars %d to %d, the first training window, as a policy's would be",
        ", ".join(features.filtered),
        train.start,
        train.stop,
    )
    fitted = Standardiser.fit(features, train)
    return replace(features, asset=fitted.known(features, slice(0, len(features.asset))), filtered={})


def share_rows(panel: Panel, features: FeatureSet, clip: float) -> list[dict[str, Any]]:
    """A row per feature: shares of values known and NaN after the lookback, and clipped; and whether it is constant.

    known and nan are shares of the bars that an asset has (a missing bar is no fault of a feature); clipped is the
    share of known values beyond `clip` standard deviations of all bars.
    """
    start = features.lookback_bars
    there = np.isfinite(panel.close[start:])
    fitted = Standardiser.fit(features, slice(0, panel.num_bars), clip=clip)
    rows = []
    for k, name in enumerate(features.asset_names):
        values = features.asset[start:, :, k].astype(np.float64)
        known = np.isfinite(values)
        std, mean = fitted.std[:, k], fitted.mean[:, k]
        with np.errstate(invalid="ignore", divide="ignore"):
            far = np.abs(values - mean) > clip * np.where(std > 0.0, std, np.inf)
        rows.append(_row(name, known[there], far[known], values[known], bool((std == 0.0).all())))
    for k, name in enumerate(features.clock_names):
        values = features.clock[start:, k].astype(np.float64)
        known = np.isfinite(values)
        rows.append(_row(name, known, np.zeros(0, bool), values, bool(np.ptp(values) <= LIMIT)))
    return rows


def _row(name: str, known: Any, far: Any, values: Any, constant: bool) -> dict[str, Any]:
    share = float(known.mean()) if known.size else 0.0
    return {
        "feature": name,
        "known": share,
        "nan": 1.0 - share,
        "clipped": float(far.mean()) if far.size else 0.0,
        "constant": constant,
        "mean": float(values.mean()) if values.size else float("nan"),
        "std": float(values.std()) if values.size else float("nan"),
    }
