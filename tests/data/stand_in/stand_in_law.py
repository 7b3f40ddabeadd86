"""A stand-in market of two stocks for tests, in the numbers that the shipped law has."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from data.stand_in import DayShape, StandInConfig, SymbolLaw

A = SymbolLaw(
    price=100.0, tick=0.01, volatility=0.3, beta=1.0, group="tech", group_beta=1.0, daily_volume=1e6
)
B = replace(A, price=40.0, volatility=0.4, beta=1.5)
FLAT = DayShape(middle=1.0, open=0.0, close=0.0, decay=0.0, outside=0.5)
PUBLISHED = DayShape(middle=0.88929198, open=0.75, close=0.25, decay=10.0, outside=0.4)
LAW: dict[str, Any] = {
    "seed": 1,
    "calendar": "NYSE",
    "bar_seconds": 300,
    "start_utc": "2018-01-02",
    "num_bars": 20_000,
    "symbols": {"A": A, "B": B},
    "market_volatility": 0.16,
    "groups": {"tech": 0.2},
    "drift": 0.0,
    "degrees_of_freedom": 4.0,
    "garch_news": 0.0772,
    "garch_memory": 0.9046,
    "burst_size": 0.3,
    "burst_half_life_minutes": 60.0,
    "overnight_share": 0.2,
    "active_hours": None,
    "volatility_shape": PUBLISHED,
    "volume_shape": PUBLISHED,
    "volume_elasticity": 1.0,
    "volume_noise": 0.4,
    "funding_sd": 0.0,
    "edge": None,
}
PLAIN = {
    "degrees_of_freedom": 1e6,
    "garch_news": 0.0,
    "garch_memory": 0.0,
    "burst_size": 0.0,
    "volatility_shape": FLAT,
    "volume_shape": FLAT,
}
"""Independent normal returns of one size: what theory is exact for."""


def law(**changes: Any) -> StandInConfig:
    """The law, with what a test changes."""
    return StandInConfig(**{**LAW, **changes})
