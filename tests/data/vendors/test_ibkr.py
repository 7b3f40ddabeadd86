"""Bars of Interactive Brokers through the real client, from a TWS that speaks its wire format."""

import pickle
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from pandas_market_calendars import get_calendar
from tws.clients import clean_client_logs, event_loop
from tws.faults import Fault
from tws.history import Bar, made_bars
from tws.listings import AAPL, CATALOGUE, ES_CONTINUOUS, ES_JUNE, ES_MARCH, EURUSD, SPY

from data.vendors.definition import (
    AnswerRefused,
    BarRequest,
    KeyRefused,
    MalformedAnswer,
    RateLimited,
    TemporarilyUnavailable,
    Vendor,
)
from data.vendors.ibkr import Ibkr, IbkrConfig

SOURCE = yaml.safe_load((Path(__file__).parents[3] / "conf/source/ibkr.yaml").read_text())["ibkr"]
DEFAULTS = SOURCE["options"] | {"calendar": SOURCE["calendar"]}
CONTRACTS = {
    "ES": {"sec_type": "FUT", "exchange": "CME", "calendar": "CME Globex Equity"},
    "ESC": {"sec_type": "CONTFUT", "symbol": "ES", "exchange": "CME", "calendar": "CME Globex Equity"},
    "EURUSD": {"sec_type": "CASH", "symbol": "EUR", "exchange": "IDEALPRO", "calendar": "24/7"},
}
MONDAY = pd.Timestamp("2024-06-03", tz="UTC")


def config(tws, **changes):
    own = {"port": tws.port, "answer_timeout_s": 5.0, "connect_timeout_s": 2.0, "contracts": CONTRACTS}
    return IbkrConfig(**{**DEFAULTS, **own, **changes})


@pytest.fixture
def ibkr(tws):
    """Return make(**changes of the configuration) -> the vendor, paced by the venue's clock."""
    made = []

    def make(**changes):
        made.append(Ibkr(config(tws, **changes), clock=lambda: tws.do(lambda venue: venue.clock.epoch)))
        return made[-1]

    with clean_client_logs(), event_loop():
        yield make
        for vendor in made:
            vendor.close()


def request(
    symbol="SPY", bar_seconds=60, start="2024-06-03T13:30", stop="2024-06-03T14:00", adjustment="splits"
):
    return BarRequest(
        symbol=symbol,
        bar_seconds=bar_seconds,
        start_utc=pd.Timestamp(start, tz="UTC"),
        stop_utc=pd.Timestamp(stop, tz="UTC"),
        adjustment=adjustment,
    )


def stored(tws, listing, seconds, days=4, price=500.0):
    def put(venue):
        bars = made_bars(listing, seconds, venue.clock.now - timedelta(days=days), venue.clock.now, 3, price)
        if seconds == 86_400:
            sessions = get_calendar("NYSE").valid_days("2021-01-01", "2025-01-01").strftime("%Y%m%d")
            bars = [bar for bar in bars if f"{bar.opened_utc:%Y%m%d}" in set(sessions)]
        venue.history.put(listing, seconds, bars)
        return bars

    return tws.do(put)


def as_rows(bars):
    return [
        (pd.Timestamp(b.opened_utc), b.open, b.high, b.low, b.close, b.volume, b.wap, float(b.count))
        for b in bars
    ]


def rows_of(delivery):
    frame = delivery.rows[["open", "high", "low", "close", "volume", "vwap", "trades"]]
    return [(stamp, *values) for stamp, values in zip(frame.index, frame.to_numpy().tolist())]


def test_it_is_a_vendor_whose_defaults_are_those_of_the_yaml(tws, ibkr):
    vendor = ibkr()
    assert isinstance(vendor, Vendor)
    assert vendor.budget.calls_per_minute == 6.0
    assert vendor.budget.at_a_time == 1


