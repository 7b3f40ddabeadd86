"""The desk with the adapter for Interactive Brokers: outages, refusals, other people's trades, nights, differences."""

import logging
import time
from datetime import UTC, datetime, timedelta

import pytest
from tws.book import Rejection
from tws.faults import Fault
from tws.listings import AAPL, ES_JUNE, SPY
from tws_venue import adapter, quick_rules

from envs.live.broker import Broker, BrokerError, BrokerUnavailable, Order
from envs.live.desk import OrderDesk
from envs.live.journal import Journal


class Loop:
    """A desk, its journal and its broker, on the venue's clock plus what a test moves it by."""

    def __init__(self, tws, path, **rules):
        self.tws, self.path, self.rules = tws, path, quick_rules(**rules)
        self.night = timedelta(0)
        self.start()

    def start(self, **changes):
        self.journal, self.broker = Journal(self.path, "trial"), adapter(self.tws, **changes)
        self.desk = OrderDesk(self.broker, self.journal, self.rules, self.now)

    def now(self):
        # Real time runs on from Monday 10:00 in New York, which is what the double's clock says.
        return datetime(2024, 6, 3, 14, tzinfo=UTC) + self.night + timedelta(seconds=time.monotonic() % 3600)

    def stop(self):
        self.broker.close()
        self.journal.close()

    def until(self, so, timeout_s=5.0):
        end = time.monotonic() + timeout_s
        while not so():
            assert time.monotonic() < end, self.desk.trouble or list(self.desk.orders.all())
            self.desk.advance(0.002)

    def reconnect(self, act):
        """Do something that breaks the connection, and wait until the desk is back."""
        before = len(self.tws.messages("startApi"))
        act()
        self.until(lambda: len(self.tws.messages("startApi")) > before and self.desk.is_ready)

    def ready(self):
        self.until(lambda: self.desk.is_ready)

    def send(self, name, units, **terms):
        self.ready()
        (tracked,) = self.desk.submit([Order(client_order_id=name, symbol="SPY", units=units, **terms)])
        return tracked

    def status(self, name):
        return self.desk.orders[name].status

    def costs_known(self):
        return all(fill.commission is not None for fill in self.desk.orders.fills())

    def filled(self, name):
        self.until(lambda: self.status(name) == "filled" and self.costs_known())


@pytest.fixture
def loop(tws, tmp_path, client_logs):
    """A desk that is not opened yet; SPY stands at 100.00 to 100.02."""
    tws.do(lambda venue: venue.quote(SPY, 100.00, 100.02))
    made = Loop(tws, tmp_path / "journal")
    yield made
    made.stop()


def held(tws, listing=SPY):
    return tws.do(lambda venue: venue.account.units(listing))


def test_it_is_a_broker(tws):
    assert isinstance(adapter(tws), Broker)


def test_nothing_is_sent_before_the_venue_was_looked_at(loop, tws):
    with pytest.raises(BrokerUnavailable, match="has not been opened"):
        loop.desk.submit([Order(client_order_id="a", symbol="SPY", units=1.0)])
    assert loop.journal.orders() == []
    assert not tws.messages("placeOrder")


def test_a_decision_that_is_made_twice_is_one_order(loop, tws):
    loop.send("a", 5.0)
    loop.send("a", 5.0)
    loop.filled("a")
    assert held(tws) == 5.0
    assert len(tws.messages("placeOrder")) == 1


def test_units_price_and_commission_are_those_of_the_venue(loop, tws):
    loop.send("a", -5.0)
    loop.filled("a")
    (fill,) = loop.desk.orders.fills()
    assert (fill.units, fill.price, fill.commission) == (-5.0, 100.0, 0.05)
    assert fill.filled_utc == tws.do(lambda venue: venue.clock.now)
    assert loop.desk.orders.units() == {"SPY": -5.0}


