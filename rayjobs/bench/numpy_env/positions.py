"""Positions of many env rows: fills and their costs, barriers and liquidation inside a bar.

Prices that belong to a position are kept times its side, so that "worse" is "lower" for longs and shorts alike.
Places name an asset of a row: a E + e. Axes: E env, A asset, N places, K column of the flow.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.kernel import columns as c
from rayjobs.bench.numpy_env.scope import Limits
from rayjobs.bench.numpy_env.tables import HIGH, IMPACT, LOW, OPEN, ROOM, SLIPPAGE, TRADABLE

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


class Positions:
    """Holdings, working orders and exit levels of E rows in A assets, their cash, and what the bar has booked.

    Attributes
    ----------
    units, target, decided : (A, E) held, wanted by the working order, wanted once the last decision works.
    side : (A, E) sign of `units`. entry : (A, E) average entry price.
    entry_bar : (A, E) float64, infinite without a position.
    stop, trail, profit : (A, E) levels times side; never reached without a position.
    decided_atr, order_atr : (A, E) ATR known when `decided` and `target` were decided.
    distance, gap : (A, E) ATR at the entry's decision; how far the trailing stop follows behind.
    cash : (E,) account currency. flow : (K, E) columns of `envs.kernel.columns`, the bar's sums.
    """

    def __init__(self, num_assets: int, num_envs: int, instrument: FloatArray, limits: Limits) -> None:
        shape = (num_assets, num_envs)
        self.num_envs, self.limits = num_envs, limits
        self.taker, self.maker = instrument[:, c.TAKER_BPS] * 1e-4, instrument[:, c.MAKER_BPS] * 1e-4
        self.liquidation = self.taker + instrument[:, c.LIQUIDATION_BPS] * 1e-4
        self.half_spread = instrument[:, c.HALF_SPREAD_BPS] * 1e-4
        self.maintenance = instrument[:, c.MAINTENANCE_FRACTION].copy()
        self.tick = instrument[:, c.TICK_SIZE].copy()
        self.units, self.target, self.decided = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self.side, self.entry, self.distance = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self.decided_atr, self.order_atr = np.zeros(shape), np.zeros(shape)
        self.entry_bar = np.full(shape, np.inf)
        self.stop, self.trail, self.profit = (np.full(shape, level) for level in (-np.inf, -np.inf, np.inf))
        self.gap = np.full(shape, np.inf)
        self.cash = np.zeros(num_envs)
        self.flow = np.zeros((c.NUM_FLOW_COLUMNS, num_envs))
        self._high, self._low = np.empty(shape), np.empty(shape)
        self._worst, self._best, self._level = np.empty(shape), np.empty(shape), np.empty(shape)

    def clear(self, rows: IntArray, cash: float) -> None:
        """Make `rows` untouched accounts."""
        for state in (self.units, self.target, self.decided, self.side, self.entry):
            state[:, rows] = 0.0
        for state in (self.entry_bar, self.profit, self.gap):
            state[:, rows] = np.inf
        for state in (self.stop, self.trail):
            state[:, rows] = -np.inf
        self.cash[rows] = cash

    def fill_orders(self, places: IntArray, facts: FloatArray, bar: IntArray) -> None:
        """Fill the working orders of `places` at the open of `bar` (E,), up to its volume's share; `facts` (N, 6)."""
        rows = places % self.num_envs
        price, room = facts[:, OPEN], facts[:, ROOM]
        held, entry, target = self.units.take(places), self.entry.take(places), self.target.take(places)
        left = np.minimum(np.maximum(target, held - room), held + room)
        left[np.abs(left) <= c.DUST * np.abs(held)] = 0.0
        quantity = left - held
        against = held * quantity < 0.0
        closed = np.where(against, np.minimum(np.abs(quantity), np.abs(held)), 0.0)
        realised = np.copysign(closed, held) * (price - entry)
        self._book(places, rows, quantity, price, self.taker[places // self.num_envs], facts, realised)

        started = (left != 0.0) & (left * held <= 0.0)
        grown = held * quantity > 0.0
        entry[started] = price[started]
        entry[grown] += (price[grown] - entry[grown]) * quantity[grown] / left[grown]
        entry[left == 0.0] = 0.0
        self.units.put(places, left)
        self.side.put(places, np.sign(left))
        self.entry.put(places, entry)
        self._place_levels(places[started | grown], places[started], self.order_atr.take(places[started]))
        self.entry_bar.put(places[started], bar[rows[started]])
        self._lift_levels(places[left == 0.0])

    def _place_levels(self, places: IntArray, started: IntArray, atr: FloatArray) -> None:
        """Stop and target from the average entry; for positions just `started`, the trailing stop too."""
        self.distance.put(started, atr)
        distance = self.distance.take(places)
        entry = self.side.take(places) * self.entry.take(places)
        usable = distance > 0.0
        self.stop.put(places, np.where(usable, entry - self.limits.stop_loss * distance, -np.inf))
        self.profit.put(places, np.where(usable, entry + self.limits.profit_target * distance, np.inf))
        gap = np.where(atr > 0.0, self.limits.trailing_stop * atr, np.inf)
        self.gap.put(started, gap)
        self.trail.put(started, self.side.take(started) * self.entry.take(started) - gap)

    def _lift_levels(self, places: IntArray) -> None:
        """Without a position no level can be touched."""
        for state, value in (
            (self.stop, -np.inf),
            (self.trail, -np.inf),
            (self.profit, np.inf),
            (self.gap, np.inf),
            (self.entry_bar, np.inf),
        ):
            state.put(places, value)

    def close(self, places: IntArray, price: FloatArray, fee: FloatArray, facts: FloatArray) -> None:
        """Close the positions at `price` (N,) and cancel their orders; `fee` (N,) fraction of notional."""
        held = self.units.take(places)
        realised = held * (price - self.entry.take(places))
        self._book(places, places % self.num_envs, -held, price, fee, facts, realised)
        for state in (self.units, self.side, self.entry, self.target, self.decided):
            state.put(places, 0.0)
        self._lift_levels(places)

    def _book(
        self,
        places: IntArray,
        rows: IntArray,
        quantity: FloatArray,
        price: FloatArray,
        fee: FloatArray,
        facts: FloatArray,
        realised: FloatArray,
    ) -> None:
        size = np.abs(quantity)
        notional = size * price
        commission = notional * fee
        spread = notional * self.half_spread[places // self.num_envs]
        slippage = notional * facts[:, SLIPPAGE]
        impact = notional * facts[:, IMPACT] * np.sqrt(size)
        paid = quantity * price + (commission + spread + slippage + impact)
        flow, count = self.flow, self.num_envs
        for column, amount in (
            (c.TURNOVER, notional),
            (c.COMMISSION, commission),
            (c.SPREAD, spread),
            (c.SLIPPAGE, slippage),
            (c.IMPACT, impact),
            (c.REALISED, realised),
        ):
            flow[column] += np.bincount(rows, amount, count)
        flow[c.NUM_FILLS] += np.bincount(rows, minlength=count)
        self.cash -= np.bincount(rows, paid, count)

    def walk_bar(self, prices: FloatArray, frozen: bool) -> tuple[IntArray, FloatArray]:
        """Find what the bar's high and low touch, then let the trailing stops follow. `prices` (4, A, E).

        Returns the touched places (N,) and the binding stop of each (N,), times side.
        """
        np.multiply(self.side, prices[HIGH], out=self._high)
        np.multiply(self.side, prices[LOW], out=self._low)
        worst = np.minimum(self._high, self._low, out=self._worst)
        best = np.maximum(self._high, self._low, out=self._best)
        stop = np.maximum(self.stop, self.trail, out=self._level)
        touched = (worst <= stop) | (best >= self.profit)
        if frozen:
            touched &= prices[TRADABLE] > 0.0
        places = np.flatnonzero(touched)
        binding = stop.take(places)
        np.subtract(best, self.gap, out=self._level)
        if frozen:
            self._level[prices[TRADABLE] == 0.0] = -np.inf
        np.maximum(self.trail, self._level, out=self.trail)
        return places, binding

    def exit_at_barriers(self, places: IntArray, stop: FloatArray, facts: FloatArray, bar: IntArray) -> None:
        """Close what the bar touched: at the open if that has passed the level already, stop before target."""
        side, asset = self.side.take(places), places // self.num_envs
        worst, best, tick = self._worst.take(places), self._best.take(places), self.tick[asset]
        slack, profit = 1e-6 * tick, self.profit.take(places) / tick
        reached, paid = np.ceil(profit - 1e-6) * tick, np.floor(profit + 1e-6) * tick
        stop = np.floor(stop / tick + 1e-6) * tick
        opened = side * facts[:, OPEN]
        held_into = self.entry_bar.take(places) < bar[places % self.num_envs]
        stopped_at_open = held_into & (opened <= stop + slack)
        past_open = stopped_at_open | (held_into & (opened >= reached - slack))
        stopped = stopped_at_open | (~past_open & (worst <= stop + slack))
        inside = np.where(stopped, stop, np.where(paid >= worst - slack, paid, reached))
        price = side * np.clip(np.where(past_open, opened, inside), worst, best)
        fee = np.where(stopped, self.taker[asset], self.maker[asset])
        hit = stopped | (best >= reached - slack)
        self.close(places[hit], price[hit], fee[hit], facts[hit])

    def margin_calls(self) -> IntArray:
        """Rows (N,) whose equity, all positions at the bar's worst price, does not meet maintenance."""
        notional = np.multiply(self.side, self.units, out=self._level)
        notional *= self._worst
        equity = self.cash + notional.sum(axis=0)
        need = self.maintenance @ np.abs(notional, out=notional)
        return np.flatnonzero((equity <= need) & (need > 0.0))

    def liquidate(self, rows: IntArray, facts: FloatArray, tradable: BoolArray) -> None:
        """Close `rows` (R,) where, from the opens to the worst prices, equity meets maintenance.

        facts : (A, R, 6). tradable : (A, R), the others keep their position.
        """
        places = rows + self.num_envs * np.arange(len(self.units))[:, None]
        units, opened = self.units.take(places), facts[..., OPEN]
        worst = self.side.take(places) * self._worst.take(places)
        at_open, at_worst = units * opened, units * worst
        spare_open = self.cash[rows] + at_open.sum(axis=0) - self.maintenance @ np.abs(at_open)
        spare_worst = self.cash[rows] + at_worst.sum(axis=0) - self.maintenance @ np.abs(at_worst)
        path = np.zeros(len(rows))
        np.divide(spare_open, spare_open - spare_worst, out=path, where=spare_open > 0.0)
        self.flow[c.BREACHES, rows] += 1.0
        closes = (units != 0.0) & tradable
        price = (opened + path * (worst - opened))[closes]
        self.close(places[closes], price, self.liquidation[np.nonzero(closes)[0]], facts[closes])
