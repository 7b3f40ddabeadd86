"""The double's orders, seen through the real client: every kind fills, rests, is refused or cancelled as at TWS."""

from collections import deque

import ib_insync as ii
import pytest
from tws.book import Rejection
from tws.clients import until
from tws.faults import Fault
from tws.listings import ES_JUNE, SPY


@pytest.fixture
def spy(tws, ib_client):
    """The client, the contract of SPY, and a quote of 500.00 to 500.02."""
    ib = ib_client()
    (contract,) = ib.qualifyContracts(ii.Stock("SPY", "SMART", "USD"))
    tws.do(lambda venue: venue.quote(SPY, 500.00, 500.02))
    return ib, contract


def reported(trade):
    return [(fill.execution.shares, fill.execution.price) for fill in trade.fills]


def costs_known(trade):
    return trade.isDone() and all(fill.commissionReport.execId for fill in trade.fills)


def test_a_market_order_fills_at_the_far_side_and_its_commission_is_reported(tws, spy):
    ib, contract = spy
    trade = ib.placeOrder(contract, ii.MarketOrder("BUY", 100, orderRef="one"))
    until(ib, lambda: costs_known(trade))
    assert reported(trade) == [(100, 500.02)]
    # 100 shares at 0.01 each; what opened a position has realised nothing.
    assert trade.fills[0].commissionReport.commission == 1.0
    assert trade.fills[0].commissionReport.realizedPNL == 0.0
    assert trade.fills[0].execution.orderRef == "one"
    (position,) = ib.positions()
    assert (position.position, position.avgCost) == (100, 500.02)


def test_a_limit_order_rests_and_fills_at_its_price_when_the_market_comes_to_it(tws, spy):
    ib, contract = spy
    trade = ib.placeOrder(contract, ii.LimitOrder("BUY", 10, 499.5))
    until(ib, lambda: trade.orderStatus.status == "Submitted")
    tws.do(lambda venue: venue.quote(SPY, 499.20, 499.25))
    until(ib, lambda: costs_known(trade))
    assert reported(trade) == [(10, 499.5)]


def test_a_stop_order_waits_for_a_trade_at_its_price_and_then_fills_at_the_market(tws, spy):
    ib, contract = spy
    trade = ib.placeOrder(contract, ii.StopOrder("SELL", 10, 499.0))
    until(ib, lambda: trade.orderStatus.status == "PreSubmitted")
    tws.do(lambda venue: venue.quote(SPY, 499.0, 499.1))  # last trade 499.05
    assert not trade.fills
    tws.do(lambda venue: venue.quote(SPY, 498.9, 499.0, last=498.95))
    until(ib, lambda: costs_known(trade))
    assert reported(trade) == [(10, 498.9)]


def test_partial_fills_add_up_and_each_has_an_execution_id_of_its_own(tws, spy):
    ib, contract = spy
    tws.do(lambda venue: venue.book.fill_sizes.update({SPY.con_id: deque([3.0, 5.0])}))
    trade = ib.placeOrder(contract, ii.MarketOrder("BUY", 10))
    until(ib, lambda: trade.fills)
    assert (trade.orderStatus.filled, trade.orderStatus.remaining) in ((0, 10), (3, 7))
    for _ in range(2):
        tws.do(lambda venue: venue.quote(SPY, 500.00, 500.02))
    until(ib, lambda: costs_known(trade))
    assert [shares for shares, _ in reported(trade)] == [3, 5, 2]
    assert len({fill.execution.execId for fill in trade.fills}) == 3
    assert tws.do(lambda venue: venue.units_from_fills(SPY)) == 10


def test_the_exits_of_a_bracket_wait_for_the_entry_and_one_cancels_the_other(tws, spy):
    ib, contract = spy
    entry, target, stop = [
        ib.placeOrder(contract, order) for order in ib.bracketOrder("BUY", 10, 499.0, 505.0, 495.0)
    ]
    until(ib, lambda: stop.orderStatus.status == target.orderStatus.status == "PreSubmitted")
    # A trade beyond the target does nothing before the entry has filled.
    tws.do(lambda venue: venue.quote(SPY, 506.00, 506.02))
    tws.do(lambda venue: venue.quote(SPY, 498.98, 499.00))
    until(ib, lambda: costs_known(entry))
    assert not target.fills
    tws.do(lambda venue: venue.quote(SPY, 505.00, 505.02))
    until(ib, lambda: costs_known(target) and stop.isDone())
    assert reported(target) == [(10, 505.0)]
    assert stop.orderStatus.status == "Cancelled"
    assert tws.do(lambda venue: venue.account.units(SPY)) == 0


