"""Barriers as orders that rest at TWS: a position has its stop and its target there, once, and as large as it is."""

import time
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from random_markets import PLAIN, random_features, random_panel, with_parts
from test_live_account import FIRST, growing
from tws.book import Rejection
from tws.listings import AAPL, SPY
from tws_venue import adapter, quick_rules

from envs.barriers import BarrierConfig
from envs.instruments import CATALOGUE
from envs.kernel import columns as c
from envs.live.account import LiveAccount
from envs.live.barrier_levels import exit_prices
from envs.live.desk import OrderDesk
from envs.live.growing_market import ClosedBar
from envs.live.journal import Journal
from envs.live.order_venue import OrderVenue, refuse_unsendable

pytestmark = pytest.mark.runs
LEVELS = {
    "unit": "percent",
    "profit_target": 2.0,
    "stop_loss": 1.0,
    "trailing_stop": None,
    "time_limit_bars": None,
}
SELL, FLAT, BUY = 0, 1, 2


class Trader:
    """An account with barriers at the double of TWS; SPY at 100.00 to 100.02, AAPL at 200.00 to 200.02."""

    def __init__(self, tws, path, **barriers):
        self.tws, self.path = tws, path
        panel = random_panel(1, num_bars=60, holes=0.0, exogenous=False)
        self.panel = replace(panel, symbols=("SPY", "AAPL"))
        stocks = dict.fromkeys(self.panel.symbols, CATALOGUE["us_stock"])
        market = growing(self.panel, random_features(self.panel), stocks)
        config = with_parts(PLAIN, barriers=BarrierConfig(**{**LEVELS, **barriers}))
        self.market, self.at = market, FIRST
        self.account = LiveAccount(market, config, start_bar=FIRST, seed=0)
        self.account.reset()
        self.quote(100.00)
        tws.do(lambda venue: venue.quote(AAPL, 200.00, 200.02))
        self.start()
        self.venue.open()

    def start(self):
        self.journal, self.broker = Journal(self.path, "trial"), adapter(self.tws, ("SPY", "AAPL"))
        desk = OrderDesk(self.broker, self.journal, quick_rules(), lambda: datetime.now(UTC))
        self.venue = OrderVenue(desk, self.account, self.panel.symbols, "trial", cancel_wait_s=2.0)

    def stop(self):
        self.broker.close()
        self.journal.close()

    def quote(self, bid):
        self.tws.do(lambda venue: venue.quote(SPY, bid, round(bid + 0.02, 2)))

    def decide(self, spy, aapl=FLAT):
        self.account.decide(np.array([spy, aapl], np.float32))
        self.venue.send(datetime(2024, 6, 3, 14, self.at, tzinfo=UTC), entries=True)

    def close_bar(self):
        bar = ClosedBar.of(self.panel, self.at)
        self.at += 1
        self.market.append(bar)
        self.venue.settle(bar)
        return self.account.close()

    def until(self, so, timeout_s=5.0):
        end = time.monotonic() + timeout_s
        while not so():
            assert time.monotonic() < end, (self.resting(), self.held(), self.venue.desk.trouble)
            self.venue.attend(0.01)

    def resting(self):
        """(kind, signed units that are left, price) of SPY's open orders at the venue."""

        def read(venue):
            return sorted(
                (
                    order.kind,
                    order.side * order.remaining,
                    float(order.fields["auxPrice"] or 0.0)
                    if order.kind == "STP"
                    else float(order.fields["lmtPrice"] or 0.0),
                )
                for order in venue.open_orders()
                if order.listing is SPY
            )

        return self.tws.do(read)

    def held(self):
        return self.tws.do(lambda venue: venue.account.units(SPY))

    def entered(self, action=BUY):
        """Take a position, and wait for its exits; its units."""
        self.decide(action)
        self.until(lambda: self.account.units[0] != 0.0 and len(self.resting()) == 2)
        return float(self.account.units[0])

    def books_agree(self):
        self.until(
            lambda: self.account.units[0] == self.held() == self.tws.do(lambda v: v.units_from_fills(SPY))
        )


@pytest.fixture
def trader(tws, tmp_path, client_logs):
    made = []

    def make(**barriers):
        made.append(Trader(tws, tmp_path / "journal.sqlite", **barriers))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def test_a_position_gets_its_stop_and_its_target_on_ticks_around_what_was_paid(trader):
    trial = trader()
    units = trial.entered()
    # Bought at 100.02: 1 % below is 99.0198, the tick beyond 99.01; 2 % above is 102.0204, the tick before 102.02.
    assert trial.resting() == [("LMT", -units, 102.02), ("STP", -units, 99.01)]


def test_a_short_position_has_them_on_the_other_sides(trader):
    trial = trader()
    units = trial.entered(SELL)
    assert units < 0.0
    # Sold at 100.00: the stop at 101.00, the target at 98.00.
    assert trial.resting() == [("LMT", -units, 98.0), ("STP", -units, 101.0)]


@pytest.mark.parametrize(("bid", "reason"), [(98.9, c.BY_STOP), (102.1, c.BY_TARGET)])
def test_what_touches_a_level_leaves_the_position_while_the_loop_hangs(trader, bid, reason):
    trial = trader()
    trial.entered()
    trial.quote(bid)  # nobody attends
    assert trial.held() == 0.0
    assert trial.resting() == []
    trial.books_agree()
    assert [move.reason for move in trial.venue.take_moves()] == [c.BY_SIGNAL, reason]
    assert trial.account.to_trade.tolist() == [0.0, 0.0]  # it is not bought back by the order of before
    trial.close_bar()
    trial.decide(FLAT)
    trial.until(lambda: trial.venue.desk.orders.open() == ())


