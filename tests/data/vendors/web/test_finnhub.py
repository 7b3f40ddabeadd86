"""Finnhub: candles, and option chains."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from canary import CANARY
from scripted_server import Answer
from vendor_doubles import MINUTES, Bar, clock, finnhub_candles, request

from data.vendors.definition import AnswerRefused, KeyRefused, MalformedAnswer
from data.vendors.finnhub import Finnhub
from data.vendors.reference import OptionChains

PIECE = request("SPY", 60, "2024-05-31 14:00", "2024-05-31 15:00")


def finnhub(server):
    return Finnhub(base_url=f"{server.url}/api/v1", now=clock)


def test_the_key_travels_in_a_header_and_not_in_the_address(server):
    server.in_turn(Answer(body=finnhub_candles(MINUTES)))
    finnhub(server).fetch(PIECE)
    (seen,) = server.seen
    assert CANARY in seen.headers["x-finnhub-token"]
    assert "token" not in seen.query
    assert seen.query == {"symbol": "SPY", "resolution": "1", "from": "1717164000", "to": "1717167599"}


def test_arrays_of_different_lengths_are_malformed(server):
    for letter in "tohlcv":
        body = finnhub_candles(MINUTES)
        body[letter] = body[letter][:-1]
        server.in_turn(Answer(body=body))
        with pytest.raises(MalformedAnswer, match="different lengths"):
            finnhub(server).fetch(PIECE)
        del body[letter]
        server.in_turn(Answer(body=body))
        with pytest.raises(MalformedAnswer, match="without all of"):
            finnhub(server).fetch(PIECE)


def test_days_of_stocks_are_adjusted_for_splits_and_labelled_by_their_session(server):
    with pytest.raises(AnswerRefused, match="it has splits"):
        finnhub(server).pieces(replace(PIECE, bar_seconds=86400))
    with pytest.raises(AnswerRefused, match="it has raw"):
        finnhub(server).pieces(replace(PIECE, adjustment="splits"))
    days = [Bar("2024-05-30", 1.0, 2.0, 0.5, 1.5, 10.0), Bar("2024-05-31", 1.0, 2.0, 0.5, 1.5, 10.0)]
    server.in_turn(Answer(body=finnhub_candles(days)))
    found = finnhub(server).fetch(request("SPY", 86400, "2024-05-30", "2024-06-01", "splits"))
    assert [f"{t:%d %H:%M}" for t in found.rows.index] == ["30 13:30", "31 13:30"]
    found = finnhub(server).fetch(request("BINANCE:BTCUSDT", 86400, "2024-05-30", "2024-06-01"))
    assert [f"{t:%d %H:%M}" for t in found.rows.index] == ["30 00:00", "31 00:00"]
    assert server.seen[-1].path.endswith("/crypto/candle")


def test_a_key_without_the_entitlement_is_told_so(server):
    server.in_turn(Answer(status=403, body={"error": "You don't have access to this resource."}))
    with pytest.raises(KeyRefused, match="don't have access"):
        finnhub(server).fetch(PIECE)


def test_a_chain_has_a_row_a_contract(server):
    def contract(name, strike, **more):
        return {
            "contractName": name,
            "strike": strike,
            "bid": 1.0,
            "ask": 1.5,
            "lastPrice": 1.2,
            "volume": 3,
            **more,
        }

    body = {
        "code": "AAPL",
        "data": [
            {
                "expirationDate": "2024-06-21",
                "options": {
                    "CALL": [contract("C5", 5.0), contract("C4", 4, bid=None)],
                    "PUT": [contract("P5", 5.0)],
                },
            },
            {"expirationDate": "2024-06-14", "options": {"CALL": [contract("W5", 5.0)]}},
        ],
    }
    server.in_turn(Answer(body=body))
    vendor = finnhub(server)
    assert isinstance(vendor, OptionChains)
    chain = vendor.option_chain("AAPL")
    assert chain["symbol"].tolist() == ["W5", "C4", "C5", "P5"]
    assert chain["kind"].tolist() == ["call", "call", "call", "put"]
    assert chain["expiration"].tolist()[0] == pd.Timestamp("2024-06-14")
    assert np.isnan(chain["bid"].tolist()[1])
    server.in_turn(Answer(body={"code": "AAPL", "data": "none"}))
    with pytest.raises(MalformedAnswer):
        vendor.option_chain("AAPL")


def test_splits_come_from_its_factors(server):
    server.in_turn(Answer(body=[{"symbol": "AAPL", "date": "2020-08-31", "fromFactor": 1, "toFactor": 4}]))
    (split,) = finnhub(server).splits("AAPL", dt.date(2020, 1, 1), dt.date(2021, 1, 1))
    assert (split.ex_date, split.factor) == (dt.date(2020, 8, 31), 4.0)
