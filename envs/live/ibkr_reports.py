"""What TWS tells of orders, fills and its line, put into the words of `envs.live.broker`.

The client library's own conclusions are left out: it takes any error on an order for its cancellation, says nothing of
executions whose order it does not know, and loses a commission that comes before its execution.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC
from typing import Any

from envs.live.broker import Fill, KnownOrder, LinkReport, OrderReport, OrderStatus, Report

_log = logging.getLogger(__name__)
_STATUS: dict[str, OrderStatus] = {
    "PreSubmitted": "working",
    "Submitted": "working",
    "PendingCancel": "cancelling",
    "Cancelled": "cancelled",
    "ApiCancelled": "cancelled",
    "Filled": "filled",
    # It was taken in and does not work now, but may (when the market opens, when shares can be borrowed).
    "Inactive": "working",
    # Sent, and not taken in by the exchange: held back for its bracket, or the line to IB is down.
    "PendingSubmit": "in_flight",
    "ApiPending": "in_flight",
}
_REFUSED = {110, 200, 201, 203, 321, 322, 325, 387, 388, 434, 460, 10_052, 10_243, 10_268, 10_289}
"""Codes after which an order that the venue had not taken in does not exist."""
_NO_OUTCOME = {202, 399, 404, 10_349}
"""Notices: the status that follows, or none, says what became of the order."""


class TwsReports:
    """Takes down what the client's events say, for one connection after the other.

    Attributes
    ----------
    queue : reports that have not been handed over. known : orders of ours by name. symbols : ours by IB's number.
    line_up : whether TWS has its line to IB. numbered : whether order ids are told from those of requests.
    """

    def __init__(self) -> None:
        self._foreign_costs: set[str] = set()
        self.queue: list[Report] = []
        self.known: dict[str, KnownOrder] = {}
        self.symbols: dict[int, str] = {}
        self.told: dict[str, bool] = {}
        self.line_up = self.numbered = False

    def begin(self) -> None:
        """A new connection: nothing of the last one is left in the client."""
        self.line_up, self.numbered, self.told = True, False, {}

    def learn(self, known: Sequence[KnownOrder]) -> None:
        """These are our orders; permanent ids that were told meanwhile are kept."""
        before, self.known = self.known, {order.order.client_order_id: order for order in known}
        for name, order in self.known.items():
            if order.permanent_id is None and name in before:
                self.known[name] = replace(order, permanent_id=before[name].permanent_id)

    def scan_fills(self, ib: Any) -> None:
        """Take down fills, and commissions that have become known: no event tells of all of them."""
        for fill in ib.fills():
            costs_known = bool(fill.commissionReport.execId)
            if self.told.get(fill.execution.execId) == costs_known:
                continue
            self.told[fill.execution.execId] = costs_known
            self.queue.append(self.fill(fill))

    def fill(self, fill: Any) -> Fill:
        """A fill of the client as one of ours; the last part of TWS's id counts its corrections."""
        execution, costs = fill.execution, fill.commissionReport
        beginning, _, revision = execution.execId.rpartition(".")
        commission = float(costs.commission) if costs.execId else None
        if commission is not None and costs.currency not in ("", fill.contract.currency):
            if beginning not in self._foreign_costs:
                _log.error(
                    "a commission in %s on a price in %s stays unknown",
                    costs.currency,
                    fill.contract.currency,
                )
            self._foreign_costs.add(beginning)
            commission = None
        return Fill(
            execution_id=beginning,
            revision=int(revision),
            client_order_id=self.name_of(execution),
            symbol=self.symbol_of(fill.contract),
            units=float(execution.shares) * (1.0 if execution.side == "BOT" else -1.0),
            price=float(execution.price),
            commission=commission,
            filled_utc=execution.time.astimezone(UTC),
        )

    def name_of(self, reported: Any) -> str | None:
        """Our name of what an order or execution of TWS belongs to; None where it is not ours.

        A person who copies an order in TWS copies its reference, and order ids begin anew when TWS is reset: what has
        another permanent id than we were told is another order.
        """
        known = self.known.get(reported.orderRef)
        permanent = str(reported.permId) if reported.permId else None
        if known is not None and permanent and known.permanent_id not in (None, permanent):
            return None
        if known is None and permanent:
            same = [name for name, other in self.known.items() if other.permanent_id == permanent]
            return same[0] if same else None
        return reported.orderRef if known is not None else None

    def _remember_permanent(self, name: str, perm_id: int) -> None:
        known = self.known[name]
        if perm_id and known.permanent_id is None:
            self.known[name] = replace(known, permanent_id=str(perm_id))

    def on_status(self, trade: Any) -> None:
        """The client has a status or the terms of an order."""
        # A status that the library made of an error is no report of the venue.
        if trade.log and trade.log[-1].errorCode:
            return
        report = self.order_report(trade, with_terms=True)
        if report is not None:
            self.queue.append(report)

    def order_report(self, trade: Any, with_terms: bool = False) -> OrderReport | None:
        """What TWS says of an order of ours; None where it is not ours, or nothing is said.

        with_terms : of an order that is open; TWS clears the size of finished ones.
        """
        name, status = self.name_of(trade.order), trade.orderStatus
        if name is None or status.status not in _STATUS:
            return None
        perm_id = trade.order.permId or status.permId
        self._remember_permanent(name, perm_id)
        filled = float(status.filled)
        if trade.order.filledQuantity < 1e300:
            filled = max(filled, float(trade.order.filledQuantity))
        inactive, order = status.status == "Inactive", trade.order
        units = float(order.totalQuantity) * (1.0 if order.action == "BUY" else -1.0)
        return OrderReport(
            client_order_id=name,
            status=_STATUS[status.status],
            filled_units=filled,
            permanent_id=str(perm_id) if perm_id else None,
            reason="the venue has it, but it does not work now" if inactive else "",
            units=units if with_terms else None,
            limit_price=float(order.lmtPrice)
            if "LMT" in order.orderType and order.lmtPrice < 1e300
            else None,
            stop_price=float(order.auxPrice) if "STP" in order.orderType and order.auxPrice < 1e300 else None,
        )

    def on_error(self, req_id: int, code: int, text: str, *_: Any) -> None:
        """TWS says what went wrong, or what became of its line to IB."""
        if code == 1100:
            self.line_up = False
            self.queue.append(LinkReport(up=False, reason="TWS has lost its line to IB (1100)"))
        elif code in (1101, 1102):
            self.line_up = True
            self.queue.append(LinkReport(up=True, reason=f"TWS has its line to IB back ({code})"))
        if not self.numbered:
            # Requests may have numbers of orders then.
            return
        names = [name for name, known in self.known.items() if known.venue_order_id == str(req_id)]
        if not names or code in _NO_OUTCOME or 2100 <= code < 2200:
            return
        known = self.known[names[-1]]
        if code in _REFUSED and known.permanent_id is None:
            self.queue.append(
                OrderReport(
                    client_order_id=names[-1], status="rejected", filled_units=0.0, reason=f"{code}: {text}"
                )
            )
        else:
            # A change or a cancel that was refused, or a code that is not known here: a snapshot tells.
            self.queue.append(LinkReport(up=True, reason=f"{names[-1]}: TWS said {code}: {text}"))

    def on_disconnected(self) -> None:
        """The socket has closed."""
        self.numbered = False
        self.queue.append(LinkReport(up=False, reason="the connection to TWS broke"))

    def symbol_of(self, contract: Any) -> str:
        """Our symbol of a contract; of one that we do not trade IB's, with its number."""
        return self.symbols.get(contract.conId, f"{contract.localSymbol or contract.symbol}#{contract.conId}")
