"""The trading loop: a bar closes, the account is closed on it, the policy decides, and what it wants goes to the venue.

| at the close of a bar | by |
|---|---|
| the bar is appended to the market, its features are computed | `envs.live.growing_market` |
| its fills come into the account | the venue: the simulator's kernel, or orders of a broker |
| the account is marked, limits are checked, the observation is written | `envs.live.account` |
| step and state are written down | `rayjobs.trading.trading_record` |
| the policy decides, the account makes targets of it, the venue sends what is to be traded | here |

The same loop runs on recorded bars and on live ones. Started again on its record, it goes on at the last bar that was
written whole, decides it once more, and names the same orders.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from data.calendars import BarGrid
from envs.live.account import Closed, LiveAccount
from envs.live.bar_feed import Arrival, BarFeed, aware, close_instants
from envs.live.growing_market import GrowingMarket
from envs.live.paper import Venue
from envs.live.simulated_twin import PredictedFill, SimulatedTwin
from envs.recording import StepOfRow, rows_of_fills
from policies.exported_policy import TrainedPolicy
from policies.exports import ExportedPolicy
from rayjobs.trading.trading_record import RecordedStep, TradingRecord

End = Literal["ruined", "ended", "no more bars", "stopped"]


@dataclass(frozen=True, kw_only=True)
class Tick:
    """One bar as it went through the loop.

    Attributes
    ----------
    arrival : the bar. closed : the account at its close. action : what the policy then chose, None where nothing is
        decided any more. latency_s : from the bar's arrival to the last order sent.
    """

    arrival: Arrival
    closed: Closed
    action: NDArray[Any] | None
    latency_s: float


class TradingLoop:
    """One account that a policy trades at a venue.

    Parameters
    ----------
    policy : exploration is off. account : not reset yet. market : that the account stands on.
    feed : hands over the bars after those that the market knows.
    record : written at every close.
    cost_scale : multiple of all simulated costs.
    twin : predicts what the simulator would fill of orders that go to a broker; None where the simulator fills itself.
    expects : the policy's value head was trained, and what it says is written down.
    """

    def __init__(
        self,
        *,
        policy: ExportedPolicy,
        account: LiveAccount,
        market: GrowingMarket,
        feed: BarFeed,
        venue: Venue,
        record: TradingRecord,
        cost_scale: float,
        twin: SimulatedTwin | None = None,
        expects: bool = False,
    ) -> None:
        self._expects = expects and isinstance(policy, TrainedPolicy)
        self.policy, self.account, self.market = policy, account, market
        self.feed, self.venue, self.record = feed, venue, record
        self._twin = twin
        self.end: End | None = None
        self.last_observation: NDArray[np.float32] = np.zeros(0, np.float32)
        account.env.set_logging(True)
        self._cost_scale = cost_scale
        self._state: Any = policy.initial_state(1)

    def start(self, *, late: bool = False) -> None:
        """Open the account, or go on with the one of the record, and take the decision at the last known close.

        late : that close is too long ago to enter anything on.
        """
        saved = self.record.state()
        if saved is None:
            self.last_observation = self.account.reset()
            self.account.env.set_cost_scale(self._cost_scale)
            self._save(None)
        else:
            self._go_on(saved)
        self._warm_up()
        # What was filled meanwhile is booked after the decision, which begins the account's bar anew.
        if self.end is None:
            self._choose()
        self.venue.open()
        if self.end is None:
            self.venue.send(self._closed_utc(), entries=not late)

    def step(self) -> Tick | None:
        """Wait for a bar and carry the account to its close and past its decision; None where the run is over."""
        if self.end is not None:
            return None
        arrival = self.feed.next_bar(self.venue.attend)
        if arrival is None:
            self.end = "no more bars"
            return None
        began = time.perf_counter()
        self.market.append(arrival.bar)
        predicted = [] if self._twin is None else self._twin.predict()
        self.venue.settle(arrival.bar)
        closed = self.account.close()
        self._take(closed)
        self._save(self._recorded(arrival.bar.bar_utc, arrival.late), predicted)
        action = None
        if self.end is None:
            action = self._choose()
            # Orders are named by the close that they were decided at, also by a process that decides it again.
            self.venue.send(arrival.closed_utc, entries=not arrival.late)
        latency_s = time.perf_counter() - began
        self.record.time(self.account.bar, arrival.bar.bar_utc, 1e3 * latency_s)
        return Tick(arrival=arrival, closed=closed, action=action, latency_s=latency_s)

    def stop(self) -> None:
        """Let no further bar be traded; what is held stays held."""
        self.end = self.end or "stopped"

    def _warm_up(self) -> None:
        """Carry the recurrent state over bars that are known, in which the account may not trade yet."""
        while self.end is None and self.account.bar + 1 < self.market.num_known:
            self._choose()
            self.account.simulate()
            closed = self.account.close()
            self._take(closed)
            self._save(self._recorded(self.market.market.bar_utc[self.account.bar], late=False))

    def _take(self, closed: Closed) -> None:
        self.last_observation = closed.observation
        if closed.ruined or closed.ended:
            self.end = "ruined" if closed.ruined else "ended"

    def _choose(self) -> NDArray[Any]:
        """Let the policy act on the last observation, and make targets of it."""
        env, policy = self.account.env, self.policy
        masks = {"allowed": env.action_masks()} if policy.masks_actions else {}
        if self._expects:
            assert isinstance(policy, TrainedPolicy)
            value = policy.values(self.last_observation[None], self._state)
            self.record.expect(self.account.bar, float(value[0]))
        actions, self._state = policy.act(self.last_observation[None], self._state, **masks)
        self.account.decide(actions[0])
        if self._twin is not None:
            self._twin.note(self.account.get_state())
        return np.asarray(actions[0])

    def _closed_utc(self) -> datetime:
        """When the bar closed that the account stands at."""
        last = self.market.panel(self.account.bar)
        grid = BarGrid(bar_utc=last.bar_utc[:1], session=last.session[:1])
        return aware(close_instants(grid, last.calendar, last.bar_seconds)[0])

    def _recorded(self, bar_utc: np.datetime64, late: bool) -> RecordedStep:
        digest = hashlib.sha256(self.last_observation.tobytes()).hexdigest()[:16]
        step, moves = StepOfRow.last(self.account.env), self.venue.take_moves()
        if moves is not None:  # the kernel's log holds one fill of an asset in a bar, a venue makes several
            rows = [
                (move.asset, move.units, move.price, move.commission, move.reason, move.place)
                for move in moves
            ]
            step = replace(step, fills=rows_of_fills(rows, step.bar))
        return RecordedStep(step=step, bar_utc=bar_utc, late=late, observation=digest)

    def _save(self, recorded: RecordedStep | None, predicted: Sequence[PredictedFill] = ()) -> None:
        booked = self.venue.take_booked()
        self.record.write(recorded, self._saved(), booked, predicted, self.account.bar)

    def _saved(self) -> dict[str, Any]:
        state = self._state
        memory = None if state is None else {name: np.asarray(value) for name, value in state.items()}
        return {
            "account": self.account.get_state(),
            "memory": memory,
            "observation": self.last_observation,
            "end": self.end,
            "known": self.market.num_known,
            "venue": self.venue.state(),
        }

    def _go_on(self, saved: Mapping[str, Any]) -> None:
        self.account.set_state(saved["account"])
        self._state = _as_before(self.policy.initial_state(1), saved["memory"])
        self.last_observation = np.array(saved["observation"])
        self.end = saved["end"]
        self.venue.restore_booked(fill for fill, _ in self.record.booked())
        if saved.get("venue"):  # runs that were begun before it was saved have no contracts to roll
            self.venue.restore_state(saved["venue"])


def _as_before(fresh: Any, saved: Mapping[str, Any] | None) -> Any:
    """A policy's saved memory as it had it: arrays of torch where its own are, of NumPy elsewhere; None without any.

    Parameters
    ----------
    fresh : the memory of an episode's start.
    """
    if saved is None:
        return None
    return {
        name: torch.from_numpy(np.array(saved[name]))
        if isinstance(value, torch.Tensor)
        else np.array(saved[name], dtype=value.dtype)
        for name, value in fresh.items()
    }
