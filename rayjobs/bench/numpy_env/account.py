"""Accounts of many env rows: equity, halts, historical VaR, reward, statistics of the episode. Axis: E env."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.config import PortfolioEnvConfig
from envs.kernel import columns as c
from envs.kernel.reward import DSR_CLIP, DSR_VARIANCE_FLOOR
from envs.rewards import REWARD_TERMS
from rayjobs.bench.numpy_env.scope import Limits

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

TERM_SIGNS = {
    "log_equity": 1.0,
    "net_return": 1.0,
    "pnl": 1.0,
    "differential_sharpe": 1.0,
    "realised": 1.0,
    "drawdown": -1.0,
    "downside": -1.0,
    "turnover": -1.0,
    "holding": -1.0,
    "micro": -1.0,
    "breach": -1.0,
}
"""Reward terms that `Accounts` works out -> the sign that a positive weight gives them."""
IN_INITIAL_EQUITY = ("pnl", "realised")
"""Terms that it works out in account currency."""


def clipped(values: FloatArray, low: float, high: float) -> FloatArray:
    """Clip in place; on short arrays np.clip spends most of its time on checks."""
    return np.minimum(np.maximum(values, low, out=values), high, out=values)


class Accounts:
    """Equity of E rows and what follows from it.

    Attributes
    ----------
    equity, peak, session_equity : (E,) account currency, at the last close.
    halt : (E,) int8, values of `envs.kernel.columns.HALT`. steps : (E,) bars of the episode so far.
    ended : (7, E) statistics of the last episode that ended, columns of `envs.kernel.columns`.
    """

    def __init__(self, num_envs: int, config: PortfolioEnvConfig, limits: Limits) -> None:
        self.config, self.limits = config, limits
        self.equity, self.peak, self.session_equity = (np.zeros(num_envs) for _ in range(3))
        self.halt = np.zeros(num_envs, dtype=np.int8)
        self.steps = np.zeros(num_envs, dtype=np.int64)
        self.ended = np.zeros((c.NUM_ENDED_COLUMNS, num_envs))
        self._moment_1, self._moment_2, self._deepest = (np.zeros(num_envs) for _ in range(3))
        self._turnover, self._cost, self._breaches, self._fills = (np.zeros(num_envs) for _ in range(4))
        # One slot per bar for all rows: a row that starts anew clears its column.
        self._below = np.zeros((config.risk.var_bars, num_envs), dtype=np.int8)
        self._num_below = np.zeros(num_envs, dtype=np.int16)
        self._slot = 0
        self._weights, self._terms = _term_weights(config), np.empty((len(TERM_SIGNS), num_envs))
        self._term = dict(zip(TERM_SIGNS, self._terms))
        self._var_rank = int((1.0 - config.risk.var_level) * config.risk.var_bars + 1e-9)

    def clear(self, rows: IntArray) -> None:
        """Make `rows` untouched accounts."""
        for state in (self.equity, self.peak, self.session_equity):
            state[rows] = self.config.initial_equity
        for state in (
            self.halt,
            self.steps,
            self._num_below,
            self._moment_1,
            self._moment_2,
            self._deepest,
            self._turnover,
            self._cost,
            self._breaches,
            self._fills,
        ):
            state[rows] = 0
        self._below[:, rows] = 0

    def start_sessions(self, rows: IntArray) -> None:
        """A new session begins for `rows`."""
        self.session_equity[rows] = self.equity[rows]
        self.halt[rows] *= self.halt[rows] != c.HALTED_SESSION

    def var_exceeded(self) -> BoolArray:
        """(E,) whether more of the last `var_bars` returns lay below minus the limit than the level allows."""
        return (self._num_below > self._var_rank) & (self.steps >= self.config.risk.var_bars)

    def settle(self, equity: FloatArray, flow: FloatArray, edge: FloatArray) -> FloatArray:
        """Take the equity of the new close into account; returns the reward (E,).

        flow : (K, E) the bar's sums; receives NET_RETURN, EQUITY_AFTER and breaches. edge : (E,) factor per fill.
        """
        before, self.equity = self.equity, equity
        self.steps += 1
        net_return = np.subtract(equity / before, 1.0, out=flow[c.NET_RETURN])
        flow[c.EQUITY_AFTER] = equity
        self._remember(net_return)
        np.maximum(self.peak, equity, out=self.peak)
        drawdown = 1.0 - equity / self.peak
        self._halt(drawdown, flow)
        costs = flow[c.COMMISSION : c.DIVIDEND_PAID + 1].sum(axis=0)
        turnover = flow[c.TURNOVER] / before
        np.maximum(self._deepest, drawdown, out=self._deepest)
        self._turnover += turnover
        self._cost += costs
        self._breaches += flow[c.BREACHES]
        self._fills += flow[c.NUM_FILLS]
        return self._reward(before, drawdown, turnover, costs, flow, edge)

    def _remember(self, net_return: FloatArray) -> None:
        below = net_return < -self.limits.max_var
        slot = self._below[self._slot]
        self._num_below += below
        self._num_below -= slot
        slot[:] = below
        self._slot = (self._slot + 1) % len(self._below)

    def _halt(self, drawdown: FloatArray, flow: FloatArray) -> None:
        limits, halt = self.limits, self.halt
        deep = (drawdown >= limits.max_drawdown) & (halt != c.HALTED_EPISODE)
        if deep.any():
            halt[deep] = c.HALTED_EPISODE
            flow[c.BREACHES] += deep
        lost = (self.equity <= self.session_equity * (1.0 - limits.max_daily_loss)) & (halt == c.NOT_HALTED)
        if lost.any():
            halt[lost] = c.HALTED_SESSION
            flow[c.BREACHES] += lost

    def _reward(
        self,
        before: FloatArray,
        drawdown: FloatArray,
        turnover: FloatArray,
        costs: FloatArray,
        flow: FloatArray,
        edge: FloatArray,
    ) -> FloatArray:
        initial, term = self.config.initial_equity, self._term
        net_return, positive = flow[c.NET_RETURN], np.maximum(self.equity, 1e-12 * initial)
        np.log(positive / before, out=term["log_equity"])
        term["net_return"][:] = net_return
        np.subtract(self.equity, before, out=term["pnl"])
        term["differential_sharpe"][:] = self._differential_sharpe(net_return)
        np.subtract(flow[c.REALISED], costs, out=term["realised"])
        term["drawdown"][:] = drawdown
        np.square(np.minimum(net_return, 0.0), out=term["downside"])
        term["turnover"][:] = turnover
        np.divide(flow[c.GROSS], positive, out=term["holding"])
        np.multiply(flow[c.NUM_FILLS], edge, out=term["micro"])
        term["breach"][:] = flow[c.BREACHES]
        return self._weights @ self._terms

    def _differential_sharpe(self, net_return: FloatArray) -> FloatArray:
        """Differential Sharpe ratio of Moody and Saffell (1998), eq. 8; 0 on the episode's first bar."""
        first, second, rate = self._moment_1, self._moment_2, self.config.reward.differential_sharpe_rate
        step_1 = net_return - first
        step_2 = np.square(net_return) - second
        variance = np.maximum(second - np.square(first), DSR_VARIANCE_FLOOR)
        value = (second * step_1 - 0.5 * first * step_2) / (variance * np.sqrt(variance))
        first += rate * step_1
        second += rate * step_2
        return clipped(value, -DSR_CLIP, DSR_CLIP) * (self.steps > 1)

    def write_statistics(self, rows: IntArray) -> None:
        """Write `ended` for rows whose episode ends with this bar."""
        initial = self.config.initial_equity
        self.ended[:, rows] = (
            self.equity[rows] / initial - 1.0,
            self.steps[rows],
            self._turnover[rows],
            self._cost[rows] / initial,
            self._breaches[rows],
            self._fills[rows],
            -self._deepest[rows],
        )


def _term_weights(config: PortfolioEnvConfig) -> FloatArray:
    """Factor of each term in the order of `TERM_SIGNS`: sign, unit and scale included."""
    unknown = [name for name in REWARD_TERMS if name not in TERM_SIGNS and getattr(config.reward, name)]
    if unknown:
        raise ValueError(f"the NumPy env needs reward.{unknown[0]} to be 0: it does not work that term out")
    return np.array(
        [
            sign
            * config.reward.scale
            * getattr(config.reward, name)
            / (config.initial_equity if name in IN_INITIAL_EQUITY else 1.0)
            for name, sign in TERM_SIGNS.items()
        ]
    )
