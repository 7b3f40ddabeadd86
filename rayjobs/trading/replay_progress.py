"""Says how far the replay of recorded bars is, so that minutes of it do not pass without a word."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import numpy as np

from rayjobs.trading.loop import Tick
from rayjobs.trading.market_ground import Ground

LOG = logging.getLogger(__name__)
SECONDS = 15.0
"""Between two lines."""


class ReplayProgress:
    """Called with each bar of a session; of live bars it says nothing, which come when they close.

    Parameters
    ----------
    clock : seconds that only grow.
    """

    def __init__(self, ground: Ground, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._told = clock, clock()
        self._labels = None
        if ground.recorded is not None:
            self._labels = ground.recorded.bar_utc[ground.start_bar : ground.stop_bar]
            LOG.info(
                "replaying %s bars from %s to %s; results are written at the end",
                f"{len(self._labels):,}", _minute(self._labels[0]), _minute(self._labels[-1]),
            )  # fmt: skip

    def add(self, tick: Tick) -> None:
        """Count the bar; a line where the last one is old enough."""
        if self._labels is None or self._clock() - self._told < SECONDS:
            return
        self._told = self._clock()
        done = int(np.searchsorted(self._labels, tick.arrival.bar.bar_utc, side="right"))
        LOG.info(
            "%s of %s bars, to %s: equity %s",
            f"{done:,}", f"{len(self._labels):,}", _minute(tick.arrival.bar.bar_utc), f"{tick.closed.equity:,.2f}",
        )  # fmt: skip


def _minute(bar_utc: np.datetime64) -> str:
    return str(np.datetime_as_string(bar_utc, unit="m")).replace("T", " ")
