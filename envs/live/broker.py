"""What a broker is: orders go in, reports come out. Quantities are those of the simulator's fills.

Units are signed (a purchase is positive), prices are per unit in the quote currency, commissions are what was paid in
that currency (positive, as the simulator's column `commission`), and times are aware datetimes in UTC.

| an adapter must | because |
|---|---|
| `connect`: open a session, or close what it opened and raise `BrokerUnavailable` | the desk tries again |
| `reserve`: name the number that the venue will know an order by, before anything is sent | the journal holds it |
| `submit`: send orders that belong together, entry first; return once they are on the socket | answers are reports |
| never send an order again by itself, nor let its library do so | only the desk knows whether that is safe |
| `cancel`, `replace`: ask for it; what became of it is a report | a fill may cross |
| `poll`: hand over reports in the order of their coming, waiting at most so long | one thread, no callbacks |
| report a fill by its execution id, and apart from it the number of its correction | a fill counts once |
| report a fill again when its commission becomes known | commissions come before and after |
| match fills to orders by our own order id, then by the venue's permanent id | numbers are used again |
| report fills of orders that are not ours with `client_order_id` None | a person may trade the account |
| `snapshot`: everything as it is now, or raise | a missing part is not an empty one |
| say in `Snapshot.covers_from_utc` since when it tells fills and ends | older ones are unknown, not absent |
| say in `never_arrived` only what the venue proves | resending is safe only then |
| report a broken line, and a line that is back, as `LinkReport` | nothing is sent in between |

`envs.live.conformance` tries an adapter against a scripted venue.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol, runtime_checkable

OrderKind = Literal["market", "limit", "stop", "stop_limit"]
OrderStatus = Literal[
    "planned", "in_flight", "working", "cancelling", "filled", "cancelled", "rejected", "lost"
]
TERMINAL: tuple[OrderStatus, ...] = ("filled", "cancelled", "rejected", "lost")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,63}")


class BrokerError(ValueError):
    """A broker did not do what was asked; the message says why and what to do."""


class BrokerUnavailable(BrokerError):
    """There is no line to the broker now, or it broke; what was sent has an unknown outcome."""


def client_order_id(run: str, bar_utc: datetime, symbol: str, intent: str) -> str:
    """The name of the one order of this run, bar, symbol and intent: who decides twice names the same order.

    run, intent : letters, digits and ._- alone; intent such as entry, exit, stop.
    """
    name = f"{run}/{bar_utc:%Y%m%dT%H%M%S}/{re.sub('[^A-Za-z0-9._-]', '_', symbol)}/{intent}"
    if not _ID.fullmatch(name):
        raise ValueError(
            f"{name!r} cannot name an order; run, symbol and intent together take letters, digits and ._- and make at "
            "most 64 characters"
        )
    return name


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is asked of the venue.

    Parameters
    ----------
    client_order_id : our own name of it, unique for good; see `client_order_id`.
    symbol : as in the panel; of a series of dated contracts one of them, such as ES:202406. units : signed, not 0.
    kind : market; limit and stop_limit need `limit_price`, stop and stop_limit `stop_price`.
    time_in_force : "day" ends with the session, "gtc" stays until it is cancelled.
    entry : client order id of the order whose fill this one waits for (the exits of a bracket).
    group : orders of one group cancel each other, a partial fill of one shrinks the others.
    """

    client_order_id: str
    symbol: str
    units: float
    kind: OrderKind = "market"
    limit_price: float | None = None
    stop_price: float | None = None
    time_in_force: Literal["day", "gtc"] = "day"
    entry: str | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.client_order_id):
            raise ValueError(
                f"client_order_id {self.client_order_id!r} is no plain name of at most 64 characters"
            )
        if not math.isfinite(self.units) or self.units == 0:
            raise ValueError(
                f"{self.client_order_id}: units is {self.units}; expected a finite number that is not 0"
            )
        wanted = {"limit_price": "limit" in self.kind, "stop_price": "stop" in self.kind}
        for name, needed in wanted.items():
            price = getattr(self, name)
            if needed and (price is None or not math.isfinite(price)):
                raise ValueError(f"{self.client_order_id}: a {self.kind} order needs {name}; got {price}")
            if not needed and price is not None:
                raise ValueError(f"{self.client_order_id}: a {self.kind} order takes no {name}; got {price}")


