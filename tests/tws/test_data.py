"""The double's data, seen through the real client: contracts, history with its rules and pacing, live bars."""

from datetime import UTC, datetime, timedelta

import ib_insync as ii
import pytest
from tws.clients import until
from tws.history import Bar, made_bars
from tws.listings import ES_JUNE, ES_MARCH, SPY

SPY_CONTRACT = ii.Stock("SPY", "SMART", "USD")


@pytest.fixture
def minutes(tws):
    """Two days of minute bars of SPY up to the venue's time, Monday 10:00."""

    def put(venue):
        bars = made_bars(SPY, 60, venue.clock.now - timedelta(days=3), venue.clock.now, 1, 500.0)
        venue.history.put(SPY, 60, bars)
        return bars

    return tws.do(put)


def errors_of(ib):
    found = []
    ib.errorEvent += lambda req_id, code, text, contract: found.append((code, text))
    return found


def test_history_comes_as_it_was_stored_in_utc(minutes, ib_client):
    ib = ib_client()
    got = ib.reqHistoricalData(SPY_CONTRACT, "", "3600 S", "1 min", "TRADES", False, formatDate=2)
    expected = [bar for bar in minutes if bar.opened_utc >= datetime(2024, 6, 3, 13, tzinfo=UTC)]
    assert [(b.date, b.open, b.high, b.low, b.close, b.volume, b.barCount) for b in got] == [
        (b.opened_utc, b.open, b.high, b.low, b.close, b.volume, b.count) for b in expected
    ]


def test_regular_hours_leave_out_what_lies_before_the_open(minutes, ib_client):
    got = ib_client().reqHistoricalData(SPY_CONTRACT, "", "1 D", "1 min", "TRADES", True, formatDate=2)
    # Monday 09:30 to 10:00 in New York.
    assert len(got) == 30
    assert got[0].date == datetime(2024, 6, 3, 13, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"barSizeSetting": "1 minute"}, 321, "bar size setting is invalid"),
        ({"durationStr": "1 Q"}, 321, "duration is invalid"),
        ({"durationStr": "90000 S"}, 321, "must be made in days"),
        ({"durationStr": "400 D", "barSizeSetting": "1 day"}, 321, "must be made in years"),
        ({"durationStr": "10 D"}, 162, "invalid step"),
        (
            {"contract": ii.ContFuture("ES", "CME"), "endDateTime": "20240603 13:00:00 UTC"},
            10339,
            "not allowed",
        ),
        ({"contract": ii.Stock("NONE", "SMART", "USD")}, 200, "No security definition"),
        ({"contract": ii.Future("ES", exchange="CME")}, 200, "ambiguous"),
        ({"endDateTime": "20200101 00:00:00 UTC"}, 162, "no data"),
    ],
)
def test_requests_that_tws_refuses(minutes, ib_client, change, code, words):
    ib = ib_client()
    found = errors_of(ib)
    asked = {
        "contract": SPY_CONTRACT,
        "endDateTime": "",
        "durationStr": "1 D",
        "barSizeSetting": "1 min",
        "whatToShow": "TRADES",
        "useRTH": True,
    }
    assert not ib.reqHistoricalData(**{**asked, **change})
    assert any(seen == code and words in text for seen, text in found)


def test_the_same_request_within_15_seconds_violates_the_pacing(tws, minutes, ib_client):
    ib = ib_client()
    found = errors_of(ib)
    ask = lambda: ib.reqHistoricalData(SPY_CONTRACT, "", "1 D", "1 min", "TRADES", True)  # noqa: E731
    assert ask()
    tws.do(lambda venue: venue.clock.advance(14))
    assert not ask()
    assert any(code == 162 and "pacing violation" in text for code, text in found)
    tws.do(lambda venue: venue.clock.advance(16))
    assert ask()


def test_the_sixth_request_of_a_contract_in_two_seconds_and_the_61st_in_ten_minutes_are_refused(
    tws, minutes, ib_client
):
    ib = ib_client()
    ask = lambda n: ib.reqHistoricalData(SPY_CONTRACT, "", f"{3600 + n} S", "1 min", "TRADES", True)  # noqa: E731
    assert [bool(ask(n)) for n in range(6)] == [True] * 5 + [False]
    tws.do(lambda venue: venue.clock.advance(601))
    answers = []
    for n in range(61):
        answers.append(bool(ask(n)))
        tws.do(lambda venue: venue.clock.advance(1))
    assert answers == [True] * 60 + [False]


