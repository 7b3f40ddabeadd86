"""Recording of trajectories: what each env row decided, filled, paid and held, bar by bar, and its closed trades.

Axes: N steps, E recorded row, A asset slot, 7 costs in COST_NAMES order, R fills.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.costs import COST_NAMES
from envs.kernel import columns as c
from envs.kernel.recorded_steps import NUM_FILL_KEYS, RecordedArrays, StepArrays, record_step
from envs.portfolio import PortfolioVectorEnv
from envs.trades import Fills, Trades, closed_trades

FloatArray = NDArray[np.float64]
FINANCING = [c.LOG_FUNDING, c.LOG_BORROW, c.LOG_DIVIDEND]
"""Columns of the decision log that are charged for holding, in the order of COST_NAMES."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Recording:
    """One episode of one env row. Money in account currency; bars are indices into the panel.

    Attributes
    ----------
    symbols : (A,) indices of the row's assets in the market. start_bar : first bar whose return may be earned.
    multiplier : (A,) account currency per unit and price point of each asset.
    bar : (N,) int64, bar marked. equity : (N + 1,), first entry initial. net_return : (N,).
    units : (N, A) held after the bar. target_units : (N, A) in force after the decision at the close of bar - 1.
    exposure : (N, A), notional over equity at the close. turnover : (N,), traded notional over equity before the bar.
    costs : (N, 7). reward : (N,). complete : the episode ended inside the recording.
    fills, trades : columns, see envs.trades.
    """

    symbols: NDArray[np.int64]
    multiplier: FloatArray
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


class _Steps:
    """Steps of P recorded rows, in arrays that grow at their end when there is no room for another step.

    expected_steps : room that they begin with.

    bar, reward (N, P); flow (N, P, K); decisions (N, P, A, K); fills (R, 4 + K), see `envs.kernel.recorded_steps`.
    """

    def __init__(self, num_rows: int, num_assets: int, expected_steps: int) -> None:
        P, A = num_rows, num_assets
        self._expected_steps = expected_steps
        self.num_steps = self.num_fills = 0
        self._fills_per_step = P * A * c.NUM_PLACES
        self._arrays = {
            "bar": np.empty((0, P), dtype=np.int64),
            "flow": np.empty((0, P, c.NUM_FLOW_COLUMNS)),
            "decisions": np.empty((0, P, A, c.NUM_DECISION_COLUMNS)),
            "reward": np.empty((0, P)),
            "fills": np.empty((0, NUM_FILL_KEYS + c.NUM_FILL_COLUMNS)),
        }

    def append(
        self,
        env: PortfolioVectorEnv,
        rows: NDArray[np.int64],
        active: NDArray[np.bool_],
        bar: NDArray[np.int64],
    ) -> None:
        """Copy the step that the env has just made."""
        self._make_room()
        step = StepArrays(
            flow=env.rows.flow, decisions=env.decision_log, reward=env.last_reward, fills=env.fill_log
        )
        recorded = RecordedArrays(**self._arrays)
        self.num_fills = record_step(
            self.num_steps, self.num_fills, rows, active, bar, tuple(step), tuple(recorded)
        )
        self.num_steps += 1

    def _make_room(self) -> None:
        for name, array in self._arrays.items():
            used = self.num_fills if name == "fills" else self.num_steps
            needed = used + (self._fills_per_step if name == "fills" else 1)
            if needed > len(array):
                size = max(needed, self._expected_steps, 2 * len(array))
                longer = np.empty((size, *array.shape[1:]), dtype=array.dtype)
                longer[:used] = array[:used]
                self._arrays[name] = longer

    @classmethod
    def of(cls, num_assets: int, arrays: Mapping[str, NDArray]) -> _Steps:
        """The steps of one row that were written down, see `StepOfRow`; as many as `bar` has."""
        steps = cls(1, num_assets, 0)
        N = len(arrays["bar"])
        steps._arrays = {
            "bar": arrays["bar"].reshape(N, 1),
            "flow": arrays["flow"].reshape(N, 1, c.NUM_FLOW_COLUMNS),
            "decisions": arrays["decisions"].reshape(N, 1, num_assets, c.NUM_DECISION_COLUMNS),
            "reward": arrays["reward"].reshape(N, 1),
            "fills": arrays["fills"].reshape(-1, NUM_FILL_KEYS + c.NUM_FILL_COLUMNS),
        }
        steps.num_steps, steps.num_fills = N, len(steps._arrays["fills"])
        return steps

    def recorded(self, name: str) -> NDArray:
        """View of what one of the arrays holds."""
        if not self.num_steps:
            raise ValueError("nothing was recorded; reset the env and step it after attaching the recorder")
        return self._arrays[name][: self.num_fills if name == "fills" else self.num_steps]


