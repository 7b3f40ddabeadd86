"""The life of orders: fills count once and always win, statuses never go back, and terms follow the venue."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.live.broker import TERMINAL, Fill, Order, OrderReport, client_order_id
from envs.live.orders import Orders

NOW = datetime(2024, 6, 3, 14, tzinfo=UTC)


def order(name="a", units=10.0, **terms):
    return Order(client_order_id=name, symbol="SPY", units=units, **terms)


def fill(number=1, units=4.0, revision=1, commission=None, name="a", price=100.0):
    return Fill(
        execution_id=f"x{number}",
        revision=revision,
        client_order_id=name,
        symbol="SPY",
        units=units,
        price=price,
        commission=commission,
        filled_utc=NOW,
    )


def report(status, filled=0.0, name="a", **more):
    return OrderReport(client_order_id=name, status=status, filled_units=filled, **more)


@pytest.fixture
def orders():
    """One order of ten units that was sent."""
    book = Orders()
    book.plan(order(), "1", NOW)
    book.move("a", "in_flight")
    return book


def test_an_order_is_filled_by_its_executions_and_not_by_a_status(orders):
    orders.on_report(report("filled", 10.0))
    assert orders["a"].status == "working"
    assert orders["a"].owed_units == 10.0
    assert orders.on_fill(fill(1, 4.0)) == "new"
    assert orders.on_fill(fill(2, 6.0)) == "new"
    assert orders["a"].status == "filled"
    assert orders.units() == {"SPY": 10.0}


def test_the_same_execution_counts_once_and_gains_its_commission_once(orders):
    assert orders.on_fill(fill()) == "new"
    assert orders.on_fill(fill()) == "duplicate"
    assert orders.on_fill(fill(commission=0.5)) == "commission"
    assert orders.on_fill(fill(commission=0.7)) == "duplicate"
    assert orders.fills()[0].commission == 0.5
    assert orders.units() == {"SPY": 4.0}


def test_a_correction_takes_the_place_of_what_it_corrects_in_whatever_order_they_come(orders):
    assert orders.on_fill(fill(revision=2, price=99.0)) == "new"
    assert orders.on_fill(fill(revision=1, price=100.0)) == "duplicate"
    assert orders.on_fill(fill(revision=3, units=3.0, price=98.0)) == "correction"
    assert [(f.units, f.price) for f in orders.fills()] == [(3.0, 98.0)]
    assert orders["a"].filled_units == 3.0


def test_a_fill_that_crossed_the_cancel_is_booked_on_the_cancelled_order(orders):
    orders.on_report(report("working"))
    orders.move("a", "cancelling")
    orders.on_report(report("cancelled"))
    assert orders.on_fill(fill(units=10.0)) == "new"
    assert orders["a"].status == "filled"


def test_what_was_asked_to_go_stays_so_whatever_an_older_report_says(orders):
    orders.on_report(report("working"))
    orders.move("a", "cancelling")
    orders.on_report(report("working"))
    assert orders["a"].status == "cancelling"


def test_an_order_that_was_given_up_comes_back_when_the_venue_tells_of_it(orders):
    orders.move("a", "lost", "no trace")
    assert orders.open() == ()
    orders.on_report(report("working"))
    assert [t.order.client_order_id for t in orders.open()] == ["a"]


def test_a_fill_without_an_order_of_ours_counts_in_the_position_and_in_no_order(orders):
    orders.on_fill(fill(7, units=-3.0, name=None))
    assert orders.units() == {"SPY": -3.0}
    assert orders["a"].filled_units == 0.0


def test_an_order_is_named_once(orders):
    with pytest.raises(ValueError, match="named once"):
        orders.plan(order(), "2", NOW)


def test_a_group_that_shrinks_an_order_changes_what_filling_it_means(orders):
    orders.on_report(report("working", units=6.0))
    assert orders["a"].order.units == 6.0
    orders.on_fill(fill(1, 6.0))
    assert orders["a"].status == "filled"


def test_a_shrunk_order_that_filled_unseen_ends_with_what_the_venue_says_has_filled(orders):
    orders.on_report(report("working"))
    orders.on_fill(fill(1, 6.0))
    assert orders["a"].status == "working"
    orders.on_report(report("filled", 6.0))
    assert orders["a"].status == "filled"


def test_old_terms_are_no_news_while_new_ones_are_on_their_way(orders):
    orders.amend(order(units=7.0))
    orders.on_report(report("working", units=10.0))
    assert orders["a"].order.units == 7.0
    orders.on_report(report("working", units=7.0))
    assert orders.amending() == ()
    orders.on_report(report("working", units=5.0))
    assert orders["a"].order.units == 5.0


EVENTS = st.one_of(
    st.builds(
        lambda number, units, revision, commission: fill(number, units, revision, commission),
        st.integers(1, 4),
        st.sampled_from([1.0, 2.0, 3.0]),
        st.integers(1, 3),
        st.sampled_from([None, 0.5]),
    ),
    st.builds(
        report, st.sampled_from(["working", "cancelling", "cancelled", "rejected", "filled"]), st.just(0.0)
    ),
)


@given(st.lists(EVENTS, max_size=25), st.randoms(use_true_random=False))
def test_units_depend_on_the_set_of_executions_and_not_on_their_order_or_repetition(events, random):
    # A revision of an execution is one fact: the same units whenever it is told.
    facts = {}
    events = [
        facts.setdefault((e.execution_id, e.revision, "fill"), e) if isinstance(e, Fill) else e
        for e in events
    ]
    shuffled = [*events, *[e for e in events if isinstance(e, Fill)]]
    random.shuffle(shuffled)
    results = []
    for told in (events, shuffled):
        book = Orders({"SPY": 1.0})
        book.plan(order(units=1000.0), "1", NOW)
        for event in told:
            book.on_fill(event) if isinstance(event, Fill) else book.on_report(event)
        latest = {}
        for e in (e for e in told if isinstance(e, Fill)):
            if e.execution_id not in latest or e.revision > latest[e.execution_id].revision:
                latest[e.execution_id] = e
        expected = 1.0 + sum(e.units for e in latest.values())
        assert book.units().get("SPY", 0.0) == pytest.approx(expected)
        assert book["a"].filled_units == pytest.approx(expected - 1.0)
        results.append(book.units())
    assert results[0] == results[1]


@given(st.lists(EVENTS, max_size=25))
def test_a_restart_in_between_changes_nothing(events):
    whole, orders, fills = Orders(), [], []
    whole.plan(order(), "1", NOW)
    for event in events:
        whole.on_fill(event) if isinstance(event, Fill) else whole.on_report(event)
        fills += [event] if isinstance(event, Fill) else []
    orders = [replace(t) for t in whole.all()]
    again = Orders()
    again.restore(orders, whole.fills())
    assert again.units() == whole.units()
    assert again["a"].status == whole["a"].status
    assert again["a"].filled_units == whole["a"].filled_units


@given(st.lists(EVENTS, max_size=25))
def test_an_order_that_is_filled_stays_filled(events):
    book = Orders()
    book.plan(order(units=1.0), "1", NOW)
    book.on_fill(fill(99, 1.0))
    for event in events:
        if isinstance(event, OrderReport):
            book.on_report(event)
        assert book["a"].status == "filled"
        assert book["a"].status in TERMINAL


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"units": 0.0}, "not 0"),
        ({"units": float("nan")}, "finite"),
        ({"kind": "limit"}, "needs limit_price"),
        ({"kind": "stop", "stop_price": 1.0, "limit_price": 1.0}, "takes no limit_price"),
        ({"name": "a b"}, "plain name"),
        ({"name": "x" * 65}, "64 characters"),
    ],
)
def test_orders_that_cannot_be_are_refused(terms, words):
    with pytest.raises(ValueError, match=words):
        order(**terms)


def test_the_same_decision_has_the_same_name_and_another_bar_another():
    assert client_order_id("run1", NOW, "BRK B", "entry") == "run1/20240603T140000/BRK_B/entry"
    with pytest.raises(ValueError, match="64 characters"):
        client_order_id("r" * 50, NOW, "SPY", "entry")
