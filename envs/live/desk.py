"""The desk: orders go to the broker through the journal, reports come back through it, and both are held to the venue.

Written first, sent second: an order stands in the journal before its first byte leaves. After a start and after each
broken line the desk takes a snapshot of the venue; explicit reports align it, and where positions still differ it
stops and names the difference. It knows no market: which orders to send is decided elsewhere.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from envs.live.broker import (
    Broker,
    BrokerError,
    BrokerUnavailable,
    Fill,
    LinkReport,
    Order,
    OrderReport,
    OrderStatus,
    Report,
    Snapshot,
)
from envs.live.guard_check import OrderCheck
from envs.live.journal import Journal
from envs.live.orders import Orders, TrackedOrder
from envs.live.reconciliation import differences, held_before, unexplained
from envs.validation import require_non_negative, require_positive

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class DeskRules:
    """When the desk asks, waits and gives up.

    Parameters
    ----------
    settle_s : how long an order must be without a trace at the venue, in snapshots at both ends, before anything
        follows from it.
    resend_within_s : an order that provably never arrived is sent again, under the same number, if it was decided at
        most so long ago; 0 for never.
    ask_again_s : pause before executions or commissions that are owed are asked for.
    retry_s, longest_retry_s : first and longest pause between attempts to connect; it doubles.
    """

    settle_s: float
    resend_within_s: float
    ask_again_s: float
    retry_s: float
    longest_retry_s: float

    def __post_init__(self) -> None:
        for name in ("settle_s", "resend_within_s", "ask_again_s"):
            require_non_negative("desk", name, getattr(self, name))
        for name in ("retry_s", "longest_retry_s"):
            require_positive("desk", name, getattr(self, name))


class OrderDesk:
    """One account's orders at one broker.

    Attributes
    ----------
    orders : where every order stands. trouble : why nothing may be sent; empty where all is well.
    now : aware datetimes in UTC.
    check : asked before each order that is new or changed; None lets everything go.
    """

    def __init__(
        self,
        broker: Broker,
        journal: Journal,
        rules: DeskRules,
        now: Callable[[], datetime],
        check: OrderCheck | None = None,
    ) -> None:
        self._check = check
        self._broker, self._journal, self._rules, self._now = broker, journal, rules, now
        self.orders = Orders(journal.baseline())
        self.orders.restore(journal.orders(), journal.fills())
        self.trouble = "the desk has not been opened"
        self._linked = False
        self._absent_since: dict[str, datetime] = {}
        self._repeated: set[str] = set()
        self._retry_s = rules.retry_s
        self._next_try = self._next_ask = now()

    @property
    def is_ready(self) -> bool:
        """Whether orders may be sent."""
        return not self.trouble

    # Orders

    def submit(self, orders: Sequence[Order]) -> list[TrackedOrder]:
        """Send orders that belong together (a bracket: entry first). What was decided before is not sent again.

        Raises
        ------
        BrokerUnavailable
            If the desk is not ready; nothing was sent.
        BrokerError
            If the check or the broker refuses them, or some of them exist and some do not; nothing was sent.
        """
        known = [order for order in orders if order.client_order_id in self.orders]
        if known and len(known) == len(orders):
            return [self.orders[order.client_order_id] for order in orders]
        if known:
            raise BrokerError(
                f"{known[0].client_order_id} exists, but not all that it is sent with; send it alone"
            )
        if self.trouble:
            raise BrokerUnavailable(f"nothing is sent: {self.trouble}")
        if self._check is not None:
            self._check.review(orders)
        numbers = [self._broker.reserve(order) for order in orders]
        now = self._now()
        planned = [self.orders.plan(order, number, now) for order, number in zip(orders, numbers)]
        self._journal.plan(planned)
        self._send(planned)
        return [self.orders[order.client_order_id] for order in orders]

    def cancel(self, client_order_id: str) -> bool:
        """Ask for an order to be cancelled; False where it is done. Raises BrokerUnavailable."""
        tracked = self.orders[client_order_id]
        if tracked.is_done:
            return False
        self._require_link()
        self._move(client_order_id, "cancelling")
        self._try(lambda: self._broker.cancel(tracked.known))
        return True

    def replace(self, order: Order) -> bool:
        """Give an order that works new units or prices; False where it is done.

        Raises
        ------
        BrokerUnavailable
            If there is no line.
        BrokerError
            If it would be another order, or the check refuses it; nothing was sent.
        """
        tracked = self.orders[order.client_order_id]
        if tracked.is_done:
            return False
        if (order.symbol, order.kind, order.units > 0) != (
            tracked.order.symbol,
            tracked.order.kind,
            tracked.order.units > 0,
        ):
            raise BrokerError(
                f"{order.client_order_id} keeps its symbol, side and kind; cancel it and send another"
            )
        self._require_link()
        if self._check is not None:
            self._check.review_change(tracked.order, order)
        amended = self.orders.amend(order)
        self._repeated.discard(order.client_order_id)
        self._journal.update(amended)
        self._try(lambda: self._broker.replace(amended.known))
        return True

    # Reports

    def advance(self, timeout_s: float) -> list[Report]:
        """Take in what comes within so long, and get the line back where it is broken. Call it all the time."""
        if self._check is not None:
            self._check.beat()
        reports = self._broker.poll(timeout_s)
        for report in reports:
            self._take(report)
        now = self._now()
        if self.trouble and now >= self._next_try:
            self.open()
        elif not self.trouble and now >= self._next_ask and (self._owes() or self._absent_since):
            self._next_ask = now + timedelta(seconds=self._rules.ask_again_s)
            self._try(self.reconcile)
        return reports

    def open(self) -> bool:
        """Connect and reconcile; False where that cannot be done now. `advance` tries again."""
        try:
            self._broker.connect()
            self._linked = True
            self.reconcile()
        except BrokerUnavailable as error:
            self._lost(str(error))
            self._next_try = self._now() + timedelta(seconds=self._retry_s)
            self._retry_s = min(2 * self._retry_s, self._rules.longest_retry_s)
            return False
        self._retry_s = self._rules.retry_s
        if self.trouble:
            self._next_try = self._now() + timedelta(seconds=self._rules.longest_retry_s)
        return self.is_ready

    def reconcile(self) -> None:
        """Hold everything to a snapshot of the venue; a difference that stays is trouble.

        Positions and executions are asked for one after the other, so a fill may fall between: a difference counts
        when a second look finds it too.

        Raises
        ------
        BrokerUnavailable
            If the snapshot does not come.
        """
        for attempt in range(3):
            snapshot = self._broker.snapshot([tracked.known for tracked in self.orders.all()])
            if self._journal.baseline() is None:
                self._begin(snapshot)
            told: list[Report] = [*snapshot.fills, *snapshot.finished_orders, *snapshot.open_orders]
            for report in told:
                self._take(report)
            differing = differences(snapshot, self.orders.units())
            if not differing:
                break
            if attempt < 2:
                for report in self._broker.poll(0.05):
                    self._take(report)
        self._judge_absent(snapshot, agrees=not differing)
        self._repeat_cancels(snapshot)
        self._repeat_amendments(snapshot)
        if differing:
            self._set_trouble(f"positions differ: {'; '.join(differing)}. Nothing is sent until they agree.")
        elif self._linked:
            self.trouble = ""

    def adopt(self, reason: str) -> None:
        """Take the venue's positions for right where they differ, by a person's decision that is written down.

        Raises
        ------
        BrokerUnavailable
            If the snapshot does not come.
        """
        if not reason.strip():
            raise BrokerError("adopting positions needs a reason; it is written into the journal")
        snapshot = self._broker.snapshot([tracked.known for tracked in self.orders.all()])
        now = self._now()
        for symbol, (units, price) in unexplained(snapshot, self.orders.units()).items():
            adopted = Fill(
                execution_id=f"adopted/{symbol}/{now.isoformat()}",
                revision=1,
                client_order_id=None,
                symbol=symbol,
                units=units,
                price=price,
                commission=0.0,
                filled_utc=now,
            )
            self._journal.note(now, "adopted", f"{symbol}: {units:+g} units. {reason}")
            self._take(adopted)
        self.reconcile()

    # Inside

    def _send(self, planned: Sequence[TrackedOrder]) -> None:
        for tracked in planned:
            self.orders.move(tracked.order.client_order_id, "in_flight")
        try:
            self._broker.submit([tracked.known for tracked in planned])
        except BrokerUnavailable as error:
            self._lost(str(error))
        except BrokerError as error:
            for tracked in planned:
                self._move(tracked.order.client_order_id, "lost", f"not sent: {error}")
            raise

    def _try(self, action: Callable[[], None]) -> None:
        """Do something at the broker; where the line breaks, its outcome is unknown and a snapshot will tell."""
        try:
            action()
        except BrokerUnavailable as error:
            self._lost(str(error))

    def _require_link(self) -> None:
        if not self._linked:
            raise BrokerUnavailable(f"nothing is sent: {self.trouble}")

    def _lost(self, reason: str) -> None:
        self._linked = False
        self._set_trouble(reason)

    def _set_trouble(self, reason: str) -> None:
        if reason != self.trouble:
            _log.warning("%s", reason)
            self._journal.note(self._now(), "trouble", reason)
        self.trouble = reason

    def _move(self, client_order_id: str, status: OrderStatus, reason: str = "") -> None:
        if self.orders.move(client_order_id, status, reason):
            self._journal.update(self.orders[client_order_id])

    def _take(self, report: Report) -> None:
        if isinstance(report, Fill):
            self._book(report)
        elif isinstance(report, OrderReport):
            self._absent_since.pop(report.client_order_id, None)
            if self.orders.on_report(report):
                self._journal.update(self.orders[report.client_order_id])
        elif isinstance(report, LinkReport):
            self._linked = self._linked and report.up
            self._set_trouble(report.reason)
            self._next_try = self._now()

    def _book(self, fill: Fill) -> None:
        self._journal.book(fill)
        booked = self.orders.on_fill(fill)
        if booked == "duplicate":
            return
        if fill.client_order_id in self.orders:
            self._absent_since.pop(fill.client_order_id or "", None)
            self._journal.update(self.orders[fill.client_order_id or ""])
        elif booked == "new":
            _log.warning("a fill of no order of ours: %s %+g at %g", fill.symbol, fill.units, fill.price)
            self._journal.note(
                self._now(), "foreign fill", f"{fill.symbol} {fill.units:+g} at {fill.price:g}"
            )

    def _owes(self) -> bool:
        """Whether the venue should have told of executions, commissions or new terms and has not."""
        return self.orders.owes() or bool(self._repeated and self.orders.amending())

    def _begin(self, snapshot: Snapshot) -> None:
        """Before the first order: what is held now, less what today's fills will add, was there before."""
        begun = held_before(snapshot, self.orders.fills())
        self._journal.begin(begun)
        orders = Orders(begun)
        orders.restore(self.orders.all(), self.orders.fills())
        self.orders = orders

    def _judge_absent(self, snapshot: Snapshot, agrees: bool) -> None:
        """What became of open orders that the venue does not mention; where that is not certain, they stay open."""
        now, again = self._now(), []
        self._absent_since = {
            name: at for name, at in self._absent_since.items() if not self.orders[name].is_done
        }
        mentioned = {r.client_order_id for r in (*snapshot.open_orders, *snapshot.finished_orders)}
        for tracked in self.orders.open():
            name = tracked.order.client_order_id
            if name in mentioned:
                continue
            since = self._absent_since.setdefault(name, now)
            if now - since < timedelta(seconds=self._rules.settle_s):
                self._next_ask = self._next_try = now + timedelta(seconds=self._rules.settle_s)
                continue
            age = (now - tracked.planned_utc).total_seconds()
            if name in snapshot.never_arrived and age <= self._rules.resend_within_s:
                again.append(tracked)
            elif name in snapshot.never_arrived:
                self._give_up(tracked, "it never arrived, and is too old to be sent again")
            elif tracked.planned_utc >= snapshot.covers_from_utc or agrees:
                self._give_up(tracked, "the venue does not know it any more")
        if again and agrees and self._linked:
            for tracked in again:
                self._absent_since.pop(tracked.order.client_order_id)
                self._journal.note(now, "sent again", tracked.order.client_order_id)
            self._send(again)

    def _repeat_cancels(self, snapshot: Snapshot) -> None:
        """A cancel that did not reach the venue is asked for again; it takes nothing away twice."""
        untouched = {r.client_order_id for r in snapshot.open_orders if r.status in ("working", "in_flight")}
        for tracked in self.orders.open():
            if tracked.status == "cancelling" and tracked.order.client_order_id in untouched:
                self._try(lambda known=tracked.known: self._broker.cancel(known))  # type: ignore[misc]

    def _repeat_amendments(self, snapshot: Snapshot) -> None:
        """New terms that did not reach the venue are asked for once more; terms are absolute, so that is safe."""
        for tracked in self.orders.amending():
            name = tracked.order.client_order_id
            if name in self._repeated:
                self._repeated.discard(name)
                self.orders.give_up_amending(name)
                self._journal.note(self._now(), "not amended", f"{name} keeps the terms that the venue tells")
                for report in snapshot.open_orders:
                    if report.client_order_id == name:
                        self._take(report)
                continue
            self._repeated.add(name)
            self._next_ask = self._now()
            self._try(lambda known=tracked.known: self._broker.replace(known))  # type: ignore[misc]

    def _give_up(self, tracked: TrackedOrder, reason: str) -> None:
        """An order ends without a report; an entry that was held back for its exits must not be released later."""
        name, entry = tracked.order.client_order_id, tracked.order.entry
        self._absent_since.pop(name, None)
        self._move(name, "cancelled" if tracked.status in ("working", "cancelling") else "lost", reason)
        if entry in self.orders and self.orders[entry or ""].status in ("planned", "in_flight"):
            self._try(lambda: self._broker.cancel(self.orders[entry or ""].known))
