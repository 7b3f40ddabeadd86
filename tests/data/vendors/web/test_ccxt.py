"""ccxt: pages, exchanges that keep only their latest bars, symbols that are not there."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from scripted_server import Answer
from vendor_doubles import DOUBLES, Bar, binance_klines

from data.vendors.ccxt import Ccxt
from data.vendors.definition import AnswerRefused, RateLimited

BINANCE = DOUBLES["ccxt"]


def many(start, periods):
    return [
        Bar(str(t), 10.0, 11.0, 9.0, 10.0, 1.0) for t in pd.date_range(start, periods=periods, freq="min")
    ]


def exchange(server, bars, limit=500):
    def answer(seen):
        since = int(seen.query["startTime"])
        return Answer(body=binance_klines([b for b in bars if b.seconds * 1000 >= since][:limit]))

    server.answer = BINANCE.script(answer)


def test_all_pages_come_over_a_gap_that_is_longer_than_a_page(server):
    bars = many("2024-05-30 00:00", 700) + many("2024-05-31 12:00", 30)
    exchange(server, bars)
    piece = replace(BINANCE.piece, start_utc=pd.Timestamp("2024-05-29 23:00", tz="UTC"))
    found = BINANCE.make(server).fetch(piece)
    assert list(found.rows.index) == [bar.utc for bar in bars]


def test_a_page_that_is_shorter_than_asked_for_is_not_the_last(server):
    bars = many("2024-05-31 14:00", 60)
    exchange(server, bars, limit=7)
    assert len(BINANCE.make(server).fetch(BINANCE.piece).rows) == 60


def latest_only(server, bars):
    """As Kraken: the latest bars, whatever is asked for."""
    server.answer = BINANCE.script(lambda seen: Answer(body=binance_klines(bars)))


def test_an_exchange_that_keeps_only_its_latest_bars_does_not_make_history_empty(server):
    # It is 18:00:30 on 2024-06-03.
    for bars in (many("2024-06-03 06:01", 720), many("2024-06-03 13:01", 300)):
        latest_only(server, bars)
        vendor = BINANCE.make(server)
        with pytest.raises(AnswerRefused, match="keeps only its latest bars.*2024-06-03"):
            vendor.fetch(BINANCE.piece)  # all of it before the first bar
        half = replace(
            BINANCE.piece,
            start_utc=pd.Timestamp("2024-06-01", tz="UTC"),
            stop_utc=pd.Timestamp("2024-06-04", tz="UTC"),
        )
        with pytest.raises(AnswerRefused, match="keeps only its latest bars"):
            vendor.fetch(half)  # only its first part
        kept = replace(half, start_utc=bars[0].utc)
        assert len(vendor.fetch(kept).rows) == len(bars) - 1  # the last one runs


def test_a_window_before_the_listing_and_a_quiet_one_are_empty(server):
    exchange(server, many("2024-05-31 20:00", 700))  # begins later, and goes on
    assert len(BINANCE.make(server).fetch(BINANCE.piece).rows) == 0
    exchange(server, many("2024-06-03 17:40", 20))  # no trade between 17:30 and 17:40, and little since
    quiet = replace(
        BINANCE.piece,
        start_utc=pd.Timestamp("2024-06-03 17:30", tz="UTC"),
        stop_utc=pd.Timestamp("2024-06-03 17:35", tz="UTC"),
    )
    assert len(BINANCE.make(server).fetch(quiet).rows) == 0


def test_unknown_exchanges_and_symbols_are_told(server):
    with pytest.raises(ValueError, match="did you mean 'binance'"):
        Ccxt(exchange="binanse")
    exchange(server, [])
    with pytest.raises(AnswerRefused, match="BTC/XYZ"):
        BINANCE.make(server).fetch(replace(BINANCE.piece, symbol="BTC/XYZ"))


def test_what_the_exchange_says_in_its_own_codes_is_understood(server):
    server.answer = BINANCE.script(
        lambda seen: Answer(status=400, body={"code": -1121, "msg": "Invalid symbol."})
    )
    with pytest.raises(AnswerRefused, match="Invalid symbol"):
        BINANCE.make(server).fetch(BINANCE.piece)
    limited = Answer(status=418, body={"code": -1003, "msg": "banned"}, headers={"Retry-After": "120"})
    server.answer = BINANCE.script(lambda seen: limited)
    with pytest.raises(RateLimited) as caught:
        BINANCE.make(server).fetch(BINANCE.piece)
    assert caught.value.retry_after_s == 120.0
