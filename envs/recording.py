"""Recording of trajectories: what each env row decided, filled, paid and held, bar by bar, and its closed trades.

Axes: N steps, A asset slot, 6 costs in COST_NAMES order, R fills.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from envs.costs import COST_NAMES
from envs.kernel import columns as c
from envs.portfolio import PortfolioVectorEnv
from envs.trades import Fills, Trades, closed_trades

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Recording:
    """One episode of one env row. Money in account currency; bars are indices into the panel.

    Attributes
    ----------
    symbols : (A,) indices of the row's assets in the market. start_bar : first bar whose return may be earned.
    bar : (N,) int64, bar marked. equity : (N + 1,), first entry initial. net_return : (N,).
    units : (N, A) held after the bar. target_units : (N, A) in force after the decision at the close of bar - 1.
    exposure : (N, A), notional over equity at the close. turnover : (N,), traded notional over equity before the bar.
    costs : (N, 6). reward : (N,). complete : the episode ended inside the recording.
    fills, trades : columns, see envs.trades.
    """

    symbols: NDArray[np.int64]
    start_bar: int
    bar: NDArray[np.int64]
    equity: FloatArray
    net_return: FloatArray
    units: FloatArray
    target_units: FloatArray
    exposure: FloatArray
    turnover: FloatArray
    costs: FloatArray
    reward: FloatArray
    complete: bool
    fills: Fills
    trades: Trades


@dataclass
class _Tape:
    """Arrays of the steps so far, rows not yet split."""

    bar: list[NDArray[np.int64]] = field(default_factory=list)
    flow: list[FloatArray] = field(default_factory=list)
    decisions: list[FloatArray] = field(default_factory=list)
    reward: list[FloatArray] = field(default_factory=list)
    fills: list[FloatArray] = field(default_factory=list)


class Recorder:
    """Attach to an env before `reset`; records the first episode of every row that the next `reset` starts."""

    def __init__(self, env: PortfolioVectorEnv) -> None:
        self.env = env
        env.set_logging(True)
        env.recorder = self
        self._clear()

    def _clear(self) -> None:
        self._tape = _Tape()
        E = self.env.num_envs
        self._active = np.zeros(E, dtype=bool)
        self._steps = np.zeros(E, dtype=np.int64)
        self._complete = np.zeros(E, dtype=bool)

    def detach(self) -> None:
        """Stop recording and free the logs."""
        self.env.recorder = None
        self.env.set_logging(False)

    def on_reset(self, mask: NDArray[np.uint8]) -> None:
        """Called by the env after a reset of the rows in mask (E,); starts the recording anew."""
        self._clear()
        counter = self.env.rows.counter
        self._active[:] = mask != 0
        self._bar = counter[:, c.BAR].astype(np.int64)
        self._start = counter[:, c.START].astype(np.int64)
        slot = self.env.rows.slot
        plain = np.tile(np.arange(self.env.num_assets), (self.env.num_envs, 1))
        self._symbols = slot[:, :, c.SYMBOL].astype(np.int64) if slot.shape[2] > c.SYMBOL else plain

    def on_step(self, ended: NDArray[np.bool_]) -> None:
        """Called by the env after each step; `ended` (E,) marks rows whose episode is over."""
        if not self._active.any():
            return
        env, tape = self.env, self._tape
        self._bar[self._active] += 1
        self._steps[self._active] += 1
        tape.bar.append(self._bar.copy())
        tape.flow.append(env.rows.flow.copy())
        tape.decisions.append(env.decision_log.copy())
        tape.reward.append(env._reward.copy())
        tape.fills.append(self._filled())
        self._complete |= self._active & ended
        self._active &= ~ended

    def _filled(self) -> FloatArray:
        log = self.env.fill_log
        e, a, place = np.nonzero(log[..., c.FILL_UNITS])
        keep = self._active[e]
        e, a, place = e[keep], a[keep], place[keep]
        return np.column_stack([e, a, place, self._bar[e], log[e, a, place]])

    def recordings(self, rows: Iterable[int] | None = None) -> list[Recording]:
        """Return one recording per env row, or of the named rows only, warm-up bars left out."""
        if not self._tape.bar:
            raise ValueError("nothing was recorded; reset the env and step it after attaching the recorder")
        stacked = _Stacked(self._tape)
        wanted = range(self.env.num_envs) if rows is None else rows
        return [self._recording(stacked, row) for row in wanted]

    def _recording(self, tape: _Stacked, row: int) -> Recording:
        steps = int(self._steps[row])
        skip = int(max(self._start[row] - tape.bar[0, row], 0))
        part = slice(min(skip, steps), steps)
        bar, flow = tape.bar[part, row], tape.flow[part, row]
        decisions, symbols = tape.decisions[part, row], self._symbols[row]
        initial = self.env.config.initial_equity
        equity = np.concatenate([[initial], flow[:, c.EQUITY_AFTER]])
        market = self.env.market
        point = self.env._instrument[symbols, c.MULTIPLIER]
        units = decisions[:, :, c.LOG_UNITS]
        notional = units * market.mark[bar][:, symbols] * point
        fills = tape.fills_of(row, bar, decisions, int(self.env.rows.counter[row, c.LATENCY]))
        trades = closed_trades(
            fills, decisions[:, :, [c.LOG_FUNDING, c.LOG_BORROW]], bar, market, symbols, point
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            exposure = np.where(equity[1:, None] > 0, notional / equity[1:, None], 0.0)
        return Recording(
            symbols=symbols, start_bar=int(self._start[row]), bar=bar, equity=equity,
            net_return=flow[:, c.NET_RETURN], units=units, target_units=decisions[:, :, c.LOG_TARGET],
            exposure=exposure, turnover=flow[:, c.TURNOVER] / equity[:-1],
            costs=flow[:, c.COMMISSION : c.COMMISSION + len(COST_NAMES)], reward=tape.reward[part, row],
            complete=bool(self._complete[row]), fills=fills, trades=trades,
        )  # fmt: skip


class _Stacked:
    """A tape as arrays: bar (N, E), flow (N, E, K), decisions (N, E, A, K), reward (N, E), fills (R, K)."""

    def __init__(self, tape: _Tape) -> None:
        self.bar = np.stack(tape.bar)
        self.flow = np.stack(tape.flow)
        self.decisions = np.stack(tape.decisions)
        self.reward = np.stack(tape.reward)
        self.fills = np.concatenate(tape.fills)

    def fills_of(self, row: int, bar: NDArray[np.int64], decisions: FloatArray, latency: int) -> Fills:
        """Fills of one row, each with the bar and the reason of the decision that led to it."""
        found = self.fills[self.fills[:, 0] == row]
        asset, place, filled = (found[:, k].astype(np.int64) for k in (1, 2, 3))
        log = found[:, 4:]
        reason = log[:, c.FILL_REASON].astype(np.int64)
        decided = filled - 1
        for a in np.unique(asset):
            made = np.flatnonzero(decisions[:, a, c.INTENT] != c.KEEP)
            for i in np.flatnonzero((asset == a) & (place == c.AT_OPEN)):
                last = np.searchsorted(bar[made], filled[i] - latency, side="right") - 1
                if last >= 0:
                    step = made[last]
                    decided[i] = bar[step] - 1
                    reason[i] = int(decisions[step, a, c.INTENT_REASON])
        names = np.array(c.REASON_NAMES)[reason] if len(reason) else np.empty(0, dtype="<U13")
        costs = np.zeros((len(found), len(COST_NAMES)))
        costs[:, :4] = log[:, c.FILL_COMMISSION : c.FILL_IMPACT + 1]
        return Fills(
            decided_bar=decided, filled_bar=filled, asset=asset, units=log[:, c.FILL_UNITS].copy(),
            price=log[:, c.FILL_PRICE].copy(), costs=costs, reason=names, place=place,
        )  # fmt: skip
