"""Alpaca: pages by token, feeds, crypto, corporate actions."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pandas as pd
import pytest
from canary import CANARY
from scripted_server import Answer
from vendor_doubles import MINUTES, Bar, alpaca_bars, clock, request

from data.vendors.alpaca import Alpaca
from data.vendors.definition import KeyRefused, MalformedAnswer
from data.vendors.reference import CorporateActions

PIECE = request("SPY", 60, "2024-05-31 14:00", "2024-05-31 15:00", "all")


def alpaca(server, **more):
    return Alpaca(base_url=server.url, now=clock, **more)


def test_pages_are_followed_by_their_tokens_with_both_keys(server):
    server.in_turn(Answer(body=alpaca_bars(MINUTES[:2], token="t1")), Answer(body=alpaca_bars(MINUTES[2:])))
    found = alpaca(server, feed="iex").fetch(PIECE)
    assert found.calls == 2
    assert found.rows["close"].tolist() == [500.5, 501.5, 501.25]
    first, second = server.seen
    assert first.path == "/v2/stocks/bars"
    assert first.query == {
        "symbols": "SPY", "timeframe": "1Min", "start": "2024-05-31T14:00:00Z", "end": "2024-05-31T14:59:59Z",
        "limit": "10000", "sort": "asc", "adjustment": "all", "feed": "iex",
    }  # fmt: skip
    assert second.query == {**first.query, "page_token": "t1"}
    assert all(CANARY in second.headers[name] for name in ("apca-api-key-id", "apca-api-secret-key"))


def test_tokens_in_a_circle_are_refused(server):
    server.in_turn(*(Answer(body=alpaca_bars(MINUTES[:1], token=t)) for t in ("a", "b", "a")))
    with pytest.raises(MalformedAnswer, match="was there before"):
        alpaca(server).fetch(PIECE)


def test_bars_of_another_symbol_are_never_taken_for_those_asked_for(server):
    server.in_turn(Answer(body=alpaca_bars(MINUTES, symbol="SPX")))
    with pytest.raises(MalformedAnswer, match="not those of SPY"):
        alpaca(server).fetch(PIECE)


def test_a_plan_without_recent_data_is_told_what_is_within_it(server):
    words = {"message": "subscription does not permit querying recent SIP data"}
    server.in_turn(Answer(status=403, body=words))
    with pytest.raises(KeyRefused, match="feed=iex"):
        alpaca(server).fetch(PIECE)


def test_what_the_plan_delays_is_not_asked_for(server):
    server.in_turn(Answer(body=alpaca_bars([])))
    found = alpaca(server, delay_seconds=960).fetch(
        request("SPY", 60, "2024-06-03 17:00", "2024-06-03 19:00")
    )
    assert server.seen[0].query["end"] == "2024-06-03T17:44:30Z"
    assert found.complete_to_utc == pd.Timestamp("2024-06-03 17:44", tz="UTC")


def test_crypto_has_its_own_address_no_feed_and_days_of_utc(server):
    bars = [
        Bar("2024-05-30 00:00", 1.0, 2.0, 0.5, 1.5, 10.0),
        Bar("2024-05-31 00:00", 1.5, 2.0, 1.0, 1.6, 9.0),
    ]
    server.in_turn(Answer(body=alpaca_bars(bars, symbol="BTC/USD")))
    asked = request("BTC/USD", 86400, "2024-05-30", "2024-06-01")
    assert [f"{at:%d %H:%M}" for at in alpaca(server).fetch(asked).rows.index] == ["30 00:00", "31 00:00"]
    assert server.seen[0].path == "/v1beta3/crypto/us/bars"
    assert "feed" not in server.seen[0].query
    # A day that begins at another hour is no day of UTC, and is refused rather than moved.
    late = [replace(bar, at=f"{bar.at[:10]} 05:00") for bar in bars]
    server.in_turn(Answer(body=alpaca_bars(late, symbol="BTC/USD")))
    with pytest.raises(MalformedAnswer, match="ask for bars of an hour"):
        alpaca(server).fetch(asked)


def test_a_day_of_a_stock_is_labelled_by_the_opening_of_its_session(server):
    # Alpaca writes midnight of New York: 05:00 UTC in winter, 04:00 UTC in summer.
    bars = [
        Bar("2024-03-08 05:00", 1.0, 2.0, 0.5, 1.5, 10.0),
        Bar("2024-03-11 04:00", 1.0, 2.0, 0.5, 1.5, 10.0),
    ]
    server.in_turn(Answer(body=alpaca_bars(bars)))
    found = alpaca(server).fetch(request("SPY", 86400, "2024-03-01", "2024-04-01"))
    assert [f"{at:%m-%d %H:%M}" for at in found.rows.index] == ["03-08 14:30", "03-11 13:30"]
    assert server.seen[0].query["start"] == "2024-02-29T00:00:00Z"


def test_an_unknown_feed_and_a_missing_secret_are_told(server, monkeypatch):
    with pytest.raises(ValueError, match="feed is 'best'; it must be one of sip, iex, otc"):
        Alpaca(feed="best")
    monkeypatch.delenv("ALPACA_API_SECRET_KEY")
    with pytest.raises(KeyRefused, match="ALPACA_API_SECRET_KEY"):
        alpaca(server).fetch(PIECE)


def test_splits_forward_and_reverse_and_dividends(server):
    def answer(seen):
        if "split" in seen.query["types"]:
            body = {
                "forward_splits": [{"symbol": "X", "ex_date": "2024-06-10", "new_rate": 10, "old_rate": 1}],
                "reverse_splits": [{"symbol": "X", "ex_date": "2023-06-10", "new_rate": 1, "old_rate": 8}],
            }
        else:
            body = {
                "cash_dividends": [
                    {"symbol": "X", "ex_date": "2024-05-10", "rate": 0.25, "payable_date": "2024-05-16"}
                ]
            }
        return Answer(body={"corporate_actions": body, "next_page_token": None})

    server.answer = answer
    vendor = alpaca(server)
    assert isinstance(vendor, CorporateActions)
    window = (dt.date(2023, 1, 1), dt.date(2024, 12, 31))
    assert [(s.ex_date.year, s.factor) for s in vendor.splits("X", *window)] == [(2023, 0.125), (2024, 10.0)]
    (paid,) = vendor.dividends("X", *window)
    assert (paid.cash_per_share, paid.paid_on) == (0.25, dt.date(2024, 5, 16))
    assert server.seen[0].path == "/v1/corporate-actions"
    assert server.seen[0].query["types"] == "forward_split,reverse_split"
