"""Frames, fields and order layouts: what a client sends comes back to it, and what it cannot decode fails a test."""

import dataclasses

import ib_insync as ii
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tws.clients import clean_client_logs, event_loop, until
from tws.faults import Fault
from tws.wire import Reader, WireError, frame, split_frames, text

FIELD = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=8)


@given(st.lists(st.lists(FIELD, min_size=1), max_size=5), st.integers(0, 200))
def test_frames_come_out_as_they_went_in_however_they_are_cut(messages, cut):
    data = b"".join(frame(fields) for fields in messages)
    first, rest = split_frames(data[:cut])
    second, left = split_frames(rest + data[cut:])
    assert [*first, *second] == messages
    assert left == b""


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, ""),
        (True, "1"),
        (False, "0"),
        (100.0, "100"),
        (0.1, "0.1"),
        (1.7976931348623157e308, ""),
        ("x", "x"),
    ],
)
def test_fields_are_written_as_tws_writes_them(value, written):
    assert text(value) == written


def test_a_request_with_fields_left_over_or_missing_is_refused():
    reader = Reader(["1", "2"])
    reader.integer()
    with pytest.raises(WireError, match="1 fields were left over"):
        reader.finish()
    reader.skip(1)
    with pytest.raises(WireError, match="ends after 2"):
        reader.text()


SPECIAL = {
    "plain": {},
    "good till": {
        "tif": "GTD",
        "goodTillDate": "20240605 16:00:00 US/Eastern",
        "outsideRth": True,
        "hidden": True,
    },
    "group": {"ocaGroup": "exit 1", "ocaType": 2, "displaySize": 3, "allOrNone": True, "minQty": 2},
    "names": {
        "orderRef": "run|bar|SPY|entry",
        "account": "DU1234567",
        "triggerMethod": 2,
        "extOperator": "me",
    },
    "scale": {
        "scaleInitLevelSize": 2,
        "scaleSubsLevelSize": 1,
        "scalePriceIncrement": 0.05,
        "scaleAutoReset": True,
        "scaleProfitOffset": 0.25,
    },
    "hedge": {"hedgeType": "D", "hedgeParam": "0.5"},
    "percent": {"percentOffset": 0.02, "nbboPriceCap": 501.0, "cashQty": 100.0, "discretionaryAmt": 0.01},
}


@pytest.mark.parametrize("name", SPECIAL)
def test_an_open_order_comes_back_field_by_field(tws, ib_client, name):
    ib = ib_client()
    sent = ii.LimitOrder("BUY", 10, 490.25, **SPECIAL[name])
    trade = ib.placeOrder(ii.Stock("SPY", "SMART", "USD"), sent)
    until(ib, lambda: trade.orderStatus.status == "Submitted")
    ib.disconnect()
    ib.connect("127.0.0.1", tws.port, clientId=1)
    (back,) = ib.openTrades()
    given_fields = dataclasses.asdict(sent)
    # The operator of an order is written to TWS and never told back.
    ours = {k: v for k, v in given_fields.items() if k not in ("permId", "extOperator")}
    assert {k: v for k, v in dataclasses.asdict(back.order).items() if k in ours} == ours
    assert back.order.permId == trade.orderStatus.permId


def test_a_finished_order_comes_back_as_such(tws, ib_client):
    ib = ib_client()
    trade = ib.placeOrder(ii.Stock("SPY", "SMART", "USD"), ii.LimitOrder("BUY", 10, 490.25, orderRef="gone"))
    until(ib, lambda: trade.orderStatus.status == "Submitted")
    ib.cancelOrder(trade.order)
    until(ib, trade.isDone)
    ib.disconnect()
    ib.connect("127.0.0.1", tws.port, clientId=1)
    assert [(t.order.orderRef, t.orderStatus.status) for t in ib.trades()] == [("gone", "Cancelled")]


def test_a_message_that_the_client_cannot_decode_fails_the_test(tws):
    ib = ii.IB()
    with event_loop(), pytest.raises(AssertionError, match="Decoder"), clean_client_logs():
        ib.connect("127.0.0.1", tws.port, clientId=1)
        tws.do(lambda venue: venue.sessions[1].send((59, 1, "short")))
        until(ib, lambda: ib.reqCurrentTime())
        ib.disconnect()


def test_a_lost_answer_is_a_fault_of_its_own(tws, ib_client):
    ib = ib_client()
    tws.plan(Fault(do="drop", message="contractDetailsEnd"))
    with pytest.raises(TimeoutError):
        ii.util.run(ib.reqContractDetailsAsync(ii.Stock("SPY", "SMART", "USD")), timeout=0.05)
