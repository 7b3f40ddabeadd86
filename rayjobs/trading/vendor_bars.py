"""Bars of a vendor for a live loop: history when it begins, then what is new each time that it asks.

The vendor's own protocol is used (`data.vendors.definition`): pieces, one after another, on the calendar's grid. Missed
bars come with the next request, for each one asks from the last bar on that the loop has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from data.alignment import align
from data.calendars import BarGrid
from data.errors import DataError
from data.schema import Panel
from data.vendors.definition import Adjustment, BarRequest, RateLimited, Vendor
from envs.live.bar_feed import close_instants
from rayjobs.config.typed_config import ConfigError


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

    def history(self, first_utc: str | None) -> Panel:
        """Every bar that has closed, from an instant on; None takes `history_days` before now.

        Raises
        ------
        ConfigError
            If the vendor has none.
        """
        days = np.timedelta64(int(self.history_days * 86_400), "s")
        start = self._instant() - days if first_utc is None else np.datetime64(first_utc, "ns")
        panel = self.since(start)
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
        rows = {symbol: self._rows(symbol, start) for symbol in self.symbols}
        if not any(len(found) for found in rows.values()):
            return None
        known = {symbol: found for symbol, found in rows.items() if len(found)}
        if len(known) < len(rows):
            return None
        panel = align(known, calendar=self.calendar, bar_seconds=self.bar_seconds)[0]
        grid = BarGrid(bar_utc=panel.bar_utc, session=panel.session)
        closed = close_instants(grid, self.calendar, self.bar_seconds) <= self._instant()
        return panel.slice_bars(0, int(closed.sum())) if closed.any() else None

    def _rows(self, symbol: str, start: np.datetime64) -> pd.DataFrame:
        request = BarRequest(
            symbol=symbol,
            bar_seconds=self.bar_seconds,
            start_utc=pd.Timestamp(start, tz="UTC"),
            stop_utc=max(pd.Timestamp(self.now()), pd.Timestamp(start, tz="UTC") + pd.Timedelta(seconds=1)),
            adjustment=self.adjustment,
        )
        parts = []
        for piece in self.vendor.pieces(request):
            try:
                delivery = self.vendor.fetch(piece)
            except RateLimited as error:
                raise DataError(str(error)) from error
            parts.append(delivery.rows)
        rows = pd.concat(parts) if parts else pd.DataFrame()
        if not len(rows):
            return rows
        index = pd.DatetimeIndex(rows.index)
        rows.index = index.tz_convert("UTC").tz_localize(None) if index.tz is not None else index
        return rows

    def _instant(self) -> np.datetime64:
        return np.datetime64(self.now().astimezone(UTC).replace(tzinfo=None), "ns")
