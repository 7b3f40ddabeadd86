"""The time of the venue: it moves only when a test moves it, and what is due then happens in order."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class VenueClock:
    """A clock that stands still between calls of `advance`.

    start_utc : aware datetime.
    """

    def __init__(self, start_utc: datetime) -> None:
        if start_utc.tzinfo is None:
            raise ValueError(f"start_utc {start_utc} has no zone; give it in UTC")
        self.now = start_utc.astimezone(UTC)
        self._order = itertools.count()
        self._due: list[tuple[datetime, int, Callable[[], None]]] = []

    @property
    def epoch(self) -> float:
        """Seconds since 1970."""
        return self.now.timestamp()

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something once the clock has moved that far."""
        heapq.heappush(self._due, (self.now + timedelta(seconds=seconds), next(self._order), action))

    def advance(self, seconds: float) -> None:
        """Move on, and do what falls due on the way, each at its own time."""
        target = self.now + timedelta(seconds=seconds)
        while self._due and self._due[0][0] <= target:
            self.now, _, action = heapq.heappop(self._due)
            action()
        self.now = target
