"""A venue by a script: market orders fill at a later open, in parts, or not at all, as drawn from a seed.

It is a `Broker` like any other, so that a replay of history goes the whole way of an order: journal, desk, reports.
Time passes only when it is handed a bar; an order that is sent in answer to a fill at an open is there at the same
open. What it knows lies in a file, so that it lives on when the loop is killed.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from data.futures.contract_series import series_of
from envs.live.bar_feed import aware
from envs.live.broker import (
    BrokerError,
    Fill,
    KnownOrder,
    Margin,
    Order,
    OrderReport,
    OrderStatus,
    Position,
    Report,
    Snapshot,
)
from envs.live.growing_market import ClosedBar
from envs.validation import require_non_negative, require_range

EVER = datetime(1970, 1, 1, tzinfo=UTC)
KEPT = 50
"""Finished orders and fills that the venue still tells of."""


@dataclass(frozen=True, kw_only=True)
class ExchangeScript:
    """What the venue does with orders.

    Parameters
    ----------
    delay_bars : opens that an order lets pass before it fills.
    partial_share : share of fills, drawn, that take half of what is left and leave the rest working.
    reject_share : share of orders, drawn, that are refused.
    half_spread_bps : of the open, by which fills are dearer. commission_bps : of the notional at the open.
    seed : of the draws.
    """

    delay_bars: int
    partial_share: float
    reject_share: float
    half_spread_bps: float
    commission_bps: float
    seed: int

    def __post_init__(self) -> None:
        require_range("broker.script", "delay_bars", self.delay_bars, 0, 1000)
        for name in ("partial_share", "reject_share"):
            require_range("broker.script", name, getattr(self, name), 0.0, 1.0)
        for name in ("half_spread_bps", "commission_bps", "seed"):
            require_non_negative("broker.script", name, getattr(self, name))


@dataclass(frozen=True, kw_only=True)
class _Resting:
    """An order as the venue has it. waits : opens that it lets pass. after : the bar that had passed when it came."""

    order: Order
    number: str
    status: OrderStatus
    waits: int
    filled: float = 0.0
    after: str = ""

    @property
    def left(self) -> float:
        return self.order.units - self.filled

    def report(self, reason: str = "") -> OrderReport:
        return OrderReport(
            client_order_id=self.order.client_order_id,
            status=self.status,
            filled_units=abs(self.filled),
            permanent_id=self.number,
            reason=reason,
        )


class ScriptedExchange:
    """See `envs.live.broker.Broker`.

    Parameters
    ----------
    symbols : of the bars' asset axis. lot_steps, multipliers : (A,) of the instruments.
    path : of its file; what is there already is taken over.
    opens : name at the venue -> open of a bar, of what is traded in it; None where names are the symbols.
    """

    def __init__(
        self,
        script: ExchangeScript,
        symbols: Sequence[str],
        lot_steps: Sequence[float],
        multipliers: Sequence[float],
        path: Path,
        opens: Callable[[ClosedBar], Mapping[str, float]] | None = None,
    ) -> None:
        self._path, self._opens = path, opens or self._opens_of_symbols
        self.script, self._symbols = script, tuple(symbols)
        self._lots, self._points = tuple(map(float, lot_steps)), tuple(map(float, multipliers))
        self._generator = np.random.default_rng(script.seed)
        self._working: dict[str, _Resting] = {}
        self._done: dict[str, _Resting] = {}
        self._held: dict[str, float] = {}
        self._fills: list[Fill] = []
        self._queue: list[Report] = []
        self._last_number = self._last_fill = 0
        self._covers_from = EVER
        self._last_bar = ""
        if path.exists():
            self._recall(json.loads(path.read_text()))

    # What the market does

    def trade(self, bar: ClosedBar) -> None:
        """Let a bar pass: fill what works at its open. One that has passed already passes no second time."""
        if str(bar.bar_utc) <= self._last_bar:
            return
        self._last_bar, opens = str(bar.bar_utc), self._opens(bar)
        for name, resting in list(self._working.items()):
            a, opened = self._place(resting.order.symbol), opens.get(resting.order.symbol)
            if opened is None or not bar.tradable[a]:
                continue
            if resting.waits > 0:
                self._working[name] = replace(resting, waits=resting.waits - 1)
                continue
            self._fill(resting, self._share(resting.left, self._lots[a]), a, bar, opened)
        self._remember()

    def follow(self, bar: ClosedBar) -> int:
        """Fill what was sent in answer to the fills of the bar that has just passed; how many orders that were."""
        opens, filled = self._opens(bar), 0
        for resting in list(self._working.values()):
            a, opened = self._place(resting.order.symbol), opens.get(resting.order.symbol)
            fresh = resting.after == self._last_bar == str(bar.bar_utc) and not resting.filled
            if not fresh or opened is None or not bar.tradable[a]:
                continue
            if resting.waits > 0:
                self._put(replace(resting, waits=resting.waits - 1, after=""))
                continue
            self._fill(resting, self._share(resting.left, self._lots[a]), a, bar, opened)
            filled += 1
        self._remember()
        return filled

    def _opens_of_symbols(self, bar: ClosedBar) -> dict[str, float]:
        return dict(zip(self._symbols, map(float, bar.open)))

    def _place(self, name: str) -> int:
        """The asset that a name belongs to."""
        return self._symbols.index(name if name in self._symbols else series_of(name))

    def _share(self, left: float, lot: float) -> float:
        """What is filled now of the units left: all, or half of it in whole lots."""
        if not self._generator.random() < self.script.partial_share:
            return left
        half = abs(left) / 2.0
        half = math.floor(half / lot) * lot if lot > 0.0 else half
        return math.copysign(half, left) if half > 0.0 else left

    def _fill(self, resting: _Resting, units: float, a: int, bar: ClosedBar, opened: float) -> None:
        script, order = self.script, resting.order
        self._last_fill += 1
        price = opened * (1.0 + math.copysign(script.half_spread_bps * 1e-4, units))
        fill = Fill(
            execution_id=f"x{self._last_fill}",
            revision=1,
            client_order_id=order.client_order_id,
            symbol=order.symbol,
            units=units,
            price=price,
            commission=abs(units) * opened * self._points[a] * script.commission_bps * 1e-4,
            filled_utc=aware(bar.bar_utc),
        )
        self._fills.append(fill)
        self._held[order.symbol] = self._held.get(order.symbol, 0.0) + units
        whole = units == resting.left
        filled = replace(resting, filled=resting.filled + units, status="filled" if whole else resting.status)
        self._put(filled)
        self._queue += [fill, filled.report()]
        self._forget()

    def _forget(self) -> None:
        """Tell of the latest alone, as venues do."""
        while len(self._fills) > KEPT:
            self._covers_from = self._fills.pop(0).filled_utc
        while len(self._done) > KEPT:
            self._done.pop(next(iter(self._done)))

    def _put(self, resting: _Resting) -> None:
        name = resting.order.client_order_id
        if resting.status in ("working", "in_flight"):
            self._working[name] = resting
        else:
            self._working.pop(name, None)
            self._done[name] = resting

    # What a broker does

    def connect(self) -> None:
        """Nothing is to be opened."""

    def close(self) -> None:
        """Nothing is open."""

    def reserve(self, order: Order) -> str:
        """The next number; see `Broker.reserve`."""
        self._last_number += 1
        return str(self._last_number)

    def submit(self, orders: Sequence[KnownOrder]) -> None:
        """Take orders in, or refuse them as the script has it; see `Broker.submit`."""
        for known in orders:
            order = known.order
            if not {order.symbol, series_of(order.symbol)} & {*self._symbols} or order.kind != "market":
                raise BrokerError(
                    f"{order.client_order_id}: the scripted venue takes market orders for {', '.join(self._symbols)}"
                )
            refused = bool(self._generator.random() < self.script.reject_share)
            resting = _Resting(
                order=order,
                number=known.venue_order_id,
                status="rejected" if refused else "working",
                waits=self.script.delay_bars,
                after=self._last_bar,
            )
            self._put(resting)
            self._queue.append(resting.report("the script refuses it" if refused else ""))
        self._remember()

    def cancel(self, order: KnownOrder) -> None:
        """Cancel what works; see `Broker.cancel`."""
        resting = self._working.get(order.order.client_order_id)
        if resting is not None:
            self._put(replace(resting, status="cancelled"))
            self._queue.append(self._done[order.order.client_order_id].report())
            self._remember()

    def replace(self, order: KnownOrder) -> None:
        """Take new terms; see `Broker.replace`."""
        resting = self._working.get(order.order.client_order_id)
        if resting is not None:
            self._put(replace(resting, order=order.order))
            self._queue.append(replace(resting, order=order.order).report())
            self._remember()

    def poll(self, timeout_s: float) -> list[Report]:
        """What was reported since the last call; nothing is waited for."""
        told, self._queue = self._queue, []
        return told

    def snapshot(self, known: Sequence[KnownOrder]) -> Snapshot:
        """Everything as it is; see `Broker.snapshot`."""
        names = {order.order.client_order_id for order in known}
        return Snapshot(
            open_orders=tuple(resting.report() for resting in self._working.values()),
            finished_orders=tuple(resting.report() for resting in self._done.values()),
            foreign_orders=(),
            fills=tuple(self._fills),
            positions=tuple(
                Position(symbol=symbol, units=units, average_price=0.0)
                for symbol, units in self._held.items()
                if units != 0.0
            ),
            covers_from_utc=self._covers_from,
            never_arrived=frozenset(names - {*self._working, *self._done}),
        )

    def margin(self, order: Order) -> Margin:
        """Not known here."""
        raise BrokerError("the scripted venue knows no margins")

    # Living on

    def _remember(self) -> None:
        state = {
            "generator": self._generator.bit_generator.state,
            "orders": [asdict(resting) for resting in (*self._done.values(), *self._working.values())],
            "fills": [{**asdict(fill), "filled_utc": fill.filled_utc.isoformat()} for fill in self._fills],
            "held": self._held,
            "last_number": self._last_number,
            "last_fill": self._last_fill,
            "last_bar": self._last_bar,
            "covers_from": self._covers_from.isoformat(),
        }
        partial = self._path.with_name(self._path.name + ".partial")
        partial.write_text(json.dumps(state))
        os.replace(partial, self._path)

    def _recall(self, state: Mapping[str, Any]) -> None:
        self._generator.bit_generator.state = state["generator"]
        for facts in state["orders"]:
            self._put(_Resting(**{**facts, "order": Order(**facts["order"])}))
        self._fills = [
            Fill(**{**facts, "filled_utc": datetime.fromisoformat(facts["filled_utc"])})
            for facts in state["fills"]
        ]
        self._held = dict(state["held"])
        self._last_number, self._last_fill = int(state["last_number"]), int(state["last_fill"])
        self._last_bar = str(state["last_bar"])
        self._covers_from = datetime.fromisoformat(state["covers_from"])
