"""The life of orders: what reports may change, which fills count, and what is still out there. Pure: no clock, no I/O.

Fills always win: units follow from unique executions alone, and an explicit report of the venue overrules what was
concluded from its silence. What was sent and not answered stays in flight: it is neither repeated nor forgotten.

    planned -> in_flight -> working -> cancelling -> cancelled
                  |            |           |
                  +------------+-----------+-> filled | rejected | lost
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from envs.live.broker import TERMINAL, Fill, KnownOrder, Order, OrderReport, OrderStatus

Booking = Literal["new", "correction", "commission", "duplicate"]
DUST = 1e-9
"""Units below which a rest counts as nothing, as a share of the order."""

_FROM: dict[OrderStatus, tuple[OrderStatus, ...]] = {
    "planned": ("in_flight", "working", "cancelling", "filled", "cancelled", "rejected", "lost"),
    "in_flight": ("working", "cancelling", "filled", "cancelled", "rejected", "lost"),
    "working": ("cancelling", "filled", "cancelled", "rejected"),
    # What was asked to go stays so, whatever an older report says; the desk asks again after a broken line.
    "cancelling": ("filled", "cancelled", "rejected"),
    "filled": (),
    # A fill that crossed, or an order that was given up and turned out to live.
    "cancelled": ("filled",),
    "rejected": ("working", "filled"),
    "lost": ("working", "cancelling", "filled", "cancelled", "rejected"),
}


@dataclass(frozen=True, kw_only=True)
class TrackedOrder:
    """An order and where it stands.

    Attributes
    ----------
    venue_order_id : the number that was reserved for it. permanent_id : the venue's own, once told.
    filled_units : signed sum of its unique fills. told_units : unsigned, what the venue says has filled.
    told_filled : the venue says that nothing is left of it.
    """

    order: Order
    venue_order_id: str
    status: OrderStatus
    planned_utc: datetime
    permanent_id: str | None = None
    filled_units: float = 0.0
    told_units: float = 0.0
    told_filled: bool = False
    reason: str = ""

    @property
    def is_done(self) -> bool:
        """Whether no fill is expected any more."""
        return self.status in TERMINAL

    @property
    def open_units(self) -> float:
        """Signed units that may still fill; of an order that is done 0."""
        return 0.0 if self.is_done else self.order.units - self.filled_units

    @property
    def owed_units(self) -> float:
        """Units that the venue says have filled and whose executions have not come."""
        return max(self.told_units - abs(self.filled_units), 0.0)

    @property
    def known(self) -> KnownOrder:
        """As an adapter needs it."""
        return KnownOrder(
            order=self.order,
            venue_order_id=self.venue_order_id,
            permanent_id=self.permanent_id,
            sent_utc=self.planned_utc,
        )


class Orders:
    """All orders and fills of one journal.

    baseline : units by symbol that were held before the first fill.
    """

    def __init__(self, baseline: dict[str, float] | None = None) -> None:
        self._orders: dict[str, TrackedOrder] = {}
        self._open: dict[str, None] = {}
        self._fills: dict[str, Fill] = {}
        self._fills_of: dict[str, dict[str, float]] = {}
        self._without_costs: set[str] = set()
        self._untold: dict[str, None] = {}
        self._baseline = dict(baseline or {})
        self._amending: set[str] = set()

    def restore(self, orders: Iterable[TrackedOrder], fills: Iterable[Fill]) -> None:
        """Take over what a journal holds: each order's status as it was written, its units from the fills."""
        for fill in fills:
            known = self._fills.get(fill.execution_id)
            if known is None or fill.revision >= known.revision:
                self._put_fill(fill)
        for tracked in orders:
            name = tracked.order.client_order_id
            self._put(replace(tracked, filled_units=self._filled(name)))
            self._close_if_filled(name)

    def __getitem__(self, client_order_id: str) -> TrackedOrder:
        return self._orders[client_order_id]

    def __contains__(self, client_order_id: object) -> bool:
        return client_order_id in self._orders

    def all(self) -> tuple[TrackedOrder, ...]:
        """Every order, oldest first."""
        return tuple(self._orders.values())

    def open(self) -> tuple[TrackedOrder, ...]:
        """Orders that are not done."""
        return tuple(self._orders[name] for name in self._open)

    def owes(self) -> bool:
        """Whether the venue has told of fills whose executions or commissions have not come."""
        return bool(self._without_costs) or any(tracked.owed_units > DUST for tracked in self.open())

    def fills(self) -> tuple[Fill, ...]:
        """Unique fills, each in its latest correction."""
        return tuple(self._fills.values())

    def news(self) -> list[Fill]:
        """Fills that are new, corrected, or whose commission has come since this was last asked."""
        told, self._untold = [self._fills[name] for name in self._untold], {}
        return told

    def units(self) -> dict[str, float]:
        """Signed units held by symbol: the baseline and the sum of unique fills; flat symbols are left out."""
        held = dict(self._baseline)
        for fill in self._fills.values():
            held[fill.symbol] = held.get(fill.symbol, 0.0) + fill.units
        return {symbol: units for symbol, units in held.items() if abs(units) > DUST}

    def plan(self, order: Order, venue_order_id: str, now: datetime) -> TrackedOrder:
        """Take in an order that is about to be sent.

        Raises
        ------
        ValueError
            If an order of this name exists: it was decided already.
        """
        if order.client_order_id in self._orders:
            raise ValueError(f"order {order.client_order_id} exists; an order is named once and sent once")
        tracked = TrackedOrder(order=order, venue_order_id=venue_order_id, status="planned", planned_utc=now)
        self._put(tracked)
        return tracked

    def move(self, client_order_id: str, status: OrderStatus, reason: str = "") -> bool:
        """Put an order into a status; False where it may not go there from where it is."""
        tracked = self._orders[client_order_id]
        if status == tracked.status or status not in _FROM[tracked.status]:
            return False
        self._put(replace(tracked, status=status, reason=reason or tracked.reason))
        return True

    def amend(self, order: Order) -> TrackedOrder:
        """New units or prices are asked for; until the venue has them, its old ones are no news."""
        self._amending.add(order.client_order_id)
        return self._put_terms(order)

    def amending(self) -> tuple[TrackedOrder, ...]:
        """Open orders whose new terms the venue has not told yet."""
        return tuple(tracked for tracked in self.open() if tracked.order.client_order_id in self._amending)

    def give_up_amending(self, client_order_id: str) -> None:
        """The new terms were not taken: what the venue tells next counts."""
        self._amending.discard(client_order_id)

    def _put_terms(self, order: Order) -> TrackedOrder:
        self._put(replace(self._orders[order.client_order_id], order=order))
        return self._orders[order.client_order_id]

    def on_report(self, report: OrderReport) -> bool:
        """Take in what the venue says of an order; False where it changes nothing or the order is not ours.

        "filled" ends an order only once its executions are there: until then it works, and they are owed.
        """
        tracked = self._orders.get(report.client_order_id)
        if tracked is None:
            return False
        updated = replace(
            tracked,
            told_units=max(tracked.told_units, report.filled_units),
            told_filled=tracked.told_filled or report.status == "filled",
            permanent_id=tracked.permanent_id or report.permanent_id,
        )
        self._put(updated)
        changed = updated != tracked
        if report.units is not None and not tracked.is_done:
            changed |= self._on_terms(updated.order, report)
        status: OrderStatus = "working" if report.status == "filled" else report.status
        moved = self.move(report.client_order_id, status, report.reason)
        return self._close_if_filled(report.client_order_id) or moved or changed

    def _on_terms(self, ours: Order, report: OrderReport) -> bool:
        if not report.units:
            return False
        told = replace(ours, units=report.units, limit_price=report.limit_price, stop_price=report.stop_price)
        if told == ours:
            self._amending.discard(ours.client_order_id)
        if told == ours or ours.client_order_id in self._amending:
            return False
        self._put_terms(told)
        return True

    def on_fill(self, fill: Fill) -> Booking:
        """Take in an execution, once: by its id, the latest correction counts."""
        known = self._fills.get(fill.execution_id)
        if known is not None:
            if fill.revision < known.revision:
                return "duplicate"
            if fill.revision == known.revision:
                if known.commission is not None or fill.commission is None:
                    return "duplicate"
                self._put_fill(replace(known, commission=fill.commission))
                return "commission"
            # What it belongs to was known when it came first.
            fill = replace(fill, client_order_id=known.client_order_id or fill.client_order_id)
        self._put_fill(fill)
        self._count(fill.client_order_id)
        return "new" if known is None else "correction"

    def _put(self, tracked: TrackedOrder) -> None:
        name = tracked.order.client_order_id
        self._orders[name] = tracked
        if tracked.is_done:
            self._open.pop(name, None)
        else:
            self._open[name] = None

    def _put_fill(self, fill: Fill) -> None:
        self._fills[fill.execution_id] = fill
        self._untold[fill.execution_id] = None
        if fill.client_order_id is not None:
            self._fills_of.setdefault(fill.client_order_id, {})[fill.execution_id] = fill.units
        if fill.commission is None:
            self._without_costs.add(fill.execution_id)
        else:
            self._without_costs.discard(fill.execution_id)

    def _filled(self, client_order_id: str) -> float:
        return sum(self._fills_of.get(client_order_id, {}).values())

    def _count(self, client_order_id: str | None) -> None:
        tracked = self._orders.get(client_order_id or "")
        if tracked is None:
            return
        filled = self._filled(tracked.order.client_order_id)
        self._put(replace(tracked, filled_units=filled))
        if not self._close_if_filled(tracked.order.client_order_id):
            self.move(tracked.order.client_order_id, "working")

    def _close_if_filled(self, client_order_id: str) -> bool:
        tracked = self._orders[client_order_id]
        whole = abs(tracked.filled_units) >= abs(tracked.order.units) * (1.0 - DUST)
        rest_gone = tracked.told_filled and tracked.told_units > 0.0 and tracked.owed_units <= DUST
        return (whole or rest_gone) and self.move(client_order_id, "filled")
