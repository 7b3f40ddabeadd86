"""Tries a broker adapter against a scripted venue: no order doubled, no fill lost, one position everywhere.

A venue is driven through `ScriptedVenue`; the adapter is made anew for each trial. `check_life` runs the orders of a
day once. `check_cut` does the same with the connection cut at one message of it, and `check_restart` gives up desk
and adapter at that message, as a killed process does, and goes on with the journal alone. To walk over every boundary:

    messages = check_life(trial())
    for number in range(1, messages + 1):
        for how in trial().venue.cuts:
            check_cut(trial(), number, how)
            check_restart(trial(), number, how)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from envs.live.broker import Broker, BrokerUnavailable, Order, client_order_id
from envs.live.desk import DeskRules, OrderDesk
from envs.live.journal import Journal


@dataclass(frozen=True, kw_only=True)
class VenueFill:
    """A unique execution as the venue booked it. order : the client's name of its order; empty for none."""

    execution_id: str
    order: str
    symbol: str
    units: float
    price: float
    commission: float


class ScriptedVenue(Protocol):
    """A venue under control.

    Attributes
    ----------
    symbol : what the trial trades, on ticks of 0.01 around 100. cuts : names of the ways in which it can cut.
    """

    symbol: str
    cuts: Sequence[str]

    def quote(self, bid: float, ask: float) -> None:
        """Set the best prices; orders that they reach fill."""

    def split(self, sizes: Sequence[float]) -> None:
        """The next fills have these sizes; one a quote."""

    def watch(self, message: int | None, how: str | None) -> None:
        """Count messages from now; cut the connection at one of them."""

    def passed(self) -> int:
        """Messages that have passed since `watch`."""

    def units(self) -> float:
        """Units that the venue holds for us."""

    def fills(self) -> list[VenueFill]:
        """Unique executions."""

    def order_names(self) -> list[str]:
        """The client's names of all orders that the venue has ever taken in, with repetitions."""


@dataclass(kw_only=True)
class Trial:
    """One adapter, one venue, one journal.

    make_broker : a new adapter, as a new process would make it. patience_s : how long anything may take.
    """

    venue: ScriptedVenue
    make_broker: Callable[[], Broker]
    journal: Path
    now: Callable[[], datetime]
    rules: DeskRules
    patience_s: float = 20.0

    def open(self) -> tuple[OrderDesk, Journal, Broker]:
        """A desk on the journal, as a process begins with it."""
        journal, broker = Journal(self.journal, "trial"), self.make_broker()
        return OrderDesk(broker, journal, self.rules, self.now), journal, broker


class _Killed(Exception):
    """The process is gone."""


class _Day:
    """The orders of a day: a purchase in three fills, a limit that is cancelled, a bracket whose target is reached, a
    stop that is replaced and hit, and a group of two."""

    def __init__(self, trial: Trial, killed: Callable[[], bool]) -> None:
        self._trial, self._killed = trial, killed
        self.desk, self.journal, self.broker = trial.open()
        self._bar = trial.now()

    def end(self) -> None:
        """The process ends."""
        self.broker.close()
        self.journal.close()

    def until(self, so: Callable[[], bool]) -> None:
        """Let the desk work until something is so."""
        end = time.monotonic() + self._trial.patience_s
        while not so():
            if self._killed():
                raise _Killed
            assert time.monotonic() < end, self._where()
            self.desk.advance(0.002)

    def _where(self) -> str:
        """Where everything stands, for a trial that waits in vain."""
        orders = [f"{t.order.client_order_id} {t.status} {t.filled_units:g}" for t in self.desk.orders.all()]
        return f"waited in vain; the desk says {self.desk.trouble or 'nothing'}; {'; '.join(orders)}"

    def send(self, *orders: Order) -> None:
        """Submit, as a loop does that was told no and asks again."""
        while True:
            self.until(lambda: self.desk.is_ready)
            try:
                self.desk.submit(orders)
            except BrokerUnavailable:
                continue
            return

    def order(self, intent: str, units: float, **terms: object) -> Order:
        """An order of this day."""
        name = client_order_id("trial", self._bar, self._trial.venue.symbol, intent)
        return Order(client_order_id=name, symbol=self._trial.venue.symbol, units=units, **terms)  # type: ignore[arg-type]

    def settled(self, order: Order, *statuses: str) -> Callable[[], bool]:
        """Whether an order is done, or in one of these, and nothing is owed."""

        def so() -> bool:
            tracked = self.desk.orders[order.client_order_id]
            costs = all(fill.commission is not None for fill in self.desk.orders.fills())
            return self.desk.is_ready and costs and (tracked.is_done or tracked.status in statuses)

        return so

    def run(self) -> None:
        """Send everything and wait for its end."""
        venue = self._trial.venue
        venue.quote(100.00, 100.02)
        self.until(lambda: self.desk.is_ready)
        market = self.order("market", 10.0)
        venue.split([3.0, 5.0])
        self.send(market)
        done = self.settled(market)

        def quoted() -> bool:
            venue.quote(100.00, 100.02)
            return done()

        self.until(quoted)
        venue.split([])
        limit = self.order("limit", 5.0, kind="limit", limit_price=99.0)
        self.send(limit)
        self.until(self.settled(limit, "working"))
        self._ask(lambda: self.desk.cancel(limit.client_order_id))
        self.until(self.settled(limit))
        self._bracket()
        self._stop_and_group()

    def _bracket(self) -> None:
        entry = self.order("entry", 4.0)
        exits = {"entry": entry.client_order_id}
        target = self.order("target", -4.0, kind="limit", limit_price=101.0, **exits)
        stop = self.order("stop", -4.0, kind="stop", stop_price=95.0, **exits)
        self.send(entry, target, stop)
        self.until(self.settled(entry))
        self._trial.venue.quote(101.00, 101.02)
        self.until(self.settled(target))
        self.until(self.settled(stop))

    def _stop_and_group(self) -> None:
        self._trial.venue.quote(100.00, 100.02)
        stop = self.order("guard", -5.0, kind="stop", stop_price=98.0)
        self.send(stop)
        self.until(self.settled(stop, "working"))
        closer = self.order("guard", -6.0, kind="stop", stop_price=99.0)
        self._ask(lambda: self.desk.replace(closer))
        self.until(self.settled(stop, "working"))
        one = self.order("one", -2.0, kind="limit", limit_price=103.0, group="pair")
        other = self.order("other", -2.0, kind="stop", stop_price=97.0, group="pair")
        self.send(one, other)
        self.until(lambda: self.settled(one, "working")() and self.settled(other, "working")())
        self._trial.venue.quote(98.90, 98.92)
        self.until(self.settled(stop))
        self._trial.venue.quote(96.90, 96.92)
        self.until(lambda: self.settled(one)() and self.settled(other)())

    def _ask(self, request: Callable[[], bool]) -> None:
        """Ask for a cancel or a change until it has gone out, or there is nothing to ask for."""
        while True:
            try:
                request()
            except BrokerUnavailable:
                self.until(lambda: self.desk.is_ready)
                continue
            self.until(lambda: self.desk.is_ready)
            return


