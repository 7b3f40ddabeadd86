"""Bars that TWS keeps up to date: none is lost by an outage or a stream that dies, and none is asked for needlessly."""

from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
import yaml
from tws.clients import clean_client_logs, event_loop
from tws.faults import Fault
from tws.history import Bar, made_bars
from tws.listings import SPY

from data.vendors.definition import BarRequest, Following, TemporarilyUnavailable
from data.vendors.ibkr import Ibkr, IbkrConfig

SOURCE = yaml.safe_load((Path(__file__).parents[3] / "conf/source/ibkr.yaml").read_text())["ibkr"]
UPDATE, ASKED = "historicalDataUpdate", "reqHistoricalData"


class Stream:
    """Minutes of SPY from 14:00 UTC on, in pieces of five seconds, and a vendor that follows them."""

    def __init__(self, tws):
        self.tws = tws
        options = SOURCE["options"] | {"calendar": SOURCE["calendar"], "port": tws.port}
        options |= {"answer_timeout_s": 2.0, "connect_timeout_s": 1.0}
        self.vendor = Ibkr(IbkrConfig(**options), clock=lambda: tws.do(lambda venue: venue.clock.epoch))
        self.begun = tws.do(lambda venue: venue.clock.now)
        self.bars = tws.do(
            lambda venue: made_bars(SPY, 60, venue.clock.now - timedelta(hours=2), venue.clock.now, 3)
        )
        self.new = made_bars(SPY, 60, self.begun, self.begun + timedelta(hours=1), 4)
        tws.do(lambda venue: venue.history.put(SPY, 60, self.bars))

    def pass_minutes(self, number, told=True):
        """Let so many minutes pass; told : whether TWS streams them."""
        for _ in range(number):
            bar = self.new[len([b for b in self.bars if b.opened_utc >= self.begun])]
            for k in range(12):
                piece = Bar(
                    **{
                        **vars(bar),
                        "opened_utc": bar.opened_utc + timedelta(seconds=5 * k),
                        "open": bar.open if k == 0 else bar.close,
                        "high": bar.high if k == 3 else max(bar.open, bar.close),
                        "low": bar.low if k == 7 else min(bar.open, bar.close),
                        "volume": bar.volume / 12,
                    }
                )
                self.tws.do(lambda venue: venue.clock.advance(5.0))
                if told:
                    self.tws.do(lambda venue, piece=piece: venue.bar(SPY, piece))
            self.bars.append(bar)
            self.tws.do(lambda venue: venue.history.put(SPY, 60, self.bars))

    def follow(self, minutes_back):
        """Closes of what is over, from so many minutes before 14:00 on, by label."""
        now = self.tws.do(lambda venue: venue.clock.now)
        request = BarRequest(
            symbol="SPY",
            bar_seconds=60,
            start_utc=pd.Timestamp(self.begun) - pd.Timedelta(minutes=minutes_back),
            stop_utc=pd.Timestamp(now) + pd.Timedelta(seconds=1),
            adjustment="splits",
        )
        return self.vendor.follow(request)["close"].to_dict()

    def expected(self, minutes_back, minutes):
        first = self.begun - timedelta(minutes=minutes_back)
        last = self.begun + timedelta(minutes=minutes)
        return {pd.Timestamp(b.opened_utc): b.close for b in self.bars if first <= b.opened_utc < last}

    def num_asked(self):
        return len(self.tws.messages(ASKED, "in"))

    def settle(self):
        """Five seconds more, after which the last bar counts as over."""
        self.tws.do(lambda venue: venue.clock.advance(5.0))


@pytest.fixture
def stream(tws):
    with clean_client_logs(), event_loop():
        made = Stream(tws)
        yield made
        made.vendor.close()


