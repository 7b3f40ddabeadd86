"""Live bars come in order, none left out: after outages, and not before they have closed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from random_markets import random_panel

from data.calendars import BarGrid, bar_grid
from data.errors import DataError
from data.schema import BAR_COLUMNS
from envs.live.bar_feed import HistoryFeed, LiveFeed, LiveRules, aware, close_instants

RULES = LiveRules(settle_s=2.0, poll_s=5.0, missing_after_s=60.0, late_after_s=30.0, max_skew_s=2.0)
HELD = 10


class Market:
    """A source and a clock: a bar is there some seconds after its close; `attend` lets time pass."""

    def __init__(self, panel, *, delay_s=1.0):
        self.panel, self.delay_s, self.reads = panel, delay_s, 0
        self.now = aware(panel.bar_utc[HELD]) + timedelta(seconds=1)
        self.down_until, self.hidden = None, {}

    def clock(self):
        return self.now

    def attend(self, seconds):
        assert seconds > 0
        self.now += timedelta(seconds=seconds)

    def read(self, label):
        self.reads += 1
        if self.down_until is not None and self.now < self.down_until:
            raise DataError("the source is down")
        step = timedelta(seconds=self.panel.bar_seconds + self.delay_s)
        there = sum(aware(bar) + step <= self.now for bar in self.panel.bar_utc)
        part = self.panel.slice_bars(0, there)
        changed = {name: getattr(part, name).copy() for name in (*BAR_COLUMNS, "tradable")}
        for bar, asset in self.hidden.items():
            for name, values in changed.items():
                values[bar : bar + 1, asset] = {"volume": 0.0, "tradable": False}.get(name, np.nan)
        part = replace(part, **changed)
        return part

    def feed(self):
        rest = BarGrid(bar_utc=self.panel.bar_utc[HELD:], session=self.panel.session[HELD:])
        return LiveFeed(self.read, rest, self.panel, RULES, self.clock)


@pytest.fixture
def market():
    return Market(random_panel(3, num_bars=40, num_assets=2, holes=0.0, bars_per_session=48, exogenous=False))


def labels(feed, market, number):
    return [feed.next_bar(market.attend) for _ in range(number)]


def test_each_bar_is_handed_over_once_after_its_close_and_soon(market):
    feed = market.feed()
    for n in range(20):
        arrival = feed.next_bar(market.attend)
        assert arrival.bar.bar_utc == market.panel.bar_utc[HELD + n]
        assert np.array_equal(arrival.bar.close, market.panel.close[HELD + n])
        waited = (market.now - arrival.closed_utc).total_seconds()
        assert RULES.settle_s <= waited <= RULES.settle_s + 2 * RULES.poll_s
        assert not arrival.late
    assert market.reads < 60


def test_after_an_outage_every_bar_that_was_missed_comes_and_only_the_fresh_one_is_not_late(market):
    feed = market.feed()
    labels(feed, market, 2)
    market.down_until = market.now + timedelta(seconds=5 * market.panel.bar_seconds + 600)
    arrivals = labels(feed, market, 8)
    assert [a.bar.bar_utc for a in arrivals] == list(market.panel.bar_utc[HELD + 2 : HELD + 10])
    assert [a.late for a in arrivals] == [True] * 5 + [False] * 3
    assert all(np.isfinite(a.bar.close).all() for a in arrivals)


def test_an_asset_whose_bar_never_comes_is_without_prices_once_the_source_has_answered_late(market):
    market.hidden = {HELD + 1: 1}
    feed = market.feed()
    first, second, third = labels(feed, market, 3)
    assert np.isnan(second.bar.close).tolist() == [False, True]
    assert (second.closed_utc - first.closed_utc).total_seconds() == market.panel.bar_seconds
    assert second.late  # it was waited for
    assert np.isfinite(third.bar.close).all()


def test_a_bar_that_closes_in_the_future_of_this_clock_enters_nothing(market, caplog):
    feed = market.feed()
    market.delay_s = -60.0  # the source is a minute ahead
    feed._held = market.read(market.panel.bar_utc[HELD])
    market.now = aware(market.panel.bar_utc[HELD + 1]) - timedelta(seconds=30)
    feed._held = market.read(market.panel.bar_utc[HELD])
    arrival = feed.next_bar(market.attend)
    assert arrival.late
    assert "set the clock" in caplog.text


def test_the_last_bar_of_a_half_day_closes_with_its_session():
    # New York closes at 13:00 on 2017-11-24, 18:00 UTC: a bar of 40 minutes from 17:30 has half of it.
    grid = bar_grid("NYSE", 2400, "2017-11-24", "2017-11-25")
    closes = close_instants(grid, "NYSE", 2400)
    assert closes[-1] == np.datetime64("2017-11-24T18:00", "ns")
    daily = bar_grid("NYSE", 86_400, "2017-11-22", "2017-11-25")
    assert close_instants(daily, "NYSE", 86_400)[0] == np.datetime64("2017-11-22T21:00", "ns")


def test_history_is_handed_over_in_order_and_its_time_is_that_of_the_bars(market):
    panel = market.panel
    feed = HistoryFeed(panel, HELD, HELD + 3, speed=None)
    assert feed.now() == aware(panel.bar_utc[HELD])
    seen = []
    while (arrival := feed.next_bar(market.attend)) is not None:
        seen.append(arrival.bar.bar_utc)
        assert feed.now() == arrival.closed_utc
    assert seen == list(panel.bar_utc[HELD : HELD + 3])
    assert aware(np.datetime64("1970-01-02", "ns")) == datetime(1970, 1, 2, tzinfo=UTC)


def test_history_at_a_speed_takes_its_time(market):
    waits = []

    def attend(seconds):
        waits.append(seconds)
        feed._due_s = 0.0  # the time has come

    feed = HistoryFeed(market.panel, HELD, HELD + 2, speed=600.0)
    assert feed.next_bar(attend) is not None
    # Bars of 30 minutes, 600 times faster: 3 s.
    assert waits == pytest.approx([3.0], abs=0.5)