def test_bars_come_as_they_are_at_the_venue_labelled_by_their_opening_in_utc(tws, ibkr):
    bars = stored(tws, SPY, 60)
    tws.do(lambda venue: venue.clock.advance(600))
    got = ibkr().fetch(request())
    expected = [b for b in bars if datetime(2024, 6, 3, 13, 30, tzinfo=UTC) <= b.opened_utc]
    assert rows_of(got) == as_rows(expected)
    assert len(got.rows) == 30
    assert got.calls == 1
    assert got.complete_to_utc is None
    assert got.source_uri.startswith("ibkr:reqHistoricalData?conId=756733&")
    assert (got.rows.dtypes == np.float64).all()
    assert got.rows.index.name == "timestamp_utc"


@pytest.mark.parametrize("bar_seconds", [5, 30, 60, 300, 1800, 3600])
@pytest.mark.parametrize("listing", [SPY, ES_JUNE], ids=["stock", "future"])
def test_the_pieces_together_are_the_request_nothing_lost_and_nothing_twice(tws, ibkr, bar_seconds, listing):
    bars = stored(tws, listing, bar_seconds, days=0.1 if bar_seconds < 60 else 4)
    tws.do(lambda venue: setattr(venue.history, "pacing", False))
    tws.do(lambda venue: venue.clock.advance(86_400))
    vendor = ibkr(pace_all_bars=False)
    vendor._pacing._clock = iter(range(0, 10**9, 600)).__next__
    start = "2024-06-03T12:07" if bar_seconds < 60 else "2024-05-31T05:07"
    asked = request({SPY: "SPY", ES_JUNE: "ES:202406"}[listing], bar_seconds, start, "2024-06-03T13:47:30")
    pieces = vendor.pieces(asked)
    assert [p.start_utc for p in pieces] == [asked.start_utc, *[p.stop_utc for p in pieces[:-1]]]
    assert pieces[-1].stop_utc == asked.stop_utc
    rows = [row for piece in pieces for row in rows_of(vendor.fetch(piece))]
    expected = [b for b in bars if asked.start_utc <= pd.Timestamp(b.opened_utc) < asked.stop_utc]
    assert rows == as_rows(expected)
    assert rows


def test_regular_hours_are_asked_for_where_they_are_wanted(tws, ibkr):
    stored(tws, SPY, 60)
    whole = request(start="2024-06-03T12:00", stop="2024-06-03T14:00")
    tws.do(lambda venue: venue.clock.advance(600))
    assert len(ibkr(regular_hours=False, client_id=1).fetch(whole).rows) == 120
    assert len(ibkr(regular_hours=True, client_id=2).fetch(whole).rows) == 30


def test_the_bar_that_runs_is_left_out_and_the_delivery_says_up_to_when_it_is_complete(tws, ibkr):
    stored(tws, SPY, 60)
    tws.do(lambda venue: venue.clock.advance(-29.0))  # 13:59:31, inside the bar of 13:59
    got = ibkr().fetch(request(stop="2024-06-03T15:00"))
    assert got.rows.index[-1] == pd.Timestamp("2024-06-03T13:58", tz="UTC")
    assert got.complete_to_utc == pd.Timestamp("2024-06-03T13:59", tz="UTC")


def test_a_bar_that_has_just_closed_is_not_taken_before_it_has_settled(tws, ibkr):
    stored(tws, SPY, 60)
    tws.do(lambda venue: venue.clock.advance(2.0))  # 14:00:02
    got = ibkr().fetch(request(stop="2024-06-03T15:00"))
    assert got.rows.index[-1] == pd.Timestamp("2024-06-03T13:58", tz="UTC")


def test_what_lies_ahead_is_not_asked_for(tws, ibkr):
    got = ibkr().fetch(request(start="2024-06-05", stop="2024-06-06"))
    assert got.rows.empty
    assert got.calls == 0
    assert got.complete_to_utc == pd.Timestamp("2024-06-05", tz="UTC")
    assert not tws.messages("reqHistoricalData")


