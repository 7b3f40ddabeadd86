"""Where the barriers of a live position stand: the prices at which orders at the venue leave it.

The simulator's levels (`envs.kernel.barriers`), from the same state of the account, as prices that a venue takes: on
its ticks, a stop on the tick beyond its level, a target on the tick before it. What the simulator decides by time (the
time limit) is a target of the account and needs no order that rests.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.barriers import BarrierConfig
from envs.kernel import columns as c

FORGIVEN = 1e-6
"""Share of a tick by which a level may miss one."""


@dataclass(frozen=True, kw_only=True)
class ExitPrices:
    """How a position is to be left.

    Attributes
    ----------
    stop, profit : price of the order that rests there; None where there is none.
    trails : the stop is the trailing one.
    """

    stop: float | None
    profit: float | None
    trails: bool = False


def exit_prices(
    barriers: BarrierConfig, position: NDArray[np.float64], tick_size: float, offset: float = 0.0
) -> ExitPrices | None:
    """The levels of a position that is held; None where it is flat, or its distance is not known.

    position : (K,) columns of one asset, as `envs.kernel.columns` names them. tick_size : price units, > 0.
    offset : what the price of the contract that is held lies above that of the one whose prices the position has.
    """
    if not barriers.has_levels or position[c.UNITS] == 0.0:
        return None
    side = math.copysign(1.0, position[c.UNITS])
    entry = float(position[c.ENTRY_PRICE])
    distance = {
        "percent": entry * 0.01,
        "ticks": tick_size,
        "atr": float(position[c.ENTRY_ATR]) if barriers.unit == "atr" else 0.0,
    }[barriers.unit]
    if not distance > 0.0:
        return None
    stops = {}
    if barriers.stop_loss is not None:
        stops[False] = side * entry - barriers.stop_loss * distance
    if barriers.trailing_stop is not None:
        stops[True] = side * float(position[c.EXTREME]) - barriers.trailing_stop * distance
    trails = max(stops, key=lambda trailing: stops[trailing], default=False)
    profit = None if barriers.profit_target is None else side * entry + barriers.profit_target * distance
    return ExitPrices(
        stop=_on_tick(side, _moved(stops.get(trails), side * offset), tick_size),
        profit=_on_tick(side, _moved(profit, side * offset), tick_size),
        trails=trails,
    )


def _moved(level: float | None, by: float) -> float | None:
    return None if level is None else level + by


def _on_tick(side: float, level: float | None, tick: float) -> float | None:
    """The tick at or below a level that is given times the side, as a price; None where that is none."""
    if level is None:
        return None
    price = side * math.floor(level / tick + FORGIVEN) * tick
    return round(price, 10) if price > 0.0 else None