def test_an_expired_future_is_found_only_where_expired_ones_are_asked_for(tws, ib_client):
    ib = ib_client()
    assert ib.qualifyContracts(ii.Future("ES", "202403", "CME")) == []
    (found,) = ib.qualifyContracts(ii.Future("ES", "202403", "CME", includeExpired=True))
    assert found.conId == ES_MARCH.con_id


def test_live_bars_of_five_seconds_arrive_until_they_are_cancelled(tws, ib_client):
    ib = ib_client()
    bars = ib.reqRealTimeBars(SPY_CONTRACT, 5, "TRADES", False)
    until(ib, lambda: tws.messages("reqRealTimeBars"))
    piece = Bar(
        opened_utc=datetime(2024, 6, 3, 14, tzinfo=UTC),
        open=1,
        high=4,
        low=0.5,
        close=2,
        volume=7,
        wap=2,
        count=3,
    )
    tws.do(lambda venue: venue.bar(SPY, piece))
    until(ib, lambda: bars)
    assert (bars[0].time, bars[0].open_, bars[0].high, bars[0].low, bars[0].close) == (
        piece.opened_utc,
        1,
        4,
        0.5,
        2,
    )
    ib.cancelRealTimeBars(bars)
    until(ib, lambda: tws.messages("cancelRealTimeBars"))
    tws.do(lambda venue: venue.bar(SPY, piece))
    ib.sleep(0.01)
    assert len(bars) == 1


def test_history_that_is_kept_up_to_date_grows_by_five_second_pieces(tws, minutes, ib_client):
    ib = ib_client()
    bars = ib.reqHistoricalData(SPY_CONTRACT, "", "3600 S", "1 min", "TRADES", False, 2, keepUpToDate=True)
    before = len(bars)
    at = datetime(2024, 6, 3, 14, 0, tzinfo=UTC)
    for n, close in enumerate((500.0, 501.0, 499.0)):
        piece = Bar(
            opened_utc=at + timedelta(seconds=5 * n),
            open=500.0,
            high=max(500.0, close),
            low=min(500.0, close),
            close=close,
            volume=10,
            wap=500.0,
            count=2,
        )
        tws.do(lambda venue, piece=piece: venue.bar(SPY, piece))
    until(ib, lambda: bars[-1].close == 499.0)
    assert len(bars) == before + 1
    last = bars[-1]
    assert (last.date, last.open, last.high, last.low, last.volume, last.barCount) == (
        at,
        500.0,
        501.0,
        499.0,
        30,
        6,
    )


def test_subscriptions_end_where_the_line_came_back_without_its_data(tws, ib_client):
    ib = ib_client()
    bars = ib.reqRealTimeBars(ii.Future("ES", "202406", "CME"), 5, "TRADES", False)
    until(ib, lambda: tws.messages("reqRealTimeBars"))
    tws.do(lambda venue: venue.lose_connectivity())
    tws.restore_connectivity(data_lost=True)
    piece = Bar(
        opened_utc=datetime(2024, 6, 3, 14, tzinfo=UTC),
        open=1,
        high=1,
        low=1,
        close=1,
        volume=1,
        wap=1,
        count=1,
    )
    tws.do(lambda venue: venue.bar(ES_JUNE, piece))
    ib.sleep(0.01)
    assert not bars


def test_ticks_and_snapshots_carry_the_quote(tws, ib_client):
    ib = ib_client()
    tws.do(lambda venue: venue.quote(SPY, 500.0, 500.02))
    (ticker,) = ib.reqTickers(SPY_CONTRACT)
    assert (ticker.bid, ticker.ask, ticker.last) == (500.0, 500.02, 500.01)


def test_the_account_and_its_time_are_told(tws, ib_client):
    ib = ib_client()
    values = {value.tag: value.value for value in ib.accountValues()}
    assert values["NetLiquidation"] == "1000000.00"
    assert {value.tag for value in ib.accountSummary()} >= {"BuyingPower", "InitMarginReq"}
    assert ib.reqCurrentTime() == datetime(2024, 6, 3, 14, tzinfo=UTC)