@pytest.mark.parametrize(
    ("data_lost", "deliver"), [(True, True), (True, False), (False, True), (False, False)]
)
def test_an_outage_in_mid_fill_loses_nothing(loop, tws, data_lost, deliver):
    loop.send("a", 10.0, kind="limit", limit_price=99.0)
    loop.until(lambda: loop.status("a") == "working")
    tws.do(lambda venue: venue.lose_connectivity())
    loop.until(lambda: not loop.desk.is_ready)
    assert "1100" in loop.desk.trouble
    with pytest.raises(BrokerUnavailable):
        loop.desk.submit([Order(client_order_id="b", symbol="SPY", units=1.0)])
    tws.do(lambda venue: venue.quote(SPY, 98.9, 99.0))
    tws.restore_connectivity(data_lost=data_lost, deliver=deliver)
    loop.filled("a")
    loop.ready()
    assert loop.desk.orders.units() == {"SPY": 10.0}


def test_an_order_on_its_way_when_the_line_breaks_stays_in_flight_and_goes_out_once(loop, tws):
    loop.ready()
    tws.do(lambda venue: venue.lose_connectivity())
    loop.desk.submit([Order(client_order_id="a", symbol="SPY", units=2.0)])
    loop.until(lambda: not loop.desk.is_ready)
    assert loop.status("a") == "in_flight"
    tws.restore_connectivity(data_lost=False)
    loop.filled("a")
    assert held(tws) == 2.0


def test_a_refused_order_is_rejected_with_the_venues_words(loop, tws):
    tws.do(lambda venue: venue.book.rejections.append(Rejection(order_ref="a")))
    loop.send("a", 1.0)
    loop.until(lambda: loop.status("a") == "rejected")
    assert "margin requirement" in loop.desk.orders["a"].reason
    assert loop.desk.orders.open() == ()


def test_a_price_off_the_tick_is_a_refusal_though_the_library_takes_it_for_a_warning(loop):
    loop.send("a", 1.0, kind="limit", limit_price=99.005)
    loop.until(lambda: loop.status("a") == "rejected")


def test_a_cancel_that_comes_too_late_leaves_the_order_filled(loop, tws):
    loop.send("a", 1.0, kind="limit", limit_price=99.0)
    loop.until(lambda: loop.status("a") == "working")
    tws.do(lambda venue: setattr(venue, "cancels_wait", True))
    loop.desk.cancel("a")
    loop.until(lambda: tws.messages("cancelOrder"))
    tws.do(lambda venue: (venue.quote(SPY, 98.9, 99.0), venue.clock.advance(2.0)))
    loop.filled("a")
    assert not loop.desk.cancel("a")


def test_a_change_that_the_venue_refuses_leaves_the_terms_that_it_has(loop):
    loop.send("a", 1.0, kind="limit", limit_price=99.0)
    loop.until(lambda: loop.status("a") == "working")
    loop.desk.replace(Order(client_order_id="a", symbol="SPY", units=1.0, kind="limit", limit_price=98.005))
    loop.until(lambda: loop.desk.is_ready and loop.desk.orders["a"].order.limit_price == 99.0)
    assert loop.status("a") == "working"


@pytest.mark.parametrize("do", ["duplicate", "hold", "drop"])
def test_executions_that_come_twice_late_or_never_are_booked_once(loop, tws, do):
    loop.ready()
    tws.plan(Fault(do=do, message="execDetails"))
    loop.send("a", 3.0)
    loop.filled("a")
    if do == "hold":
        tws.release()
        for _ in range(5):
            loop.desk.advance(0.002)
    assert [fill.units for fill in loop.desk.orders.fills()] == [3.0]


def test_a_commission_that_came_first_is_asked_for_again(loop, tws):
    tws.do(lambda venue: setattr(venue, "commission_first", True))
    loop.send("a", 3.0)
    loop.filled("a")
    assert loop.desk.orders.fills()[0].commission == 0.03


