"""The double's connections: synchronising, outages, restarts, and faults at chosen messages."""

import asyncio

import ib_insync as ii
import pytest
from tws.clients import until
from tws.faults import Fault
from tws.listings import SPY


def contract_of_spy(ib):
    return ib.qualifyContracts(ii.Stock("SPY", "SMART", "USD"))[0]


def test_a_client_that_comes_back_finds_its_orders_fills_and_positions(tws, ib_client):
    ib = ib_client()
    spy = contract_of_spy(ib)
    tws.do(lambda venue: venue.quote(SPY, 500.0, 500.02))
    done = ib.placeOrder(spy, ii.MarketOrder("BUY", 10, orderRef="done"))
    open_ = ib.placeOrder(spy, ii.LimitOrder("BUY", 10, 490.0, orderRef="open"))
    until(ib, lambda: done.isDone() and open_.orderStatus.status == "Submitted")
    number, permanent = open_.order.orderId, open_.orderStatus.permId
    ib.disconnect()
    ib.connect("127.0.0.1", tws.port, clientId=1)
    (found,) = ib.openTrades()
    assert (found.order.orderId, found.order.permId, found.order.orderRef) == (number, permanent, "open")
    (fill,) = ib.fills()
    assert (fill.execution.orderRef, fill.commissionReport.commission) == ("done", 0.1)
    assert [p.position for p in ib.positions()] == [10]
    assert ib.client.getReqId() > number


def test_a_number_in_use_is_refused(tws, ib_client):
    ib_client(client_id=7)
    with pytest.raises((ConnectionError, asyncio.TimeoutError)):
        ib_client(client_id=7, timeout=0.3)


def test_orders_live_through_a_restart_and_fill_while_nobody_is_there(tws, ib_client):
    ib = ib_client()
    order = ib.placeOrder(contract_of_spy(ib), ii.LimitOrder("BUY", 10, 490.0, orderRef="open"))
    until(ib, lambda: order.orderStatus.status == "Submitted")
    tws.restart()
    until(ib, lambda: not ib.isConnected())
    tws.do(lambda venue: venue.quote(SPY, 489.9, 490.0))
    ib.connect("127.0.0.1", tws.port, clientId=1)
    (fill,) = ib.fills()
    assert (fill.execution.orderRef, fill.execution.shares) == ("open", 10)


def test_a_new_day_knows_nothing_of_yesterdays_executions(tws, ib_client):
    ib = ib_client()
    tws.do(lambda venue: venue.quote(SPY, 500.0, 500.02))
    trade = ib.placeOrder(contract_of_spy(ib), ii.MarketOrder("BUY", 10))
    until(ib, trade.isDone)
    codes = []
    ib.errorEvent += lambda _, code, *__: codes.append(code)
    tws.do(lambda venue: venue.clock.advance(14 * 3600))
    tws.nightly_reset()
    until(ib, lambda: not ib.isConnected())
    assert 1100 in codes
    with pytest.raises(OSError):
        ib.connect("127.0.0.1", tws.port, clientId=1)
    tws.come_up()
    ib.connect("127.0.0.1", tws.port, clientId=1)
    assert ib.fills() == []
    assert [p.position for p in ib.positions()] == [10]


@pytest.mark.parametrize(("data_lost", "code"), [(True, 1101), (False, 1102)])
def test_fills_during_an_outage_are_told_when_it_ends(tws, ib_client, data_lost, code):
    ib = ib_client()
    codes = []
    ib.errorEvent += lambda _, found, *__: codes.append(found)
    trade = ib.placeOrder(contract_of_spy(ib), ii.LimitOrder("BUY", 10, 490.0))
    until(ib, lambda: trade.orderStatus.status == "Submitted")
    tws.do(lambda venue: venue.lose_connectivity())
    tws.do(lambda venue: venue.quote(SPY, 489.9, 490.0))
    until(ib, lambda: 1100 in codes)
    assert not trade.fills
    tws.restore_connectivity(data_lost=data_lost)
    until(ib, lambda: code in codes and trade.isDone())
    assert len(trade.fills) == 1