def test_bars_of_a_day_are_labelled_by_the_opening_of_their_session(tws, ibkr):
    bars = stored(tws, SPY, 86_400, days=120)
    got = ibkr().fetch(request(bar_seconds=86_400, start="2024-03-06", stop="2024-05-31"))
    # Daylight saving began on Sunday 10 March 2024: New York opens at 14:30 before and at 13:30 UTC after.
    assert got.rows.index[0] == pd.Timestamp("2024-03-06T14:30", tz="UTC")
    assert got.rows.index[3] == pd.Timestamp("2024-03-11T13:30", tz="UTC")
    dates = [
        f"{b.opened_utc:%Y-%m-%d}" for b in bars if "2024-03-06" <= f"{b.opened_utc:%Y-%m-%d}" < "2024-05-31"
    ]
    assert [f"{stamp:%Y-%m-%d}" for stamp in got.rows.index] == dates
    assert got.complete_to_utc is None


def test_the_day_of_a_future_is_labelled_by_the_evening_before(tws, ibkr):
    stored(tws, ES_JUNE, 86_400, days=30)
    got = ibkr().fetch(request("ES:202406", 86_400, start="2024-05-12", stop="2024-05-18", adjustment="raw"))
    # The session of Monday 13 May opens on Sunday at 18:00 New York, 22:00 UTC.
    assert got.rows.index[0] == pd.Timestamp("2024-05-12T22:00", tz="UTC")
    assert len(got.rows) == 5


def test_the_day_that_runs_is_left_out(tws, ibkr):
    stored(tws, SPY, 86_400, days=30)
    got = ibkr().fetch(request(bar_seconds=86_400, start="2024-05-29", stop="2024-06-10"))
    assert got.rows.index[-1] == pd.Timestamp("2024-05-31T13:30", tz="UTC")
    assert got.complete_to_utc == pd.Timestamp("2024-06-03T13:30", tz="UTC")


def test_a_date_that_is_no_session_is_refused_and_not_guessed(tws, ibkr):
    def put(venue):
        saturday = Bar(
            opened_utc=datetime(2024, 6, 1, 16, tzinfo=UTC),
            open=1,
            high=1,
            low=1,
            close=1,
            volume=1,
            wap=1,
            count=1,
        )
        venue.history.put(SPY, 86_400, [saturday])

    tws.do(put)
    with pytest.raises(MalformedAnswer, match="2024-06-01, which is no session of calendar 'NYSE'"):
        ibkr().fetch(request(bar_seconds=86_400, start="2024-05-29", stop="2024-06-10"))


def test_no_bars_is_an_empty_delivery_and_not_an_error(tws, ibkr):
    got = ibkr().fetch(request(start="2024-05-30", stop="2024-05-31"))
    assert got.rows.empty
    assert list(got.rows.columns) == ["open", "high", "low", "close", "volume", "vwap", "trades"]
    assert got.complete_to_utc is None


def test_what_has_no_trades_has_an_unknown_volume(tws, ibkr):
    stored(tws, EURUSD, 60, price=1.08)
    bars = tws.do(lambda venue: venue.history._bars[EURUSD.con_id, 60])
    quotes = [Bar(**{**vars(bar), "volume": -1.0, "wap": -1.0, "count": -1}) for bar in bars]
    tws.do(lambda venue: venue.history.put(EURUSD, 60, quotes))
    got = ibkr().fetch(request("EURUSD", adjustment="raw", start="2024-06-03T12:00", stop="2024-06-03T13:00"))
    assert len(got.rows) == 60
    assert got.rows[["volume", "vwap", "trades"]].isna().all(axis=None)
    assert "whatToShow=MIDPOINT" in got.source_uri


def test_expired_and_dated_months_are_found_under_their_root(tws, ibkr):
    stored(tws, ES_MARCH, 86_400, days=120)
    got = ibkr().fetch(request("ES:202403", 86_400, start="2024-02-13", stop="2024-02-17", adjustment="raw"))
    # Sessions of 14, 15 and 16 February open inside; that of the 13th has opened on the evening before.
    assert len(got.rows) == 3
    assert f"conId={ES_MARCH.con_id}" in got.source_uri


