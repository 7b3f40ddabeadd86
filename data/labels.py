"""Labels for supervised baselines and screening: what a decision at the close of bar t went on to earn.

A label of bar t reads bars of the half-open window (t, t + horizon] and nothing at or before t: entry at
the open of t + 1, as in the simulator. `end_bar` says which bar a label read last, for purging: training rows
whose `end_bar` reaches into a test window must go. Labels may look ahead; features never do.

Axes: T time, A asset.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from data.array_types import BoolArray, FloatArray
from data.schema import Panel

TARGET, STOP, TIME_LIMIT, UNKNOWN = 1, -1, 0, 2


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


@dataclass(frozen=True, kw_only=True, eq=False)
class TripleBarrierLabels:
    """Which barrier was touched first, and what that earned.

    Parameters
    ----------
    label : (T, A) int8, 1 profit target, -1 stop, 0 time limit; 2 where it is not known.
    net_return : (T, A) simple return of the position, net of costs; NaN where not known.
    end_bar : (T, A) int64 last bar read: that of the touch, or t + horizon (at most the panel's last bar).
    """

    label: NDArray[np.int8]
    net_return: FloatArray
    end_bar: NDArray[np.int64]

    @property
    def known(self) -> BoolArray:
        """(T, A) True where there is a label."""
        return self.label != UNKNOWN


def horizon_returns(
    panel: Panel, *, horizon_bars: int, cost_bps: ArrayLike = 0.0, direction: ArrayLike = 1
) -> HorizonReturns:
    """Return what a position held over (t, t + horizon_bars] earns.

    Parameters
    ----------
    horizon_bars : bars held, at least 1; entry at the open of t + 1, exit at the close of t + horizon_bars.
    cost_bps : cost per side, basis points of the notional traded on that side; broadcast to (T, A), NaN = not known,
        then there is no net return.
    direction : 1 long, -1 short, 0 none; broadcast to (T, A).

    Raises
    ------
    ValueError
        If the horizon is not in [1, num_bars), a cost is negative, or a direction is not -1, 0 or 1.
    """
    panel = panel.positive()
    side, cost = _side_and_cost(panel, horizon_bars, cost_bps, direction)
    entered = np.where(panel.tradable[1:], panel.open[1:], np.nan)
    net = np.full(panel.close.shape, np.nan)
    last = panel.num_bars - horizon_bars
    growth = panel.close[horizon_bars:] / entered[:last]
    net[:last] = net_of_costs(side[:last], growth, cost[:last])
    return HorizonReturns(net_return=net, end_bar=_window_end(panel, horizon_bars))


def triple_barrier_labels(
    panel: Panel,
    *,
    horizon_bars: int,
    profit_target: ArrayLike,
    stop_loss: ArrayLike,
    cost_bps: ArrayLike = 0.0,
    direction: ArrayLike = 1,
) -> TripleBarrierLabels:
    """Label each bar by the barrier that a position entered after it touches first.

    Entry at the open of t + 1. In each bar of (t, t + horizon_bars]: an open beyond a level fills at the
    open; otherwise the stop counts before the target when both are touched, at its level; after the last bar
    the position is closed at its last known close. Bars that cannot be traded are passed over. A window that
    does not end within the data gives no label even when a barrier was touched, because keeping those alone
    would favour quick touches. Source: Lopez de Prado (2018), Advances in Financial Machine Learning, section
    3.4; fills as in the simulator.

    Parameters
    ----------
    horizon_bars : time limit, bars, at least 1.
    profit_target, stop_loss : distance from the entry price, as a fraction of it (0.01 = 1 %), > 0; inf
        switches one off, NaN gives no label; broadcast to (T, A), so that a volatility known at the close of t
        can scale them.
    cost_bps : cost per side, basis points of the notional traded on that side; broadcast to (T, A), NaN = not known,
        then there is no net return.
    direction : 1 long, -1 short, 0 none (no label); broadcast to (T, A).

    Raises
    ------
    ValueError
        If the horizon is not in [1, num_bars), a distance is not positive, a cost is negative, or a direction
        is not -1, 0 or 1.
    """
    panel = panel.positive()
    side, cost = _side_and_cost(panel, horizon_bars, cost_bps, direction)
    distances = []
    for name, given in (("profit_target", profit_target), ("stop_loss", stop_loss)):
        values = np.broadcast_to(np.asarray(given, dtype=np.float64), panel.close.shape)
        if (values <= 0.0).any():
            raise ValueError(
                f"{name} holds {np.nanmin(values)}; it must be a positive fraction of the price."
            )
        distances.append(np.ascontiguousarray(values))
    bars = (panel.open, panel.high, panel.low, panel.close, panel.tradable)
    label, growth, end_bar = _first_touch(*bars, side, distances[0], distances[1], horizon_bars)
    return TripleBarrierLabels(label=label, net_return=net_of_costs(side, growth, cost), end_bar=end_bar)


def net_of_costs(side: FloatArray, growth: FloatArray, cost_bps: FloatArray) -> FloatArray:
    """Return side * (growth - 1) less the cost of entering 1 and leaving `growth` units of notional."""
    return side * (growth - 1.0) - np.abs(side) * cost_bps * 1e-4 * (1.0 + growth)


def _side_and_cost(
    panel: Panel, horizon_bars: int, cost_bps: ArrayLike, direction: ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """(T, A) direction and cost per side, checked."""
    if not 1 <= horizon_bars < panel.num_bars:
        raise ValueError(
            f"horizon_bars is {horizon_bars}; it must be at least 1 and below the {panel.num_bars} bars."
        )
    cost = np.broadcast_to(np.asarray(cost_bps, dtype=np.float64), panel.close.shape)
    if (cost < 0.0).any() or np.isnan(cost).all():
        raise ValueError(f"cost_bps holds {np.min(cost)}; it must not be negative.")
    side = np.broadcast_to(np.asarray(direction, dtype=np.float64), panel.close.shape)
    if not np.isin(side, (-1.0, 0.0, 1.0)).all():
        raise ValueError("direction holds values other than -1, 0 and 1; give the side of the position.")
    return np.ascontiguousarray(side), cost


def _window_end(panel: Panel, horizon_bars: int) -> NDArray[np.int64]:
    return np.minimum(np.arange(panel.num_bars) + horizon_bars, panel.num_bars - 1).astype(np.int64)


@numba.njit(cache=True)
def _first_touch(opened, high, low, close, tradable, side, target, stop, horizon_bars):  # type: ignore
    """Return (T, A) label, exit price / entry price, and last bar read."""
    num_bars, num_assets = close.shape
    label = np.full((num_bars, num_assets), UNKNOWN, dtype=np.int8)
    growth = np.full((num_bars, num_assets), np.nan)
    end_bar = np.empty((num_bars, num_assets), dtype=np.int64)
    for t in range(num_bars):
        last = min(t + horizon_bars, num_bars - 1)
        for a in range(num_assets):
            end_bar[t, a] = last
            distances = target[t, a] + stop[t, a]
            if (
                t + horizon_bars >= num_bars
                or not tradable[t + 1, a]
                or side[t, a] == 0.0
                or np.isnan(distances)
            ):
                continue
            entry = opened[t + 1, a]
            # In units of the entry price and along the position: above 0 it gains.
            for u in range(t + 1, last + 1):
                if np.isnan(close[u, a]):
                    continue
                label[t, a], growth[t, a] = TIME_LIMIT, close[u, a] / entry
                if not tradable[u, a]:
                    continue
                best, worst = high[u, a], low[u, a]
                if side[t, a] < 0.0:
                    best, worst = worst, best
                at_open = side[t, a] * (opened[u, a] / entry - 1.0)
                if at_open <= -stop[t, a] or at_open >= target[t, a]:
                    label[t, a] = STOP if at_open < 0.0 else TARGET
                    growth[t, a] = opened[u, a] / entry
                elif side[t, a] * (worst / entry - 1.0) <= -stop[t, a]:
                    label[t, a], growth[t, a] = STOP, 1.0 - side[t, a] * stop[t, a]
                elif side[t, a] * (best / entry - 1.0) >= target[t, a]:
                    label[t, a], growth[t, a] = TARGET, 1.0 + side[t, a] * target[t, a]
                else:
                    continue
                end_bar[t, a] = u
                break
    return label, growth, end_bar
