"""The order book of the venue: what rests, what a quote fills, and what of it is reported.

Nothing here knows a socket: reports are handed to `report` in the order in which TWS sends them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from tws.account import Account
from tws.clock import VenueClock
from tws.listings import Listing

DONE = ("Filled", "Cancelled", "ApiCancelled", "Inactive")
KINDS = ("MKT", "LMT", "STP", "STP LMT")


@dataclass
class VenueOrder:
    """An order at the venue. side : +1 buys, -1 sells. fields : what the client sent, by name."""

    client_id: int
    order_id: int
    perm_id: int
    listing: Listing
    fields: dict[str, str]
    side: int
    quantity: float
    status: str = "PendingSubmit"
    filled: float = 0.0
    paid: float = 0.0
    last_price: float = 0.0
    triggered: bool = False
    rested: bool = False
    executions: list[Execution] = field(default_factory=list)
    ended_utc: datetime | None = None

    @property
    def kind(self) -> str:
        """MKT, LMT, STP or STP LMT."""
        return self.fields["orderType"]

    @property
    def ref(self) -> str:
        """The client's own name of the order."""
        return self.fields.get("orderRef", "")

    @property
    def parent_id(self) -> int:
        """Order id of the entry that this exit waits for; 0 for none."""
        return int(self.fields.get("parentId") or 0)

    @property
    def remaining(self) -> float:
        """Units still to be filled."""
        return self.quantity - self.filled

    @property
    def average_price(self) -> float:
        """Mean price of what was filled."""
        return self.paid / self.filled if self.filled else 0.0

    @property
    def done(self) -> bool:
        """Whether nothing more can happen to it."""
        return self.status in DONE


@dataclass(frozen=True, kw_only=True)
class Execution:
    """One fill. exec_id ends in .01; a correction has the same beginning and .02. commission in account currency."""

    exec_id: str
    order: VenueOrder
    shares: float
    price: float
    cumulative: float
    average_price: float
    at_utc: datetime
    commission: float
    realised: float | None


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """An order that the venue refuses. order_ref, symbol : None for any. code : 201 as a rule. text : the reason."""

    code: int = 201
    text: str = "Order rejected - reason:margin requirement"
    order_ref: str | None = None
    symbol: str | None = None

    def hits(self, order: VenueOrder) -> bool:
        """Whether it means this order."""
        named = self.order_ref is None or self.order_ref == order.ref
        return named and self.symbol in (None, order.listing.symbol)


@dataclass(frozen=True, kw_only=True)
class Quote:
    """Best prices and the last trade."""

    bid: float
    ask: float
    last: float


