"""Tells whoever watches a trading run how it stands, after each bar, and hears who asks it to stop."""

from __future__ import annotations

import logging
import time
from collections import deque
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np

from envs.live.bar_feed import LiveFeed
from envs.live.order_venue import OrderVenue
from rayjobs.monitoring.trading_snapshot import TradingSnapshot, stop_asked, write_snapshot
from rayjobs.trading.loop import Tick
from rayjobs.trading.session import Session
from rayjobs.trading.trading_run import Latencies

LOG = logging.getLogger(__name__)
LEAST_SECONDS = 0.5
"""Between two snapshots of a replay that runs faster than anybody reads."""
DECISIONS = 20
"""Last decisions that a snapshot holds."""


class Snapshots:
    """Called with each bar of a session.

    Parameters
    ----------
    mode : replay, paper, shadow or the broker's name. directory : of the trading run.
    """

    def __init__(self, session: Session, directory: Path, mode: str, latencies: Latencies) -> None:
        self._session, self._directory, self._mode, self._latencies = session, directory, mode, latencies
        self._decisions: deque[dict[str, Any]] = deque(maxlen=DECISIONS)
        self._opened = session.stand.account.equity
        self._day: tuple[date, float] | None = None
        self._before, self._written = self._opened, float("-inf")

    def add(self, tick: Tick) -> None:
        """Count the bar, and write where the last snapshot is old enough; the loop ends where someone asked it to."""
        self._latencies.add(tick)
        session = self._session
        day = tick.arrival.closed_utc.date()  # UTC
        if self._day is None or self._day[0] != day:
            self._day = day, self._before
        self._before = tick.closed.equity
        if tick.action is not None:
            self._decisions.appendleft(
                {"bar_utc": _iso(tick.arrival.bar.bar_utc), "action": np.ravel(tick.action).tolist()}
            )
        asked = stop_asked(self._directory)
        if asked:
            LOG.warning("nothing more is traded: the kill switch is thrown (%s)", asked)
            session.loop.stop()
        now = time.monotonic()
        if asked or now - self._written >= LEAST_SECONDS or session.loop.end is not None:
            self._written = now
            write_snapshot(self._directory, self._snapshot(tick, asked))

    def _snapshot(self, tick: Tick, asked: str) -> TradingSnapshot:
        loop, stand = self._session.loop, self._session.stand
        symbols = self._session.ground.history.symbols
        assert self._day is not None
        live = isinstance(self._session.ground.feed, LiveFeed)
        return TradingSnapshot(
            written_utc=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            bar_utc=_iso(tick.arrival.bar.bar_utc),
            mode=self._mode,
            equity=tick.closed.equity,
            pnl_day=tick.closed.equity - self._day[1],
            pnl_total=tick.closed.equity - self._opened,
            positions=dict(zip(symbols, stand.account.units.tolist())),
            orders=_orders(loop.venue),
            data_age_s=time.time() - tick.arrival.closed_utc.timestamp() if live else None,
            latency_ms={
                "last": 1e3 * tick.latency_s,
                "p50": self._latencies.quantile_ms(0.5),
                "p99": self._latencies.quantile_ms(0.99),
            },
            decisions=list(self._decisions),
            halted=asked or (f"the run is over: {loop.end}" if loop.end is not None else ""),
        )


def _orders(venue: Any) -> list[dict[str, Any]]:
    """Open orders of a venue that has any."""
    if not isinstance(venue, OrderVenue):
        return []
    return [
        {
            "symbol": tracked.order.symbol,
            "units": tracked.order.units,
            "filled": tracked.filled_units,
            "status": str(tracked.status),
        }
        for tracked in venue.desk.orders.open()
    ]


def _iso(bar_utc: np.datetime64) -> str:
    return f"{np.datetime_as_string(bar_utc.astype('datetime64[s]'))}Z"
