"""Bars of one contract that TWS keeps up to date by itself: history first, then each change of the bar that runs.

TWS sends what changes and never says that something is missing. So a subscription counts as whole only while its line
lives: after TWS has lost its line to IB (1100), also where it says that subscriptions go on (1102), and where a bar
that is over has not come, the bars are asked for anew, and the answer brings what was left out.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pandas as pd

from data.vendors.definition import BarRequest
from data.vendors.ibkr_contracts import ContractTerms
from data.vendors.ibkr_rows import complete_to, rows_of
from data.vendors.ibkr_rules import DAY_S
from data.vendors.tws_client import TwsConnection

LEAST_BAR_S = 5
"""TWS keeps bars up to date from this length on."""
FOLLOW_WAIT_S = 20.0
"""How long a loop waits for the first answer: while it waits it shows no sign of life to its guard."""
FOLLOW_MARGIN = pd.Timedelta(minutes=2)
"""Time that may pass between the reckoning of a request and TWS's answer."""


def can_be_followed(request: BarRequest, terms: ContractTerms) -> bool:
    """Whether TWS keeps such bars up to date: not those of a day (dates alone), not prices adjusted for dividends."""
    adjusted = terms.is_adjusted_by_ib and request.adjustment == "all"
    return LEAST_BAR_S <= request.bar_seconds < DAY_S and not adjusted


class FollowedBars:
    """One subscription.

    Parameters
    ----------
    connection : on which it was asked for. bars : the client's list of bars, which it keeps up to date; empty where TWS
        said that there are none, which ends a subscription.
    since, asked : from which label on bars were asked for, and when by TWS's clock; UTC.
    """

    def __init__(
        self, connection: TwsConnection, bars: Any, since: pd.Timestamp, asked: pd.Timestamp
    ) -> None:
        self._connection, self._bars, self._since, self._asked = connection, bars, since, asked
        # The client overwrites its last bar by whatever comes, also by a late change of the bar before.
        self._by_date = {bar.date: bar for bar in bars}
        self._lines_lost, self._data_lost = connection.lines_lost, connection.data_lost
        if bars:
            bars.updateEvent += self._on_update

    def serves(self, connection: TwsConnection, request: BarRequest, settled: pd.Timestamp) -> bool:
        """Whether it can be asked for these bars: it reaches back to them, and has what should be over by now.

        settled : instant before which bars are over for good.
        """
        if connection is not self._connection or connection.lines_lost != self._lines_lost:
            return False
        if request.start_utc < self._since:
            return False
        over = request.start_utc + pd.Timedelta(seconds=request.bar_seconds)
        lacks = settled >= over and not any(date >= request.start_utc for date in self._by_date)
        return not lacks or self._asked >= over

    def rows(self, request: BarRequest, terms: ContractTerms, settled: pd.Timestamp) -> pd.DataFrame:
        """The bars of the request that are over: a later one has begun, or their time is up and settled."""
        self._by_date = {date: bar for date, bar in self._by_date.items() if date >= request.start_utc}
        if not self._by_date:
            return rows_of([], request, terms)
        ordered = [self._by_date[date] for date in sorted(self._by_date)]
        complete = max(complete_to(request, settled, terms), pd.Timestamp(ordered[-1].date))
        rows = rows_of(ordered, request, terms)
        return rows[rows.index < complete]

    def end(self) -> None:
        """Take no further changes."""
        if not self._bars:
            return
        self._bars.updateEvent -= self._on_update
        with suppress(ConnectionError):
            if self._connection.is_open and self._connection.data_lost == self._data_lost:
                self._connection.ib.cancelHistoricalData(self._bars)

    def _on_update(self, bars: Any, _: bool) -> None:
        self._by_date[bars[-1].date] = bars[-1]