class Book:
    """Orders of one account.

    Parameters
    ----------
    report : called with ("order", VenueOrder), ("execution", Execution), ("commission", Execution) or
        ("error", (client_id, order_id, code, text)).
    commission_per_unit : per share or contract.
    """

    def __init__(
        self,
        clock: VenueClock,
        account: Account,
        report: Callable[[str, object], None],
        commission_per_unit: float,
    ) -> None:
        self._clock, self.account, self._report = clock, account, report
        self.commission_per_unit = commission_per_unit
        self.orders: dict[int, VenueOrder] = {}
        self.executions: list[Execution] = []
        self.quotes: dict[int, Quote] = {}
        self.rejections: list[Rejection] = []
        self.fill_sizes: dict[int, deque[float]] = {}
        self.open = True
        self._keys: dict[tuple[int, int], int] = {}
        self._next_perm, self._next_exec = 1_900_000_001, 1

    # What clients ask for

    def find(self, client_id: int, order_id: int) -> VenueOrder | None:
        """The order that this client knows by this number."""
        perm_id = self._keys.get((client_id, order_id))
        return None if perm_id is None else self.orders[perm_id]

    def forget_ids(self) -> None:
        """Order ids begin anew, as after TWS's settings were reset; permanent ids stay."""
        self._keys.clear()

    def submit(
        self, client_id: int, order_id: int, listing: Listing, fields: dict[str, str]
    ) -> VenueOrder | None:
        """Take an order in, or modify the one with this number. None where it was refused before it existed."""
        known = self.find(client_id, order_id) if order_id else None
        if known is not None:
            self._modify(known, listing, fields)
            return known
        order = VenueOrder(
            client_id=client_id,
            order_id=order_id,
            perm_id=self._next_perm,
            listing=listing,
            fields=dict(fields),
            side=1 if fields["action"] == "BUY" else -1,
            quantity=float(fields["totalQuantity"]),
        )
        problem = self._refusal(order)
        if problem is not None:
            order.status = "Inactive"
            self._report("error", (client_id, order_id, *problem))
            return None
        self._next_perm += 1
        self.orders[order.perm_id] = order
        if order_id:
            self._keys[client_id, order_id] = order.perm_id
        if fields.get("transmit", "1") not in ("0", "False"):
            self._transmit(order)
        return order

    def cancel(self, order: VenueOrder, text: str = "Order Canceled - reason:") -> None:
        """Cancel what is left of an order, and the exits that wait for it."""
        if order.done:
            return
        order.status, order.ended_utc = "Cancelled", self._clock.now
        self._report("order", order)
        if order.order_id > 0:
            self._report("error", (order.client_id, order.order_id, 202, text))
        for child in self._children(order):
            if not order.filled:
                self.cancel(child, text)

    def expire_day_orders(self) -> None:
        """The end of the day: what was good for the day is cancelled."""
        for order in list(self.orders.values()):
            if order.fields.get("tif", "DAY") in ("", "DAY"):
                self.cancel(order)

    # What the market does

    def quote(self, listing: Listing, bid: float, ask: float, last: float | None = None) -> None:
        """Set the best prices and fill what they reach."""
        self.quotes[listing.con_id] = Quote(bid=bid, ask=ask, last=(bid + ask) / 2 if last is None else last)
        self.match(listing.con_id)

    def match(self, con_id: int) -> None:
        """Fill what the quote reaches, oldest order first."""
        quote = self.quotes.get(con_id)
        if quote is None or not self.open:
            return
        for order in list(self.orders.values()):
            if order.listing.con_id == con_id and order.status in ("PreSubmitted", "Submitted"):
                self._match_order(order, quote)

    def fill(self, order: VenueOrder, shares: float, price: float) -> Execution:
        """Fill part of an order at a price, whatever the quote says."""
        shares = min(shares, order.remaining)
        commission = round(self.commission_per_unit * shares, 4)
        order.filled += shares
        order.paid += shares * price
        order.last_price = price
        realised = self.account.book(order.listing, order.side * shares, price, commission)
        execution = Execution(
            exec_id=f"0000e0d5.{self._next_exec:08x}.01.01",
            order=order,
            shares=shares,
            price=price,
            cumulative=order.filled,
            average_price=order.average_price,
            at_utc=self._clock.now,
            commission=commission,
            realised=realised,
        )
        self._next_exec += 1
        order.status = "Submitted" if order.remaining > 1e-9 else "Filled"
        order.ended_utc = self._clock.now if order.status == "Filled" else None
        self.executions.append(execution)
        order.executions.append(execution)
        self._report("execution", execution)
        self._report("order", order)
        self._report("commission", execution)
        self._after_fill(order, shares)
        return execution

    def correct(self, execution: Execution, price: float) -> Execution:
        """The exchange corrects the price of a fill: a new report whose id ends in the next number."""
        beginning, number = execution.exec_id.rsplit(".", 1)
        corrected = Execution(
            **{
                **vars(execution),
                "exec_id": f"{beginning}.{int(number) + 1:02d}",
                "price": price,
                "at_utc": self._clock.now,
            }
        )
        point, units = execution.order.listing.point, execution.order.side * execution.shares
        if execution.order.listing.sec_type != "FUT":
            self.account.cash -= units * (price - execution.price) * point
        self.executions.append(corrected)
        execution.order.executions.append(corrected)
        self._report("execution", corrected)
        self._report("commission", corrected)
        return corrected

    # Inside

    def _refusal(self, order: VenueOrder) -> tuple[int, str] | None:
        for rejection in self.rejections:
            if rejection.hits(order):
                return rejection.code, rejection.text
        if order.kind not in KINDS:
            return 387, f"Unsupported order type for this exchange and security type.:{order.kind}"
        if order.listing.sec_type in ("CONTFUT", "IND"):
            return 321, "Error validating request.-'cH' : cause - Continuous futures cannot be traded"
        if order.quantity <= 0:
            return 434, "The order size cannot be zero."
        return _off_tick(order.fields, order.listing)

    def _modify(self, order: VenueOrder, listing: Listing, fields: dict[str, str]) -> None:
        if order.status == "Filled":
            self._report("error", (order.client_id, order.order_id, 104, "Cannot modify a filled order."))
        elif order.done:
            self._report("error", (order.client_id, order.order_id, 103, "Duplicate order id"))
        elif listing is not order.listing or (fields["action"] == "BUY") != (order.side > 0):
            words = "Order being modified does not match original order"
            self._report("error", (order.client_id, order.order_id, 105, words))
        elif problem := _off_tick(fields, listing):
            self._report("error", (order.client_id, order.order_id, *problem))
        else:
            order.fields.update(fields)
            order.quantity = max(float(fields["totalQuantity"]), order.filled)
            if order.status == "PendingSubmit" and fields.get("transmit", "1") not in ("0", "False"):
                self._transmit(order)
                return
            self._report("order", order)
            self.match(listing.con_id)

    def _transmit(self, order: VenueOrder) -> None:
        """An order that is sent sends the entry that it belongs to as well, and its other exits."""
        parent = self.find(order.client_id, order.parent_id) if order.parent_id else None
        family = [parent, *self._children(parent)] if parent else [order]
        sent = [member for member in family if member.status == "PendingSubmit"]
        for member in sent:
            waits = member.parent_id or member.kind in ("STP", "STP LMT") or not self.open
            member.status = "PreSubmitted" if waits else "Submitted"
            self._report("order", member)
        for member in sent:
            self.match(member.listing.con_id)

    def _children(self, order: VenueOrder) -> list[VenueOrder]:
        return [
            other
            for other in self.orders.values()
            if order.order_id > 0 and other.parent_id == order.order_id and other.client_id == order.client_id
        ]

    def _match_order(self, order: VenueOrder, quote: Quote) -> None:
        parent = self.find(order.client_id, order.parent_id) if order.parent_id else None
        if order.done or (parent is not None and parent.status != "Filled"):
            return
        price = self._price(order, quote)
        order.rested = True
        if price is None:
            return
        sizes = self.fill_sizes.get(order.listing.con_id)
        self.fill(order, sizes.popleft() if sizes else order.remaining, price)

    def _price(self, order: VenueOrder, quote: Quote) -> float | None:
        """The price at which the quote fills the order now; None where it does not."""
        buys = order.side > 0
        near = quote.ask if buys else quote.bid
        if order.kind in ("STP", "STP LMT") and not order.triggered:
            stop = float(order.fields["auxPrice"])
            if (quote.last < stop) if buys else (quote.last > stop):
                return None
            order.triggered = True
            order.status = "Submitted"
            self._report("order", order)
        if order.kind in ("MKT", "STP"):
            return near
        limit = float(order.fields["lmtPrice"])
        if (near > limit) if buys else (near < limit):
            return None
        return limit if order.rested else near

    def _after_fill(self, order: VenueOrder, shares: float) -> None:
        """Exits wake up, and the others of a group shrink or go."""
        if order.status == "Filled":
            for child in self._children(order):
                child.status = "Submitted" if child.kind == "LMT" else child.status
                self._report("order", child)
            if order.order_id > 0:
                self.match(order.listing.con_id)
        group = order.fields.get("ocaGroup") or ""
        for other in list(self.orders.values()):
            siblings = (
                order.parent_id and other.parent_id == order.parent_id and other.client_id == order.client_id
            )
            grouped = group and other.fields.get("ocaGroup") == group
            if other is order or other.done or not (siblings or grouped):
                continue
            if order.status != "Filled" and (siblings or int(order.fields.get("ocaType") or 1) in (2, 3)):
                other.quantity = max(other.quantity - shares, other.filled)
                self._report("order", other)
            else:
                self.cancel(other, "Order Canceled - reason:OCA group")


def _off_tick(fields: dict[str, str], listing: Listing) -> tuple[int, str] | None:
    """Prices lie on the contract's ticks, or the order is refused."""
    for name in ("lmtPrice", "auxPrice"):
        ticks = float(fields.get(name) or 0.0) / listing.min_tick
        if abs(ticks - round(ticks)) > 1e-6:
            return 110, "The price does not conform to the minimum price variation for this contract."
    return None