def test_a_bracket_is_not_at_the_exchange_before_its_last_order_is_sent(tws, spy):
    ib, contract = spy
    entry, target, _ = ib.bracketOrder("BUY", 10, 501.0, 505.0, 495.0)
    trades = [ib.placeOrder(contract, order) for order in (entry, target)]
    ib.sleep(0.02)
    assert not any(trade.fills for trade in trades)
    assert tws.do(lambda venue: venue.account.units(SPY)) == 0


def test_one_order_of_a_group_cancels_the_others_and_a_partial_fill_shrinks_them(tws, spy):
    ib, contract = spy
    orders = [ii.LimitOrder("SELL", 10, 501.0), ii.StopOrder("SELL", 10, 498.0)]
    ib.oneCancelsAll(orders, "exit", 2)
    limit, stop = [ib.placeOrder(contract, order) for order in orders]
    until(ib, lambda: stop.orderStatus.status == "PreSubmitted")
    tws.do(lambda venue: venue.book.fill_sizes.update({SPY.con_id: deque([4.0])}))
    tws.do(lambda venue: venue.quote(SPY, 501.00, 501.02))
    until(ib, lambda: stop.order.totalQuantity == 6)
    tws.do(lambda venue: venue.quote(SPY, 501.00, 501.02))
    until(ib, lambda: costs_known(limit) and stop.isDone())
    assert stop.orderStatus.status == "Cancelled"


def test_what_if_answers_margin_and_commission_and_places_nothing(tws, spy):
    ib, contract = spy
    state = ib.whatIfOrder(contract, ii.MarketOrder("BUY", 100))
    # Half of 100 shares at the middle of 500.01.
    assert float(state.initMarginChange) == 25_000.5
    assert state.commission == 1.0
    assert tws.do(lambda venue: venue.open_orders()) == []


def test_an_order_that_is_refused_never_existed(tws, spy):
    ib, contract = spy
    tws.do(lambda venue: venue.book.rejections.append(Rejection(order_ref="no")))
    seen = []
    ib.errorEvent += lambda req_id, code, text, _: seen.append((code, text))
    trade = ib.placeOrder(contract, ii.MarketOrder("BUY", 100, orderRef="no"))
    until(ib, trade.isDone)
    assert trade.orderStatus.status == "Cancelled"
    assert any(code == 201 for code, _ in seen)
    assert tws.do(lambda venue: venue.book.orders) == {}


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (ii.LimitOrder("BUY", 1, 499.005), 110),  # the tick is 0.01
        (ii.Order(action="BUY", totalQuantity=1, orderType="TRAIL", auxPrice=1.0), 387),
    ],
)
def test_prices_off_the_tick_and_unknown_kinds_are_refused(spy, order, code):
    ib, contract = spy
    seen = []
    ib.errorEvent += lambda req_id, code, text, _: seen.append(code)
    ib.placeOrder(contract, order)
    until(ib, lambda: code in seen)


def test_a_cancel_that_crosses_a_fill_comes_too_late(tws, spy):
    ib, contract = spy
    trade = ib.placeOrder(contract, ii.LimitOrder("BUY", 10, 499.5))
    until(ib, lambda: trade.orderStatus.status == "Submitted")
    tws.do(lambda venue: setattr(venue, "cancels_wait", True))
    ib.cancelOrder(trade.order)
    until(ib, lambda: tws.messages("cancelOrder"))
    tws.do(lambda venue: (venue.quote(SPY, 499.4, 499.5), venue.clock.advance(2)))
    until(ib, lambda: costs_known(trade))
    assert trade.orderStatus.status == "Filled"


