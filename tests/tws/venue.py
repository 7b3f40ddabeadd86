"""The venue behind the socket: listings, quotes, orders, bars and the account, on one clock.

It hands its reports to the sessions of connected clients, as TWS does: an order's reports to the client that placed
it, fills of manual orders to client 0. While the line to the exchange is down, reports wait.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from tws import reports
from tws.account import Account
from tws.book import Book, Execution, VenueOrder
from tws.clock import VenueClock
from tws.history import Bar, History
from tws.listings import CATALOGUE, Listing

OPENS = datetime(2024, 6, 3, 14, 0, tzinfo=UTC)
"""A Monday, 10:00 in New York."""


class Receiver(Protocol):
    """A connected client as the venue sees it."""

    client_id: int

    def send(self, fields: reports.Fields) -> None:
        """Send one message."""

    def on_position(self, listing: Listing) -> None:
        """A position has changed."""

    def on_quote(self, listing: Listing) -> None:
        """A quote has changed."""

    def on_bar(self, listing: Listing, bar: Bar) -> None:
        """Five seconds have passed."""


class Venue:
    """All that a TWS would know.

    Parameters
    ----------
    start_utc : the clock's first instant. cash : of the account. pacing : whether history is paced.
    """

    def __init__(
        self,
        *,
        start_utc: datetime = OPENS,
        account: str = "DU1234567",
        cash: float = 1_000_000.0,
        commission_per_unit: float = 0.01,
        pacing: bool = True,
    ) -> None:
        self.clock = VenueClock(start_utc)
        self.account = Account(account, cash)
        self.book = Book(self.clock, self.account, self._report, commission_per_unit)
        self.history = History(lambda: self.clock.now, pacing)
        self.listings: list[Listing] = list(CATALOGUE)
        self.sessions: dict[int, Receiver] = {}
        self.next_order_id: dict[int, int] = {}
        self.day_start_utc = start_utc - timedelta(hours=10)
        self.commission_first = False
        self.cancels_wait = False
        self.connected = True
        self.clock_skew = timedelta(0)
        self._waiting: list[tuple[str, Any]] = []
        self._held_requests: list[Any] = []

    # What tests do

    def quote(self, listing: Listing, bid: float, ask: float, last: float | None = None) -> None:
        """Set the best prices; orders that they reach are filled."""
        self.book.quote(listing, bid, ask, last)
        for session in list(self.sessions.values()):
            session.on_quote(listing)

    def bar(self, listing: Listing, bar: Bar) -> None:
        """A bar of five seconds has ended: who watches gets it."""
        for session in list(self.sessions.values()):
            session.on_bar(listing, bar)

    def manual_order(
        self, listing: Listing, action: str, quantity: float, kind: str = "MKT", **fields: str
    ) -> VenueOrder | None:
        """A person places an order in TWS: it has no order id."""
        own = {
            "action": action,
            "totalQuantity": str(quantity),
            "orderType": kind,
            "tif": "DAY",
            "transmit": "1",
        }
        return self.book.submit(0, 0, listing, {**own, **fields})

    def notice(self, code: int, words: str) -> None:
        """Tell every client something that belongs to no request."""
        for session in list(self.sessions.values()):
            session.send(reports.error(-1, code, words))

    def lose_connectivity(self) -> None:
        """The line between TWS and the exchange breaks: 1100. Orders at the exchange go on living."""
        self.connected = False
        self.notice(1100, "Connectivity between IB and Trader Workstation has been lost.")

    def restore_connectivity(self, *, data_lost: bool, deliver: bool = True) -> None:
        """The line is back: 1101 where subscriptions are lost, else 1102.

        deliver : whether reports of what happened meanwhile are sent; if not, clients have to ask.
        """
        self.connected = True
        words = "Connectivity between IB and Trader Workstation has been restored"
        waiting, self._waiting = self._waiting, []
        self.notice(*((1101, f"{words}- data lost.") if data_lost else (1102, f"{words}- data maintained.")))
        if deliver:
            for kind, subject in waiting:
                self._report(kind, subject)
        held, self._held_requests = self._held_requests, []
        for request in held:
            request()

    def when_connected(self, request: Any) -> None:
        """Do what a client asks of the exchange, as soon as there is a line to it."""
        if self.connected:
            request()
        else:
            self._held_requests.append(request)

    def new_day(self) -> None:
        """Midnight: yesterday's executions and finished orders are not told any more."""
        self.day_start_utc = self.clock.now

    def reset_order_ids(self) -> None:
        """TWS's order ids were reset: the next valid id is 1 again, and old numbers name new orders."""
        self.book.forget_ids()
        self.next_order_id.clear()

    # What sessions ask

    def prices(self) -> dict[int, float]:
        """Middle of the quotes, by contract."""
        return {con_id: (quote.bid + quote.ask) / 2 for con_id, quote in self.book.quotes.items()}

    def executions_today(self) -> list[Execution]:
        """Fills since midnight: TWS tells no older ones."""
        return [fill for fill in self.book.executions if fill.at_utc >= self.day_start_utc]

    def open_orders(self) -> list[VenueOrder]:
        """Orders that are not done, of all clients."""
        return [order for order in self.book.orders.values() if not order.done]

    def finished_orders(self) -> list[VenueOrder]:
        """Orders that were done since midnight."""
        return [
            order
            for order in self.book.orders.values()
            if order.done and order.ended_utc is not None and order.ended_utc >= self.day_start_utc
        ]

    def units_from_fills(self, listing: Listing) -> float:
        """Sum of unique fills; corrections of a fill count once. An invariant that tests hold the account to."""
        unique = {
            fill.exec_id.rsplit(".", 1)[0]: fill
            for fill in self.book.executions
            if fill.order.listing is listing
        }
        return sum(fill.order.side * fill.shares for fill in unique.values())

    # What the book reports

    def _report(self, kind: str, subject: Any) -> None:
        if not self.connected:
            self._waiting.append((kind, subject))
            return
        if kind == "error":
            client_id, order_id, code, words = subject
            self._to(client_id, [reports.error(order_id, code, words)])
        elif kind == "order":
            self._to(subject.client_id, reports.order_reports(subject))
        elif kind == "execution":
            messages = [reports.execution_details(-1, subject, self.account.name)]
            if self.commission_first:
                messages.insert(0, reports.commission_report(subject))
            self._to(subject.order.client_id, messages)
            for session in list(self.sessions.values()):
                session.on_position(subject.order.listing)
        elif kind == "commission" and not self.commission_first:
            self._to(subject.order.client_id, [reports.commission_report(subject)])

    def _to(self, client_id: int, messages: list[reports.Fields]) -> None:
        session = self.sessions.get(client_id)
        if session is not None:
            for message in messages:
                session.send(message)
