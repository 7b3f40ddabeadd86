"""Bars of a vendor for a live loop: history when it begins, then what is new each time that it asks.

The vendor's own protocol is used (`data.vendors.definition`): pieces, one after another, on the calendar's grid. Missed
bars come with the next request, for each one asks from the last bar on that the loop has. A vendor that keeps bars up
to date by itself (`Following`) is not asked for each of them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from data.alignment import align
from data.calendars import BarGrid
from data.errors import DataError
from data.schema import Panel
from data.vendors.definition import Adjustment, BarRequest, Following, RateLimited, Vendor
from envs.live.bar_feed import close_instants
from rayjobs.config.typed_config import ConfigError

LOG = logging.getLogger(__name__)


@dataclass(kw_only=True)
class VendorBars:
    """One vendor's bars of the policy's symbols.

    Parameters
    ----------
    calendar, bar_seconds, symbols : of the panel. history_days : fetched before the loop begins.
    """

    vendor: Vendor
    calendar: str
    symbols: tuple[str, ...]
    bar_seconds: int
    adjustment: Adjustment
    history_days: float
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep
    _last: dict[str, pd.DataFrame] = field(default_factory=dict, init=False)
    """The last traded row of each symbol: one that does not trade for a while has no other, and still a panel."""

    def history(self, first_utc: str | None) -> Panel:
        """Every bar that has closed, from an instant on; None takes `history_days` before now.

        A vendor that wants to be asked more slowly is waited for.

        Raises
        ------
        ConfigError
            If the vendor has none.
        """
        days = np.timedelta64(int(self.history_days * 86_400), "s")
        start = self._instant() - days if first_utc is None else np.datetime64(first_utc, "ns")
        rows = {symbol: self._fetched(symbol, start, wait=True) for symbol in self.symbols}
        panel = self._closed(rows, start)
        if panel is None:
            raise ConfigError(f"the vendor has no bars of {', '.join(self.symbols)} from {start} on")
        return panel

    def since(self, start: np.datetime64) -> Panel | None:
        """The bars from a label on that have closed by now; None where there are none yet.

        Raises
        ------
        DataError
            If the vendor cannot be asked.
        """
        if isinstance(self.vendor, Following):
            vendor = self.vendor
            rows = {symbol: _naive(vendor.follow(self._request(symbol, start))) for symbol in self.symbols}
        else:
            rows = {symbol: self._fetched(symbol, start, wait=False) for symbol in self.symbols}
        return self._closed(rows, start)

    def close(self) -> None:
        """End the vendor's session, where it has one."""
        end = getattr(self.vendor, "close", None)
        if end is not None:
            end()

    def _closed(self, rows: dict[str, pd.DataFrame], start: np.datetime64) -> Panel | None:
        """The bars from a label on, of all symbols on their grid, that have closed by now; None where there is none."""
        if not any(len(found) for found in rows.values()):
            return None
        known = {symbol: self._after_last(symbol, found) for symbol, found in rows.items()}
        if not all(len(found) for found in known.values()):
            return None
        panel = align(known, calendar=self.calendar, bar_seconds=self.bar_seconds)[0]
        for symbol, found in known.items():
            traded = found[found["volume"] > 0.0]
            self._last[symbol] = (traded if len(traded) else found).tail(1)
        grid = BarGrid(bar_utc=panel.bar_utc, session=panel.session)
        closed = int((close_instants(grid, self.calendar, self.bar_seconds) <= self._instant()).sum())
        first = int(np.searchsorted(panel.bar_utc, start))
        return panel.slice_bars(first, closed) if first < closed else None

    def _after_last(self, symbol: str, rows: pd.DataFrame) -> pd.DataFrame:
        last = self._last.get(symbol)
        if last is None or not len(rows):
            return rows if last is None else last
        return pd.concat([last[last.index < rows.index[0]], rows])

    def _request(self, symbol: str, start: np.datetime64) -> BarRequest:
        begin = pd.Timestamp(start, tz="UTC")
        return BarRequest(
            symbol=symbol,
            bar_seconds=self.bar_seconds,
            start_utc=begin,
            stop_utc=max(pd.Timestamp(self.now()), begin + pd.Timedelta(seconds=1)),
            adjustment=self.adjustment,
        )

    def _fetched(self, symbol: str, start: np.datetime64, *, wait: bool) -> pd.DataFrame:
        parts = []
        for piece in self.vendor.pieces(self._request(symbol, start)):
            delivery = None
            while delivery is None:
                try:
                    delivery = self.vendor.fetch(piece)
                except RateLimited as error:
                    if not wait or error.retry_after_s is None:
                        raise DataError(str(error)) from error
                    LOG.info("%s: waiting %.0f s (%s)", symbol, error.retry_after_s, error)
                    self.sleep(error.retry_after_s)
            parts.append(delivery.rows)
        return _naive(pd.concat(parts) if parts else pd.DataFrame())

    def _instant(self) -> np.datetime64:
        return np.datetime64(self.now().astimezone(UTC).replace(tzinfo=None), "ns")


def _naive(rows: pd.DataFrame) -> pd.DataFrame:
    """Labels as a panel has them: UTC, without saying so."""
    if not len(rows):
        return rows
    index = pd.DatetimeIndex(rows.index)
    return rows.set_axis(index.tz_convert("UTC").tz_localize(None) if index.tz is not None else index, axis=0)