def test_a_commission_in_another_currency_than_the_price_stays_unknown(loop, tws, monkeypatch, caplog):
    from tws import reports

    honest = reports.commission_report
    monkeypatch.setattr(
        reports, "commission_report", lambda e: tuple("EUR" if f == "USD" else f for f in honest(e))
    )
    loop.send("a", 3.0)
    loop.until(
        lambda: loop.status("a") == "filled" and "a commission in EUR on a price in USD" in caplog.text
    )
    assert loop.desk.orders.fills()[0].commission is None


def test_a_corrected_price_takes_the_place_of_the_first(loop, tws):
    loop.send("a", 3.0)
    loop.filled("a")
    tws.do(lambda venue: venue.book.correct(venue.book.executions[0], 99.99))
    loop.until(lambda: loop.desk.orders.fills()[0].price == 99.99)
    assert loop.desk.orders.units() == {"SPY": 3.0}
    assert [fill.revision for fill in loop.journal.fills()] == [1, 2]


def test_what_was_held_before_is_the_baseline_and_todays_fills_come_on_top(loop, tws):
    tws.do(lambda venue: venue.manual_order(SPY, "BUY", 7))
    tws.do(lambda venue: venue.clock.advance(60))
    tws.do(lambda venue: venue.new_day())
    tws.do(lambda venue: venue.clock.advance(60))
    tws.do(lambda venue: venue.manual_order(SPY, "BUY", 2))
    loop.ready()
    assert loop.journal.baseline() == {"SPY": 7.0}
    assert loop.desk.orders.units() == {"SPY": 9.0}


def test_a_persons_trade_is_counted_and_belongs_to_no_order(loop, tws):
    loop.send("a", 3.0)
    loop.filled("a")
    tws.do(lambda venue: (venue.quote(AAPL, 200.0, 200.02), venue.manual_order(AAPL, "SELL", 4)))
    tws.do(lambda venue: venue.manual_order(SPY, "BUY", 1))
    loop.reconnect(tws.drop_clients)
    assert loop.desk.orders.units() == {"SPY": 4.0, f"AAPL#{AAPL.con_id}": -4.0}
    assert loop.desk.orders["a"].filled_units == 3.0
    assert [kind for _, kind, _ in loop.journal.events()].count("foreign fill") == 2


def test_a_copy_of_an_order_that_a_person_made_is_not_ours(loop, tws):
    loop.send("a", 3.0, kind="limit", limit_price=99.0)
    loop.until(lambda: loop.desk.orders["a"].permanent_id is not None)
    tws.do(lambda venue: venue.manual_order(SPY, "BUY", 1, orderRef="a"))
    loop.reconnect(tws.drop_clients)
    assert loop.desk.orders["a"].filled_units == 0.0
    assert loop.desk.orders.units() == {"SPY": 1.0}


def test_numbers_that_begin_anew_do_not_mix_an_old_order_with_a_new_one(loop, tws):
    loop.send("old", 3.0, kind="limit", limit_price=99.0)
    loop.until(lambda: loop.status("old") == "working")
    tws.do(lambda venue: venue.reset_order_ids())
    loop.reconnect(tws.restart)
    loop.send("new", -2.0)
    tws.do(lambda venue: venue.quote(SPY, 98.9, 99.0))
    loop.filled("new")
    # Its reports go to the number's first owner at TWS, so it is told by the next snapshot.
    loop.reconnect(tws.drop_clients)
    loop.filled("old")
    assert loop.desk.orders["old"].venue_order_id != loop.desk.orders["new"].venue_order_id
    assert (loop.desk.orders["old"].filled_units, loop.desk.orders["new"].filled_units) == (3.0, -2.0)


def test_a_position_that_no_report_explains_stops_trading_and_is_named(loop, tws):
    loop.send("a", 3.0)
    loop.filled("a")
    tws.do(lambda venue: venue.account.book(SPY, 5.0, 100.0, 0.0))
    tws.drop_clients()
    loop.until(lambda: "positions differ" in loop.desk.trouble)
    assert "SPY is 8 at the venue and 3 by its fills" in loop.desk.trouble
    with pytest.raises(BrokerUnavailable, match="positions differ"):
        loop.desk.submit([Order(client_order_id="b", symbol="SPY", units=1.0)])
    with pytest.raises(BrokerError, match="needs a reason"):
        loop.desk.adopt(" ")
    loop.desk.adopt("a transfer from another account")
    assert loop.desk.is_ready
    assert loop.desk.orders.units() == {"SPY": 8.0}
    assert ("adopted", "SPY: +5 units. a transfer from another account") in [
        e[1:] for e in loop.journal.events()
    ]


