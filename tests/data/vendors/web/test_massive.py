"""Massive: pages, labels of days, what is no stock, and its reference data."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from canary import CANARY
from scripted_server import Answer
from vendor_doubles import MINUTES, Bar, clock, massive_bars, request

from data.vendors.definition import AnswerRefused, KeyRefused, MalformedAnswer, RateLimited
from data.vendors.massive import Massive
from data.vendors.reference import CorporateActions, Listings, OptionChains, PricedUniverse

PIECE = request("SPY", 60, "2024-05-31 14:00", "2024-05-31 15:00")


def massive(server, **more):
    return Massive(base_url=server.url, now=clock, **more)


def pages(server, *bodies):
    server.in_turn(*(Answer(body=body) for body in bodies))


def test_pages_are_followed_with_the_key_and_counted(server):
    link = f"{server.url}/v2/aggs/ticker/SPY/range/1/minute/a/b?cursor=abc%3D"
    pages(server, massive_bars(MINUTES[:2], next_url=link), massive_bars(MINUTES[2:]))
    found = massive(server).fetch(PIECE)
    assert found.rows["close"].tolist() == [500.5, 501.5, 501.25]
    assert found.calls == 2
    first, second = server.seen
    assert first.path == "/v2/aggs/ticker/SPY/range/1/minute/1717164000000/1717167599999"
    assert first.query == {"adjusted": "false", "sort": "asc", "limit": "50000"}
    assert second.query == {"cursor": "abc="}
    assert all(CANARY in seen.headers["authorization"] for seen in server.seen)


def test_a_link_under_the_vendors_other_name_is_followed_where_we_ask(server):
    pages(
        server,
        massive_bars(MINUTES[:1], next_url="https://api.polygon.io/v2/x?cursor=1"),
        massive_bars(MINUTES[1:]),
    )
    assert len(massive(server).fetch(PIECE).rows) == 3
    assert server.seen[1].path == "/v2/x"


STRANGERS = (
    "http://127.0.0.1:1/v2/x?cursor=1",
    "//evil.example/v2",
    "https://api.massive.com.evil.example/",
    "https://api.massive.com@evil.example/v2",
    5,
)


@pytest.mark.parametrize("link", STRANGERS)
def test_a_link_to_another_host_is_refused_and_nobody_is_asked(server, link):
    pages(server, massive_bars(MINUTES, next_url=link))
    with pytest.raises(MalformedAnswer, match="the key is not sent there"):
        massive(server).fetch(PIECE)
    assert len(server.seen) == 1


def test_links_in_a_circle_are_refused(server):
    urls = [f"{server.url}/v2/x?cursor={i}" for i in (1, 2, 1)]
    pages(server, *(massive_bars(MINUTES[:1], next_url=url) for url in urls))
    with pytest.raises(MalformedAnswer, match="was there before"):
        massive(server).fetch(PIECE)
    assert len(server.seen) == 3


def test_a_second_page_that_fails_keeps_nothing_of_the_first(server):
    server.in_turn(
        Answer(body=massive_bars(MINUTES[:2], next_url=f"{server.url}/v2/x?cursor=1")),
        Answer(body="not json"),
    )
    with pytest.raises(Exception, match="no JSON"):
        massive(server).fetch(PIECE)


def test_results_that_are_counted_but_missing_are_no_empty_day(server):
    pages(server, {"status": "OK", "resultsCount": 3})
    with pytest.raises(MalformedAnswer, match="results"):
        massive(server).fetch(PIECE)
    pages(server, {"status": "OK", "resultsCount": 0})
    assert len(massive(server).fetch(PIECE).rows) == 0


@pytest.mark.parametrize(("status", "kind"), [("NOT_AUTHORIZED", KeyRefused), ("ERROR", AnswerRefused)])
def test_a_refusal_in_words_with_status_200_is_one(server, status, kind):
    pages(server, {"status": status, "message": "you are not entitled to this timeframe"})
    with pytest.raises(kind, match="not entitled"):
        massive(server).fetch(PIECE)


def day(date, zone="America/New_York"):
    return Bar(str(pd.Timestamp(date, tz=zone).tz_convert("UTC").tz_localize(None)), 1.0, 2.0, 0.5, 1.5, 10.0)


def test_a_day_is_labelled_by_the_opening_of_its_session_in_summer_winter_and_on_a_half_day(server):
    # New York opens at 09:30: 14:30 UTC in winter, 13:30 UTC from 2024-03-11 on; 2023-11-24 closed at 13:00.
    pages(server, massive_bars([day("2023-11-24"), day("2024-03-08"), day("2024-03-11")]))
    found = massive(server).fetch(request("SPY", 86400, "2023-11-01", "2024-04-01"))
    assert [f"{at:%m-%d %H:%M}" for at in found.rows.index] == ["11-24 14:30", "03-08 14:30", "03-11 13:30"]


def test_the_day_that_opens_at_the_start_of_the_window_is_asked_for_by_its_midnight(server):
    pages(server, massive_bars([day("2024-05-28"), day("2024-05-29"), day("2024-05-30")]))
    found = massive(server).fetch(request("SPY", 86400, "2024-05-29 13:30", "2024-05-30 13:30"))
    assert list(found.rows.index) == [pd.Timestamp("2024-05-29 13:30", tz="UTC")]
    asked_from = int(server.seen[0].path.split("/")[-2])
    assert pd.Timestamp(asked_from, unit="ms") <= pd.Timestamp("2024-05-29 04:00")


def test_a_day_is_complete_when_its_date_is_over_in_new_york(server):
    pages(server, massive_bars([day("2024-05-31"), day("2024-06-03")]))
    found = massive(server).fetch(request("SPY", 86400, "2024-05-01", "2024-07-01"))
    assert [f"{at:%m-%d}" for at in found.rows.index] == ["05-31"]  # it is Monday, 2024-06-03
    assert found.complete_to_utc == pd.Timestamp("2024-06-03 13:30", tz="UTC")


def test_a_day_that_is_no_session_is_refused_by_its_date(server):
    pages(server, massive_bars([day("2024-07-04"), day("2024-07-05")]))
    later = replace(massive(server), now=lambda: pd.Timestamp("2024-09-01", tz="UTC"))
    with pytest.raises(MalformedAnswer, match="2024-07-04, which is no session of calendar 'NYSE'"):
        later.fetch(request("SPY", 86400, "2024-07-01", "2024-08-01"))


def test_a_day_of_crypto_is_one_of_utc(server):
    pages(
        server, massive_bars([day("2024-06-01", "UTC"), day("2024-06-02", "UTC"), day("2024-06-03", "UTC")])
    )
    found = massive(server).fetch(request("X:BTCUSD", 86400, "2024-06-01", "2024-07-01"))
    assert [f"{at:%m-%d %H:%M}" for at in found.rows.index] == ["06-01 00:00", "06-02 00:00"]
    assert found.complete_to_utc == pd.Timestamp("2024-06-03", tz="UTC")
    assert server.seen[0].path.startswith("/v2/aggs/ticker/X:BTCUSD/")


def test_an_index_has_no_volume_and_a_stock_without_one_is_malformed(server):
    body = massive_bars(MINUTES)
    for row in body["results"]:
        del row["v"], row["n"], row["vw"]
    pages(server, body)
    found = massive(server).fetch(replace(PIECE, symbol="I:SPX"))
    assert found.rows["volume"].tolist() == [0.0, 0.0, 0.0]
    assert list(found.rows.columns) == ["open", "high", "low", "close", "volume"]
    with pytest.raises(MalformedAnswer, match="volume"):
        massive(server).fetch(PIECE)


def test_splits_are_asked_for_by_their_name_and_symbols_cannot_leave_their_place(server):
    pages(server, massive_bars(MINUTES))
    found = massive(server).fetch(replace(PIECE, adjustment="splits", symbol="A/../B?x"))
    assert server.seen[0].query["adjusted"] == "true"
    assert found.source_uri.endswith("adjusted=true")
    assert server.seen[0].path.split("/range/")[0] == "/v2/aggs/ticker/A%2F..%2FB%3Fx"


def test_bars_of_another_length_than_asked_for_are_malformed(server):
    pages(server, massive_bars(MINUTES))
    with pytest.raises(MalformedAnswer, match="60 s apart, not 300 s"):
        massive(server).fetch(replace(PIECE, bar_seconds=300))


def test_a_delayed_plan_does_not_turn_what_is_missing_into_a_gap(server):
    # It is 18:00:30; 15 minutes ago it was 17:45:30, so the bar of 17:44 is the last one that is over.
    pages(server, massive_bars([replace(MINUTES[0], at="2024-06-03 17:44")]))
    found = massive(server, delay_seconds=900).fetch(
        request("SPY", 60, "2024-06-03 17:00", "2024-06-03 19:00")
    )
    assert found.complete_to_utc == pd.Timestamp("2024-06-03 17:45", tz="UTC")


def test_its_former_name_serves_for_the_key(server, monkeypatch):
    monkeypatch.delenv("MASSIVE_API_KEY")
    monkeypatch.setenv("POLYGON_API_KEY", f"{CANARY}-polygon")
    pages(server, massive_bars(MINUTES))
    massive(server).fetch(PIECE)
    assert server.seen[0].headers["authorization"] == f"Bearer {CANARY}-polygon"


# Reference data


def test_it_offers_every_kind_of_reference_data(server):
    assert isinstance(massive(server), (CorporateActions, Listings, PricedUniverse, OptionChains))
    for kind in (CorporateActions, Listings, PricedUniverse, OptionChains):
        assert isinstance(massive(server), kind)


def test_splits_and_dividends_come_by_ex_date(server):
    pages(
        server,
        {"status": "OK", "results": [
            {"ticker": "AAPL", "execution_date": "2020-08-31", "split_from": 1, "split_to": 4},
            {"ticker": "AAPL", "execution_date": "2014-06-09", "split_from": 1, "split_to": 7},
        ]},
    )  # fmt: skip
    splits = massive(server).splits("AAPL", dt.date(2014, 1, 1), dt.date(2021, 1, 1))
    assert [(s.ex_date, s.factor) for s in splits] == [
        (dt.date(2014, 6, 9), 7.0),
        (dt.date(2020, 8, 31), 4.0),
    ]
    assert server.seen[0].query["execution_date.gte"] == "2014-01-01"
    pages(
        server,
        {"status": "OK", "results": [
            {"ticker": "AAPL", "ex_dividend_date": "2024-05-10", "cash_amount": 0.25, "currency": "USD",
             "declaration_date": "2024-05-02", "pay_date": "2024-05-16"},
        ]},
    )  # fmt: skip
    (paid,) = massive(server).dividends("AAPL", dt.date(2024, 1, 1), dt.date(2024, 6, 1))
    assert (paid.cash_per_share, paid.declared_on, paid.paid_on) == (
        0.25,
        dt.date(2024, 5, 2),
        dt.date(2024, 5, 16),
    )
    assert paid.split_adjusted is False


@pytest.mark.parametrize(
    "row",
    [
        {"ticker": "A", "execution_date": "2020-08-31", "split_from": 0, "split_to": 4},
        {"ticker": "A", "execution_date": "31.08.2020", "split_from": 1, "split_to": 4},
        {"ticker": "A", "execution_date": "2020-08-31", "split_from": "1", "split_to": 4},
        {"execution_date": "2020-08-31", "split_from": 1, "split_to": 4},
    ],
)
def test_a_split_that_is_none_is_malformed(server, row):
    pages(server, {"status": "OK", "results": [row]})
    with pytest.raises(MalformedAnswer):
        massive(server).splits("A", dt.date(2020, 1, 1), dt.date(2021, 1, 1))


def ticker(symbol, **more):
    return {
        "ticker": symbol,
        "name": symbol,
        "market": "stocks",
        "type": "CS",
        "primary_exchange": "XNYS",
        **more,
    }


def test_a_universe_holds_what_was_listed_with_the_last_price_of_then(server):
    # 2024-05-26 is a Sunday and 2024-05-27 a holiday, so the last session before 2024-05-28 is Friday, 2024-05-24.
    grouped = {"status": "OK", "results": [
        {"T": "AAA", "o": 1.0, "h": 1.0, "l": 1.0, "c": 12.5, "v": 100.0},
        {"T": "DEAD", "o": 1.0, "h": 1.0, "l": 1.0, "c": 0.4, "v": 5.0},
        {"T": "OTHER", "o": 1.0, "h": 1.0, "l": 1.0, "c": 9.0, "v": 5.0},
    ]}  # fmt: skip
    first = {"status": "OK", "results": [ticker("DEAD"), ticker("AAA")]}

    def answer(seen):
        if "grouped" in seen.path:
            return Answer(body=grouped)
        link = (
            {"next_url": f"{server.url}/v3/reference/tickers?cursor=2"} if "cursor" not in seen.query else {}
        )
        return Answer(body={**first, **link} if link else {"status": "OK", "results": [ticker("NOPRICE")]})

    server.answer = answer
    found = massive(server).universe(dt.date(2024, 5, 27))
    assert [(p.listing.symbol, p.close, p.volume, p.session) for p in found] == [
        ("AAA", 12.5, 100.0, dt.date(2024, 5, 24)),
        ("DEAD", 0.4, 5.0, dt.date(2024, 5, 24)),
    ]
    asked = [seen for seen in server.seen if "grouped" in seen.path]
    assert asked[0].path.endswith("/2024-05-24")
    assert asked[0].query == {"adjusted": "false"}
    assert next(s for s in server.seen if "tickers" in s.path).query["date"] == "2024-05-27"
    with pytest.raises(AnswerRefused, match="not over"):
        massive(server).universe(dt.date(2024, 6, 3))


def test_reference_data_rest_when_the_plan_says_so_and_lose_no_page(server):
    waits = []
    split = {"ticker": "A", "execution_date": "2020-08-31", "split_from": 1, "split_to": 4}
    first = {"status": "OK", "results": [split], "next_url": f"{server.url}/v3/reference/splits?cursor=2"}
    second = {"status": "OK", "results": [{**split, "execution_date": "2021-08-31"}]}
    limited = Answer(status=429, body={"error": "5 a minute"})
    server.in_turn(
        Answer(body=first),
        limited,
        Answer(status=429, body={}, headers={"Retry-After": "12"}),
        Answer(body=second),
    )
    window = (dt.date(2020, 1, 1), dt.date(2022, 1, 1))
    assert len(massive(server, wait=waits.append).splits("A", *window)) == 2
    assert waits == [60.0, 12.0]
    server.in_turn(limited)
    with pytest.raises(RateLimited):
        massive(server, wait=waits.append).splits("A", *window)
    assert len(waits) < 100


def test_what_had_ended_by_a_date_comes_with_its_last_day(server):
    pages(
        server,
        {"status": "OK", "results": [ticker("LEH", active=False, delisted_utc="2008-09-18T04:00:00Z")]},
    )
    (lehman,) = massive(server).delisted(dt.date(2010, 1, 4))
    assert (lehman.symbol, lehman.delisted_on, lehman.kind) == ("LEH", dt.date(2008, 9, 18), "CS")
    assert (server.seen[0].query["active"], server.seen[0].query["date"]) == ("false", "2010-01-04")


def test_option_contracts_of_a_date_include_those_that_expired_since(server):
    alive = {
        "ticker": "O:SPY250117C00500000",
        "expiration_date": "2025-01-17",
        "strike_price": 500,
        "contract_type": "call",
        "shares_per_contract": 100,
    }
    dead = {
        **alive,
        "ticker": "O:SPY240119P00400000",
        "expiration_date": "2024-01-19",
        "strike_price": 400,
        "contract_type": "put",
    }
    older = {**dead, "ticker": "O:SPY200117P00400000", "expiration_date": "2020-01-17"}
    server.answer = lambda seen: Answer(
        body={"status": "OK", "results": [dead, older] if seen.query["expired"] == "true" else [alive]}
    )
    found = massive(server).option_contracts("SPY", dt.date(2024, 1, 2))
    assert found["symbol"].tolist() == ["O:SPY240119P00400000", "O:SPY250117C00500000"]
    assert found["kind"].tolist() == ["put", "call"]


def test_a_chain_keeps_what_is_not_quoted_as_unknown(server):
    details = {"ticker": "O:X", "expiration_date": "2024-06-21", "strike_price": 5.5, "contract_type": "put"}
    quoted = {
        "details": details,
        "last_quote": {"bid": 1.0, "ask": 1.2},
        "open_interest": 7,
        "day": {"close": 1.1},
    }
    pages(server, {"status": "OK", "results": [quoted, {"details": {**details, "contract_type": "call"}}]})
    found = massive(server).option_chain("X")
    assert found["kind"].tolist() == ["call", "put"]
    assert found["bid"].tolist()[1] == 1.0
    assert np.isnan(found["bid"][0])
    assert found["strike"].tolist() == [5.5, 5.5]


def test_a_snapshot_and_statements_come_as_tables(server):
    snapshot = {"status": "OK", "tickers": [
        {"ticker": "AAPL", "day": {"o": 1.0, "c": 2.0, "v": 3.0}, "prevDay": {"c": 1.5},
         "updated": 1717437600000000000},
    ]}  # fmt: skip
    pages(server, snapshot)
    (row,) = massive(server).snapshot(["AAPL"]).to_dict("records")
    assert (row["day_close"], row["previous_close"]) == (2.0, 1.5)
    assert row["updated_utc"] == pd.Timestamp("2024-06-03 18:00", tz="UTC")
    filings = [{"period_end": "2024-03-31", "filing_date": "2024-05-02", "revenue": 9.0}, {"period_end": "2023-12-31", "filing_date": "2024-02-01", "revenue": 8.0}]  # fmt: skip  # noqa: E501
    pages(server, {"status": "OK", "results": filings})
    assert massive(server).statements("AAPL", "income-statements")["revenue"].tolist() == [8.0, 9.0]
