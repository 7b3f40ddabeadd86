"""Daily bars of random walks, made from returns, for checks of inputs and prices."""

from __future__ import annotations

import numpy as np

from data.schema import Panel

VOLATILITY = 0.02


def market(returns_TA: np.ndarray, **columns: np.ndarray) -> Panel:
    """Bars that open where the last one closed."""
    close = 100.0 * np.exp(np.cumsum(returns_TA, axis=0))
    opened = np.vstack([np.full((1, close.shape[1]), 100.0), close[:-1]])
    bar_utc = np.datetime64("2005-01-01", "ns") + np.arange(len(close)) * np.timedelta64(1, "D")
    return Panel(
        symbols=tuple(f"S{a}" for a in range(close.shape[1])),
        bar_utc=bar_utc,
        open=opened,
        high=1.01 * np.maximum(opened, close),
        low=0.99 * np.minimum(opened, close),
        close=close,
        volume=np.ones_like(close),
        tradable=np.ones(close.shape, dtype=bool),
        session=bar_utc.astype("datetime64[D]").astype(np.int32),
        calendar="24/7",
        bar_seconds=86_400,
        exogenous=columns,
    )


def walk(seed: int, num_bars: int = 4600, num_symbols: int = 2) -> np.ndarray:
    return VOLATILITY * np.random.default_rng(seed).standard_normal((num_bars, num_symbols))