@dataclass(frozen=True, kw_only=True, eq=False)
class StepOfRow:
    """What the first row of an env with logs did in its last step.

    Attributes
    ----------
    bar : the bar that was marked. flow : (K,) of `envs.kernel.columns`. decisions : (A, K). reward : of the bar.
    fills : (R, 4 + K), see `envs.kernel.recorded_steps`.
    """

    bar: int
    flow: FloatArray
    decisions: FloatArray
    reward: float
    fills: FloatArray

    @classmethod
    def last(cls, env: PortfolioVectorEnv) -> StepOfRow:
        """Of the step that the env has just made; its logging must be on."""
        bar = int(env.current_bar[0])
        log = env.fill_log[0]
        assets, places = np.nonzero(log[..., c.FILL_UNITS])
        keys = np.column_stack([np.zeros(len(assets)), assets, places, np.full(len(assets), float(bar))])
        return cls(
            bar=bar,
            flow=env.rows.flow[0],
            decisions=env.decision_log[0].copy(),
            reward=float(env.last_reward[0]),
            fills=np.column_stack([keys, log[assets, places]]),
        )


def rows_of_fills(fills: Sequence[Sequence[float | None]], bar: int) -> FloatArray:
    """(R, 4 + K) rows of fills of a bar, each given as asset, units, price, commission, reason, and place or None.

    Without a place, those that follow a signal stand at the bar's open, others inside of it.
    """
    rows = np.zeros((len(fills), NUM_FILL_KEYS + c.NUM_FILL_COLUMNS))
    for row, (asset, units, price, commission, reason, place) in zip(rows, fills):
        usual = c.AT_OPEN if reason == c.BY_SIGNAL else c.INSIDE
        row[:NUM_FILL_KEYS] = 0.0, asset, usual if place is None else place, bar
        row[NUM_FILL_KEYS + c.FILL_UNITS] = units
        row[NUM_FILL_KEYS + c.FILL_PRICE] = price
        row[NUM_FILL_KEYS + c.FILL_COMMISSION] = commission
        row[NUM_FILL_KEYS + c.FILL_REASON] = reason
    return rows


