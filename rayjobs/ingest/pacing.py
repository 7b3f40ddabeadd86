"""When a vendor may be asked: its budget of calls, rests after refusals, waits that double.

No thread, no Ray and no clock of its own: time comes in as a function, so that days of pacing are tested in
milliseconds. Seconds are those of that clock.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from data.vendors.definition import Budget
from rayjobs.ingest.settings import PacingSettings
from rayjobs.ingest.shared_budget import SharedBudget

DAY_SECONDS = 86_400.0


class CallsLeft(NamedTuple):
    """Calls that may still be made in the running minute and day; None without a limit."""

    minute: int | None
    day: int | None


class CallWindow:
    """At most `limit` calls in any stretch of `seconds`.

    A bucket that fills steadily lets twice its size through within one window of the vendor's, which vendors refuse;
    counting the calls of the last window does not, whichever moment the vendor begins its own at.
    """

    def __init__(self, limit: float, seconds: float) -> None:
        # Half a call a minute is one call in two.
        self.limit = max(1, math.floor(limit))
        self.seconds = seconds if limit >= 1.0 else seconds / limit
        self._calls: deque[float] = deque()

    def add(self, now: float, calls: int) -> None:
        """Count calls that were made."""
        self._calls.extend([now] * calls)

    def used(self, now: float) -> int:
        """Calls of the window that ends now."""
        while self._calls and self._calls[0] <= now - self.seconds:
            self._calls.popleft()
        return len(self._calls)

    def wait(self, now: float) -> float:
        """Seconds until one more call is allowed."""
        over = self.used(now) - self.limit
        return 0.0 if over < 0 else max(self._calls[over] + self.seconds - now, 0.0)


class Pacing:
    """When one vendor may be asked, and by how many at a time.

    Parameters
    ----------
    budget : of the vendor. settings : of rests and waits.
    clock : seconds, never going back. generator : of the jitter.
    shared : the budget that other processes use as well; None where this one has its own.
    """

    def __init__(
        self,
        budget: Budget,
        settings: PacingSettings,
        clock: Callable[[], float],
        generator: np.random.Generator,
        shared: SharedBudget | None = None,
    ) -> None:
        self._settings, self._clock, self._generator = settings, clock, generator
        self._shared = shared
        self._slots = budget.at_a_time
        self._minute = None if budget.calls_per_minute is None else CallWindow(budget.calls_per_minute, 60.0)
        self._day = None if budget.calls_per_day is None else CallWindow(budget.calls_per_day, DAY_SECONDS)
        self._open = 0
        self._rests_until = -math.inf
        self._refusals = 0
        self._failures = 0

    def ask(self) -> float:
        """Ask for leave to fetch one piece: 0.0 grants it and takes a slot; otherwise seconds to wait.

        Infinity means that every slot is taken: ask again when one is given back.
        """
        if self._open >= self._slots:
            return math.inf
        wait = self.wait()
        if wait <= 0.0 and self._shared is not None:
            wait = self._shared.take()
        if wait <= 0.0:
            self._open += 1
            self._count(1)
            return 0.0
        return wait

    def wait(self) -> float:
        """Seconds until a call is allowed, slots aside."""
        now = self._clock()
        waits = [window.wait(now) for window in (self._minute, self._day) if window is not None]
        return max(0.0, self._rests_until - now, *waits)

    def rests(self) -> float:
        """Seconds for which the vendor rests after refusals or failures; 0.0 if it does not."""
        return max(0.0, self._rests_until - self._clock())

    def succeeded(self, calls: int) -> None:
        """Give the slot back after an answer that took this many calls; one was counted when leave was given."""
        self._open -= 1
        self._refusals = self._failures = 0
        self._count(max(calls - 1, 0))
        if self._shared is not None:
            self._shared.add(calls - 1)

    def refused(self) -> None:
        """Give the slot back after an answer that refused this one piece."""
        self._open -= 1
        self._failures = 0

    def rate_limited(self, retry_after_s: float | None) -> None:
        """Give the slot back and let the whole vendor rest, never for less than it said."""
        self._open -= 1
        self._refusals += 1
        if retry_after_s is None:
            self._rest(self._doubled(self._settings.rest_s, self._refusals))
        else:
            self._rest(retry_after_s)

    def unavailable(self) -> None:
        """Give the slot back after a failure; several in a row are an outage, and the whole vendor rests."""
        self._open -= 1
        self._failures += 1
        over = self._failures - self._settings.outage_after
        if over >= 0:
            self._rest(self._doubled(self._settings.first_wait_s, over + 1))

    def piece_wait(self, tries: int) -> float:
        """Seconds before a piece that failed this many times is asked for again."""
        return self._jittered(self._doubled(self._settings.first_wait_s, tries))

    def calls_left(self) -> CallsLeft:
        """What is left of the budget."""
        now = self._clock()
        minute, day = (
            None if window is None else max(window.limit - window.used(now), 0)
            for window in (self._minute, self._day)
        )
        return CallsLeft(minute, day)

    def _count(self, calls: int) -> None:
        now = self._clock()
        for window in (self._minute, self._day):
            if window is not None:
                window.add(now, calls)

    def _rest(self, seconds: float) -> None:
        longer = self._jittered(max(seconds, 0.0))
        self._rests_until = max(self._rests_until, self._clock() + longer)
        if self._shared is not None:
            self._shared.rest(longer)

    def _doubled(self, first: float, times: int) -> float:
        longest = max(self._settings.longest_wait_s, first)
        return float(min(first * 2.0 ** min(times - 1, 60), longest))

    def _jittered(self, seconds: float) -> float:
        return seconds * (1.0 + self._settings.jitter * float(self._generator.random()))
