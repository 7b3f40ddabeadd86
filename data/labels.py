"""Labels for supervised baselines and screening: what a decision at the close of bar t went on to earn.

A label of bar t reads bars of the half-open window (t, t + horizon] and nothing at or before t: entry at
the open of t + 1, as in the simulator. `end_bar` says which bar a label read last, for purging: training rows
whose `end_bar` reaches into a test window must go. Labels may look ahead; features never do.

Axes: T time, A asset.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data.array_types import FloatArray
from data.schema import Panel


@dataclass(frozen=True, kw_only=True, eq=False)
class HorizonReturns:
    """Returns over a fixed horizon.

    Parameters
    ----------
    net_return : (T, A) simple return from the open of t + 1 to the close of t + horizon, net of costs; NaN
        where the window is not complete, the entry bar cannot be traded, or the last close is missing.
    end_bar : (T,) int64 last bar read, t + horizon, at most the last bar of the panel.
    """

    net_return: FloatArray
    end_bar: NDArray[np.int64]


def horizon_returns(
    panel: Panel, *, horizon_bars: int, cost_bps: float = 0.0, direction: ArrayLike = 1
) -> HorizonReturns:
    """Return what a position held over (t, t + horizon_bars] earns.

    Parameters
    ----------
    horizon_bars : bars held, at least 1; entry at the open of t + 1, exit at the close of t + horizon_bars.
    cost_bps : cost per side, basis points of the notional traded on that side.
    direction : 1 long, -1 short, 0 none; broadcast to (T, A).

    Raises
    ------
    ValueError
        If the horizon is not in [1, num_bars), a cost is negative, or a direction is not -1, 0 or 1.
    """
    side = _side(panel, horizon_bars, cost_bps, direction)
    entered = np.where(panel.tradable[1:], panel.open[1:], np.nan)
    net = np.full(panel.close.shape, np.nan)
    last = panel.num_bars - horizon_bars
    growth = panel.close[horizon_bars:] / entered[:last]
    net[:last] = net_of_costs(side[:last], growth, cost_bps)
    return HorizonReturns(net_return=net, end_bar=_window_end(panel, horizon_bars))


def net_of_costs(side: FloatArray, growth: FloatArray, cost_bps: float) -> FloatArray:
    """Return side * (growth - 1) less the cost of entering 1 and leaving `growth` units of notional."""
    return side * (growth - 1.0) - np.abs(side) * cost_bps * 1e-4 * (1.0 + growth)


def _side(panel: Panel, horizon_bars: int, cost_bps: float, direction: ArrayLike) -> FloatArray:
    if not 1 <= horizon_bars < panel.num_bars:
        raise ValueError(
            f"horizon_bars is {horizon_bars}; it must be at least 1 and below the {panel.num_bars} bars."
        )
    if not cost_bps >= 0.0:
        raise ValueError(f"cost_bps is {cost_bps}; it must not be negative.")
    side = np.broadcast_to(np.asarray(direction, dtype=np.float64), panel.close.shape)
    if not np.isin(side, (-1.0, 0.0, 1.0)).all():
        raise ValueError("direction holds values other than -1, 0 and 1; give the side of the position.")
    return np.ascontiguousarray(side)


def _window_end(panel: Panel, horizon_bars: int) -> NDArray[np.int64]:
    return np.minimum(np.arange(panel.num_bars) + horizon_bars, panel.num_bars - 1).astype(np.int64)
