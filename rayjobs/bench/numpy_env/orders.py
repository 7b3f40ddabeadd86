"""From actions to orders at the close of bar t: the wish of the policy, then every limit.

A direction other than the decided one is a wish: it always closes or turns the position, so whatever may only reduce
becomes "flat". Axes: E env, A asset, N places a E + e.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.kernel.columns import DUST
from envs.risk import RiskConfig
from rayjobs.bench.numpy_env.account import clipped
from rayjobs.bench.numpy_env.positions import Positions
from rayjobs.bench.numpy_env.scope import Limits

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
# Keeps a division by nothing finite, account currency.
TINY = 1e-300


class Orders:
    """Turns directions into decided targets, for orders that fill one bar late."""

    def __init__(
        self,
        num_assets: int,
        num_envs: int,
        initial_margin: FloatArray,
        risk: RiskConfig,
        limits: Limits,
    ) -> None:
        self.num_envs, self.risk, self.limits = num_envs, risk, limits
        self.initial_margin = initial_margin
        self.entries = np.zeros(num_envs, dtype=np.int64)
        self._wish, self._decided = np.empty((num_assets, num_envs)), np.empty((num_assets, num_envs))

    def advance(self, positions: Positions) -> None:
        """What was decided one close ago works from now on."""
        np.copyto(positions.target, positions.decided)
        np.copyto(positions.order_atr, positions.decided_atr)

    def changes(self, actions: IntArray, positions: Positions, may_trade: BoolArray) -> IntArray:
        """Places (N,) whose action (E, A) asks for another side than the decided one. may_trade : (A, E) or (E,)."""
        wish = np.subtract(actions.T, 1.0, out=self._wish)
        wanted = wish != np.sign(positions.decided, out=self._decided)
        wanted &= may_trade
        return np.flatnonzero(wanted)

    def decide(
        self,
        places: IntArray,
        units_per_equity: FloatArray,
        atr: FloatArray,
        positions: Positions,
        equity: FloatArray,
        mark: FloatArray,
        fill_bar: FloatArray,
        closed: BoolArray,
    ) -> None:
        """Decide the targets of `places`.

        units_per_equity : (N,) size of an entry. atr : (N,) known now, for its barriers. equity : (E,) not below zero.
        mark : (A, E). fill_bar : (E,) bar that the orders meet. closed : (E,) they may only reduce.
        """
        rows = places % self.num_envs
        young = fill_bar[rows] - positions.entry_bar.take(places) < self.risk.min_holding_bars
        free = ~(young & (positions.units.take(places) != 0.0))
        places, rows = places[free], rows[free]
        wish = self._wish.take(places) * units_per_equity[free] * equity[rows]
        wish[closed[rows]] = 0.0
        positions.decided.put(places, wish)
        positions.decided_atr.put(places, atr[free])
        self._fit_exposure(places, rows, positions, equity, mark)
        self._count_entries(places, rows, positions)

    def _fit_exposure(
        self, places: IntArray, rows: IntArray, positions: Positions, equity: FloatArray, mark: FloatArray
    ) -> None:
        """Scale the new targets of a row so that they fit under the gross cap and the initial margin."""
        notional = np.abs(positions.decided, out=self._decided)
        notional *= mark
        wish = notional.take(places)
        margin = wish * self.initial_margin[places // self.num_envs]
        wished, wished_margin = (np.bincount(rows, amount, self.num_envs) for amount in (wish, margin))
        room = self.risk.max_gross_exposure * equity - (notional.sum(axis=0) - wished)
        margin_room = equity - (self.initial_margin @ notional - wished_margin)
        share = np.minimum(room / np.maximum(wished, TINY), margin_room / np.maximum(wished_margin, TINY))
        share[share <= DUST] = 0.0
        positions.decided.put(places, positions.decided.take(places) * clipped(share, 0.0, 1.0).take(rows))

    def _count_entries(self, places: IntArray, rows: IntArray, positions: Positions) -> None:
        """Count what opens or turns a position; in asset order, what is beyond the session's maximum is dropped."""
        opens = positions.decided.take(places) != 0.0
        places, rows = places[opens], rows[opens]
        counted = self.entries + np.bincount(rows, minlength=self.num_envs)
        most = self.limits.max_entries_per_session
        if counted.max() > most:
            opened = np.zeros(positions.units.shape, dtype=bool)
            opened.put(places, True)
            order = np.cumsum(opened, axis=0) + self.entries
            positions.decided[opened & (order > most)] = 0.0
            np.minimum(counted, most, out=counted)
        self.entries = counted

    def force_flat(self, positions: Positions, everywhere: BoolArray, fill_bar: FloatArray) -> BoolArray:
        """Decide to be flat in rows `everywhere` (E,) and where the time limit ends; returns where (A, E)."""
        forced = positions.entry_bar <= fill_bar - self.limits.time_limit_bars
        forced |= everywhere
        positions.decided[forced] = 0.0
        return forced
