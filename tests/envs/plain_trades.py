"""Trades from fills, written plainly: one Python object per trade. The compiled version must give the same bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.kernel import columns as c
from envs.market import Market
from envs.trades import OPEN_REASON, Fills

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class _OpenTrade:
    """A position being built up and taken down."""

    def __init__(self, side: float, bar: int, price: float) -> None:
        self.side, self.entry_bar = side, bar
        self.held = self.entered = self.average = self.exited = self.exit_value = 0.0
        self.pnl = self.mfe = self.mae = 0.0
        self.costs = np.zeros(7)

    def enter(self, size: float, price: float, costs: FloatArray) -> None:
        """Add `size` units at `price`."""
        self.average = (self.average * self.held + price * size) / (self.held + size)
        self.entry_value = getattr(self, "entry_value", 0.0) + price * size
        self.held += size
        self.entered += size
        self.costs += costs

    def leave(self, size: float, price: float, costs: FloatArray, point: float) -> None:
        """Take `size` units off at `price`."""
        self.pnl += self.side * size * (price - self.average) * point
        self.exit_value += price * size
        self.exited += size
        self.held -= size
        self.costs += costs

    def excursion(self, high: float, low: float, point: float) -> None:
        """Widen the best and worst PnL by a bar's extremes."""
        best, worst = (high, low) if self.side > 0 else (low, high)
        self.mfe = max(self.mfe, self.pnl + self.side * self.held * (best - self.average) * point)
        self.mae = min(self.mae, self.pnl + self.side * self.held * (worst - self.average) * point)

    def row(self, asset: int, bar: int, reason: str) -> tuple:
        """Columns of `Trades`, in order."""
        return (
            asset,
            int(self.side),
            self.entry_bar,
            bar,
            self.entry_value / self.entered,
            self.exit_value / self.exited if self.exited else np.nan,
            self.entered,
            self.pnl - self.costs.sum(),
            self.mfe,
            self.mae,
            self.costs,
            reason,
        )


def _asset_trades(
    fills: Fills,
    order: IntArray,
    financing: FloatArray,
    bar: IntArray,
    market: Market,
    asset: int,
    symbol: int,
    point: float,
) -> list[tuple]:
    """Trades of one asset. order: indices of its fills; financing: (N, 3) funding, borrow and dividends of its bars."""
    rows: list[tuple] = []
    trade: _OpenTrade | None = None
    busy = set(fills.filled_bar[order].tolist())
    at = 0
    for step, now in enumerate(bar.tolist()):
        if trade is None and now not in busy:
            continue
        if trade is not None:
            trade.costs[4] += financing[step, 0]
            trade.costs[5] += financing[step, 1]
            trade.costs[6] += financing[step, 2]
        inside = False
        while at < len(order) and fills.filled_bar[order[at]] == now:
            i = order[at]
            inside = inside or fills.place[i] == c.AT_LEVEL
            at += 1
            trade, done = _apply_fill(trade, fills, i, now, market, symbol, point)
            rows += [(*row[:1], *row[1:]) for row in done]
        if trade is not None and inside:  # of the bar after the entry the close alone is known
            trade.excursion(market.mark[now, symbol], market.mark[now, symbol], point)
        elif trade is not None:
            trade.excursion(market.high[now, symbol], market.low[now, symbol], point)
    if trade is not None and trade.held > 0:
        last = int(bar[-1])
        trade.leave(trade.held, market.mark[last, symbol], np.zeros(7), point)
        rows.append(trade.row(asset, last, OPEN_REASON))
    return rows


def _apply_fill(
    trade: _OpenTrade | None, fills: Fills, i: int, now: int, market: Market, symbol: int, point: float
) -> tuple[_OpenTrade | None, list[tuple]]:
    """Apply one fill; returns the trade that is open afterwards and the rows of trades that it closed."""
    units, price, costs = float(fills.units[i]), float(fills.price[i]), fills.costs[i]
    asset, reason = int(fills.asset[i]), str(fills.reason[i])
    done: list[tuple] = []
    left = abs(units)
    if trade is not None and trade.side * units < 0:
        size = min(left, trade.held)
        if left - size <= 1e-9 * left:
            left = size
        if fills.place[i] == c.AT_CLOSE:
            trade.excursion(market.high[now, symbol], market.low[now, symbol], point)
        elif fills.place[i] in (c.AT_LEVEL, c.INSIDE):
            trade.excursion(price, price, point)
        share = size / abs(units) if left > size else 1.0
        trade.leave(size, price, costs * share, point)
        costs = costs * (1.0 - share)
        left -= size
        trade.mfe, trade.mae = max(trade.mfe, trade.pnl), min(trade.mae, trade.pnl)
        if trade.held <= 1e-9 * trade.entered:
            done.append(trade.row(asset, now, reason))
            trade = None
    if left > 0:
        if trade is None:
            trade = _OpenTrade(1.0 if units > 0 else -1.0, now, price)
        trade.enter(left, price, costs)
    return trade, done


def plain_trades(
    fills: Fills, financing: FloatArray, bar: IntArray, market: Market, symbols: IntArray, point: FloatArray
) -> dict[str, np.ndarray]:
    """Columns of the trades of one env row, see `envs.trades.closed_trades`.

    Parameters
    ----------
    financing : (N, A, 3), funding, borrow and dividends charged in each bar. bar : (N,) bars marked.
    symbols, point : (A,) market index and point value of each slot.
    """
    rows: list[tuple] = []
    for asset in range(len(symbols)):
        order = np.flatnonzero(fills.asset == asset)
        turn = (fills.place[order] + 2) % 6  # the two of a roll, 4 and 5, come first
        order = order[np.lexsort((turn, fills.filled_bar[order]))]
        if len(order):
            rows += _asset_trades(
                fills,
                order,
                financing[:, asset],
                bar,
                market,
                asset,
                int(symbols[asset]),
                float(point[asset]),
            )
    rows.sort(key=lambda row: (row[-1] == OPEN_REASON, row[3], row[0]))
    names = (
        "asset", "direction", "entry_bar", "exit_bar", "entry_price", "exit_price", "units", "pnl", "mfe", "mae",
        "costs", "exit_reason",
    )  # fmt: skip
    return {name: np.array([row[k] for row in rows]) for k, name in enumerate(names)}