def test_a_decision_to_leave_withdraws_the_exits_first_and_closes_once(trader):
    trial = trader()
    trial.entered()
    trial.close_bar()
    trial.decide(FLAT)
    trial.until(lambda: trial.held() == 0.0)
    trial.books_agree()
    trial.until(lambda: trial.resting() == [])
    assert trial.held() == 0.0


def test_a_flip_ends_with_the_exits_of_the_new_position_alone(trader):
    trial = trader()
    trial.entered()
    trial.close_bar()
    trial.decide(SELL)
    trial.until(lambda: trial.held() < 0.0)
    trial.books_agree()
    held = trial.held()
    trial.until(lambda: sorted(units for _, units, _ in trial.resting()) == [-held, -held])
    assert trial.resting()[1][2] > 100.0  # the stop of a short position lies above


def test_exits_grow_with_an_entry_that_fills_in_parts(trader, tws):
    trial = trader()
    tws.do(lambda venue: venue.book.fill_sizes.update({SPY.con_id: deque([3.0])}))
    trial.decide(BUY)
    trial.until(lambda: sorted(x[1] for x in trial.resting())[:2] == [-3.0, -3.0])
    trial.quote(100.00)
    trial.until(lambda: len(trial.resting()) == 2 and all(x[1] == -trial.held() for x in trial.resting()))
    assert trial.held() > 3.0
    trial.books_agree()


def test_an_exit_that_fills_in_parts_leaves_the_rest_protected(trader, tws):
    trial = trader()
    units = trial.entered()
    tws.do(lambda venue: venue.book.fill_sizes.update({SPY.con_id: deque([2.0])}))
    trial.quote(102.1)
    trial.books_agree()
    assert trial.held() == units - 2.0
    trial.until(lambda: [x[1] for x in trial.resting()] == [2.0 - units, 2.0 - units])
    trial.quote(102.1)
    trial.books_agree()
    assert trial.held() == 0.0
    trial.until(lambda: trial.resting() == [])


def test_a_trailing_stop_is_moved_as_the_price_moves_and_never_back(trader):
    trial = trader(profit_target=None, stop_loss=None, trailing_stop=5.0)
    trial.decide(BUY)
    trial.until(lambda: len(trial.resting()) == 1)
    ((kind, _, first),) = trial.resting()
    assert (kind, first) == ("STP", 95.01)
    closed = []
    for _ in range(4):
        trial.close_bar()
        trial.quote(round(float(trial.panel.close[trial.at - 1, 0]), 2))
        trial.decide(BUY)
        trial.until(lambda: len(trial.resting()) == 1)
        best = max(100.02, trial.panel.high[FIRST : trial.at, 0].max())
        # 5 % of the entry price below the highest price since.
        expected = np.floor((best - 5.001) / 0.01 + 1e-6) * 0.01
        trial.until(lambda e=expected: trial.resting()[0][2] == pytest.approx(e))
        closed.append(trial.resting()[0][2])
    assert closed == sorted(closed)


def test_another_process_finds_the_exits_and_sends_none_twice(trader):
    trial = trader()
    trial.entered()
    before = trial.resting()
    trial.venue.take_booked()
    booked = list(trial.venue._booked.values())
    trial.stop()
    trial.start()
    trial.venue.restore_booked(booked)
    trial.venue.open()
    trial.venue.send(datetime(2024, 6, 3, 14, trial.at, tzinfo=UTC), entries=True)
    for _ in range(10):
        trial.venue.attend(0.01)
    assert trial.resting() == before
    assert len(trial.tws.messages("placeOrder")) == 3


def test_exits_that_a_venue_refuses_are_asked_for_once(trader, tws):
    trial = trader()
    trial.decide(BUY)
    tws.do(lambda venue: venue.book.rejections.append(Rejection(symbol="SPY")))
    trial.until(lambda: trial.account.units[0] != 0.0)
    for _ in range(30):
        trial.venue.attend(0.01)
    assert trial.resting() == []
    assert len(tws.messages("placeOrder")) <= 5


def test_levels_by_hand_in_each_unit():
    position = np.zeros(c.EXTREME + 1)
    position[[c.UNITS, c.ENTRY_PRICE, c.ENTRY_ATR, c.EXTREME]] = 10.0, 50.0, 0.4, 53.0
    given = {"profit_target": 3.0, "stop_loss": 2.0, "trailing_stop": None, "time_limit_bars": None}
    by_atr = exit_prices(BarrierConfig(unit="atr", **given), position, 0.25)
    assert (by_atr.stop, by_atr.profit) == (49.0, 51.0)  # 49.2 and 51.2 on quarters
    by_ticks = exit_prices(BarrierConfig(unit="ticks", **given), position, 0.25)
    assert (by_ticks.stop, by_ticks.profit) == (49.5, 50.75)
    trailing = exit_prices(BarrierConfig(unit="percent", **{**given, "trailing_stop": 4.0}), position, 0.25)
    assert (trailing.stop, trailing.trails) == (51.0, True)  # 53 less 4 % of 50 is nearer than 49
    position[c.UNITS] = 0.0
    assert exit_prices(BarrierConfig(unit="atr", **given), position, 0.25) is None
    position[[c.UNITS, c.ENTRY_ATR]] = 10.0, 0.0  # an ATR that was not known
    assert exit_prices(BarrierConfig(unit="atr", **given), position, 0.25) is None


def test_barriers_are_refused_where_no_order_can_rest():
    config = with_parts(PLAIN, barriers=BarrierConfig(**LEVELS))
    refuse_unsendable(config, resting=True)
    with pytest.raises(ValueError, match=r"env\.barriers"):
        refuse_unsendable(config, resting=False)
