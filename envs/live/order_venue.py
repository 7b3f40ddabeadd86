"""A broker as the venue of an account: targets become market orders through the desk, executions come back as fills.

At each close an order that is still on its way to what is wanted is left to work; any other is cancelled, and nothing
new is sent for a symbol before its last order is done, so that a fill which crosses a cancel is counted before the next
order is made. A fill is booked once; where the venue corrects it, the first booking is taken back and the new one made.

A series of dated contracts is traded in one of them. Where the next bar is to be held in another, what is held is
rolled before anything else is sent (`envs.live.contract_rolls`), as the simulator rolls before any order of the bar.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from envs.live.account import LiveAccount, VenueFill
from envs.live.broker import BrokerError, BrokerUnavailable, Order, client_order_id
from envs.live.contract_rolls import IN, ContractRolls, leg_of
from envs.live.desk import OrderDesk
from envs.live.exit_orders import ExitOrders, exit_reason
from envs.live.growing_market import ClosedBar
from envs.live.orders import DUST, TrackedOrder
from envs.live.paper import BookedFill
from envs.live.reconciliation import SAME
from envs.live.roll_rules import REFUSED, RollRules
from envs.live.scripted_exchange import ScriptedExchange
from envs.live.traded_contracts import TradedContracts
from envs.live.unsendable import refuse_rolls, refuse_unsendable
from envs.live.venue_books import VenueBooks

__all__ = ["INTENT", "OrderVenue", "ScriptedVenue", "refuse_rolls", "refuse_unsendable"]
_log = logging.getLogger(__name__)
INTENT = "target"
"""Last part of the names of orders that bring a position to its target."""


class OrderVenue:
    """See `envs.live.paper.Venue`.

    Parameters
    ----------
    desk : not opened yet. account : whose targets are traded. symbols : of its asset axis.
    run : part of the orders' names: letters, digits and ._- alone.
    cancel_wait_s : how long a cancel may take before its symbol is left alone for a bar.
    contracts : that the symbols are traded in; None where none is a series of dated contracts. rolls : how those are.

    Where the account's configuration has barriers, their orders rest at the venue (`envs.live.exit_orders`).
    """

    def __init__(
        self,
        desk: OrderDesk,
        account: LiveAccount,
        symbols: Sequence[str],
        run: str,
        *,
        cancel_wait_s: float,
        contracts: TradedContracts | None = None,
        rolls: RollRules = REFUSED,
    ) -> None:
        self.desk, self._account, self._symbols, self._run = desk, account, tuple(symbols), run
        self._cancel_wait_s = cancel_wait_s
        self.contracts = contracts or TradedContracts(account, symbols)
        self._rolls = ContractRolls(desk, self.contracts, run, rolls)
        self._books = VenueBooks(account, self.contracts)
        barriers = account.env.config.barriers
        has_levels = barriers is not None and barriers.has_levels
        self._exits = (
            ExitOrders(desk, account, self.contracts, run, barriers) if barriers and has_levels else None
        )
        self._decided_utc: datetime | None = None
        self._entries = False
        self._rolling: set[int] = set()
        self._agreed = False

    def open(self) -> None:
        """Connect and reconcile, and book what was filled meanwhile; where the venue is away, the desk tries again.

        Raises
        ------
        BrokerError
            If the venue holds other positions of the account's symbols than the account.
        """
        self.contracts.begin()
        self.desk.open()
        self._book_news()
        self._agree()

    def close(self) -> None:
        """Nothing is cancelled; orders live on at the venue, and the journal knows them."""

    def send(self, decided_utc: datetime, *, entries: bool) -> None:
        """Cancel orders that no longer lead to what is wanted, roll what is to be rolled, and send what is wanted.

        Raises
        ------
        BrokerError
            If positions differ, or a roll cannot go on.
        """
        self.desk.advance(0.0)
        self._book_news()
        self._decided_utc, self._entries = decided_utc, entries
        self._rolls.decide()
        self._rolling = {a for a in range(len(self._symbols)) if self._is_to_roll(a)}
        self._clear_the_way(decided_utc)
        self._agree()
        if self.desk.is_ready:
            self._rest_is_given_up(decided_utc)
            self._roll(decided_utc)
            self._send_targets([a for a in range(len(self._symbols)) if a not in self._rolling], decided_utc)
        else:
            _log.warning("nothing is sent at %s: %s", decided_utc, self.desk.trouble)
        self._keep_exits(release=True)

    def attend(self, timeout_s: float) -> None:
        """Take in reports for at most so long, book what was filled, and go on with what waited for it."""
        self.desk.advance(timeout_s)
        self._book_news()
        if self._rolling and self._decided_utc is not None and self._agreed and self.desk.is_ready:
            rolled = self._roll(self._decided_utc)
            self._send_targets(rolled, self._decided_utc)
        self._keep_exits()

    def settle(self, bar: ClosedBar) -> None:
        """Take in everything that has been reported of the bar that closed."""
        self.contracts.turn()
        self._take_in()
        self.contracts.remark()

    def take_booked(self) -> list[BookedFill]:
        """What was booked since this was last asked, for the record."""
        return self._books.take_booked()

    def take_moves(self) -> list[VenueFill] | None:
        """Every booking since this was last asked, those that take one back included."""
        return self._books.take_moves()

    def restore_booked(self, booked: Iterable[BookedFill]) -> None:
        """What the account's books held when its state was saved."""
        self._books.restore(booked)

    def state(self) -> dict[str, Any]:
        """Which contracts are held, beside what the account's own state says."""
        return {"contracts": self.contracts.state()}

    def restore_state(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` returned."""
        self.contracts.restore(state["contracts"])

    # Inside

    @property
    def _booked(self) -> dict[str, BookedFill]:
        return self._books.booked

    def _take_in(self) -> None:
        while self.desk.advance(0.0):
            pass
        self._book_news()

    def _book_news(self) -> None:
        self._books.book(self.desk.orders.news())

    # Rolls

    def _is_to_roll(self, a: int) -> bool:
        return bool(self.contracts.leaving(a) or self.contracts.moving(a) or self._rolls.legs(a))

    def _roll(self, decided_utc: datetime) -> list[int]:
        """Do what is next of every roll; the assets that are done."""
        rolled = [a for a in sorted(self._rolling) if self._rolls.step(a, decided_utc) == "done"]
        self._rolling -= set(rolled)
        return rolled

    def _rest_is_given_up(self, decided_utc: datetime) -> None:
        """What an earlier roll has closed, and is to be closed by now, is not opened again first."""
        for a, wished in enumerate(self._wanted()):
            moving = self.contracts.moving(a)
            if not moving * wished < 0.0 or self._rolls.legs(a) or self._rolls.begun(a, decided_utc):
                continue
            units = max(-wished, moving) if moving < 0.0 else min(-wished, moving)
            self._books.give_up(a, units)
            if not self._is_to_roll(a):
                self._rolling.discard(a)

    # Targets

    def _send_targets(self, assets: Sequence[int], decided_utc: datetime) -> None:
        busy = self._busy()
        wanted = self._wanted()
        for a in assets:
            if wanted[a] != 0.0 and a not in busy:
                self._submit(a, wanted[a], decided_utc)

    def _keep_exits(self, *, release: bool = False) -> None:
        if self._exits is None or self._decided_utc is None or not self._agreed:
            return
        if release:
            self._exits.release()
        self._exits.keep(self._decided_utc, self._rolling - self._rolls.stalled)

    def _busy(self) -> set[int]:
        """Assets for which nothing new is sent: an order is open, or an exit that a closing trade must not meet."""
        held, wished = self._account.units.tolist(), self._account.to_trade.tolist()
        busy = set()
        for tracked in self.desk.orders.open():
            a = self.contracts.asset(tracked.order.symbol)
            rests = exit_reason(tracked.order.client_order_id) is not None
            if a is not None and (not rests or wished[a] * held[a] < 0.0):
                busy.add(a)
        return busy

    def _submit(self, a: int, units: float, decided_utc: datetime) -> None:
        order = Order(
            client_order_id=client_order_id(self._run, decided_utc, self._symbols[a], INTENT),
            symbol=self.contracts.contract(a),
            units=units,
        )
        try:
            self.desk.submit([order])
        except BrokerUnavailable as error:
            _log.warning("%s was not sent: %s", order.client_order_id, error)
        except BrokerError as error:
            _log.error("%s was refused: %s", order.client_order_id, error)

    def _wanted(self) -> list[float]:
        """Units of each asset that are to be traded now."""
        wished, held = self._account.to_trade.tolist(), self._account.units.tolist()
        return wished if self._entries else [_reducing(wish, have) for wish, have in zip(wished, held)]

    def _clear_the_way(self, decided_utc: datetime) -> None:
        leaving = [t for t in self.desk.orders.open() if self._is_in_the_way(t, decided_utc)]
        for tracked in leaving:
            try:
                self.desk.cancel(tracked.order.client_order_id)
            except BrokerUnavailable as error:
                _log.warning("%s cannot be cancelled now: %s", tracked.order.client_order_id, error)
        names = [tracked.order.client_order_id for tracked in leaving]
        names += self._withdrawn_exits()
        until, wait_s = time.monotonic() + self._cancel_wait_s, 0.0
        while True:
            self.desk.advance(wait_s)
            self._book_news()
            if all(self.desk.orders[name].is_done for name in names) or time.monotonic() >= until:
                return
            wait_s = 0.05

    def _is_in_the_way(self, tracked: TrackedOrder, decided_utc: datetime) -> bool:
        """Whether an open order is to be cancelled at this close. Closing an old contract never is."""
        order = tracked.order
        a = self.contracts.asset(order.symbol)
        if a is None or exit_reason(order.client_order_id) is not None:
            return False
        wanted, leg = self._wanted()[a], leg_of(order.client_order_id)
        if leg:
            return leg == IN and wanted * order.units < 0.0 and not self._rolls.begun(a, decided_utc)
        return order.symbol != self.contracts.contract(a) or not _leads_to(tracked, wanted)

    def _withdrawn_exits(self) -> list[str]:
        """Names of the resting exits of positions that are to shrink or to be rolled, which are asked to go."""
        if self._exits is None:
            return []
        names: list[str] = []
        wanted, held = self._wanted(), self._account.units.tolist()
        for a, symbol in enumerate(self._symbols):
            if wanted[a] * held[a] < 0.0 or self.contracts.leaving(a):
                try:
                    names += self._exits.withdraw(symbol)
                except BrokerUnavailable as error:
                    _log.warning("the exits of %s cannot be withdrawn now: %s", symbol, error)
        return names

    def _agree(self) -> None:
        """Once the desk is ready for the first time: the venue's positions must be the account's."""
        if self._agreed or not self.desk.is_ready:
            return
        there, ours = self.desk.orders.units(), self.contracts.units()
        for name in sorted({*there, *ours}):
            if self.contracts.asset(name) is None:
                continue
            if abs(there.get(name, 0.0) - ours.get(name, 0.0)) > SAME:
                raise BrokerError(
                    f"{name}: the venue holds {there.get(name, 0.0):g} units and this run {ours.get(name, 0.0):g}; "
                    "close what is not this run's, or trade in an account of its own"
                )
        self._agreed = True


class ScriptedVenue(OrderVenue):
    """Orders to a scripted exchange, for which time passes with the bars that are replayed."""

    def __init__(
        self,
        exchange: ScriptedExchange,
        desk: OrderDesk,
        account: LiveAccount,
        symbols: Sequence[str],
        run: str,
        *,
        contracts: TradedContracts | None = None,
        rolls: RollRules = REFUSED,
    ) -> None:
        super().__init__(desk, account, symbols, run, cancel_wait_s=0.0, contracts=contracts, rolls=rolls)
        self._exchange = exchange

    def attend(self, timeout_s: float) -> None:
        """The exchange reports at once or not at all; the time passes."""
        super().attend(0.0)
        time.sleep(timeout_s)

    def settle(self, bar: ClosedBar) -> None:
        """Let the exchange trade in the bar, take in what it reports, and what is sent in answer at the same open."""
        self.contracts.turn()
        self._exchange.trade(bar)
        self._take_in()
        if self._rolling:
            super().attend(0.0)
        while self._exchange.follow(bar):
            self._take_in()
            super().attend(0.0)
        self.contracts.remark()


def _leads_to(tracked: TrackedOrder, wanted: float) -> bool:
    """Whether what is left of an order is a part of what is wanted, so that it cannot go beyond it."""
    left = tracked.open_units
    return tracked.status != "cancelling" and left * wanted > 0.0 and abs(left) <= abs(wanted) * (1.0 + DUST)


def _reducing(wanted: float, held: float) -> float:
    """What of a wished trade only reduces what is held."""
    if wanted * held >= 0.0:
        return 0.0
    return max(wanted, -held) if held > 0.0 else min(wanted, -held)
