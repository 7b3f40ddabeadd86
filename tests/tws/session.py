"""One client's requests, each answered in the order and layout of TWS."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from tws import reports
from tws.history import BAR_SECONDS, Bar, HistoryRefused, HistoryRequest, label, parse_end
from tws.listings import Listing, matching
from tws.order_wire import open_order, read_placed_order
from tws.venue import Venue
from tws.wire import REQUESTS, Reader, WireError

NO_CONTRACT = (200, "No security definition has been found for the request")


class Session:
    """A client that has sent `startApi`. send : puts one message on the wire. live_bars : watched bars by request."""

    def __init__(
        self, venue: Venue, client_id: int, send: Callable[[reports.Fields], None], zone: str
    ) -> None:
        self._venue, self.client_id, self.send, self._zone = venue, client_id, send, zone
        self._positions = self._account = False
        self.live_bars: dict[int, Listing] = {}
        self._updated: dict[int, tuple[HistoryRequest, list[Bar]]] = {}
        self._ticks: dict[int, Listing] = {}
        self._handlers = {
            number: getattr(self, f"_{name}")
            for number, name in REQUESTS.items()
            if hasattr(self, f"_{name}")
        }

    def greet(self) -> None:
        """What TWS sends unprompted, and what the client waits for before it asks anything."""
        self.send((15, 1, self._venue.account.name))
        self._reqIds(None)
        for code, farm in (
            (2104, "Market data farm connection is OK:usfarm"),
            (2106, "HMDS data farm connection is OK:ushmds"),
        ):
            self.send(reports.error(-1, code, farm))

    def handle(self, fields: list[str]) -> None:
        """Answer one request.

        Raises
        ------
        WireError
            If the double does not know it, or it is laid out otherwise.
        """
        number = int(fields[0])
        if number not in self._handlers:
            raise WireError(f"message {number} is not part of this double: {fields}")
        self._handlers[number](Reader(fields[1:]))

    # What the venue tells

    def on_position(self, listing: Listing) -> None:
        """A fill has changed a position."""
        held = self._venue.account.holdings.get(listing.con_id)
        if held is None:
            return
        if self._positions:
            self.send(reports.position(self._venue.account.name, held))
        if self._account:
            price = self._venue.prices().get(listing.con_id, held.price)
            self.send(reports.portfolio(self._venue.account.name, held, price))

    def on_quote(self, listing: Listing) -> None:
        """Prices have changed."""
        for req_id, watched in self._ticks.items():
            if watched is listing:
                self._send_ticks(req_id, listing)

    def on_bar(self, listing: Listing, bar: Bar) -> None:
        """Five seconds have passed."""
        row = (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.wap, bar.count)
        for req_id, watched in self.live_bars.items():
            if watched is listing:
                self.send((50, 3, req_id, int(bar.opened_utc.timestamp()), *row))
        for req_id, (request, bars) in self._updated.items():
            if request.listing is listing:
                running = _joined(bars, bar, BAR_SECONDS[request.bar])
                prices = (running.open, running.close, running.high, running.low)
                size = (running.wap, running.volume)
                self.send((90, req_id, running.count, label(running, request), *prices, *size))

    # Contracts and data

    def _found(self, req_id: int, contract: dict[str, str], include_expired: bool = False) -> Listing | None:
        found = matching(
            contract, self._venue.listings, now=self._venue.clock.now, include_expired=include_expired
        )
        if len(found) == 1:
            return found[0]
        more = (200, "The contract description specified for ES is ambiguous.") if found else NO_CONTRACT
        self.send(reports.error(req_id, *more))
        return None

    def _reqContractDetails(self, reader: Reader) -> None:
        reader.skip(1)
        req_id, contract, expired = reader.integer(), reader.contract(), reader.flag()
        reader.skip(3)  # the kind and number of an identifier, the issuer
        reader.finish()
        found = matching(contract, self._venue.listings, now=self._venue.clock.now, include_expired=expired)
        if not found:
            self.send(reports.error(req_id, *NO_CONTRACT))
            return
        for listing in found:
            self.send((10, req_id, *listing.details()))
        self.send((52, 1, req_id))

    def _reqHistoricalData(self, reader: Reader) -> None:
        req_id, contract, expired = reader.integer(), reader.contract(), reader.flag()
        end, bar, duration = reader.text(), reader.text(), reader.text()
        regular, what, style, update = reader.flag(), reader.text(), reader.integer(), reader.flag()
        reader.skip(1)
        reader.finish()
        listing = self._found(req_id, contract, expired)
        if listing is None or not self._venue.connected:
            return
        request = HistoryRequest(
            req_id=req_id,
            listing=listing,
            end_utc=parse_end(end, self._zone),
            bar=bar,
            duration=duration,
            regular_hours=regular,
            what=what,
            format_date=style,
            keep_up_to_date=update,
        )
        try:
            bars = self._venue.history.answer(request)
        except HistoryRefused as refusal:
            self.send(reports.error(req_id, *refusal.args))
            return
        until = request.end_utc or self._venue.clock.now
        rows = [(label(b, request), b.open, b.high, b.low, b.close, b.volume, b.wap, b.count) for b in bars]
        edges = [f"{at:%Y%m%d %H:%M:%S} UTC" for at in (until - request.span, until)]
        self.send((17, req_id, *edges, len(rows), *(value for row in rows for value in row)))
        if update:
            self._updated[req_id] = (request, bars)

    def _cancelHistoricalData(self, reader: Reader) -> None:
        reader.skip(1)
        req_id = reader.integer()
        if self._updated.pop(req_id, None) is None:
            self.send(reports.error(req_id, 366, f"No historical data query found for ticker id:{req_id}"))

    def _reqHeadTimeStamp(self, reader: Reader) -> None:
        req_id, contract, expired = reader.integer(), reader.contract(), reader.flag()
        reader.skip(2)
        style = reader.integer()
        listing = self._found(req_id, contract, expired)
        if listing is not None:
            first = self._venue.clock.now - timedelta(days=3650)
            self.send((88, req_id, int(first.timestamp()) if style == 2 else f"{first:%Y%m%d-%H:%M:%S}"))

    def _cancelHeadTimeStamp(self, reader: Reader) -> None:
        reader.integer()

    def _reqRealTimeBars(self, reader: Reader) -> None:
        reader.skip(1)
        req_id, contract = reader.integer(), reader.contract()
        listing = self._found(req_id, contract)
        if listing is not None:
            self.live_bars[req_id] = listing

    def _cancelRealTimeBars(self, reader: Reader) -> None:
        reader.skip(1)
        self.live_bars.pop(reader.integer(), None)

    def lose_subscriptions(self) -> None:
        """1101: nothing that was subscribed goes on."""
        self.live_bars.clear()
        self._updated.clear()
        self._ticks.clear()

    def _reqMktData(self, reader: Reader) -> None:
        reader.skip(1)
        req_id, contract = reader.integer(), reader.contract()
        reader.skip(2)
        snapshot = reader.flag()
        listing = self._found(req_id, contract)
        if listing is None:
            return
        self.send((58, 1, req_id, 1))
        self.send((81, req_id, listing.min_tick, "9c0001", 3))
        self._send_ticks(req_id, listing)
        if snapshot:
            self.send((57, 1, req_id))
        else:
            self._ticks[req_id] = listing

    def _send_ticks(self, req_id: int, listing: Listing) -> None:
        quote = self._venue.book.quotes.get(listing.con_id)
        if quote is not None:
            for kind, price in ((1, quote.bid), (2, quote.ask), (4, quote.last)):
                self.send((1, 6, req_id, kind, price, 100, 1))

    def _cancelMktData(self, reader: Reader) -> None:
        reader.skip(1)
        self._ticks.pop(reader.integer(), None)

    def _reqMarketDataType(self, reader: Reader) -> None:
        reader.skip(2)

    def _reqCurrentTime(self, _: Reader) -> None:
        self.send((49, 1, int((self._venue.clock.now + self._venue.clock_skew).timestamp())))

    # Orders

    def _reqIds(self, _: Reader | None) -> None:
        self.send((9, 1, self._venue.next_order_id.get(self.client_id, 1)))

    def _placeOrder(self, reader: Reader) -> None:
        order_id, contract, fields = read_placed_order(reader)
        listing = self._found(order_id, contract)
        if listing is None:
            return
        if fields["whatIf"] in ("1", "True"):
            self._what_if(order_id, listing, fields)
            return
        known = self._venue.next_order_id
        known[self.client_id] = max(known.get(self.client_id, 1), order_id + 1)
        self._venue.when_connected(
            lambda: self._venue.book.submit(self.client_id, order_id, listing, fields) and None
        )

    def _what_if(self, order_id: int, listing: Listing, fields: dict[str, Any]) -> None:
        units = float(fields["totalQuantity"]) * (1 if fields["action"] == "BUY" else -1)
        price = self._venue.prices().get(listing.con_id, float(fields["lmtPrice"] or 0.0))
        cost = self._venue.book.commission_per_unit * abs(units)
        margin = self._venue.account.what_if(listing, units, price, cost)
        own = {**fields, "clientId": self.client_id, "permId": 0, "whatIf": 1}
        self.send(open_order(order_id, listing.contract(), own, "PreSubmitted", margin))

    def _cancelOrder(self, reader: Reader) -> None:
        reader.skip(1)
        order_id = reader.integer()
        reader.skip(1)  # the time that a person writes down
        reader.finish()
        order = self._venue.book.find(self.client_id, order_id)
        if order is None:
            words = f"OrderId {order_id} that needs to be cancelled is not found."
            self.send(reports.error(order_id, 10147, words))
        elif order.done:
            words = (
                f"OrderId {order_id} that needs to be cancelled cannot be cancelled, state: {order.status}."
            )
            self.send(reports.error(order_id, 10148, words))
        elif self._venue.cancels_wait:
            order_before, order.status = order.status, "PendingCancel"
            self.send(reports.order_status(order))
            order.status = order_before
            self._venue.clock.after(1.0, lambda: self._venue.book.cancel(order))
        else:
            self._venue.when_connected(lambda: self._venue.book.cancel(order))

    def _reqGlobalCancel(self, _: Reader) -> None:
        for order in self._venue.open_orders():
            self._venue.when_connected(lambda order=order: self._venue.book.cancel(order))

    def _reqAutoOpenOrders(self, _: Reader) -> None:
        """Manual orders are reported to client 0 in any case."""

    def _reqOpenOrders(self, _: Reader) -> None:
        self._send_open([order for order in self._venue.open_orders() if order.client_id == self.client_id])

    def _reqAllOpenOrders(self, _: Reader) -> None:
        self._send_open(self._venue.open_orders())

    def _send_open(self, orders: list[Any]) -> None:
        for order in orders:
            for message in reports.order_reports(order):
                self.send(message)
        self.send((53, 1))

    def _reqCompletedOrders(self, _: Reader) -> None:
        for order in self._venue.finished_orders():
            self.send(reports.finished_order(order))
        self.send((102,))

    def _reqExecutions(self, reader: Reader) -> None:
        reader.skip(1)
        req_id, client_id = reader.integer(), reader.integer()
        for execution in self._venue.executions_today() if self._venue.connected else ():
            if client_id in (0, execution.order.client_id):
                self.send(reports.execution_details(req_id, execution, self._venue.account.name))
                self.send(reports.commission_report(execution))
        self.send((55, 1, req_id))

    # The account

    def _reqManagedAccts(self, _: Reader) -> None:
        self.send((15, 1, self._venue.account.name))

    def _reqPositions(self, _: Reader) -> None:
        self._positions = True
        for held in self._venue.account.holdings.values():
            if held.units:
                self.send(reports.position(self._venue.account.name, held))
        self.send((62, 1))

    def _cancelPositions(self, _: Reader) -> None:
        self._positions = False

    def _reqAccountUpdates(self, reader: Reader) -> None:
        reader.skip(1)
        self._account = reader.flag()
        if self._account:
            venue = self._venue
            for message in reports.account_download(
                venue.account, venue.prices(), f"{venue.clock.now:%H:%M}"
            ):
                self.send(message)

    def _reqAccountUpdatesMulti(self, reader: Reader) -> None:
        reader.skip(1)
        req_id, account = reader.integer(), self._venue.account
        for tag, value, currency in account.values(self._venue.prices()):
            self.send((73, 1, req_id, account.name, "", tag, value, currency))
        self.send((74, 1, req_id))

    def _cancelAccountUpdatesMulti(self, _: Reader) -> None:
        """Nothing is sent after the first answer anyway."""

    def _reqAccountSummary(self, reader: Reader) -> None:
        reader.skip(1)
        req_id, account = reader.integer(), self._venue.account
        for tag, value, currency in account.values(self._venue.prices()):
            self.send((63, 1, req_id, account.name, tag, value, currency))
        self.send((64, 1, req_id))

    def _cancelAccountSummary(self, _: Reader) -> None:
        """As above."""


def _joined(bars: list[Bar], piece: Bar, seconds: int) -> Bar:
    """Put five seconds into the bar that runs, or begin the next one; returns it."""
    begins = piece.opened_utc - timedelta(seconds=piece.opened_utc.timestamp() % seconds)
    if not bars or bars[-1].opened_utc < begins:
        bars.append(Bar(**{**vars(piece), "opened_utc": begins}))
        return bars[-1]
    last = bars[-1]
    volume = last.volume + piece.volume
    wap = (last.wap * last.volume + piece.wap * piece.volume) / volume if volume else last.wap
    bars[-1] = Bar(
        opened_utc=last.opened_utc,
        open=last.open,
        high=max(last.high, piece.high),
        low=min(last.low, piece.low),
        close=piece.close,
        volume=volume,
        wap=wap,
        count=last.count + piece.count,
    )
    return bars[-1]