def test_a_continuous_future_is_one_piece_up_to_now(tws, ibkr):
    bars = stored(tws, ES_CONTINUOUS, 86_400, days=200)
    vendor = ibkr()
    asked = request("ESC", 86_400, start="2024-01-02", stop="2024-06-01", adjustment="all")
    (piece,) = vendor.pieces(asked)
    got = vendor.fetch(piece)
    wanted = [
        b for b in bars if pd.Timestamp("2024-01-03", tz="UTC") <= pd.Timestamp(b.opened_utc) < asked.stop_utc
    ]
    assert [row[1:] for row in rows_of(got)] == [row[1:] for row in as_rows(wanted)]
    assert "endDateTime=&" in got.source_uri


def test_prices_adjusted_for_dividends_are_asked_for_up_to_now(tws, ibkr):
    stored(tws, AAPL, 86_400, days=600)
    vendor = ibkr()
    (piece,) = vendor.pieces(request("AAPL", 86_400, start="2023-01-01", stop="2024-06-01", adjustment="all"))
    got = vendor.fetch(piece)
    assert len(got.rows) > 300
    assert "whatToShow=ADJUSTED_LAST" in got.source_uri


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (request(adjustment="raw"), "has no raw ones"),
        (request(bar_seconds=7), "no bars of 7 s"),
        (request("ES", adjustment="raw"), "ES:202406 for one of them"),
        (request("NQ:202406", adjustment="raw"), "no entry NQ"),
        (request("ESC", adjustment="raw"), "adjustment=all"),
    ],
)
def test_what_ib_lacks_is_refused_before_it_is_asked_for(tws, ibkr, asked, words):
    with pytest.raises(AnswerRefused, match=words):
        ibkr().pieces(asked)
    assert not tws.messages()


def test_hours_that_begin_inside_a_session_are_refused(tws, ibkr):
    with pytest.raises(AnswerRefused, match="from the full hour"):
        ibkr(regular_hours=True).pieces(request(bar_seconds=3600))
    assert ibkr(regular_hours=False).pieces(request(bar_seconds=3600))


@pytest.mark.parametrize("symbol", ["NONE", "ES:203012"])
def test_a_symbol_that_ib_does_not_know_is_refused(tws, ibkr, symbol):
    with pytest.raises(AnswerRefused, match="200"):
        ibkr().fetch(request(symbol))


def test_a_symbol_of_several_contracts_is_refused_with_their_names(tws, ibkr):
    tws.do(
        lambda venue: venue.listings.append(type(SPY)(**{**vars(SPY), "con_id": 9, "local_symbol": "SPYX"}))
    )
    with pytest.raises(AnswerRefused, match="SPY@SMART, SPYX@SMART"):
        ibkr().fetch(request())
    assert SPY in CATALOGUE


def test_continuous_minutes_of_long_ago_are_refused(tws, ibkr):
    vendor = ibkr()
    (piece,) = vendor.pieces(request("ESC", 60, start="2024-05-01", stop="2024-05-02", adjustment="all"))
    with pytest.raises(AnswerRefused, match="dated contracts"):
        vendor.fetch(piece)


def test_its_own_pacing_says_how_long_to_wait_before_ib_is_asked(tws, ibkr):
    stored(tws, SPY, 60)
    vendor = ibkr()
    vendor.fetch(request())
    tws.do(lambda venue: venue.clock.advance(4))
    with pytest.raises(RateLimited) as caught:
        vendor.fetch(request())
    assert caught.value.retry_after_s == pytest.approx(11.0)
    assert len(tws.messages("reqHistoricalData", "in")) == 1
    tws.do(lambda venue: venue.clock.advance(11))
    assert len(vendor.fetch(request()).rows) == 30