def test_an_order_sent_during_an_outage_goes_out_once_when_it_ends(tws, ib_client):
    ib = ib_client()
    spy = contract_of_spy(ib)
    tws.do(lambda venue: venue.quote(SPY, 500.0, 500.02))
    tws.do(lambda venue: venue.lose_connectivity())
    trade = ib.placeOrder(spy, ii.MarketOrder("BUY", 10))
    until(ib, lambda: tws.messages("placeOrder"))
    assert tws.do(lambda venue: venue.account.units(SPY)) == 0
    tws.restore_connectivity(data_lost=False)
    until(ib, trade.isDone)
    assert tws.do(lambda venue: venue.account.units(SPY)) == 10


@pytest.mark.parametrize("do", ["cut_before", "cut_after"])
def test_a_cut_at_an_order_decides_whether_it_exists(tws, ib_client, do):
    ib = ib_client()
    spy = contract_of_spy(ib)
    tws.do(lambda venue: venue.quote(SPY, 500.0, 500.02))
    tws.plan(Fault(do=do, message="placeOrder", direction="in"))
    ib.placeOrder(spy, ii.MarketOrder("BUY", 10))
    until(ib, lambda: not ib.isConnected())
    assert tws.do(lambda venue: venue.account.units(SPY)) == (10 if do == "cut_after" else 0)


def test_half_a_message_is_no_message(tws, ib_client):
    ib = ib_client()
    spy = contract_of_spy(ib)
    tws.do(lambda venue: venue.quote(SPY, 500.0, 500.02))
    tws.plan(Fault(do="cut_half", message="execDetails"))
    fills = []
    ib.execDetailsEvent += lambda trade, fill: fills.append(fill)
    ib.placeOrder(spy, ii.MarketOrder("BUY", 10))
    until(ib, lambda: not ib.isConnected())
    assert fills == []
    assert tws.do(lambda venue: venue.account.units(SPY)) == 10


def test_a_held_execution_comes_late(tws, ib_client):
    ib = ib_client()
    spy = contract_of_spy(ib)
    tws.do(lambda venue: venue.quote(SPY, 500.0, 500.02))
    tws.plan(Fault(do="hold", message="execDetails"))
    trade = ib.placeOrder(spy, ii.MarketOrder("BUY", 10))
    until(ib, trade.isDone)
    assert not trade.fills
    tws.release()
    until(ib, lambda: trade.fills)


def test_numbers_that_begin_anew_name_other_orders_under_other_permanent_ids(tws, ib_client):
    ib = ib_client()
    spy = contract_of_spy(ib)
    tws.do(lambda venue: venue.quote(SPY, 500.0, 500.02))
    first = ib.placeOrder(spy, ii.MarketOrder("BUY", 10, orderId=5))
    until(ib, first.isDone)
    tws.do(lambda venue: venue.reset_order_ids())
    tws.restart()
    until(ib, lambda: not ib.isConnected())
    ib.connect("127.0.0.1", tws.port, clientId=1)
    second = ib.placeOrder(spy, ii.MarketOrder("SELL", 4, orderId=5))
    until(ib, lambda: second.orderStatus.permId)
    orders = tws.do(lambda venue: list(venue.book.orders.values()))
    assert [order.order_id for order in orders] == [5, 5]
    assert len({order.perm_id for order in orders}) == 2


def test_a_person_s_order_reaches_client_0_with_no_number(tws, ib_client):
    ib = ib_client(client_id=0)
    tws.do(lambda venue: venue.quote(SPY, 500.0, 500.02))
    tws.do(lambda venue: venue.manual_order(SPY, "BUY", 3))
    until(ib, lambda: ib.fills())
    assert ib.fills()[0].execution.orderId == 0
    assert [p.position for p in ib.positions()] == [3]


def test_a_message_that_the_double_does_not_know_is_a_problem_and_not_an_answer(ib_client, tws):
    ib = ib_client()
    ib.client.reqScannerParameters()
    until(ib, lambda: not ib.isConnected())
    problems, tws.problems = tws.problems, []
    assert "24" in problems[0]


def test_the_log_keeps_every_message_in_order(tws, ib_client):
    ib_client()
    names = [message.name for message in tws.messages()]
    assert names[:2] == ["handshake", "startApi"]
    assert [message.number for message in tws.messages()] == list(range(len(names)))
    assert {"managedAccounts", "nextValidId", "positionEnd", "execDetailsEnd"} <= set(names)
