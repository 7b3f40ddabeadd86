"""Massive (Polygon until 2025): bars of US stocks, indices, options, crypto and currencies through its own client.

Prices are as traded or adjusted for splits; Massive adjusts for no dividend. Bars of minutes hold the extended hours as
well. A day of a stock, index or option is labelled by the opening of its session on `calendar`, one of crypto (X:) or
currencies (C:) by midnight UTC. An unknown symbol is answered like one without trades: nothing is there. Splits,
dividends, listings and the rest: `data.vendors.massive_reference`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pandas as pd

from data.array_types import FloatArray
from data.calendars import ALWAYS_OPEN, DAY_SECONDS
from data.vendors.clock import earlier_clock, over_by
from data.vendors.definition import BarRequest, Delivery
from data.vendors.massive_reference import MassiveReference
from data.vendors.pieces import cut, require_offered
from data.vendors.session_days import local_dates, session_openings
from data.vendors.tables import delivery, instants, nothing_yet, numbers

SPANS = {
    60: (1, "minute"), 300: (5, "minute"), 900: (15, "minute"), 1800: (30, "minute"), 3600: (1, "hour"),
    14400: (4, "hour"), 86400: (1, "day"),
}  # fmt: skip
_PRICES = {"open": "o", "high": "h", "low": "l", "close": "c"}
_OPTIONAL = {"vwap": "vw", "trades": "n"}
_PAGE_ROWS = 50_000


@dataclass(frozen=True, kw_only=True)
class Massive(MassiveReference):
    """The vendor `massive`; its fields are those of a `MassiveAccount`."""

    def pieces(self, request: BarRequest) -> Sequence[BarRequest]:
        """Months of bars of minutes, years of longer ones: one or two pages each."""
        require_offered(request, self.name, tuple(SPANS), ("raw", "splits"), "It adjusts for no dividend.")
        return cut(request, "month" if request.bar_seconds < 3600 else "year")

    def fetch(self, piece: BarRequest) -> Delivery:
        """Ask for all pages of one piece."""
        self.pieces(piece)
        calendar = ALWAYS_OPEN if piece.symbol.startswith(("X:", "C:")) else self.calendar
        daily = piece.bar_seconds == DAY_SECONDS
        # A day is asked for by its midnight, which is not the opening of its session: a day more on either side.
        margin = pd.Timedelta(1 if daily else 0, "D")
        span = "/".join(map(str, SPANS[piece.bar_seconds]))
        window = f"{_ms(piece.start_utc - margin)}/{_ms(piece.stop_utc + margin) - 1}"
        path = f"/v2/aggs/ticker/{quote(piece.symbol, safe=':')}/range/{span}/{window}"
        adjusted = "true" if piece.adjustment == "splits" else "false"
        uri = f"{self.name}:{path}?adjusted={adjusted}"
        if over_by(piece, self.now(), self.delay_seconds, calendar) <= piece.start_utc:
            return nothing_yet(piece, uri)
        massive = self.connection()
        pages = massive.pages(path, {"adjusted": adjusted, "sort": "asc", "limit": _PAGE_ROWS})
        rows = [row for page in pages for row in page]
        labels = instants([row.get("t") for row in rows], "ms", self.name)
        if daily:
            labels = session_openings(local_dates(labels, calendar, self.name), calendar, self.name)
        over = over_by(piece, earlier_clock(self.now(), massive.headers), self.delay_seconds, calendar)
        columns = _columns(rows, piece.symbol)
        return delivery(
            piece, labels, columns, vendor=self.name, source_uri=uri, calls=massive.calls, over_by=over
        )


def _columns(rows: Sequence[Mapping[str, Any]], symbol: str) -> dict[str, FloatArray]:
    columns = {
        name: numbers([row.get(key) for row in rows], name, "massive") for name, key in _PRICES.items()
    }
    # An index has no volume and cannot be traded: 0 says so. Everything else has one.
    lacking = 0 if symbol.startswith("I:") else None
    columns["volume"] = numbers([row.get("v", lacking) for row in rows], "volume", "massive")
    for name, key in _OPTIONAL.items():
        if any(row.get(key) is not None for row in rows):
            columns[name] = numbers([row.get(key) for row in rows], name, "massive", gaps=True)
    return columns


def _ms(instant: pd.Timestamp) -> int:
    return int(instant.timestamp()) * 1000