def test_a_bar_is_handed_over_once_it_is_over_and_is_asked_for_only_once(stream):
    assert isinstance(stream.vendor, Following)
    assert stream.follow(10) == stream.expected(
        10, -1
    )  # the last minute has just closed, and may still change
    for minute in range(1, 6):
        stream.pass_minutes(1)
        assert stream.follow(10) == stream.expected(10, minute - 1)
    stream.settle()
    assert stream.follow(10) == stream.expected(10, 5)
    assert stream.num_asked() == 1


def test_what_an_outage_left_out_comes_when_the_line_is_back(stream):
    stream.follow(10)
    stream.pass_minutes(2)
    stream.tws.do(lambda venue: venue.lose_connectivity())
    stream.pass_minutes(3, told=False)
    with pytest.raises(TemporarilyUnavailable, match="1100"):
        stream.follow(10)
    stream.tws.restore_connectivity(data_lost=False, deliver=False)  # subscriptions go on, says TWS
    stream.pass_minutes(1)
    stream.settle()
    assert stream.follow(10) == stream.expected(10, 6)
    assert stream.num_asked() == 2


@pytest.mark.parametrize("data_lost", [True, False])
def test_a_line_that_broke_between_two_looks_is_noticed(stream, data_lost):
    stream.follow(10)
    stream.tws.do(lambda venue: venue.lose_connectivity())
    stream.pass_minutes(1, told=False)
    stream.tws.restore_connectivity(data_lost=data_lost)
    stream.pass_minutes(1)
    stream.settle()
    assert stream.follow(10) == stream.expected(10, 2)


def test_a_restart_of_tws_and_a_night_lose_no_bar(stream):
    stream.follow(10)
    stream.pass_minutes(1)
    stream.tws.restart()
    stream.pass_minutes(1)
    stream.settle()
    with pytest.raises(TemporarilyUnavailable, match="broke"):
        stream.follow(10)
    assert stream.follow(10) == stream.expected(10, 2)
    stream.tws.nightly_reset()
    stream.pass_minutes(5, told=False)
    with pytest.raises(TemporarilyUnavailable):
        stream.follow(10)
    stream.tws.come_up()
    stream.settle()
    assert stream.follow(10) == stream.expected(10, 7)


def test_a_stream_that_has_died_in_silence_is_asked_for_again_and_once_for_a_bar(stream):
    stream.follow(10)
    stream.pass_minutes(1)
    stream.pass_minutes(1, told=False)
    stream.settle()
    assert stream.follow(-1) == stream.expected(-1, 2)  # the bar of 14:01 alone, as a loop asks for it
    assert stream.num_asked() == 2
    stream.settle()
    stream.follow(-1)
    assert stream.num_asked() == 2


def test_a_bar_that_does_not_exist_is_asked_for_once(stream):
    stream.follow(10)
    stream.tws.do(lambda venue: venue.clock.advance(70.0))  # a minute without a trade
    for _ in range(5):
        assert stream.follow(0) == {}
        stream.tws.do(lambda venue: venue.clock.advance(1.0))
    assert stream.num_asked() == 2


def test_a_request_that_is_never_answered_is_given_up(stream):
    stream.tws.plan(Fault(do="drop", message=ASKED, direction="in"))
    with pytest.raises(TemporarilyUnavailable, match="did not answer"):
        stream.follow(10)
    stream.tws.do(lambda venue: venue.clock.advance(20.0))  # the pacing of identical requests
    assert len(stream.follow(10)) >= 9


def test_a_long_outage_is_made_good_in_pieces(stream):
    day = timedelta(days=1)
    old = made_bars(SPY, 60, stream.begun - 4 * day, stream.begun, 5)
    stream.tws.do(lambda venue: venue.history.put(SPY, 60, old))
    found = stream.follow(3 * 24 * 60)
    expected = {
        pd.Timestamp(b.opened_utc): b.close
        for b in old
        if stream.begun - 3 * day <= b.opened_utc < stream.begun - timedelta(minutes=1)
    }
    assert {label: found[label] for label in expected} == expected
    assert len(found) - len(expected) <= 1