def test_a_cancelled_order_is_reported_and_a_second_cancel_is_refused(tws, spy):
    ib, contract = spy
    seen = []
    ib.errorEvent += lambda req_id, code, text, _: seen.append(code)
    trade = ib.placeOrder(contract, ii.LimitOrder("BUY", 10, 499.5))
    until(ib, lambda: trade.orderStatus.status == "Submitted")
    ib.cancelOrder(trade.order)
    until(ib, lambda: trade.orderStatus.status == "Cancelled")
    ib.client.cancelOrder(trade.order.orderId)
    until(ib, lambda: 10148 in seen)
    ib.client.cancelOrder(4711)
    until(ib, lambda: 10147 in seen)


def test_an_order_is_replaced_under_its_number_and_never_below_what_has_filled(tws, spy):
    ib, contract = spy
    trade = ib.placeOrder(contract, ii.LimitOrder("BUY", 10, 499.5))
    until(ib, lambda: trade.orderStatus.status == "Submitted")
    trade.order.lmtPrice = 500.02
    ib.placeOrder(contract, trade.order)
    until(ib, lambda: costs_known(trade))
    # It rested, so it fills at its own new limit.
    assert reported(trade) == [(10, 500.02)]
    assert len(tws.do(lambda venue: venue.book.orders)) == 1


def test_a_number_that_was_used_places_no_second_order(tws, spy):
    ib, contract = spy
    seen = []
    ib.errorEvent += lambda req_id, code, text, _: seen.append(code)
    trade = ib.placeOrder(contract, ii.MarketOrder("BUY", 10))
    until(ib, lambda: costs_known(trade))
    again = ii.MarketOrder("BUY", 10)
    ib.client.placeOrder(trade.order.orderId, contract, again)
    until(ib, lambda: 104 in seen)
    assert tws.do(lambda venue: venue.account.units(SPY)) == 10


def test_a_commission_that_comes_before_its_execution_is_lost_to_the_client_until_it_asks(tws, spy):
    ib, contract = spy
    tws.do(lambda venue: setattr(venue, "commission_first", True))
    trade = ib.placeOrder(contract, ii.MarketOrder("BUY", 10))
    until(ib, lambda: trade.isDone() and trade.fills)
    assert trade.fills[0].commissionReport.execId == ""
    ib.reqExecutions()
    until(ib, lambda: costs_known(trade))


def test_a_correction_has_the_same_beginning_and_the_next_number(tws, spy):
    ib, contract = spy
    trade = ib.placeOrder(contract, ii.MarketOrder("BUY", 10))
    until(ib, lambda: costs_known(trade))
    tws.do(lambda venue: venue.book.correct(venue.book.executions[0], 499.99))
    until(ib, lambda: len(ib.fills()) == 2)
    first, second = sorted(fill.execution.execId for fill in ib.fills())
    assert first.rsplit(".", 1)[0] == second.rsplit(".", 1)[0]
    assert second.endswith(".02")
    assert (
        tws.do(lambda venue: venue.units_from_fills(SPY))
        == tws.do(lambda venue: venue.account.units(SPY))
        == 10
    )


def test_fills_of_a_future_move_cash_by_gains_alone(tws, spy):
    ib, _ = spy
    (future,) = ib.qualifyContracts(ii.Future("ES", "202406", "CME"))
    before = tws.do(lambda venue: venue.account.cash)
    for side, bid in (("BUY", 5300.0), ("SELL", 5310.0)):
        tws.do(lambda venue, bid=bid: venue.quote(ES_JUNE, bid, bid + 0.25))
        trade = ib.placeOrder(future, ii.MarketOrder(side, 2))
        until(ib, lambda trade=trade: costs_known(trade))
    # Bought at 5300.25, sold at 5310.00: 9.75 points x 50 x 2, less 4 x 0.01.
    assert tws.do(lambda venue: venue.account.cash) - before == pytest.approx(975.0 - 0.04)


def test_a_duplicate_execution_reaches_the_client_twice_and_is_one_fill(tws, spy):
    ib, contract = spy
    tws.plan(Fault(do="duplicate", message="execDetails"))
    trade = ib.placeOrder(contract, ii.MarketOrder("BUY", 10))
    until(ib, lambda: costs_known(trade))
    assert reported(trade) == [(10, 500.02)]
    assert tws.faults.pending == 0
