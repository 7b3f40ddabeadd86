"""Interactive Brokers as a broker, over TWS or Gateway by `ib_insync` or `ib_async`.

What the client library does by itself and this adapter must not rely on: it takes any error on an order for its
cancellation; it goes on connecting where a request of the synchronisation timed out; it loses a commission that comes
before its execution; it tells nothing of executions whose order it does not know; and it forgets everything when the
socket closes. So fills are read from its table after each message, errors are read here, and a snapshot asks for
every part itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from data.vendors.tws_client import client_library
from envs.live.broker import (
    BrokerError,
    BrokerUnavailable,
    KnownOrder,
    LinkReport,
    Margin,
    Order,
    Position,
    Report,
    Snapshot,
)
from envs.live.ibkr_config import IbkrBrokerConfig
from envs.live.ibkr_line import IbkrLine
from envs.live.ibkr_reports import TwsReports

_KINDS = {"market": "MKT", "limit": "LMT", "stop": "STP", "stop_limit": "STP LMT"}
_VALUES = (
    "NetLiquidation",
    "TotalCashValue",
    "BuyingPower",
    "AvailableFunds",
    "InitMarginReq",
    "MaintMarginReq",
)


class IbkrBroker:
    """See `envs.live.broker.Broker`.

    symbols : what is traded; each must be one contract that can be traded.
    """

    def __init__(self, config: IbkrBrokerConfig, symbols: Sequence[str]) -> None:
        self.config, self._symbols = config, tuple(symbols)
        self._line = IbkrLine(config)
        self._reports = TwsReports()
        self._sent_here: set[str] = set()

    # The session

    def connect(self) -> None:
        """Open a session and find every contract; see `Broker.connect`."""
        if self._line.is_open:
            return
        self.close()
        self._line.open(self._symbols, self._listen)
        for symbol in self._symbols:
            self._contract(symbol)

    def _listen(self, ib: Any) -> None:
        self._reports.begin()
        self._sent_here = set()
        ib.orderStatusEvent += self._reports.on_status
        ib.openOrderEvent += self._reports.on_status
        ib.errorEvent += self._reports.on_error
        ib.disconnectedEvent += self._reports.on_disconnected

    def close(self) -> None:
        """End the session; see `Broker.close`."""
        self._reports.numbered = False
        self._line.close()

    # Orders

    def reserve(self, order: Order) -> str:
        """The order id that the order will be sent under; see `Broker.reserve`."""
        if self.config.read_only:
            raise BrokerError("broker.read_only is set; nothing is sent")
        self._contract(order.symbol)
        if not self._reports.numbered:
            raise BrokerUnavailable("order ids are not known before a snapshot has been taken")
        return str(self._line.next_number())

    def submit(self, orders: Sequence[KnownOrder]) -> None:
        """Send orders; the last of a bracket releases it. See `Broker.submit`."""
        for known in orders:
            self._reports.known[known.order.client_order_id] = known
            self._sent_here.add(known.order.client_order_id)
        contracts = [self._contract(known.order.symbol) for known in orders]
        families = [known.order.entry or known.order.client_order_id for known in orders]
        for number, (known, contract) in enumerate(zip(orders, contracts)):
            last = families[number] not in families[number + 1 :]
            self._place(contract, self._ib_order(known, transmit=last))

    def cancel(self, order: KnownOrder) -> None:
        """Ask for a cancel; see `Broker.cancel`."""
        trade = self._trade(order)
        ours = trade.order if trade is not None else self._ib_order(order, transmit=True)
        ours.orderId, ours.clientId = int(order.venue_order_id), self.config.client_id
        self._line.send(lambda ib: ib.cancelOrder(ours))

    def replace(self, order: KnownOrder) -> None:
        """Send an order again under its number, with other terms; see `Broker.replace`."""
        trade = self._trade(order)
        if trade is None or trade.isDone():
            self._reports.queue.append(
                LinkReport(up=True, reason=f"{order.order.client_order_id} could not be replaced")
            )
            return
        # A fresh object: the library's own keeps the old terms until TWS tells the new ones.
        self._place(self._contract(order.order.symbol), self._ib_order(order, transmit=True))

    def margin(self, order: Order) -> Margin:
        """A what-if order; see `Broker.margin`."""
        known = KnownOrder(order=order, venue_order_id="0", permanent_id=None, sent_utc=datetime.now(UTC))
        contract, asked = self._contract(order.symbol), self._ib_order(known, transmit=True)
        state = self._line.ask(lambda ib: ib.whatIfOrderAsync(contract, asked))
        unset = 1e300
        numbers = [float(v) for v in (state.initMarginAfter, state.maintMarginAfter, state.commission)]
        if any(abs(number) > unset for number in numbers):
            raise BrokerError(
                f"TWS told no margin for {order.client_order_id}: {state.warningText or 'no reason'}"
            )
        return Margin(initial_after=numbers[0], maintenance_after=numbers[1], commission=numbers[2])

    def _ib_order(self, known: KnownOrder, transmit: bool) -> Any:
        order, unset = known.order, client_library().util.UNSET_DOUBLE
        entry = self._reports.known.get(order.entry) if order.entry else None
        if order.entry and entry is None:
            raise BrokerError(f"{order.client_order_id} waits for {order.entry}, which is not known")
        return client_library().Order(
            orderId=int(known.venue_order_id),
            action="BUY" if order.units > 0 else "SELL",
            totalQuantity=abs(order.units),
            orderType=_KINDS[order.kind],
            lmtPrice=unset if order.limit_price is None else order.limit_price,
            auxPrice=unset if order.stop_price is None else order.stop_price,
            tif=order.time_in_force.upper(),
            orderRef=order.client_order_id,
            account=self._line.account(),
            transmit=transmit,
            parentId=int(entry.venue_order_id) if entry else 0,
            ocaGroup=order.group or "",
            # A partial fill of one shrinks the others, and none is worked before that is certain.
            ocaType=2 if order.group else 0,
        )

    def _place(self, contract: Any, order: Any) -> None:
        if self.config.read_only:
            raise BrokerError("broker.read_only is set; nothing is sent")
        if not self._reports.line_up:
            raise BrokerUnavailable("TWS has no line to IB")
        self._line.send(lambda ib: ib.placeOrder(contract, order))

    def _trade(self, known: KnownOrder) -> Any:
        for trade in self._line.ib.trades():
            if (
                trade.order.orderId == int(known.venue_order_id)
                and self._reports.name_of(trade.order) is not None
            ):
                return trade
        return None

    # What the guard needs beside

    def cancel_everything(self) -> None:
        """Ask for every open order of the account to be cancelled, whoever sent it. Raises BrokerUnavailable."""
        if self.config.read_only:
            raise BrokerError("broker.read_only is set; nothing is sent")
        self._line.send(lambda ib: ib.reqGlobalCancel())

    def prices(self) -> dict[str, float]:
        """Last price by symbol of what is held, as the account's window has it. Raises BrokerUnavailable."""
        account = self._line.account()
        return {
            self._reports.symbol_of(item.contract): float(item.marketPrice)
            for item in self._line.ib.portfolio()
            if item.account == account and item.marketPrice > 0.0
        }

    def multipliers(self) -> dict[str, float]:
        """Account currency per unit and point, by symbol of what is traded."""
        return {symbol: float(found.multiplier or 1.0) for symbol, found in self._line.contracts.items()}

    # Reports

    def poll(self, timeout_s: float) -> list[Report]:
        """Reports since the last call; see `Broker.poll`."""
        end = time.monotonic() + timeout_s
        while True:
            connection = self._line.connection
            left = end - time.monotonic()
            if connection is None or not connection.is_open:
                if not self._reports.queue and left > 0:
                    time.sleep(left)
                break
            # A broken line makes the client raise here; the report of it has been taken down by then.
            with suppress(ConnectionError, asyncio.CancelledError):
                client_library().util.run(asyncio.sleep(0))
                if not self._reports.queue and left > 0 and connection.is_open:
                    connection.ib.waitOnUpdate(timeout=max(left, 1e-3))
            self._reports.scan_fills(connection.ib)
            silence = self._line.silence()
            if silence:
                self.close()
                self._reports.queue.append(LinkReport(up=False, reason=silence))
            if self._reports.queue or left <= 0:
                break
        reports, self._reports.queue = self._reports.queue, []
        return reports

    # The venue's state

    def snapshot(self, known: Sequence[KnownOrder]) -> Snapshot:
        """Ask for every part, one after the other; see `Broker.snapshot`."""
        self._reports.learn(known)
        ib = self._line.ib
        if not self._reports.line_up:
            raise BrokerUnavailable(
                "TWS has no line to IB (1100); what it tells now is not the venue's state"
            )
        highest = max((int(order.venue_order_id) for order in known), default=0)
        ib.client.updateReqId(highest + 1)
        opened = self._line.ask(lambda ib: ib.reqAllOpenOrdersAsync())
        finished = self._line.ask(lambda ib: ib.reqCompletedOrdersAsync(False))
        self._line.ask(lambda ib: ib.reqExecutionsAsync())
        positions = self._line.ask(lambda ib: ib.reqPositionsAsync())
        now = self._line.ask(lambda ib: ib.reqCurrentTimeAsync())
        midnight = now.astimezone(ZoneInfo(self.config.zone)).replace(
            hour=0, minute=0, second=0, microsecond=0
        )
        fills = tuple(self._reports.fill(fill) for fill in ib.fills())
        reports = [self._reports.order_report(trade, with_terms=True) for trade in opened]
        self._reports.numbered = True
        found = Snapshot(
            open_orders=tuple(report for report in reports if report is not None),
            finished_orders=tuple(r for r in map(self._reports.order_report, finished) if r is not None),
            foreign_orders=tuple(
                f"{trade.contract.localSymbol} {trade.order.action} {trade.order.totalQuantity:g}"
                for trade in opened
                if self._reports.name_of(trade.order) is None
            ),
            fills=fills,
            positions=tuple(self._positions(positions)),
            covers_from_utc=midnight.astimezone(UTC),
            account_values=self._account_values(ib),
        )
        return Snapshot(**{**vars(found), "never_arrived": self._never_arrived(known, found, opened)})

    def _never_arrived(
        self, known: Sequence[KnownOrder], found: Snapshot, opened: Sequence[Any]
    ) -> frozenset[str]:
        """Orders of an earlier connection of which TWS has no trace, though it would tell, and whose number it has
        not used: at the start of this connection its next valid id was not beyond theirs."""
        traced = {report.client_order_id for report in (*found.open_orders, *found.finished_orders)}
        traced |= {fill.client_order_id for fill in found.fills if fill.client_order_id}
        traced |= {name for name in (self._reports.name_of(trade.order) for trade in opened) if name}
        return frozenset(
            order.order.client_order_id
            for order in known
            if order.order.client_order_id not in traced
            and order.permanent_id is None
            and order.sent_utc >= found.covers_from_utc
            and order.order.client_order_id not in self._sent_here
            and int(order.venue_order_id) >= self._line.first_number
        )

    def _positions(self, told: Sequence[Any]) -> list[Position]:
        account = self._line.account()
        return [
            Position(
                symbol=self._reports.symbol_of(position.contract),
                units=float(position.position),
                average_price=float(position.avgCost) / float(position.contract.multiplier or 1.0),
            )
            for position in told
            if position.account == account and position.position
        ]

    def _account_values(self, ib: Any) -> dict[str, float]:
        told = {value.tag: value for value in ib.accountValues(self._line.account()) if value.tag in _VALUES}
        return {
            tag: float(value.value)
            for tag, value in told.items()
            if value.currency in ("", self.config.currency)
        }

    # Inside

    def _contract(self, symbol: str) -> Any:
        contract = self._line.contract(symbol)
        self._reports.symbols[contract.conId] = symbol
        return contract
