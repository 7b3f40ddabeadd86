"""Yahoo: what its chart says, parsed apart from how it is fetched."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from urllib.parse import unquote

import pandas as pd
import pytest
from scripted_server import Answer
from vendor_doubles import Bar, clock, request, yahoo_chart

from data.vendors.definition import AnswerRefused, MalformedAnswer
from data.vendors.yahoo import Yahoo
from data.vendors.yahoo_chart import parse_chart

PIECE = request("SPY", 86400, "2024-05-29", "2024-06-01")
DAYS = [
    Bar("2024-05-29 13:30", 500.0, 501.0, 499.0, 500.5, 1000.0),
    Bar("2024-05-30 13:30", 500.5, 502.0, 500.0, 501.5, 1100.0),
    Bar("2024-05-31 13:30", 501.5, 501.75, 501.0, 501.25, 900.0),
]
SPLIT = {
    "splits": {
        "1": {
            "date": int(pd.Timestamp("2024-05-31 13:30", tz="UTC").timestamp()),
            "numerator": 4,
            "denominator": 1,
            "splitRatio": "4:1",
        }
    }
}
PAID = {
    "dividends": {"1": {"date": int(pd.Timestamp("2024-05-30 13:30", tz="UTC").timestamp()), "amount": 1.5}}
}


def yahoo(server, **more):
    return Yahoo(base_url=server.url, now=clock, **more)


def test_prices_as_traded_are_delivered_only_where_no_split_followed(server):
    server.in_turn(Answer(body=yahoo_chart(DAYS, events=SPLIT)))
    with pytest.raises(AnswerRefused, match="split of 2024-05-31.*adjustment=splits"):
        yahoo(server).fetch(replace(PIECE, symbol="SPY"))
    asked = server.seen[0].query
    assert pd.Timestamp(int(asked["period2"]), unit="s", tz="UTC") == clock().floor(
        "s"
    )  # until now, for later splits
    assert len(yahoo(server).fetch(replace(PIECE, adjustment="splits")).rows) == 3
    late = replace(PIECE, start_utc=pd.Timestamp("2024-05-31 13:30", tz="UTC"))
    assert len(yahoo(server).fetch(late).rows) == 1  # what follows a split is as traded


def test_all_moves_prices_in_the_proportion_of_the_adjusted_close(server):
    server.in_turn(Answer(body=yahoo_chart(DAYS, adjusted=[250.25, 501.5, 501.25])))
    rows = yahoo(server).fetch(replace(PIECE, adjustment="all")).rows
    assert rows.iloc[0].tolist() == [250.0, 250.5, 249.5, 250.25, 1000.0]


def test_the_indices_of_cboe_are_labelled_by_the_sessions_of_new_york(server):
    vix = [replace(bar, volume=0.0) for bar in DAYS]
    server.in_turn(Answer(body=yahoo_chart(vix, zone="America/Chicago", kind="INDEX")))
    found = yahoo(server).fetch(replace(PIECE, symbol="^VIX"))
    assert [f"{t:%d %H:%M}" for t in found.rows.index] == ["29 13:30", "30 13:30", "31 13:30"]
    assert unquote(server.seen[0].path) == "/v8/finance/chart/^VIX"
    assert found.rows["volume"].tolist() == [0.0, 0.0, 0.0]


def test_what_trades_elsewhere_needs_its_calendar(server):
    days = [replace(bar, at=bar.at.replace("13:30", "07:00")) for bar in DAYS]
    server.in_turn(Answer(body=yahoo_chart(days, zone="Europe/London", kind="EQUITY")))
    with pytest.raises(AnswerRefused, match="Europe/London.*calendar=LSE"):
        yahoo(server).fetch(replace(PIECE, symbol="BARC.L"))
    rows = yahoo(server, calendar="LSE").fetch(replace(PIECE, symbol="BARC.L")).rows
    assert [f"{t:%H:%M}" for t in rows.index] == ["07:00"] * 3
    server.in_turn(Answer(body=yahoo_chart(days, kind="FUTURE")))
    with pytest.raises(AnswerRefused, match="FUTURE"):
        yahoo(server).fetch(replace(PIECE, symbol="ES=F"))


def test_crypto_has_days_of_utc(server):
    days = [replace(bar, at=bar.at[:10]) for bar in DAYS]
    server.in_turn(Answer(body=yahoo_chart(days, zone="UTC", kind="CRYPTOCURRENCY")))
    rows = yahoo(server).fetch(replace(PIECE, symbol="BTC-USD")).rows
    assert [f"{t:%d %H:%M}" for t in rows.index] == ["29 00:00", "30 00:00", "31 00:00"]


def test_the_day_that_runs_is_left_out_whatever_instant_it_carries(server):
    today = replace(DAYS[0], at="2024-06-03 13:30")
    running = [*DAYS, today, replace(today, at="2024-06-03 18:00:12", close=499.5)]
    server.in_turn(Answer(body=yahoo_chart(running)))
    found = yahoo(server).fetch(replace(PIECE, stop_utc=pd.Timestamp("2024-07-01", tz="UTC")))
    assert len(found.rows) == 3
    assert found.complete_to_utc == pd.Timestamp("2024-06-03 13:30", tz="UTC")


def test_a_day_of_nulls_is_a_day_without_trades(server):
    body = yahoo_chart(DAYS)
    for values in body["chart"]["result"][0]["indicators"]["quote"][0].values():
        values[1] = None
    body["chart"]["result"][0]["indicators"]["adjclose"][0]["adjclose"][1] = None
    server.in_turn(Answer(body=body))
    assert [f"{t:%d}" for t in yahoo(server).fetch(PIECE).rows.index] == ["29", "31"]


def test_its_own_words_for_an_unknown_symbol_are_quoted(server):
    body = {
        "chart": {
            "result": None,
            "error": {"code": "Not Found", "description": "No data found, symbol may be delisted"},
        }
    }
    server.in_turn(Answer(status=404, body=body))
    with pytest.raises(AnswerRefused, match="may be delisted"):
        yahoo(server).fetch(PIECE)


def test_columns_of_another_length_and_bars_of_another_size_are_malformed():
    body = yahoo_chart(DAYS)
    body["chart"]["result"][0]["indicators"]["quote"][0]["low"].pop()
    with pytest.raises(MalformedAnswer, match="as long as"):
        parse_chart(body, "SPY")
    body = yahoo_chart(DAYS)
    body["chart"]["result"][0]["meta"]["dataGranularity"] = "1wk"
    with pytest.raises(MalformedAnswer, match="not one of days"):
        parse_chart(body, "SPY")


def test_splits_and_dividends(server):
    server.in_turn(Answer(body=yahoo_chart(DAYS, events={**SPLIT, **PAID})))
    window = (dt.date(2024, 1, 1), dt.date(2024, 6, 1))
    (split,) = yahoo(server).splits("SPY", *window)
    (paid,) = yahoo(server).dividends("SPY", *window)
    assert (split.ex_date, split.factor) == (dt.date(2024, 5, 31), 4.0)
    assert (paid.ex_date, paid.cash_per_share, paid.currency, paid.split_adjusted) == (
        dt.date(2024, 5, 30),
        1.5,
        "USD",
        True,
    )
    assert list(yahoo(server).splits("SPY", dt.date(2024, 1, 1), dt.date(2024, 5, 30))) == []
