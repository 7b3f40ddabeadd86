"""A broker as the venue of an account: targets become market orders through the desk, executions come back as fills.

At each close an order that is still on its way to what is wanted is left to work; any other is cancelled, and nothing
new is sent for a symbol before its last order is done, so that a fill which crosses a cancel is counted before the next
order is made. A fill is booked once; where the
venue corrects it or tells its commission later, the first booking is taken back and the new one made.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from data.schema import Panel
from data.traded_prices import ROLL
from envs.config import PortfolioEnvConfig
from envs.kernel import columns as c
from envs.live.account import LiveAccount, VenueFill
from envs.live.broker import BrokerError, BrokerUnavailable, Fill, Order, client_order_id
from envs.live.desk import OrderDesk
from envs.live.exit_orders import ExitOrders, exit_reason
from envs.live.growing_market import ClosedBar
from envs.live.orders import DUST, TrackedOrder
from envs.live.paper import BookedFill
from envs.live.reconciliation import SAME
from envs.live.scripted_exchange import ScriptedExchange

_log = logging.getLogger(__name__)
INTENT = "target"
"""Last part of the names of orders that bring a position to its target."""


def refuse_rolls(panel: Panel) -> None:
    """Refuse series of joined contracts: no order of this loop moves a position from one contract to the next.

    Raises
    ------
    BrokerError
        With the key.
    """
    if ROLL in panel.exogenous:
        raise BrokerError(
            "the bars are contracts that data.futures.roll joins, and no order of this loop closes one and opens the "
            "next at a venue; trade them with broker=paper or broker=replay"
        )


def refuse_unsendable(config: PortfolioEnvConfig, *, resting: bool) -> None:
    """Refuse a configuration whose exits the simulator makes inside of a bar and no order stands for.

    resting : the venue takes stops and limits, so that barriers can rest there.

    Raises
    ------
    BrokerError
        With the key.
    """
    inside = {
        "env.barriers": config.barriers is not None and config.barriers.has_levels and not resting,
        "risk.flat_at_session_end=last_close": config.risk.flat_at_session_end == "last_close",
        "risk.margin": config.risk.margin,
        "env.action.scheme=order_entry": config.action.scheme == "order_entry",
    }
    for key, used in inside.items():
        if used:
            raise BrokerError(
                f"the policy's run has {key}: the simulator then trades inside of a bar, and no order of this loop "
                "does so at a venue; trade it with broker=paper or broker=replay"
            )


class OrderVenue:
    """See `envs.live.paper.Venue`.

    Parameters
    ----------
    desk : not opened yet. account : whose targets are traded. symbols : of its asset axis.
    run : part of the orders' names: letters, digits and ._- alone.
    cancel_wait_s : how long a cancel may take before its symbol is left alone for a bar.

    Where the account's configuration has barriers, their orders rest at the venue (`envs.live.exit_orders`).
    """

    def __init__(
        self, desk: OrderDesk, account: LiveAccount, symbols: Sequence[str], run: str, *, cancel_wait_s: float
    ) -> None:
        self.desk, self._account, self._symbols, self._run = desk, account, tuple(symbols), run
        self._cancel_wait_s = cancel_wait_s
        barriers = account.env.config.barriers
        has_levels = barriers is not None and barriers.has_levels
        self._exits = ExitOrders(desk, account, symbols, run, barriers) if barriers and has_levels else None
        self._decided_utc: datetime | None = None
        self._booked: dict[str, BookedFill] = {}
        self._unwritten: list[BookedFill] = []
        self._moves: list[VenueFill] = []
        self._agreed = False

    def open(self) -> None:
        """Connect and reconcile, and book what was filled meanwhile; where the venue is away, the desk tries again.

        Raises
        ------
        BrokerError
            If the venue holds other positions of the account's symbols than the account.
        """
        self.desk.open()
        self._book_news()
        self._agree()

    def close(self) -> None:
        """Nothing is cancelled; orders live on at the venue, and the journal knows them."""

    def send(self, decided_utc: datetime, *, entries: bool) -> None:
        """Cancel orders that no longer lead to what is wanted, and send what is."""
        self._decided_utc = decided_utc
        self._clear_the_way(entries)
        self._agree()
        if self.desk.is_ready:
            busy = self._busy()
            for a, units in enumerate(self._wanted(entries)):
                if units != 0.0 and self._symbols[a] not in busy:
                    self._submit(a, units, decided_utc)
        else:
            _log.warning("nothing is sent at %s: %s", decided_utc, self.desk.trouble)
        self._keep_exits(release=True)

    def attend(self, timeout_s: float) -> None:
        """Take in reports for at most so long, and book what was filled."""
        self.desk.advance(timeout_s)
        self._book_news()
        self._keep_exits()

    def settle(self, bar: ClosedBar) -> None:
        """Take in everything that has been reported of the bar that closed."""
        while self.desk.advance(0.0):
            pass
        self._book_news()

    def take_booked(self) -> list[BookedFill]:
        """What was booked since this was last asked, for the record."""
        booked, self._unwritten = self._unwritten, []
        return booked

    def take_moves(self) -> list[VenueFill] | None:
        """Every booking since this was last asked, those that take one back included."""
        moves, self._moves = self._moves, []
        return moves

    def restore_booked(self, booked: Iterable[BookedFill]) -> None:
        """What the account's books held when its state was saved."""
        self._booked = {fill.execution_id: fill for fill in booked}
        self._unwritten = []

    # Inside

    def _keep_exits(self, *, release: bool = False) -> None:
        if self._exits is None or self._decided_utc is None or not self._agreed:
            return
        if release:
            self._exits.release()
        self._exits.keep(self._decided_utc)

    def _busy(self) -> set[str]:
        """Symbols for which nothing new is sent: an order is open, or an exit that a closing trade must not meet."""
        held = dict(zip(self._symbols, self._account.units.tolist()))
        wished = dict(zip(self._symbols, self._account.to_trade.tolist()))
        busy = set()
        for tracked in self.desk.orders.open():
            symbol = tracked.order.symbol
            rests = exit_reason(tracked.order.client_order_id) is not None
            if not rests or wished.get(symbol, 0.0) * held.get(symbol, 0.0) < 0.0:
                busy.add(symbol)
        return busy

    def _submit(self, a: int, units: float, decided_utc: datetime) -> None:
        order = Order(
            client_order_id=client_order_id(self._run, decided_utc, self._symbols[a], INTENT),
            symbol=self._symbols[a],
            units=units,
        )
        try:
            self.desk.submit([order])
        except BrokerUnavailable as error:
            _log.warning("%s was not sent: %s", order.client_order_id, error)
        except BrokerError as error:
            _log.error("%s was refused: %s", order.client_order_id, error)

    def _wanted(self, entries: bool) -> list[float]:
        """Units of each asset that are to be traded now."""
        wished, held = self._account.to_trade.tolist(), self._account.units.tolist()
        return wished if entries else [_reducing(wish, have) for wish, have in zip(wished, held)]

    def _clear_the_way(self, entries: bool) -> None:
        self.attend(0.0)
        wanted = dict(zip(self._symbols, self._wanted(entries)))
        leaving = [
            tracked
            for tracked in self.desk.orders.open()
            if tracked.order.symbol in wanted
            and exit_reason(tracked.order.client_order_id) is None
            and not _leads_to(tracked, wanted[tracked.order.symbol])
        ]
        for tracked in leaving:
            try:
                self.desk.cancel(tracked.order.client_order_id)
            except BrokerUnavailable as error:
                _log.warning("%s cannot be cancelled now: %s", tracked.order.client_order_id, error)
        names = [tracked.order.client_order_id for tracked in leaving]
        names += self._withdrawn_exits(wanted)
        until = time.monotonic() + self._cancel_wait_s
        self.attend(0.0)
        while any(not self.desk.orders[name].is_done for name in names) and time.monotonic() < until:
            self.attend(0.05)

    def _withdrawn_exits(self, wanted: Mapping[str, float]) -> list[str]:
        """Names of the resting exits of positions that are to shrink now, which are asked to go."""
        if self._exits is None:
            return []
        names: list[str] = []
        for symbol, held in zip(self._symbols, self._account.units.tolist()):
            if wanted[symbol] * held < 0.0:
                try:
                    names += self._exits.withdraw(symbol)
                except BrokerUnavailable as error:
                    _log.warning("the exits of %s cannot be withdrawn now: %s", symbol, error)
        return names

    def _book_news(self) -> None:
        for fill in self.desk.orders.news():
            if fill.symbol in self._symbols:
                self._book(fill)

    def _book(self, fill: Fill) -> None:
        known = self._booked.get(fill.execution_id)
        new = BookedFill(
            execution_id=fill.execution_id,
            revision=fill.revision,
            asset=self._symbols.index(fill.symbol),
            units=fill.units,
            price=fill.price,
            commission=fill.commission or 0.0,
            commission_known=fill.commission is not None,
            client_order_id=fill.client_order_id,
            filled_utc=fill.filled_utc,
        )
        if known is not None:
            if (known.revision, known.commission_known) == (new.revision, new.commission_known):
                return
            self._apply(known, -1.0)
        self._apply(new, 1.0)
        self._booked[fill.execution_id] = new
        self._unwritten.append(new)

    def _apply(self, fill: BookedFill, sign: float) -> None:
        if fill.units == 0.0:  # a correction that leaves nothing
            return
        reason = exit_reason(fill.client_order_id)
        move = VenueFill(
            asset=fill.asset,
            units=sign * fill.units,
            price=fill.price,
            commission=sign * fill.commission,
            reason=c.BY_SIGNAL if reason is None else reason,
        )
        self._account.book(move)
        self._moves.append(move)

    def _agree(self) -> None:
        """Once the desk is ready for the first time: the venue's positions must be the account's."""
        if self._agreed or not self.desk.is_ready:
            return
        there = self.desk.orders.units()
        for symbol, units in zip(self._symbols, self._account.units.tolist()):
            if abs(there.get(symbol, 0.0) - units) > SAME:
                raise BrokerError(
                    f"{symbol}: the venue holds {there.get(symbol, 0.0):g} units and this run {units:g}; close what is "
                    "not this run's, or trade in an account of its own"
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
    ) -> None:
        super().__init__(desk, account, symbols, run, cancel_wait_s=0.0)
        self._exchange = exchange

    def attend(self, timeout_s: float) -> None:
        """The exchange reports at once or not at all; the time passes."""
        super().attend(0.0)
        time.sleep(timeout_s)

    def settle(self, bar: ClosedBar) -> None:
        """Let the exchange trade in the bar, and take in what it reports."""
        self._exchange.trade(bar)
        super().settle(bar)


def _leads_to(tracked: TrackedOrder, wanted: float) -> bool:
    """Whether what is left of an order is a part of what is wanted, so that it cannot go beyond it."""
    left = tracked.open_units
    return tracked.status != "cancelling" and left * wanted > 0.0 and abs(left) <= abs(wanted) * (1.0 + DUST)


def _reducing(wanted: float, held: float) -> float:
    """What of a wished trade only reduces what is held."""
    if wanted * held >= 0.0:
        return 0.0
    return max(wanted, -held) if held > 0.0 else min(wanted, -held)