@dataclass(frozen=True, kw_only=True)
class Fill:
    """An execution, as the venue reported it.

    Attributes
    ----------
    execution_id : the same for all corrections of one fill. revision : 1 as reported first, higher when corrected.
    client_order_id : None where it belongs to no order of ours.
    units : signed. price : per unit. commission : positive is paid, currency of the price; None until known.
    filled_utc : when it happened at the venue.
    """

    execution_id: str
    revision: int
    client_order_id: str | None
    symbol: str
    units: float
    price: float
    commission: float | None
    filled_utc: datetime

    def __post_init__(self) -> None:
        if not self.execution_id:
            raise ValueError("a fill without an execution id cannot be told from its duplicates")
        if not (math.isfinite(self.units) and math.isfinite(self.price)):
            raise ValueError(
                f"fill {self.execution_id} has units {self.units} and price {self.price}; expected numbers"
            )
        if self.filled_utc.tzinfo is None:
            raise ValueError(f"fill {self.execution_id} has the time {self.filled_utc} without a zone")


@dataclass(frozen=True, kw_only=True)
class OrderReport:
    """What the venue says of one order.

    Attributes
    ----------
    status : in_flight, working, cancelling, cancelled, rejected or filled. reason : the venue's words of refusal.
    filled_units : unsigned, what the venue says has filled; fills themselves are reported apart and may come later.
    permanent_id : the venue's own name that is never reused; None where it has none yet.
    units, limit_price, stop_price : the order's terms as the venue has them now (another order of its group may have
        shrunk it, a person may have changed it); units None where it does not say.
    """

    client_order_id: str
    status: OrderStatus
    filled_units: float
    permanent_id: str | None = None
    reason: str = ""
    units: float | None = None
    limit_price: float | None = None
    stop_price: float | None = None


@dataclass(frozen=True, kw_only=True)
class LinkReport:
    """The line to the venue broke or is back. After either, nothing is known before a snapshot."""

    up: bool
    reason: str


Report = OrderReport | Fill | LinkReport


@dataclass(frozen=True, kw_only=True)
class Position:
    """Units held (signed), and their average price per unit."""

    symbol: str
    units: float
    average_price: float


@dataclass(frozen=True, kw_only=True)
class Margin:
    """What an order would change, account currency: initial and maintenance margin after it, its commission."""

    initial_after: float
    maintenance_after: float
    commission: float


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The venue's state at one moment, complete or not at all.

    Attributes
    ----------
    open_orders, finished_orders : reports of our orders. foreign_orders : open orders that are not ours, in words.
    fills : executions since `covers_from_utc`, of ours and of others.
    positions : of every symbol that is not flat.
    account_values : such as NetLiquidation and BuyingPower, account currency.
    covers_from_utc : since when finished orders and fills are told.
    never_arrived : client order ids of which the venue proves that it never had them.
    """

    open_orders: tuple[OrderReport, ...]
    finished_orders: tuple[OrderReport, ...]
    foreign_orders: tuple[str, ...]
    fills: tuple[Fill, ...]
    positions: tuple[Position, ...]
    covers_from_utc: datetime
    account_values: Mapping[str, float] = field(default_factory=dict)
    never_arrived: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class KnownOrder:
    """An order of the journal, as the adapter needs it to recognise reports. venue_order_id : what `reserve` gave."""

    order: Order
    venue_order_id: str
    permanent_id: str | None
    sent_utc: datetime


@runtime_checkable
class Broker(Protocol):
    """A venue that orders go to. Used from one thread."""

    def connect(self) -> None:
        """Open a session, or do nothing where one is open. Raises BrokerUnavailable."""

    def close(self) -> None:
        """End the session; orders at the venue live on."""

    def reserve(self, order: Order) -> str:
        """The number under which the venue will know an order that is about to be sent. Raises BrokerUnavailable."""

    def submit(self, orders: Sequence[KnownOrder]) -> None:
        """Send orders that belong together. Raises BrokerUnavailable: their outcome is then unknown."""

    def cancel(self, order: KnownOrder) -> None:
        """Ask for an order to be cancelled. Raises BrokerUnavailable."""

    def replace(self, order: KnownOrder) -> None:
        """Ask for units and prices of an order to become these; asking twice does no harm. Raises BrokerUnavailable."""

    def poll(self, timeout_s: float) -> list[Report]:
        """Reports since the last call; waits for the first at most so long. Never raises for a broken line."""

    def snapshot(self, known: Sequence[KnownOrder]) -> Snapshot:
        """The venue's state, asked for now. Raises BrokerUnavailable if any part of it does not come."""

    def margin(self, order: Order) -> Margin:
        """What an order would cost and bind, without placing it. Raises BrokerError where the venue refuses it."""
