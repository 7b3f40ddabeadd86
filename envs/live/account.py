"""One account that lives bar by bar: the simulator's own row, whose fills may come from a venue.

| when | call | what happens |
|---|---|---|
| bar t has closed | `decide` | the action becomes targets: sizes, limits, halts and session rules as in training |
| in bar t + 1 | `simulate`, or `book` for each fill of a venue | units, cash and costs change |
| bar t + 1 has closed, and was appended | `close` | marks, limits, and the observation of the next decision |

The three in a row are a step of `PortfolioVectorEnv`, to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from data.traded_prices import traded_prices
from envs.config import PortfolioEnvConfig
from envs.episodes import Window
from envs.kernel import columns as c
from envs.kernel.live_steps import book_rows, close_rows, decide_rows, trade_rows
from envs.live.growing_market import GrowingMarket
from envs.portfolio import PortfolioVectorEnv

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class VenueFill:
    """What a venue filled of one asset.

    Parameters
    ----------
    asset : place on the asset axis. units : signed, a purchase is positive. price : per unit, quote currency.
    commission, spread, slippage, impact : account currency, positive is paid and comes off cash; what a venue charges
        is its commission, for its price holds the rest.
    reason : why it was made, of `envs.kernel.columns`: a signal, or one of the barriers.
    place : in the bar, of `envs.kernel.columns`, for the record; None follows from the reason.
    """

    asset: int
    units: float
    price: float
    commission: float = 0.0
    spread: float = 0.0
    slippage: float = 0.0
    impact: float = 0.0
    reason: int = c.BY_SIGNAL
    place: int | None = None


@dataclass(frozen=True, kw_only=True)
class Rebooking:
    """What changes in the books of a position that goes on: no units come or go.

    Parameters
    ----------
    asset : place on the asset axis.
    gain : price times units; the multiplier makes money of it.
    commission : account currency, positive is paid.
    traded, fills : size times price of the fill that it stands for, and 1; -1 takes one back, 0 is none.
    entry_step, extreme_step : added to the average entry price and to the extreme since entry.
    """

    asset: int
    gain: float = 0.0
    commission: float = 0.0
    traded: float = 0.0
    fills: int = 0
    entry_step: float = 0.0
    extreme_step: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Closed:
    """An account at the close of a bar.

    Attributes
    ----------
    observation : (D,) float32, of the next decision. reward : of the bar. equity : account currency.
    ruined, ended : the account is below its ruin, or its window is over; nothing more is decided.
    """

    observation: NDArray[np.float32]
    reward: float
    equity: float
    ruined: bool
    ended: bool


class LiveAccount:
    """A row of the simulator over a market that grows.

    Parameters
    ----------
    market : with the bars that have closed. config : of the policy's run.
    start_bar : first bar that counts, as a window's start; decisions begin at the close of the bar before it.
    seed : of the env's draws.
    stop_bar : end of the window; None is where the market's room ends.
    """

    def __init__(
        self,
        market: GrowingMarket,
        config: PortfolioEnvConfig,
        *,
        start_bar: int,
        seed: int,
        stop_bar: int | None = None,
    ) -> None:
        self._growing = market
        window = Window(start_bar=start_bar, stop_bar=stop_bar or market.market.num_bars)
        self.env = PortfolioVectorEnv(
            market.market,
            config,
            num_envs=1,
            windows=[window],
            seed=seed,
            autoreset_mode=AutoresetMode.DISABLED,
        )
        self._before = np.zeros((1, 1, self.env.rows.account_BKL.shape[-1]))
        self._phase = "new"
        self._compile()

    def _compile(self) -> None:
        """Have ready what every bar runs through: compiling takes up to a minute, and a bar does not wait."""
        rows, nobody = self.env.kernel_arguments(), 0
        decide_rows(*rows, self.env.take_actions(np.zeros(self.env.single_action_space.shape)), nobody)
        trade_rows(*rows, nobody)
        close_rows(*rows, self.env.outputs, self._before, nobody, False)
        book_rows.compile(tuple(map(numba.typeof, (*rows, 0, (0.0,) * 7, c.AT_OPEN, 0.0))))

    def reset(self) -> NDArray[np.float32]:
        """Open the account: (D,) what is observed at the close before its first bar."""
        observation, _ = self.env.reset()
        self._phase = "closed"
        return np.asarray(observation[0])

    def decide(self, action: NDArray[Any]) -> FloatArray:
        """Turn an action (A,) or (A, 2) at the last close into targets; (A,) units that are to be traded for them."""
        self._expect("closed", "decide")
        if self._bar + 1 > self._growing.num_known:
            raise ValueError(f"bar {self._bar} has not closed; append it before the decision at its close")
        actions = self.env.take_actions(np.asarray(action)[None])
        self._before[0, 0] = self.env.rows.account_BKL[0, c.EQUITY]
        decide_rows(*self.env.kernel_arguments(), actions, 1)
        self._phase = "decided"
        return self.to_trade

    @property
    def to_trade(self) -> FloatArray:
        """(A,) units between the working targets and what is held."""
        position = self.env.rows.position[0]
        quantity = position[:, c.TARGET] - position[:, c.UNITS]
        scale = np.maximum(np.abs(position[:, c.TARGET]), np.abs(position[:, c.UNITS]))
        return np.where(np.abs(quantity) <= c.DUST * scale, 0.0, quantity)

    def retarget(self, asset: int, units: float) -> None:
        """Have other units than were decided in the next bar, signed: what a guard takes back or closes."""
        self._expect("decided", "retarget")
        self._set_target(asset, units)

    def _set_target(self, asset: int, units: float) -> None:
        self.env.rows.position_BAKL[0, asset, c.TARGET, 0] = units

    @property
    def units(self) -> FloatArray:
        """(A,) units held."""
        return np.asarray(self.env.rows.position[0][:, c.UNITS])

    @property
    def equity(self) -> float:
        """Account currency, at the last close."""
        return float(self.env.rows.account[0, c.EQUITY])

    @property
    def bar(self) -> int:
        """The last bar at whose close the account stands."""
        return self._bar

    @property
    def next_session(self) -> int:
        """Session of the bar after the last close: days from 1970-01-01."""
        return self._growing.session(self._bar + 1)

    @property
    def last_bar(self) -> int:
        """The last bar that the market knows: the account's own, or the one that is about to be closed."""
        return self._growing.num_known - 1

    @property
    def _bar(self) -> int:
        return int(self.env.current_bar[0])

    def simulate(self) -> None:
        """Fill what is working in the bar that was just appended, as the simulator does: the paper venue."""
        self._expect("decided", "simulate")
        self._needs_next_bar("simulate")
        trade_rows(*self.env.kernel_arguments(), 1)
        self._phase = "simulated"

    def book(self, fill: VenueFill) -> None:
        """Book a venue's fill, whenever it is reported: in its bar, late, in parts, or of an order that is not ours.

        A fill is booked once; telling a duplicate by its execution id is the caller's (`envs.live.orders`).
        """
        if not 0 <= fill.asset < self.env.num_assets:
            raise ValueError(f"the fill is of asset {fill.asset}; the account has {self.env.num_assets}")
        numbers = [fill.units, fill.price, fill.commission, fill.spread, fill.slippage, fill.impact]
        if not np.isfinite(numbers).all() or fill.units == 0.0:
            raise ValueError(f"a fill needs finite numbers and units that are not 0; got {fill}")
        if self._bar + 1 >= self.env.market.num_bars:
            raise ValueError(
                f"the market has no room after bar {self._bar}, in which the fill would be booked"
            )
        signal = fill.reason == c.BY_SIGNAL
        book_rows(
            *self.env.kernel_arguments(),
            0,
            (float(fill.asset), *map(float, numbers)),
            c.AT_OPEN if signal else c.INSIDE,
            float(fill.reason),
        )
        if not signal:  # what has left at a barrier is not bought back by an order of before
            self._set_target(fill.asset, float(self.units[fill.asset]))

    def rebook(self, change: Rebooking) -> None:
        """Change cash, costs and levels of a position that goes on, as a roll of contracts does in the simulator.

        Raises
        ------
        ValueError
            If a number is none.
        """
        numbers = [change.gain, change.commission, change.traded, change.entry_step, change.extreme_step]
        if not np.isfinite(numbers).all():
            raise ValueError(f"a change of the books needs finite numbers; got {change}")
        rows, rule, a = self.env.rows, self.env.kernel_arguments()[1], change.asset
        point = float(self.env.instrument[a, c.MULTIPLIER])
        account_K, flow_K = rows.account_BKL[0, :, 0], rows.flow_BKL[0, :, 0]
        position_K = rows.position_BAKL[0, a, :, 0]
        account_K[c.CASH] += change.gain * point - change.commission
        flow_K[c.TURNOVER] += change.traded * point
        flow_K[c.COMMISSION] += change.commission
        flow_K[c.NUM_FILLS] += change.fills
        position_K[c.ENTRY_PRICE] += change.entry_step
        if rule[c.BARRIERS_ON] > 0.0:
            position_K[c.EXTREME] += change.extreme_step
        if rule[c.TRADE_STATS] > 0.0:
            position_K[c.TRADE_PNL] -= change.commission

    def close(self) -> Closed:
        """Mark the account at the close of the bar that was appended last."""
        if self._phase not in ("decided", "simulated"):
            raise RuntimeError(
                "close was called before decide; a bar is decided, filled and closed, in this order"
            )
        self._needs_next_bar("close")
        simulated = self._phase == "simulated"
        if not simulated:
            self._follow_extremes()
        close_rows(*self.env.kernel_arguments(), self.env.outputs, self._before, 1, simulated)
        self._phase = "closed"
        terminated, truncated = self.env.step_buffers()[2][:, 0]
        return Closed(
            observation=self.env.observation[0].copy(),
            reward=float(self.env.last_reward[0]),
            equity=self.equity,
            ruined=bool(terminated),
            ended=bool(truncated),
        )

    def _follow_extremes(self) -> None:
        """Move what trailing stops trail, as the simulator does where it looks at the barriers itself."""
        barriers = self.env.config.barriers
        if barriers is None or barriers.trailing_stop is None:
            return
        traded = traded_prices(self._growing.panel(self._bar + 1))
        position_AK = self.env.rows.position_BAKL[0, :, :, 0]
        for a in range(self.env.num_assets):
            best = traded["high" if position_AK[a, c.UNITS] > 0.0 else "low"][0, a]
            if position_AK[a, c.UNITS] != 0.0 and np.isfinite(best):
                further = max if position_AK[a, c.UNITS] > 0.0 else min
                position_AK[a, c.EXTREME] = further(position_AK[a, c.EXTREME], best)

    def get_state(self) -> dict[str, Any]:
        """Complete state of the account, without its market: going on after `set_state` gives the same bits."""
        return {"env": self.env.get_state(), "before": self._before.copy(), "phase": self._phase}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Put back what `get_state` returned, over a market that has grown to the same bar."""
        self.env.set_state(state["env"])
        self.env.rows.put("counter", c.STOP, self.env.windows[0].stop_bar)  # there may be more room by now
        self._before[...] = state["before"]
        self._phase = state["phase"]

    def _expect(self, phase: str, what: str) -> None:
        if self._phase != phase:
            raise RuntimeError(f"{what} was called when the account is {self._phase}; it must be {phase}")

    def _needs_next_bar(self, what: str) -> None:
        if self._growing.num_known < self._bar + 2:
            raise RuntimeError(f"{what} was called before bar {self._bar + 1} was appended to the market")
