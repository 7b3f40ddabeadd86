"""Where a loop's bars come from: recorded ones in place of the present, or a source that is asked until a bar is there.

Bars come one by one in the calendar's order, none left out: one that never came is handed over without prices, once
the source has answered after its time is up. A source that is down delays everything and loses nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from data.calendars import ALWAYS_OPEN, BarGrid, session_bounds
from data.errors import DataError, one_line
from data.schema import Panel
from envs.live.growing_market import ClosedBar
from envs.live.late_rolls import LateRolls
from envs.validation import require_non_negative, require_positive

_log = logging.getLogger(__name__)
Attend = Callable[[float], None]
"""Called with seconds that may pass: what else there is to do while a bar runs."""


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """A bar as it was handed over.

    Attributes
    ----------
    bar : its prices. closed_utc : when it closed. late : it came so long after its close that nothing new may be
        entered on it.
    """

    bar: ClosedBar
    closed_utc: datetime
    late: bool


class BarFeed(Protocol):
    """Bars in order."""

    def now(self) -> datetime:
        """The time that this feed goes by, aware, UTC."""

    def next_bar(self, attend: Attend) -> Arrival | None:
        """Wait for the next bar; None where there are no more."""


def close_instants(grid: BarGrid, calendar: str, bar_seconds: int) -> NDArray[np.datetime64]:
    """(T,) datetime64[ns] at which each bar of a grid closes: a bar's length after its label, or with its session."""
    closes = grid.bar_utc + np.timedelta64(bar_seconds, "s").astype("timedelta64[ns]")
    if calendar == ALWAYS_OPEN or not len(closes):
        return closes
    return np.minimum(closes, session_bounds(calendar, grid.session)[1])


def aware(instant: np.datetime64) -> datetime:
    """An instant of a panel as an aware datetime, to the microsecond."""
    micros = int(instant.astype("datetime64[us]").astype(np.int64))
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


class HistoryFeed:
    """Bars of a panel in place of the present; the time is that of the last bar's close.

    Parameters
    ----------
    panel : start, stop : the bars that are handed over.
    speed : times real time; None hands them over as fast as they are taken.
    """

    def __init__(self, panel: Panel, start: int, stop: int, *, speed: float | None) -> None:
        if speed is not None:
            require_positive("feed", "speed", speed)
        self._panel, self._at, self._stop, self._speed = panel, start, stop, speed
        whole = BarGrid(bar_utc=panel.bar_utc[:stop], session=panel.session[:stop])
        self._closes = close_instants(whole, panel.calendar, panel.bar_seconds)
        self._now = aware(self._closes[start - 1])
        self._due_s = time.monotonic()

    def now(self) -> datetime:
        """The close of the bar that was handed over last."""
        return self._now

    def next_bar(self, attend: Attend) -> Arrival | None:
        """The next bar at once, or when its time has come at this speed."""
        if self._at >= self._stop:
            return None
        if self._speed is not None:
            self._due_s += self._panel.bar_seconds / self._speed
            while (left := self._due_s - time.monotonic()) > 0.0:
                attend(left)
        self._now = aware(self._closes[self._at])
        bar = ClosedBar.of(self._panel, self._at)
        self._at += 1
        return Arrival(bar=bar, closed_utc=self._now, late=False)


@dataclass(frozen=True, kw_only=True)
class LiveRules:
    """When a live bar is asked for, given up and too old.

    Parameters
    ----------
    settle_s : seconds after its close at which a bar is asked for first.
    poll_s : pause between two requests.
    missing_after_s : seconds after its close from which an answer without a bar means that there is none.
    late_after_s : seconds after its close from which a bar is too old to enter anything on.
    max_skew_s : seconds by which a bar that is there may lie ahead of this machine's clock.
    """

    settle_s: float
    poll_s: float
    missing_after_s: float
    late_after_s: float
    max_skew_s: float

    def __post_init__(self) -> None:
        require_positive("feed", "poll_s", self.poll_s)
        for name in ("settle_s", "missing_after_s", "late_after_s", "max_skew_s"):
            require_non_negative("feed", name, getattr(self, name))


