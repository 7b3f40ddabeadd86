"""Half-hourly rows of one symbol as a file has them, for checks of what becomes of a row."""

from __future__ import annotations

import numpy as np
import pandas as pd

START = np.datetime64("2024-01-01", "ns")
STEP = np.timedelta64(1800, "s")


def half_hours(count: int) -> np.ndarray:
    return START + np.arange(count) * STEP


def rows_at(labels: np.ndarray, seed: int = 1, sigma: float = 0.002) -> pd.DataFrame:
    """A random walk that opens where it closed, with a volume of 5."""
    close = 100.0 * np.exp(np.cumsum(sigma * np.random.default_rng(seed).standard_normal(len(labels))))
    opened = np.concatenate([[100.0], close[:-1]])
    prices = {
        "open": opened,
        "high": np.maximum(opened, close),
        "low": np.minimum(opened, close),
        "close": close,
    }
    return pd.DataFrame({**prices, "volume": 5.0}, index=pd.DatetimeIndex(labels))
