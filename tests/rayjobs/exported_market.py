"""Synthetic markets written as a user's own files: real bars as far as anybody can tell, and so not exempt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from data.schema import Panel
from data.synthetic import NoiseConfig, SyntheticConfig, make_market

COMMON = {"bar_seconds": 1800, "start_utc": "2020-01-01", "volatility": 0.002, "cost_bps": 2.0}


def noise(seed: int = 1, num_bars: int = 1400, num_assets: int = 2, noise_features: int = 1) -> NoiseConfig:
    return NoiseConfig(
        seed=seed, num_bars=num_bars, num_assets=num_assets, noise_features=noise_features, **COMMON
    )


def next_return(panel: Panel) -> np.ndarray:
    """(T, A) what nobody can know at the close of a bar: the return of the next."""
    return np.vstack([panel.close[1:] / panel.close[:-1] - 1.0, np.zeros((1, panel.num_assets))])


def write_files(law: SyntheticConfig, directory: Path, **columns: np.ndarray) -> list[str]:
    """Write a file per symbol with further columns, and return the overrides that read them."""
    panel = make_market(law).panel
    directory.mkdir(parents=True, exist_ok=True)
    for a, symbol in enumerate(panel.symbols):
        table = pd.DataFrame({"timestamp": panel.bar_utc})
        for name in ("open", "high", "low", "close", "volume"):
            table[name] = getattr(panel, name)[:, a]
        for name, values in {**panel.exogenous, **columns}.items():
            table[name] = values[:, a]
        table.to_parquet(directory / f"{symbol}.parquet")
    return ["data=files", f"data.path={directory}", "data.calendar='24/7'", "data.bar_seconds=1800"]
