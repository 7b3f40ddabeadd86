"""A vector env as one writes it in good NumPy, with every cost, exit, limit and reward term of the simulator.

It does in whole-array expressions what the kernel does row by row (docs/simulator.md), for configurations that switch
all of it on: scheme `direction`, volatility-target sizes, orders one bar late, barriers in ATR, margin, `last_open`,
random episodes. Axes: E env, A asset, N places a E + e, D observation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.config import PortfolioEnvConfig
from envs.episodes import Window
from envs.kernel import columns as c
from envs.market import Market
from envs.observations import ObservationLayout
from envs.rules import instrument_matrix
from rayjobs.bench.numpy_env.account import Accounts, clipped
from rayjobs.bench.numpy_env.orders import TINY, Orders
from rayjobs.bench.numpy_env.positions import Positions
from rayjobs.bench.numpy_env.scope import Limits, check_scope
from rayjobs.bench.numpy_env.tables import ENTRY_ATR, MARK, NUM_PRICES, TRADABLE, UNITS_PER_EQUITY, Tables

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
DrawStarts = Callable[[IntArray], IntArray]
"""Rows (N,) to the start bars (N,) of their next episodes."""


class NumpyFullEnv:
    """E rows stepped by whole-array operations, autoreset in the same step.

    Parameters
    ----------
    market, config, num_envs : as for `PortfolioVectorEnv`.
    window : where episodes may run.
    seed : of the random starts.
    draw_starts : chooses the start bars instead.
    """

    def __init__(
        self,
        market: Market,
        config: PortfolioEnvConfig,
        *,
        num_envs: int,
        window: Window,
        seed: int = 0,
        draw_starts: DrawStarts | None = None,
    ) -> None:
        check_scope(market, config)
        limits = Limits.of(config)
        E, A = num_envs, market.num_symbols
        self.config, self.num_envs, self.window = config, num_envs, window
        self.layout = ObservationLayout.portfolio(A, market.asset_names, market.clock_names)
        self.tables = Tables.build(market, config, limits, self.layout)
        instrument = instrument_matrix(config, market)
        self.borrow_rate = instrument[:, c.BORROW_RATE].copy()
        self.positions = Positions(A, E, instrument, limits)
        self.orders = Orders(A, E, instrument[:, c.INITIAL_FRACTION].copy(), config.risk, limits)
        self.accounts = Accounts(E, config, limits)
        self._rng = np.random.default_rng(seed)
        self._draw_starts = draw_starts or self._random_starts
        self.bar, self.stop = np.zeros(E, dtype=np.int64), np.zeros(E, dtype=np.int64)
        self._rows = np.empty((E, NUM_PRICES * A))
        self._prices = np.zeros((NUM_PRICES, A, E))
        self._notional, self._order = np.zeros((A, E)), np.empty((A, E))
        self._scratch = np.empty((5, A, E))
        self._out = np.zeros((E, self.layout.size), dtype=np.float32)
        self._final = np.zeros_like(self._out)
        places = self.layout.slices["position"]
        self._position_out = self._out[:, places].reshape(E, A, -1).transpose(2, 1, 0)
        self._account_out = self._out[:, self.layout.slices["account"]].T

    def _random_starts(self, rows: IntArray) -> IntArray:
        last = self.window.stop_bar - self.config.episode.bars
        return self._rng.integers(self.window.start_bar, last + 1, len(rows))

    def reset(self) -> NDArray[np.float32]:
        """Start an episode in every row; returns the observation (E, D)."""
        self._restart(np.arange(self.num_envs))
        return self._out

    def _restart(self, rows: IntArray) -> None:
        start = self._draw_starts(rows)
        self.bar[rows] = start - 1
        self.stop[rows] = start + self.config.episode.bars
        self.positions.clear(rows, self.config.initial_equity)
        self.accounts.clear(rows)
        self.orders.entries[rows] = 0
        self._notional[:, rows] = 0.0
        self._prices[:, :, rows] = self.tables.prices[start - 1].T.reshape(NUM_PRICES, -1, len(rows))
        self._out[rows] = self.tables.still[start - 1]

    def step(
        self, actions: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], FloatArray, BoolArray, BoolArray, dict[str, Any]]:
        """Step every row; `actions` (E, A) are 0 short, 1 flat, 2 long. Arrays are reused by the next step."""
        positions, accounts, tables = self.positions, self.accounts, self.tables
        flow = positions.flow
        flow[:] = 0.0
        self.bar += 1
        bar = self.bar
        rolled = np.flatnonzero(tables.new_session.take(bar))
        accounts.start_sessions(rolled)
        self.orders.entries[rolled] = 0
        self._decide(actions)
        self._charge_financing()
        tables.prices.take(bar, axis=0, out=self._rows, mode="clip")
        np.copyto(self._prices.reshape(-1, self.num_envs), self._rows.T)
        self._trade()
        equity = self._mark()
        ruined = equity <= self.config.risk.ruin_equity * self.config.initial_equity
        if ruined.any():
            equity = self._close_all(np.flatnonzero(ruined))
        reward = accounts.settle(equity, flow, tables.edge.take(bar))
        self._observe()
        truncated = (bar >= self.stop - 1) & ~ruined
        return self._out, reward, ruined, truncated, self._end_episodes(ruined | truncated)

    def _end_episodes(self, ended: BoolArray) -> dict[str, Any]:
        """Keep the last observation of the rows that `ended` (E,) and start them anew; returns the infos."""
        if not ended.any():
            return {}
        rows = np.flatnonzero(ended)
        self.accounts.write_statistics(rows)
        self._final[rows] = self._out[rows]
        self._restart(rows)
        return {"final_obs": self._final, "_final_obs": ended}

    def _facts(self, places: IntArray) -> FloatArray:
        """(..., 6) facts of the current bar at `places`."""
        asset, rows = np.divmod(places, self.num_envs)
        return self.tables.facts.take(self.bar.take(rows) * len(self.borrow_rate) + asset, axis=0)

    def _decide(self, actions: NDArray[np.int64]) -> None:
        """Limits and orders with what is known at the close before the current bar."""
        positions, accounts, tables, orders = self.positions, self.accounts, self.tables, self.orders
        breached = accounts.var_exceeded()
        positions.flow[c.BREACHES] += breached
        orders.advance(positions)
        fill_bar = tables.fill_bar.take(self.bar)
        forced = orders.force_flat(positions, (accounts.halt != 0) | tables.flat.take(self.bar), fill_bar)
        may_trade = ~forced
        if tables.frozen:
            may_trade &= self._prices[TRADABLE] > 0.0
        places = orders.changes(actions, positions, may_trade)
        if len(places):
            facts = self._facts(places)
            orders.decide(
                places,
                facts[:, UNITS_PER_EQUITY],
                facts[:, ENTRY_ATR],
                positions,
                np.maximum(accounts.equity, 0.0),
                self._prices[MARK],
                fill_bar,
                breached | tables.closed.take(self.bar),
            )

    def _charge_financing(self) -> None:
        """Borrow and funding on what is held from the close before into the current bar, at its marks."""
        flow, notional, tables = self.positions.flow, self._notional, self.tables
        borrowed = self.borrow_rate @ np.minimum(notional, 0.0, out=self._order)
        flow[c.BORROW_PAID] = -borrowed * tables.years.take(self.bar)
        rows = np.flatnonzero(tables.funded.take(self.bar))
        if len(rows):
            rates = tables.funding.take(self.bar[rows], axis=0)
            flow[c.FUNDING_PAID, rows] = np.einsum("ae,ea->e", notional[:, rows], rates)
        self.positions.cash -= flow[c.BORROW_PAID] + flow[c.FUNDING_PAID]

    def _trade(self) -> None:
        """Everything inside the bar: fills at the open, barriers, liquidation."""
        positions, frozen = self.positions, self.tables.frozen
        waiting = positions.target != positions.units
        if frozen:
            waiting &= self._prices[TRADABLE] > 0.0
        places = np.flatnonzero(waiting)
        if len(places):
            positions.fill_orders(places, self._facts(places), self.bar)
        places, stop = positions.walk_bar(self._prices, frozen)
        if len(places):
            positions.exit_at_barriers(places, stop, self._facts(places), self.bar)
        rows = positions.margin_calls()
        if len(rows):
            places = rows + self.num_envs * np.arange(len(positions.units))[:, None]
            positions.liquidate(rows, self._facts(places), self._prices[TRADABLE][:, rows] > 0.0)

    def _mark(self) -> FloatArray:
        """(E,) equity at the close of the current bar."""
        positions = self.positions
        np.multiply(positions.units, self._prices[MARK], out=self._notional)
        np.abs(self._notional, out=self._order)
        self._order.sum(axis=0, out=positions.flow[c.GROSS])
        return positions.cash + self._notional.sum(axis=0)

    def _close_all(self, rows: IntArray) -> FloatArray:
        """Close every position of `rows` at its mark; returns the equity of all rows (E,)."""
        positions = self.positions
        asset, held = np.nonzero(positions.units[:, rows])
        places = asset * self.num_envs + rows[held]
        positions.close(places, self._prices[MARK].take(places), positions.taker[asset], self._facts(places))
        positions.target[:, rows] = positions.decided[:, rows] = 0.0
        return self._mark()

    def _observe(self) -> None:
        """Write the observation of every row at the close of the current bar."""
        positions, accounts, out, config = self.positions, self.accounts, self._position_out, self.config
        self.tables.still.take(self.bar, axis=0, out=self._out, mode="clip")
        scales, entry, side = config.observation, positions.entry, positions.side
        per_cap = 1.0 / (np.maximum(accounts.equity, TINY) * config.risk.max_gross_exposure)
        exposure = np.multiply(self._notional, per_cap, out=self._scratch[0])
        order = np.subtract(positions.target, positions.units, out=self._scratch[1])
        order *= self._prices[MARK]
        order *= per_cap
        move = np.subtract(self._prices[MARK], entry, out=self._scratch[2])
        move *= side
        scale = np.multiply(entry, scales.return_scale, out=self._scratch[3])
        scale += np.abs(move, out=self._scratch[4])
        move /= np.maximum(scale, TINY, out=scale)
        held = np.maximum(np.subtract(self.bar + 1.0, positions.entry_bar, out=scale), 0.0, out=scale)
        held /= np.add(held, scales.holding_scale_bars, out=self._scratch[4])
        account = self._account_out
        account[0] = np.minimum(positions.flow[c.GROSS] * per_cap, 1.0)
        account[1] = clipped(exposure.sum(axis=0), -1.0, 1.0)
        account[2] = clipped(1.0 - accounts.equity / accounts.peak, 0.0, 1.0)
        gain = (accounts.equity / accounts.session_equity - 1.0) / scales.return_scale
        account[3] = gain / (1.0 + np.abs(gain))
        account[4] = accounts.halt != c.NOT_HALTED
        out[0], out[1], out[2] = side, clipped(exposure, -1.0, 1.0), clipped(order, -1.0, 1.0)
        out[3], out[4] = move, held
