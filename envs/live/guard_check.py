"""The guard in the path of each order: asked before it is sent, in the loop's own process.

It holds even where the guard's process has died: then orders may only reduce.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from envs.live.broker import BrokerError, Order
from envs.live.guard_folder import GUARD_BEAT, LOOP_BEAT, MARKET, GuardFolder
from envs.live.guard_limits import GuardLimits, collar_breaches, order_breaches
from envs.live.guarded_account import AccountView

MINUTE_S = 60.0
BEAT_S, PUBLISH_S = 0.5, 5.0
"""Seconds between two signs of life, and between two tellings of prices and returns."""


class OrderRefused(BrokerError):
    """The guard does not let an order go; the message names the limits."""


class OrderCheck:
    """What an `OrderDesk` asks before it sends.

    Parameters
    ----------
    view : the account now.
    folder : shared with the guard's process; None where there is none.
    needs_guard : orders may only reduce where that process has shown no sign of life for `limits.silence_s`.
    clock : seconds, as `time.time`.
    """

    def __init__(
        self,
        limits: GuardLimits,
        view: Callable[[], AccountView],
        folder: GuardFolder | None,
        *,
        needs_guard: bool,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._limits, self._view, self._folder = limits, view, folder
        self._needs_guard, self._clock = needs_guard, clock
        self._sent: deque[float] = deque()
        self._beaten = self._published = float("-inf")

    def review(self, orders: Sequence[Order]) -> None:
        """Let orders that belong together go, or refuse them all.

        Raises
        ------
        OrderRefused
            With every limit that they would pass.
        """
        self._refuse_killed()
        now = self._clock()
        while self._sent and self._sent[0] <= now - MINUTE_S:
            self._sent.popleft()
        breaches = order_breaches(
            orders,
            self._view(),
            self._limits,
            num_last_minute=len(self._sent),
            only_reduce=self._only_reduce(now),
        )
        if breaches:
            raise OrderRefused("; ".join(map(str, breaches)))
        self._sent.extend([now] * len(orders))

    def review_change(self, before: Order, after: Order) -> None:
        """Let an open order take new terms: what it grows by counts as an order, its prices stay inside the collar.

        Raises
        ------
        OrderRefused
            As `review`.
        """
        if abs(after.units) > abs(before.units):
            self.review([replace(after, units=after.units - before.units)])
            return
        self._refuse_killed()
        breaches = collar_breaches(after, self._view(), self._limits)
        if breaches:
            raise OrderRefused("; ".join(map(str, breaches)))

    def beat(self) -> None:
        """The loop lives: a file is touched now and then, and what only the loop knows is told to the guard."""
        now = self._clock()
        if self._folder is None or now - self._beaten < min(self._limits.silence_s / 10.0, BEAT_S):
            return
        self._folder.beat(LOOP_BEAT)
        self._beaten = now
        if now - self._published >= PUBLISH_S:
            self._published = now
            self._publish(self._folder)

    def _publish(self, folder: GuardFolder) -> None:
        view = self._view()
        returns = {symbol: list(map(float, values)) for symbol, values in view.returns.items()}
        folder.write(MARKET, {"prices": dict(view.prices), "returns": returns})

    def _refuse_killed(self) -> None:
        killed = None if self._folder is None else self._folder.killed()
        if killed is not None:
            raise OrderRefused(f"nothing is sent: the kill switch is thrown ({killed})")

    def _only_reduce(self, now: float) -> str:
        if self._folder is None:
            return ""
        halted = self._folder.halted()
        if halted is not None:
            return f"halted ({halted})"
        age = self._folder.age_s(GUARD_BEAT, now)
        if self._needs_guard and (age is None or age > self._limits.silence_s):
            silent = "has not begun" if age is None else f"has been silent for {age:.0f} s"
            return f"the guard's process {silent}"
        return ""
