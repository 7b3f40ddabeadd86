"""Alpha Vantage: refusals in words, adjusted days, splits, dividends, and listings with their end."""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import replace

import pytest
from canary import CANARY
from scripted_server import Answer
from vendor_doubles import DAYS, alphavantage_days, clock, request

from data.vendors.alphavantage import AlphaVantage
from data.vendors.definition import (
    AnswerRefused,
    KeyRefused,
    MalformedAnswer,
    RateLimited,
    TemporarilyUnavailable,
)
from data.vendors.reference import CorporateActions, Listings

PIECE = request("SPY", 86400, "2024-05-29", "2024-06-01")
WORDS = [
    ("Information", "We have detected your API key as {key} and our standard API rate limit is 25 requests per day. "
     "Please subscribe to any of the premium plans to instantly remove all daily rate limits.", RateLimited, 3600.0),
    ("Note", "Our standard API call frequency is 5 calls per minute and 500 calls per day.", RateLimited, None),
    ("Information", "Please consider spreading out your free API requests more sparingly (1 request per second).",
     RateLimited, 60.0),
    ("Information", "This is a premium endpoint. You may subscribe to any of the premium plans.", KeyRefused, None),
    ("Error Message", "the parameter apikey is invalid or missing. Please claim your free API key.", KeyRefused, None),
    ("Error Message", "Invalid API call. Please retry or visit the documentation.", AnswerRefused, None),
]  # fmt: skip


def alphavantage(server, **more):
    return AlphaVantage(base_url=server.url, now=clock, **more)


@pytest.mark.parametrize(("name", "words", "kind", "rest_s"), WORDS)
def test_refusals_are_told_apart_by_their_words_and_quote_no_key(server, name, words, kind, rest_s):
    server.in_turn(Answer(body={name: words.format(key=os.environ["ALPHAVANTAGE_API_KEY"])}))
    with pytest.raises(kind) as caught:
        alphavantage(server).fetch(PIECE)
    assert CANARY not in str(caught.value)
    if rest_s:
        assert caught.value.retry_after_s == rest_s


def test_adjusted_prices_move_all_in_the_proportion_of_the_adjusted_close(server):
    server.in_turn(Answer(body=alphavantage_days(DAYS, adjusted_close=[250.25, 501.5, 501.25])))
    rows = alphavantage(server).fetch(replace(PIECE, adjustment="all")).rows
    # The first day closed at 500.5 and counts half of it.
    assert rows.iloc[0].tolist() == [250.0, 250.5, 249.5, 250.25, 1000.0]
    assert rows.iloc[1].tolist() == [500.5, 502.0, 500.0, 501.5, 1100.0]
    assert server.seen[0].query["function"] == "TIME_SERIES_DAILY_ADJUSTED"


def test_one_call_serves_any_window_and_a_short_one_asks_for_less(server):
    server.in_turn(Answer(body=alphavantage_days(DAYS)))
    vendor = alphavantage(server)
    asked = request("SPY", 86400, "1999-11-01", "2024-06-01")
    assert vendor.pieces(asked) == (asked,)
    assert len(vendor.fetch(asked).rows) == 3
    vendor.fetch(PIECE)
    assert [seen.query["outputsize"] for seen in server.seen] == ["full", "compact"]


def test_a_day_is_labelled_by_the_opening_of_its_session_on_the_exchanges_calendar(server):
    server.in_turn(Answer(body=alphavantage_days(DAYS)))
    rows = alphavantage(server, calendar="LSE").fetch(replace(PIECE, symbol="BARC.LON")).rows
    assert [f"{t:%H:%M}" for t in rows.index] == ["07:00"] * 3  # London opens at 08:00, summer time


def test_splits_and_dividends_are_cut_to_the_window(server):
    vendor = alphavantage(server)
    assert isinstance(vendor, CorporateActions)
    data = [
        {"effective_date": "2020-08-31", "split_factor": "4.0000"},
        {"effective_date": "2014-06-09", "split_factor": "7.0"},
    ]
    server.in_turn(Answer(body={"symbol": "AAPL", "data": data}))
    (split,) = vendor.splits("AAPL", dt.date(2018, 1, 1), dt.date(2024, 1, 1))
    assert (split.ex_date, split.factor) == (dt.date(2020, 8, 31), 4.0)
    data = [
        {
            "ex_dividend_date": "2024-05-10",
            "declaration_date": "None",
            "payment_date": "2024-05-16",
            "amount": "0.25",
        }
    ]
    server.in_turn(Answer(body={"symbol": "AAPL", "data": data}))
    (paid,) = vendor.dividends("AAPL", dt.date(2024, 1, 1), dt.date(2024, 12, 31))
    assert (paid.cash_per_share, paid.declared_on, paid.paid_on) == (0.25, None, dt.date(2024, 5, 16))
    server.in_turn(Answer(body={"data": [{"effective_date": "2020-08-31", "split_factor": "four"}]}))
    with pytest.raises(MalformedAnswer, match="split_factor"):
        vendor.splits("AAPL", dt.date(2018, 1, 1), dt.date(2024, 1, 1))


LISTINGS = (
    "symbol,name,exchange,assetType,ipoDate,delistingDate,status\r\n"
    "AAPL,Apple Inc,NASDAQ,Stock,1980-12-12,null,Active\r\n"
    'LEH,"Lehman, Brothers",NYSE,Stock,1994-05-02,2008-09-17,Delisted\r\n'
)


def test_listings_know_when_they_began_and_ended(server):
    vendor = alphavantage(server)
    assert isinstance(vendor, Listings)
    server.in_turn(Answer(body=LISTINGS, headers={"Content-Type": "application/x-download"}))
    apple, lehman = vendor.delisted(dt.date(2014, 7, 10))
    assert (apple.listed_on, apple.delisted_on) == (dt.date(1980, 12, 12), None)
    assert (lehman.name, lehman.delisted_on) == ("Lehman, Brothers", dt.date(2008, 9, 17))
    assert server.seen[0].query["state"] == "delisted"
    vendor.listings(dt.date(2014, 7, 10))
    asked = server.seen[1].query
    assert (asked["function"], asked["date"], asked["state"]) == ("LISTING_STATUS", "2014-07-10", "active")


def test_listings_that_end_inside_a_row_or_are_a_refusal_are_not_a_shorter_list(server):
    server.in_turn(Answer(body=LISTINGS[:-40]))
    with pytest.raises((TemporarilyUnavailable, MalformedAnswer)):
        alphavantage(server).listings(dt.date(2014, 7, 10))
    server.in_turn(Answer(body={"Information": "rate limit is 25 requests per day"}))
    with pytest.raises(RateLimited):
        alphavantage(server).listings(dt.date(2014, 7, 10))
    server.in_turn(Answer(body="<html>sorry</html>"))
    with pytest.raises(MalformedAnswer, match="columns"):
        alphavantage(server).listings(dt.date(2014, 7, 10))