def check_life(trial: Trial) -> int:
    """Run the day once, undisturbed; returns how many messages passed."""
    trial.venue.watch(None, None)
    day = _Day(trial, lambda: False)
    try:
        day.run()
        messages = trial.venue.passed()
        _agree(trial, day)
        statuses = [tracked.status for tracked in day.desk.orders.all()]
        assert statuses.count("filled") == 5, statuses
        assert statuses.count("cancelled") == 3, statuses
    finally:
        day.end()
    return messages


def check_cut(trial: Trial, message: int, how: str) -> None:
    """Run the day with the connection cut at one message: the desk connects again and goes on."""
    trial.venue.watch(message, how)
    day = _Day(trial, lambda: False)
    try:
        day.run()
        _agree(trial, day)
    finally:
        day.end()


def check_restart(trial: Trial, message: int, how: str) -> None:
    """Run the day, lose the process at one message, and begin a new one on the journal, which decides the same."""
    trial.venue.watch(message, how)
    bar = trial.now()
    first = _Day(trial, lambda: trial.venue.passed() >= message)
    first._bar = bar
    try:
        first.run()
    except _Killed:
        pass
    finally:
        first.end()
    second = _Day(trial, lambda: False)
    second._bar = bar
    try:
        second.run()
        _agree(trial, second)
    finally:
        second.end()


def _agree(trial: Trial, day: _Day) -> None:
    """Venue, desk and journal hold the same fills, positions and costs, and no order is there twice."""
    venue, desk = trial.venue, day.desk
    names = venue.order_names()
    assert len(names) == len(set(names)), f"an order was doubled: {sorted(names)}"
    told = {fill.execution_id: fill for fill in venue.fills()}
    booked = {fill.execution_id: fill for fill in desk.orders.fills()}
    assert set(told) == set(booked), f"lost {set(told) - set(booked)}, invented {set(booked) - set(told)}"
    for name, fill in told.items():
        ours = booked[name]
        assert (ours.client_order_id or "", ours.symbol) == (fill.order, fill.symbol)
        assert (ours.units, ours.price, ours.commission) == (fill.units, fill.price, fill.commission)
    total = sum(fill.units for fill in told.values())
    assert abs(total - venue.units()) < 1e-9, f"the venue holds {venue.units()}, its fills make {total}"
    assert abs(desk.orders.units().get(venue.symbol, 0.0) - total) < 1e-9
    on_disk = {(fill.execution_id, fill.revision): fill for fill in day.journal.fills()}
    assert set(on_disk.values()) == set(booked.values()), "the journal holds other fills than the desk"
    assert not desk.orders.open(), (
        f"still open: {[tracked.order.client_order_id for tracked in desk.orders.open()]}"
    )
