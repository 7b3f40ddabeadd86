"""Exits of a position: profit target, stop, trailing stop and time limit (the triple barrier).

Levels stand at a distance from the average entry price and are checked inside each bar against high and low.
Both touched in one bar: the stop counts. A gap through a level fills at the open, others on the tick grid, on the side
that hurts. See docs/simulator.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from envs.validation import require_choice, require_positive, require_range

BARRIER_UNITS: tuple[str, ...] = ("percent", "ticks", "atr")


@dataclass(frozen=True, kw_only=True)
class BarrierConfig:
    """Distances of the barriers; None switches one off.

    Attributes
    ----------
    unit : "percent" (1.0 = 1 % of the entry price), "ticks", or "atr" (multiples of the ATR at the entry decision).
    profit_target, stop_loss, trailing_stop : distance in `unit`.
    time_limit_bars : the position is closed at the open of bar entry + limit.
    """

    unit: Literal["percent", "ticks", "atr"]
    profit_target: float | None
    stop_loss: float | None
    trailing_stop: float | None
    time_limit_bars: int | None

    def __post_init__(self) -> None:
        require_choice("barriers", "unit", self.unit, BARRIER_UNITS)
        for name in ("profit_target", "stop_loss", "trailing_stop"):
            if getattr(self, name) is not None:
                require_positive("barriers", name, getattr(self, name))
        if self.time_limit_bars is not None:
            require_range("barriers", "time_limit_bars", self.time_limit_bars, 1, 1e9)

    @property
    def has_levels(self) -> bool:
        """True if a price level, and not only time, may end a position."""
        return any(x is not None for x in (self.profit_target, self.stop_loss, self.trailing_stop))
