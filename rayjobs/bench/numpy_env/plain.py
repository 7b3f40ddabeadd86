"""A small vector env in plain NumPy: direction per asset, fill at the next open, spread and fee.

Only what the benchmark compares with: no sessions, limits, barriers, financing or partial fills. Axes: E env, A asset.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.config import PortfolioEnvConfig
from envs.kernel import columns as c
from envs.market import Market


class NumpyPlainEnv:
    """E rows stepped by whole-array operations."""

    def __init__(self, market: Market, config: PortfolioEnvConfig, *, num_envs: int) -> None:
        self.market, self.config, self.num_envs = market, config, num_envs
        self.mark, self.open, self.clock = market.mark.copy(), market.open.copy(), market.clock.copy()
        self.features = market.features.reshape(market.num_bars, -1).copy()
        self.rng = np.random.default_rng(0)
        self.cost = (market.instrument[:, c.TAKER_BPS] + market.instrument[:, c.HALF_SPREAD_BPS]) * 1e-4

    def reset(self) -> NDArray[np.float32]:
        """Start all rows at random bars."""
        E, A = self.num_envs, self.market.num_symbols
        self.bar = self._starts(E)
        self.age = np.zeros(E, dtype=np.int64)
        self.cash = np.full(E, self.config.initial_equity)
        self.equity, self.peak = self.cash.copy(), self.cash.copy()
        self.units = np.zeros((E, A))
        self.entry = np.zeros((E, A))
        self.held = np.zeros((E, A))
        return self._observe()

    def _starts(self, count: int) -> NDArray[np.int64]:
        return self.rng.integers(60, self.market.num_bars - self.config.episode.bars - 1, count)

    def step(self, actions: NDArray[np.int64]) -> tuple[Any, ...]:
        """Fill direction changes at the next open, mark at its close."""
        before, mark, opened = self.equity, self.mark[self.bar], self.open[self.bar + 1]
        side = actions - 1.0
        change = side != np.sign(self.units)
        size = self.config.sizing.fraction * self.equity[:, None] / mark
        target = np.where(change, side * size, self.units)
        quantity = target - self.units
        notional = np.abs(quantity) * opened
        self.cash -= (quantity * opened + notional * self.cost).sum(axis=1)
        self.entry = np.where(change, opened, self.entry)
        self.held = np.where(change, 1.0, self.held + 1.0)
        self.units = target
        self.bar += 1
        self.age += 1
        self.equity = self.cash + (self.units * self.mark[self.bar]).sum(axis=1)
        self.peak = np.maximum(self.peak, self.equity)
        reward = self.config.reward.scale * (self.equity / before - 1.0)
        truncated = self.age >= self.config.episode.bars
        terminated = self.equity <= self.config.risk.ruin_equity * self.config.initial_equity
        final = self._observe()
        ended = truncated | terminated
        if ended.any():
            self._restart(ended)
            return self._observe(), reward, terminated, truncated, {"final_obs": final}
        return final, reward, terminated, truncated, {}

    def _restart(self, ended: NDArray[np.bool_]) -> None:
        self.bar[ended] = self._starts(int(ended.sum()))
        self.age[ended] = 0
        self.cash[ended] = self.equity[ended] = self.peak[ended] = self.config.initial_equity
        self.units[ended] = self.entry[ended] = self.held[ended] = 0.0

    def _observe(self) -> NDArray[np.float32]:
        mark = self.mark[self.bar]
        exposure = self.units * mark / self.equity[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            gain = np.where(self.units != 0, np.sign(self.units) * (mark / self.entry - 1.0), 0.0) / 0.02
        position = np.stack(
            [np.sign(self.units), exposure, gain / (1 + np.abs(gain)), self.held / (self.held + 32.0)],
            axis=-1,
        )
        account = np.stack(
            [np.abs(exposure).sum(axis=1), exposure.sum(axis=1), 1.0 - self.equity / self.peak], axis=-1
        )
        parts = [
            self.features[self.bar],
            position.reshape(self.num_envs, -1),
            account,
            self.clock[self.bar],
        ]
        return np.concatenate(parts, axis=1).astype(np.float32)