class Recorder:
    """Attach to an env before `reset`; records the first episode of every row that the next `reset` starts.

    rows : the rows to record; None for all. Each costs memory in proportion to its bars and assets.
    """

    def __init__(self, env: PortfolioVectorEnv, rows: Sequence[int] | None = None) -> None:
        self.env = env
        self.rows = np.arange(env.num_envs) if rows is None else np.asarray(rows, dtype=np.int64)
        env.set_logging(True)
        env.recorder = self
        self._clear()

    def _clear(self) -> None:
        E = len(self.rows)
        counter = self.env.rows.counter[self.rows]
        longest = int((counter[:, c.STOP] - counter[:, c.BAR]).max(initial=0))
        self._recorded = _Steps(E, self.env.num_assets, longest)
        self._active = np.zeros(E, dtype=bool)
        self._steps = np.zeros(E, dtype=np.int64)
        self._complete = np.zeros(E, dtype=bool)

    @classmethod
    def of_steps(cls, env: PortfolioVectorEnv, arrays: Mapping[str, NDArray], *, complete: bool) -> Recorder:
        """A recorder that holds steps of the env's one row as they were written down.

        Parameters
        ----------
        arrays : the fields of `StepOfRow`, those of all steps one after another.
        complete : whether the episode has ended with the last of them.
        """
        recorder = cls(env)
        env.recorder = None
        recorder.on_reset(np.ones(1, dtype=np.uint8))
        recorder._recorded = _Steps.of(env.num_assets, arrays)
        recorder._steps[:] = len(arrays["bar"])
        recorder._latency = env.rows.counter[:, c.LATENCY].astype(np.int64)
        recorder._complete[:] = complete
        return recorder

    def detach(self) -> None:
        """Stop recording and free the logs."""
        self.env.recorder = None
        self.env.set_logging(False)

    def on_reset(self, mask: NDArray[np.uint8]) -> None:
        """Called by the env after a reset of the rows in mask (all rows,); starts the recording anew."""
        self._clear()
        counter = self.env.rows.counter[self.rows]
        self._active[:] = mask[self.rows] != 0
        self._bar = counter[:, c.BAR].astype(np.int64)
        self._start = counter[:, c.START].astype(np.int64)
        slot = self.env.rows.slot[self.rows]
        plain = np.tile(np.arange(self.env.num_assets), (len(self.rows), 1))
        self._symbols = slot[:, :, c.SYMBOL].astype(np.int64) if slot.shape[2] > c.SYMBOL else plain

    def on_step(self, ended: NDArray[np.bool_]) -> None:
        """Called by the env after each step; `ended` (all rows,) marks rows whose episode is over."""
        if not self._active.any():
            return
        env, rows = self.env, self.rows
        self._bar += self._active
        self._steps += self._active
        # Once all conditions of the episode are set, and before the next one draws its own.
        if not self._recorded.num_steps:
            self._latency = env.rows.counter[rows, c.LATENCY].astype(np.int64)
        self._recorded.append(env, rows, self._active, self._bar)
        if ended.any():
            over = ended[rows]
            self._complete |= self._active & over
            self._active &= ~over

    def recordings(self, rows: Iterable[int] | None = None) -> list[Recording]:
        """Return one recording per recorded row, or of those named only, warm-up bars left out."""
        stacked = _Stacked(self._recorded)
        wanted = self.rows.tolist() if rows is None else list(rows)
        places = {row: place for place, row in enumerate(self.rows.tolist())}
        return [self._recording(stacked, places[row]) for row in wanted]

    def _recording(self, stacked: _Stacked, row: int) -> Recording:
        steps = int(self._steps[row])
        skip = int(max(self._start[row] - stacked.bar[0, row], 0))
        part = slice(min(skip, steps), steps)
        bar, flow = stacked.bar[part, row], stacked.flow[part, row]
        decisions, symbols = stacked.decisions[part, row], self._symbols[row]
        initial = self.env.config.initial_equity
        equity = np.concatenate([[initial], flow[:, c.EQUITY_AFTER]])
        market = self.env.market
        point = self.env.instrument[symbols, c.MULTIPLIER]
        units = decisions[:, :, c.LOG_UNITS]
        notional = units * market.mark[bar][:, symbols] * point
        fills = stacked.fills_of(row, bar, decisions, int(self._latency[row]))
        trades = closed_trades(fills, decisions[:, :, FINANCING], bar, market, symbols, point)
        with np.errstate(divide="ignore", invalid="ignore"):
            exposure = np.where(equity[1:, None] > 0, notional / equity[1:, None], 0.0)
        return Recording(
            symbols=symbols,
            multiplier=point,
            start_bar=int(self._start[row]),
            bar=bar,
            equity=equity,
            net_return=flow[:, c.NET_RETURN],
            units=units,
            target_units=decisions[:, :, c.LOG_TARGET],
            exposure=exposure,
            turnover=flow[:, c.TURNOVER] / equity[:-1],
            costs=flow[:, c.COMMISSION : c.COMMISSION + len(COST_NAMES)],
            reward=stacked.reward[part, row],
            complete=bool(self._complete[row]),
            fills=fills,
            trades=trades,
        )


class _Stacked:
    """Recorded steps: bar, reward (N, E), flow (N, E, K), decisions (N, E, A, K) and fills (R, K) by row."""

    def __init__(self, steps: _Steps) -> None:
        self.bar, self.flow = steps.recorded("bar"), steps.recorded("flow")
        self.decisions, self.reward = steps.recorded("decisions"), steps.recorded("reward")
        fills = steps.recorded("fills")
        self.fills = fills[np.argsort(fills[:, 0], kind="stable")]

    def fills_of(self, row: int, bar: NDArray[np.int64], decisions: FloatArray, latency: int) -> Fills:
        """Fills of one row, each with the bar and the reason of the decision that led to it."""
        found = self.fills[slice(*np.searchsorted(self.fills[:, 0], [row, row + 1]))]
        asset, place, filled = (found[:, k].astype(np.int64) for k in (1, 2, 3))
        log = found[:, NUM_FILL_KEYS:]
        reason = log[:, c.FILL_REASON].astype(np.int64)
        decided = filled - 1
        for a in np.unique(asset):
            made = np.flatnonzero(decisions[:, a, c.INTENT] != c.KEEP)
            ordered = np.flatnonzero((asset == a) & (place == c.AT_OPEN))
            last = np.searchsorted(bar[made], filled[ordered] - latency, side="right") - 1
            ordered, step = ordered[last >= 0], made[last[last >= 0]]
            decided[ordered] = bar[step] - 1
            reason[ordered] = decisions[step, a, c.INTENT_REASON].astype(np.int64)
        names = np.array(c.REASON_NAMES)[reason] if len(reason) else np.empty(0, dtype="<U13")
        costs = np.zeros((len(found), len(COST_NAMES)))
        costs[:, :4] = log[:, c.FILL_COMMISSION : c.FILL_IMPACT + 1]
        return Fills(
            decided_bar=decided,
            filled_bar=filled,
            asset=asset,
            units=log[:, c.FILL_UNITS].copy(),
            price=log[:, c.FILL_PRICE].copy(),
            costs=costs,
            reason=names,
            place=place,
        )
