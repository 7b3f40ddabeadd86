"""The equity at the day's beginning and the highest of a run, which the limits of losses start from."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo


class EquityMarks:
    """Both marks of one account, kept through restarts by whoever saves `state`.

    Parameters
    ----------
    zone : IANA zone in which a day begins at midnight.
    state : what an earlier one left, or empty.
    """

    def __init__(self, zone: str, state: Mapping[str, Any]) -> None:
        self._zone = ZoneInfo(zone)
        day, peak = state.get("day"), state.get("peak_equity")
        self.day: str = str(day or "")
        self.day_equity = float(state.get("day_equity") or 0.0)
        self.peak_equity = float(peak or 0.0)

    def take(self, equity: float, now: datetime) -> None:
        """Mark an equity, account currency; the first of a day is the day's. now : aware."""
        day = now.astimezone(self._zone).date().isoformat()
        if day != self.day:
            self.day, self.day_equity = day, equity
        self.peak_equity = max(self.peak_equity, equity)

    @property
    def state(self) -> dict[str, Any]:
        """For the next one."""
        return {"day": self.day, "day_equity": self.day_equity, "peak_equity": self.peak_equity}