class LiveFeed:
    """Bars as a source has them, asked for when they close; after an outage all that were missed come first.

    Parameters
    ----------
    read : called with the label from which on bars are wanted, returns those that are there by now, on their grid; it
        raises DataError or OSError where the source cannot be asked.
    to_come : the calendar's bars that will be handed over.
    like : a panel of the same symbols and columns. now : aware datetimes in UTC.
    """

    def __init__(
        self,
        read: Callable[[np.datetime64], Panel | None],
        to_come: BarGrid,
        like: Panel,
        rules: LiveRules,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._read, self._grid, self._like, self._rules = read, to_come, like, rules
        self._closes = close_instants(to_come, like.calendar, like.bar_seconds)
        self._at, self._held, self._clock = 0, None, now
        first = to_come.bar_utc[0] if len(to_come.bar_utc) else like.bar_utc[-1]
        self._rolls = LateRolls(like, first)
        self._failing = False

    _held: Panel | None

    def now(self) -> datetime:
        """This machine's clock."""
        return self._clock()

    def next_bar(self, attend: Attend) -> Arrival | None:
        """Wait until the next bar of the calendar is there, or surely is not."""
        if self._at >= len(self._grid.bar_utc):
            return None
        label, closed = self._grid.bar_utc[self._at], aware(self._closes[self._at])
        bar = self._whole(self._found(label))
        while bar is None:
            wait = (closed - self._clock()).total_seconds() + self._rules.settle_s
            if wait > 0.0:
                attend(min(wait, self._rules.poll_s))
                continue
            overdue = (self._clock() - closed).total_seconds() >= self._rules.missing_after_s
            answered = self._ask(label)
            found = self._found(label)
            bar = self._whole(found)
            if bar is None and answered and overdue:
                bar = self._empty(label) if found is None else found
                _log.warning("the bar of %s is missing for %s", label, ", ".join(self._lacking(bar)))
            elif bar is None:
                attend(self._rules.poll_s)
        if self._held is not None:
            bar = self._rolls.settled(bar, self._held)
        self._at += 1
        now = self._clock()
        skewed = (closed - now).total_seconds() > self._rules.max_skew_s
        if skewed:
            _log.warning(
                "the bar of %s is there and closes %s by this machine's clock; set the clock", label, closed
            )
        late = skewed or (now - closed).total_seconds() > self._rules.late_after_s
        return Arrival(bar=bar, closed_utc=closed, late=late)

    def _ask(self, label: np.datetime64) -> bool:
        """Read again; whether there was an answer."""
        try:
            self._held = self._read(label)
        except (DataError, OSError) as error:
            if not self._failing:
                _log.warning("bars cannot be read (%s); trying again", one_line(error))
            self._failing = True
            return False
        if self._failing:
            _log.warning("bars can be read again")
        self._failing = False
        return True

    def _found(self, label: np.datetime64) -> ClosedBar | None:
        held = self._held
        if held is None:
            return None
        at = int(np.searchsorted(held.bar_utc, label))
        if at >= held.num_bars or held.bar_utc[at] != label:
            return None
        return ClosedBar.of(held, at)

    def _whole(self, bar: ClosedBar | None) -> ClosedBar | None:
        """The bar if no asset lacks its prices."""
        return None if bar is None or np.isnan(bar.close).any() else bar

    def _lacking(self, bar: ClosedBar) -> list[str]:
        return [symbol for symbol, price in zip(self._like.symbols, bar.close) if np.isnan(price)]

    def _empty(self, label: np.datetime64) -> ClosedBar:
        shape = (self._like.num_assets,)
        unknown = np.full(shape, np.nan)
        return ClosedBar(
            bar_utc=label,
            open=unknown,
            high=unknown,
            low=unknown,
            close=unknown,
            volume=np.zeros(shape),
            tradable=np.zeros(shape, dtype=bool),
            exogenous=dict.fromkeys(self._like.exogenous, unknown),
        )
