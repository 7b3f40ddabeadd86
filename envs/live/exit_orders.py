"""Orders that rest at the venue and leave a position at its barriers, so that a loop that hangs still has its stops.

| of a position | at the venue |
|---|---|
| stop, trailing stop (the nearer one) | a stop order |
| profit target | a limit order, in one group with the stop: what fills of one is taken off the other |

They are sent as soon as the position is, changed as its size, entry price or trailing level change, and withdrawn
before anything else closes it. They stay until they are cancelled (`gtc`), through the night too. Those of a dated
contract go with it: a roll withdraws them, and what is held in the next contract gets its own.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from envs.barriers import BarrierConfig
from envs.kernel import columns as c
from envs.live.account import LiveAccount
from envs.live.barrier_levels import exit_prices
from envs.live.broker import BrokerError, BrokerUnavailable, Order, OrderKind, client_order_id
from envs.live.desk import OrderDesk
from envs.live.orders import DUST, TrackedOrder
from envs.live.traded_contracts import TradedContracts

_log = logging.getLogger(__name__)
REASONS = {"stop": c.BY_STOP, "trail": c.BY_TRAILING, "profit": c.BY_TARGET}
"""First part of the intent of such an order, and why what it fills was left."""


def exit_reason(name: str | None) -> int | None:
    """Why the order of this name leaves a position; None where it is no such order."""
    return None if name is None else REASONS.get(name.rpartition("/")[2].partition("-")[0])


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """One resting order. kind : stop or limit. intent : see `REASONS`. units : signed, that are left to fill."""

    kind: OrderKind
    intent: str
    price: float
    units: float


class ExitOrders:
    """The resting exits of one account.

    Parameters
    ----------
    contracts : that the account's assets are traded in. run : part of the orders' names.
    """

    def __init__(
        self,
        desk: OrderDesk,
        account: LiveAccount,
        contracts: TradedContracts,
        run: str,
        barriers: BarrierConfig,
    ) -> None:
        self._desk, self._account, self._contracts = desk, account, contracts
        self._run, self._barriers = run, barriers
        self._sent: dict[tuple[str, str], Order] = {}
        self._refused: dict[tuple[str, str], tuple[float, float]] = {}
        self._asked: dict[str, tuple[float, float]] = {}
        self._withheld: set[str] = set()

    def open(self, symbol: str) -> list[TrackedOrder]:
        """Those of a symbol that are not done."""
        a = self._contracts.asset(symbol)
        return [
            t
            for t in self._desk.orders.open()
            if _is_exit(t) and a is not None and self._contracts.asset(t.order.symbol) == a
        ]

    def keep(self, decided_utc: datetime, rolling: Collection[int] = ()) -> None:
        """Let the orders at the venue be those that the positions need now.

        decided_utc : names new ones. rolling : assets that are being rolled, of which none rests.
        """
        if not self._desk.is_ready:
            return
        for a, symbol in enumerate(self._contracts.symbols):
            if a in rolling:
                continue
            try:
                self._keep(a, symbol, decided_utc)
            except BrokerUnavailable as error:
                _log.warning("the exits of %s cannot be kept now: %s", symbol, error)
                return

    def withdraw(self, symbol: str) -> list[str]:
        """Ask for those of a symbol to be cancelled, and send none until `release`; their names.

        Raises
        ------
        BrokerUnavailable
            If there is no line.
        """
        self._withheld.add(symbol)
        names = []
        for tracked in self.open(symbol):
            names.append(tracked.order.client_order_id)
            if tracked.status != "cancelling":
                self._desk.cancel(names[-1])
        return names

    def release(self) -> None:
        """What was withdrawn may be sent anew, as far as the positions need it."""
        self._withheld.clear()

    # Inside

    def _keep(self, a: int, symbol: str, decided_utc: datetime) -> None:
        if symbol in self._withheld:
            return
        contract = self._contracts.stand(a).contract
        wanted = self._wanted(a)
        resting = [t for t in self.open(symbol) if t.status != "cancelling"]
        for tracked in resting:
            if tracked.order.symbol != contract:
                self._desk.cancel(tracked.order.client_order_id)
        there = {_side(t.order.kind): t for t in resting if t.order.symbol == contract}
        for side, tracked in there.items():
            if side not in wanted:
                self._desk.cancel(tracked.order.client_order_id)
            elif _differs(tracked, wanted[side]):
                self._change(tracked, wanted[side])
        missing = {side: what for side, what in wanted.items() if side not in there}
        leaving = any(t.status == "cancelling" for t in self.open(symbol))
        if missing and not leaving:  # until they are gone, new ones would come on top
            group = next((t.order.group for side, t in there.items() if side in wanted), None)
            self._place(a, missing, group, decided_utc)

    def _wanted(self, a: int) -> dict[str, _Wanted]:
        """What should rest for an asset, less what an order that is on its way closes already."""
        position, stand = self._account.env.rows.position[0, a], self._contracts.stand(a)
        held = stand.units
        tick = float(self._account.env.instrument[a, c.TICK_SIZE])
        prices = exit_prices(self._barriers, position, tick, stand.offset)
        if prices is None:
            return {}
        others = (t for t in self._desk.orders.open() if t.order.symbol == stand.contract and not _is_exit(t))
        closing = sum(t.open_units for t in others if t.open_units * held < 0.0)
        left = held + closing
        if left * held <= 0.0 or abs(left) <= DUST * abs(held):
            return {}
        found = {}
        if prices.stop is not None:
            intent = "trail" if prices.trails else "stop"
            found["stop"] = _Wanted(kind="stop", intent=intent, price=prices.stop, units=-left)
        if prices.profit is not None:
            found["limit"] = _Wanted(kind="limit", intent="profit", price=prices.profit, units=-left)
        return found

    def _place(self, a: int, wanted: dict[str, _Wanted], group: str | None, decided_utc: datetime) -> None:
        orders, symbol = [], self._contracts.symbols[a]
        for what in wanted.values():
            if self._was_refused(symbol, what):
                continue  # as it is; asking again each moment helps nobody
            order = Order(
                client_order_id=self._name(decided_utc, symbol, what.intent),
                symbol=self._contracts.stand(a).contract,
                units=what.units,
                kind=what.kind,
                limit_price=what.price if what.kind == "limit" else None,
                stop_price=what.price if what.kind == "stop" else None,
                time_in_force="gtc",
            )
            orders.append(order)
        if not orders:
            return
        group = group or f"oca/{orders[0].client_order_id}"
        try:
            self._desk.submit([replace(order, group=group) for order in orders])
            self._sent |= {(symbol, order.kind): order for order in orders}
        except BrokerUnavailable:
            raise
        except BrokerError as error:
            _log.error("%s has NO stop at the venue: %s", symbol, error)
            self._refused |= {(symbol, what.kind): (what.price, what.units) for what in wanted.values()}

    def _was_refused(self, symbol: str, what: _Wanted) -> bool:
        key, terms = (symbol, what.kind), (what.price, what.units)
        last = self._sent.pop(key, None)
        if last is not None and self._desk.orders[last.client_order_id].status == "rejected":
            _log.error("%s has NO %s order at the venue: it was rejected", symbol, what.kind)
            self._refused[key] = (last.stop_price or last.limit_price or 0.0, last.units)
        return self._refused.get(key) == terms

    def _name(self, decided_utc: datetime, symbol: str, intent: str) -> str:
        """The next name of an exit of this decision that no order has."""
        number = 1
        while (
            name := client_order_id(self._run, decided_utc, symbol, f"{intent}-{number}")
        ) in self._desk.orders:
            number += 1
        return name

    def _change(self, tracked: TrackedOrder, wanted: _Wanted) -> None:
        name = tracked.order.client_order_id
        if self._asked.get(name) == (wanted.price, wanted.units):
            return  # it was asked for; a venue that refuses it is not asked again
        self._asked[name] = (wanted.price, wanted.units)
        units = tracked.filled_units + wanted.units
        terms = {"limit_price": wanted.price} if wanted.kind == "limit" else {"stop_price": wanted.price}
        changed = replace(tracked.order, units=units, **terms)  # type: ignore[arg-type]
        try:
            self._desk.replace(changed)
        except BrokerUnavailable:
            raise
        except BrokerError as error:
            _log.error("%s keeps its terms: %s", name, error)


def _is_exit(tracked: TrackedOrder) -> bool:
    return exit_reason(tracked.order.client_order_id) is not None


def _side(kind: OrderKind) -> str:
    return "stop" if kind == "stop" else "limit"


def _differs(tracked: TrackedOrder, wanted: _Wanted) -> bool:
    order = tracked.order
    price = order.stop_price if wanted.kind == "stop" else order.limit_price
    same_units = abs(tracked.open_units - wanted.units) <= DUST * abs(wanted.units)
    return price != wanted.price or not same_units