def test_a_fill_of_last_night_that_nobody_tells_of_is_a_difference_and_no_flat_position(loop, tws):
    loop.send("a", 3.0, kind="limit", limit_price=99.0, time_in_force="gtc")
    loop.until(lambda: loop.status("a") == "working")
    tws.go_down()
    loop.until(lambda: not loop.desk.is_ready)
    tws.do(lambda venue: venue.quote(SPY, 98.9, 99.0))
    tws.do(lambda venue: (venue.clock.advance(86_400), venue.new_day()))
    loop.night = timedelta(days=1)
    tws.come_up()
    loop.until(lambda: "positions differ" in loop.desk.trouble)
    for _ in range(20):
        loop.desk.advance(0.005)
    # It was sent before what the venue tells of: its outcome is unknown, and it stays open.
    assert loop.status("a") == "working"


def test_a_day_order_of_yesterday_that_did_not_fill_is_gone_in_the_morning(loop, tws):
    loop.send("a", 3.0, kind="limit", limit_price=99.0)
    loop.until(lambda: loop.status("a") == "working")
    tws.nightly_reset()
    loop.until(lambda: not loop.desk.is_ready)
    tws.do(lambda venue: venue.book.expire_day_orders())
    tws.do(lambda venue: (venue.clock.advance(86_400), venue.new_day()))
    loop.night = timedelta(days=1)
    tws.come_up()
    loop.until(lambda: loop.status("a") == "cancelled")
    loop.ready()
    assert loop.desk.orders.units() == {}


def test_an_order_that_never_arrived_is_sent_again_under_its_number_while_it_is_young(loop, tws):
    loop.ready()
    tws.plan(Fault(do="cut_before", message="placeOrder", direction="in"))
    loop.send("a", 2.0)
    loop.filled("a")
    numbers = [message.fields[1] for message in tws.messages("placeOrder", "in")]
    assert len(numbers) == 2
    assert numbers[0] == numbers[1]
    assert held(tws) == 2.0


def test_an_order_that_never_arrived_and_is_old_is_given_up(tws, tmp_path, client_logs):
    loop = Loop(tws, tmp_path / "journal", resend_within_s=0.0)
    loop.ready()
    tws.plan(Fault(do="cut_before", message="placeOrder", direction="in"))
    loop.send("a", 2.0)
    loop.until(lambda: loop.status("a") == "lost" and loop.desk.is_ready)
    assert held(tws) == 0.0
    loop.stop()


def test_an_entry_whose_exits_never_arrived_is_not_released(tws, tmp_path, client_logs):
    loop = Loop(tws, tmp_path / "journal", resend_within_s=0.0)
    loop.ready()
    tws.do(lambda venue: venue.quote(SPY, 100.0, 100.02))
    tws.plan(Fault(do="cut_before", message="placeOrder", direction="in", nth=2))
    entry = Order(client_order_id="in", symbol="SPY", units=2.0)
    stop = Order(client_order_id="out", symbol="SPY", units=-2.0, kind="stop", stop_price=95.0, entry="in")
    loop.desk.submit([entry, stop])
    loop.until(lambda: loop.status("in") == "cancelled" and loop.status("out") == "lost")
    assert held(tws) == 0.0
    loop.stop()


def test_a_snapshot_that_is_not_whole_is_none(loop, tws):
    loop.ready()
    tws.plan(Fault(do="drop", message="execDetailsEnd"))
    with pytest.raises(BrokerUnavailable, match="did not answer"):
        loop.broker.snapshot([])


