"""Messages about orders, fills, positions and the account, as tuples of fields."""

from __future__ import annotations

from collections.abc import Mapping
from zoneinfo import ZoneInfo

from tws.account import Account, Holding
from tws.book import Execution, VenueOrder
from tws.order_wire import completed_order, open_order
from tws.wire import UNSET_DOUBLE

Fields = tuple[object, ...] | list[object]


def error(req_id: int, code: int, words: str) -> Fields:
    """An error or a notice; the sixth field is needed from version 166 on."""
    return (4, 2, req_id, code, words, "")


def order_reports(order: VenueOrder) -> list[Fields]:
    """`openOrder` and `orderStatus`, which TWS sends together."""
    opened = open_order(order.order_id, order.listing.contract(right="?"), order_fields(order), order.status)
    return [opened, order_status(order)]


def order_fields(order: VenueOrder) -> dict[str, object]:
    """What the client sent, with what the venue added."""
    known = {"clientId": order.client_id, "permId": order.perm_id, "totalQuantity": order.quantity}
    return {**order.fields, **known, "whatIf": ""}


def order_status(order: VenueOrder) -> Fields:
    """The twelve fields of an order's status."""
    held = "child" if order.status == "PreSubmitted" and order.parent_id else ""
    return (
        3,
        order.order_id,
        order.status,
        order.filled,
        order.remaining,
        order.average_price,
        order.perm_id,
        order.parent_id,
        order.last_price,
        order.client_id,
        held,
        0.0,
    )


def finished_order(order: VenueOrder) -> Fields:
    """An order of the day that is done."""
    ended = f"{order.ended_utc:%Y%m%d %H:%M:%S} UTC" if order.ended_utc else ""
    words = f"Filled Size: {order.filled}" if order.status == "Filled" else "Cancelled by Trader"
    return completed_order(
        order.listing.contract(), order_fields(order), order.status, order.filled, (ended, words)
    )


def execution_details(req_id: int, execution: Execution, account: str) -> Fields:
    """The 31 fields of a fill; req_id -1 where it was not asked for."""
    order, listing = execution.order, execution.order.listing
    when = f"{execution.at_utc.astimezone(ZoneInfo(listing.zone)):%Y%m%d %H:%M:%S} {listing.zone}"
    return (
        11,
        req_id,
        order.order_id,
        *listing.contract(listing.primary_exchange),
        execution.exec_id,
        when,
        account,
        listing.primary_exchange or listing.exchange,
        "BOT" if order.side > 0 else "SLD",
        execution.shares,
        execution.price,
        order.perm_id,
        order.client_id,
        0,
        execution.cumulative,
        execution.average_price,
        order.ref,
        "",
        "",
        "",
        2,
    )


def commission_report(execution: Execution) -> Fields:
    """What a fill cost. What was realised is unset where the fill closed nothing."""
    realised = repr(UNSET_DOUBLE) if execution.realised is None else execution.realised
    return (
        59,
        1,
        execution.exec_id,
        execution.commission,
        execution.order.listing.currency,
        realised,
        "",
        "",
    )


def position(account: str, held: Holding) -> Fields:
    """A position; 0 units where it is closed."""
    return (61, 3, account, *held.listing.contract(), held.units, held.average_cost)


def portfolio(account: str, held: Holding, price: float) -> Fields:
    """A line of the portfolio window."""
    point = held.listing.point
    value, gain = held.units * price * point, held.units * (price - held.price) * point
    contract = held.listing.portfolio_contract()
    return (7, 8, *contract, held.units, price, value, held.average_cost, gain, held.realised, account)


def account_download(account: Account, prices: Mapping[int, float], clock: str) -> list[Fields]:
    """Everything that a subscription to the account sends at its start."""
    messages: list[Fields] = [
        (6, 2, tag, value, currency, account.name) for tag, value, currency in account.values(prices)
    ]
    messages += [
        portfolio(account.name, held, prices.get(con_id, held.price))
        for con_id, held in account.holdings.items()
        if held.units
    ]
    return [*messages, (8, 1, clock), (54, 1, account.name)]