def test_a_violation_that_ib_reports_is_a_limit_and_not_an_empty_answer(tws, ibkr):
    stored(tws, SPY, 60)
    first, second = ibkr(client_id=1), ibkr(client_id=2)
    first.fetch(request())
    with pytest.raises(RateLimited, match="pacing violation"):
        second.fetch(request())


def test_data_without_a_subscription_are_a_matter_of_the_key(tws, ibkr):
    tws.do(lambda venue: setattr(venue.history, "permitted", False))
    with pytest.raises(KeyRefused, match="subscription"):
        ibkr().fetch(request("ES:202406", adjustment="raw"))


@pytest.mark.parametrize("do", ["cut_before", "cut_half"])
@pytest.mark.parametrize("message", ["contractDetails", "currentTime", "historicalData"])
def test_a_cut_in_any_answer_is_tried_again_and_gives_the_same_bars(tws, ibkr, do, message):
    bars = stored(tws, SPY, 60)
    tws.do(lambda venue: venue.clock.advance(600))
    vendor = ibkr()
    tws.plan(Fault(do=do, message=message, direction="out"))
    with pytest.raises(TemporarilyUnavailable):
        vendor.fetch(request())
    tws.do(lambda venue: venue.clock.advance(16))
    assert rows_of(vendor.fetch(request())) == as_rows(bars[-30:])


def test_an_answer_that_never_comes_is_no_empty_day(tws, ibkr):
    stored(tws, SPY, 60)
    vendor = ibkr(answer_timeout_s=0.1)
    tws.plan(Fault(do="drop", message="historicalData"))
    with pytest.raises(TemporarilyUnavailable, match="did not answer within"):
        vendor.fetch(request())


def test_a_tws_that_is_down_or_restarts_is_asked_again(tws, ibkr):
    stored(tws, SPY, 60)
    tws.do(lambda venue: venue.clock.advance(600))
    vendor = ibkr()
    vendor.fetch(request())
    tws.go_down()
    tws.do(lambda venue: venue.clock.advance(16))
    with pytest.raises(TemporarilyUnavailable):
        vendor.fetch(request())
    with pytest.raises(TemporarilyUnavailable, match="socket clients enabled"):
        vendor.fetch(request())
    tws.come_up()
    assert len(vendor.fetch(request()).rows) == 30


def test_a_client_id_in_use_is_named(tws, ibkr):
    stored(tws, SPY, 60)
    ibkr().fetch(request())
    with pytest.raises(TemporarilyUnavailable, match="client id is already in use"):
        ibkr(connect_timeout_s=0.3).fetch(request())


def test_it_asks_for_nothing_of_the_account(tws, ibkr):
    stored(tws, SPY, 60)
    ibkr().fetch(request())
    asked = {message.name for message in tws.messages(direction="in")}
    assert asked == {"startApi", "reqContractDetails", "reqCurrentTime", "reqHistoricalData"}


def test_it_travels_without_its_connection(tws, ibkr):
    stored(tws, SPY, 60)
    vendor = ibkr()
    vendor.fetch(request())
    vendor._pacing._clock = tws_free_clock
    copy = pickle.loads(pickle.dumps(vendor))
    assert copy.config == vendor.config
    assert copy._connection is None


def tws_free_clock():
    return 0.0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"port": 0}, "port is 0"),
        ({"client_id": -1}, "client_id is -1"),
        ({"answer_timeout_s": 0.0}, "answer_timeout_s"),
        ({"contracts": {"ES": {"sectype": "FUT"}}}, "did you mean 'sec_type'"),
        ({"contracts": {"ES": {"sec_type": "FUTURE"}}}, "contracts.ES: sec_type is 'FUTURE'"),
        ({"contracts": {"ES": {"sec_type": "FUT", "expiry": "June"}}}, "YYYYMM"),
        ({"calendar": "NYSEE"}, "did you mean"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(tws, changes, words):
    with pytest.raises(ValueError, match=words):
        config(tws, **changes)