def test_a_line_that_died_in_silence_is_noticed_and_opened_anew(tws, tmp_path, client_logs):
    loop = Loop(tws, tmp_path / "journal")
    loop.stop()
    loop.start(heartbeat_s=0.03, answer_timeout_s=0.2)
    loop.ready()
    tws.plan(Fault(do="drop", message="currentTime", direction="out"))
    loop.reconnect(lambda: None)
    assert any("does not answer" in what for _, _, what in loop.journal.events())
    loop.stop()


def test_silence_alone_is_no_broken_line(tws, tmp_path, client_logs):
    loop = Loop(tws, tmp_path / "journal")
    loop.stop()
    loop.start(heartbeat_s=0.02)
    loop.ready()
    asked = len(tws.messages("reqCurrentTime"))
    loop.until(lambda: len(tws.messages("reqCurrentTime")) > asked + 2)
    assert loop.desk.is_ready
    assert len(tws.messages("startApi")) == 1
    loop.stop()


def test_a_what_if_order_tells_margin_and_places_nothing(loop, tws):
    loop.ready()
    margin = loop.broker.margin(Order(client_order_id="a", symbol="SPY", units=100.0))
    # Half of 100 units at the middle of 100.01.
    assert (margin.initial_after, margin.commission) == (5000.5, 1.0)
    assert tws.do(lambda venue: venue.book.orders) == {}


def test_read_only_sends_nothing(tws, tmp_path, client_logs):
    loop = Loop(tws, tmp_path / "journal")
    loop.stop()
    loop.start(read_only=True)
    loop.ready()
    with pytest.raises(BrokerError, match="read_only"):
        loop.desk.submit([Order(client_order_id="a", symbol="SPY", units=1.0)])
    assert not tws.messages("placeOrder")
    loop.stop()


def test_a_symbol_that_cannot_be_traded_is_refused_before_anything_is_written(loop):
    loop.ready()
    with pytest.raises(BrokerError, match="NONE"):
        loop.desk.submit([Order(client_order_id="a", symbol="NONE:202406", units=1.0)])
    assert loop.journal.orders() == []


def test_a_future_is_held_in_units_and_priced_by_the_point(tws, tmp_path, client_logs):
    tws.do(lambda venue: venue.quote(ES_JUNE, 5300.0, 5300.25))
    es = {"ES": {"sec_type": "FUT", "exchange": "CME", "calendar": "24/7"}}
    broker = adapter(tws, symbols=("ES:202406",), contracts=es)
    with Journal(tmp_path / "journal", "trial") as journal:
        desk = OrderDesk(broker, journal, quick_rules(), lambda: datetime.now(UTC))
        assert desk.open()
        desk.submit([Order(client_order_id="a", symbol="ES:202406", units=2.0)])
        end = time.monotonic() + 5.0
        while desk.orders["a"].status != "filled":
            assert time.monotonic() < end
            desk.advance(0.002)
        (position,) = broker.snapshot([t.known for t in desk.orders.all()]).positions
        assert (position.symbol, position.units, position.average_price) == ("ES:202406", 2.0, 5300.25)
    broker.close()


def test_a_continuous_future_cannot_be_traded(tws, client_logs):
    es = {"ES": {"sec_type": "CONTFUT", "exchange": "CME", "calendar": "24/7"}}
    with pytest.raises(BrokerError, match="cannot be traded"):
        adapter(tws, symbols=("ES",), contracts=es).connect()


def test_no_account_number_is_in_any_log_or_in_the_journal(loop, tws, caplog):
    caplog.set_level(logging.DEBUG)
    loop.send("a", 3.0)
    loop.filled("a")
    tws.do(lambda venue: venue.book.rejections.append(Rejection(order_ref="b")))
    loop.send("b", 1.0)
    loop.until(lambda: loop.status("b") == "rejected")
    loop.reconnect(tws.drop_clients)
    account = tws.do(lambda venue: venue.account.name)
    assert account not in caplog.text
    loop.journal._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert account.encode() not in loop.path.read_bytes()
