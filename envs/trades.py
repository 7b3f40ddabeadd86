"""Fills and the closed trades made of them: average entry and exit price, PnL, excursions, costs.

A trade runs from flat to flat (or to a flip). Prices are reference prices; what the spread and the rest took stands in
the cost columns, so that pnl = sum of price PnL - costs, and the pnl of all trades sums to the change of equity.
Axes: R fills, K trades, N steps, A asset slot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.kernel import trades as t
from envs.kernel.columns import PLACE_ORDER
from envs.market import Market

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
OPEN_REASON = "open"


@dataclass(frozen=True, kw_only=True, eq=False)
class Fills:
    """Fills in time order.

    Attributes
    ----------
    decided_bar, filled_bar : (R,) int64. asset : (R,) slot. units : (R,) signed. price : (R,) reference price.
    costs : (R, 7), financing columns zero. reason : (R,) str. place : (R,) in the bar, `AT_OPEN` and its like in
        envs.kernel.columns; in time as `PLACE_ORDER` says.
    """

    decided_bar: IntArray
    filled_bar: IntArray
    asset: IntArray
    units: FloatArray
    price: FloatArray
    costs: FloatArray
    reason: NDArray[np.str_]
    place: IntArray

    def __len__(self) -> int:
        return len(self.units)


@dataclass(frozen=True, kw_only=True, eq=False)
class Trades:
    """Trades in order of exit. A position still open at the end is listed last with exit_reason "open", at its mark.

    Attributes
    ----------
    asset : (K,) slot. direction : (K,) +1 or -1. entry_bar, exit_bar : (K,) int64.
    entry_price, exit_price : (K,) average reference prices. units : (K,) total units entered, >= 0.
    pnl : (K,) net of all seven costs. mfe, mae : (K,) best and worst unrealised price PnL, account currency, mfe >= 0
        >= mae. costs : (K, 7). exit_reason : (K,) str.
    """

    asset: IntArray
    direction: IntArray
    entry_bar: IntArray
    exit_bar: IntArray
    entry_price: FloatArray
    exit_price: FloatArray
    units: FloatArray
    pnl: FloatArray
    mfe: FloatArray
    mae: FloatArray
    costs: FloatArray
    exit_reason: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.units)


def closed_trades(
    fills: Fills, financing: FloatArray, bar: IntArray, market: Market, symbols: IntArray, point: FloatArray
) -> Trades:
    """Build trades from the fills of one env row.

    Parameters
    ----------
    financing : (N, A, 3), funding, borrow and dividends charged in each bar. bar : (N,) bars marked.
    symbols, point : (A,) market index and point value of each slot.
    """
    found, assets, closing = (
        [np.zeros((0, t.NUM_TRADE_COLUMNS))],
        [np.zeros(0, np.int64)],
        [np.zeros(0, np.int64)],
    )
    for asset in range(len(symbols)):
        order = np.flatnonzero(fills.asset == asset)
        turn = np.array(PLACE_ORDER)[fills.place[order]]
        order = order[np.lexsort((turn, fills.filled_bar[order]))]
        if not len(order):
            continue
        rows = np.zeros((len(order) + 1, t.NUM_TRADE_COLUMNS))
        count = t.trades_of_asset(
            fills.filled_bar[order],
            fills.units[order],
            fills.price[order],
            fills.costs[order],
            fills.place[order],
            np.ascontiguousarray(financing[:, asset]),
            bar,
            market.bars,
            int(symbols[asset]),
            float(point[asset]),
            rows,
        )
        found.append(rows[:count])
        assets.append(np.full(count, asset, dtype=np.int64))
        last = rows[:count, t.CLOSING_FILL].astype(np.int64)
        closing.append(np.where(last >= 0, order[last], -1))
    return _in_order_of_exit(np.concatenate(found), np.concatenate(assets), np.concatenate(closing), fills)


def _in_order_of_exit(rows: FloatArray, asset: IntArray, closing: IntArray, fills: Fills) -> Trades:
    """Trades from the kernel's rows; closing : (K,) number of the fill that closed each, -1 for one still open."""
    order = np.lexsort((asset, rows[:, t.EXIT_BAR], closing < 0))
    rows, closing = rows[order], closing[order]
    reason = np.full(
        len(rows), OPEN_REASON, dtype=np.result_type(fills.reason.dtype, f"<U{len(OPEN_REASON)}")
    )
    reason[closing >= 0] = fills.reason[closing[closing >= 0]]
    return Trades(
        asset=asset[order],
        direction=rows[:, t.SIDE].astype(np.int64),
        entry_bar=rows[:, t.ENTRY_BAR].astype(np.int64),
        exit_bar=rows[:, t.EXIT_BAR].astype(np.int64),
        entry_price=rows[:, t.ENTRY_PRICE].copy(),
        exit_price=rows[:, t.EXIT_PRICE].copy(),
        units=rows[:, t.ENTERED].copy(),
        pnl=rows[:, t.PNL].copy(),
        mfe=rows[:, t.MFE].copy(),
        mae=rows[:, t.MAE].copy(),
        costs=rows[:, t.FIRST_COST : t.FIRST_COST + t.NUM_COSTS].copy(),
        exit_reason=reason,
    )
