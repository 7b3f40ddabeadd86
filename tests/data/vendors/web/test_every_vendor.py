"""What holds for every vendor, with its real client: bars, nothing, each kind of failure, keys that stay at home."""

from __future__ import annotations

import pickle
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from canary import CANARY
from scripted_server import Answer
from vendor_doubles import DOUBLES, NOW, Bar

from data.vendors import VENDORS, vendor_factory
from data.vendors.definition import (
    AnswerRefused,
    BarRequest,
    KeyRefused,
    MalformedAnswer,
    RateLimited,
    TemporarilyUnavailable,
    Vendor,
    VendorError,
)

every_vendor = pytest.mark.parametrize("double", DOUBLES.values(), ids=DOUBLES)
IN_WORDS = {
    "alphavantage": "it answers 200 to a wrong key",
    "yahoo": "no key",
    "bybit": "no key",
    "ccxt": "no key",
}
KEYED = {name: double for name, double in DOUBLES.items() if double.key}


def failure(double, server, answer, **more):
    """The error that an answer to the question for bars becomes; its text holds no key and names the vendor."""
    server.answer = double.script(lambda seen: answer)
    with pytest.raises(VendorError) as caught:
        double.make(server, **more).fetch(double.piece)
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(vars(caught.value))
    assert CANARY not in shown
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return caught.value


def questions(server):
    """How often bars were asked for."""
    return sum("exchangeInfo" not in seen.path and "funding" not in seen.path for seen in server.seen)


def test_each_name_of_the_table_is_tested_here():
    assert set(DOUBLES) == set(VENDORS) - {"ibkr", "local"}


@every_vendor
def test_bars_come_with_their_opening_instants_and_prices(double, server):
    server.answer = double.serving(double.bars)
    vendor = double.make(server)
    assert isinstance(vendor, Vendor)
    assert vendor.name == double.name
    found = vendor.fetch(double.piece)
    expected = [
        bar.utc
        if double.piece.bar_seconds == 60 or double.name == "fred"
        else bar.utc.normalize() + pd.Timedelta("13:30:00")
        for bar in double.bars
    ]  # New York opens at 13:30 UTC in summer
    assert list(found.rows.index) == expected
    assert found.rows.index.name == "timestamp_utc"
    assert str(found.rows.index.dtype) == "datetime64[ns, UTC]"
    assert list(found.rows.columns[:5]) == ["open", "high", "low", "close", "volume"]
    assert (found.rows.dtypes == np.float64).all()
    if double.name != "fred":  # an observation is one number
        assert found.rows[["open", "high", "low", "close", "volume"]].to_numpy().tolist() == [
            [b.open, b.high, b.low, b.close, b.volume] for b in double.bars
        ]
    assert found.rows["close"].tolist() == [bar.close for bar in double.bars]
    assert found.complete_to_utc is None
    assert found.calls == len(server.seen)
    assert found.source_uri.startswith(f"{double.name}:")
    assert double.piece.symbol in found.source_uri


@every_vendor
def test_a_window_without_bars_is_an_empty_delivery(double, server):
    server.answer = double.serving([])
    found = double.make(server).fetch(double.piece)
    assert len(found.rows) == 0
    assert {"open", "high", "low", "close", "volume"} <= set(found.rows.columns)
    assert (found.rows.dtypes == np.float64).all()
    assert str(found.rows.index.dtype) == "datetime64[ns, UTC]"
    assert found.complete_to_utc is None


@every_vendor
def test_the_window_is_kept_to_the_bar(double, server):
    server.answer = double.serving(double.bars)
    vendor = double.make(server)
    whole = vendor.fetch(double.piece).rows
    narrow = replace(double.piece, start_utc=whole.index[1], stop_utc=whole.index[2])
    assert list(vendor.fetch(narrow).rows.index) == [whole.index[1]]


@every_vendor
def test_a_bar_sent_twice_counts_once_and_two_different_ones_are_refused(double, server):
    if double.name in ("alphavantage", "fred"):
        pytest.skip("its answer has one entry a day")
    server.answer = double.serving([double.bars[0], *double.bars])
    assert len(double.make(server).fetch(double.piece).rows) == 3
    other = replace(double.bars[0], close=double.bars[0].low)
    server.answer = double.serving([double.bars[0], other, *double.bars[1:]])
    with pytest.raises(MalformedAnswer, match="two different bars"):
        double.make(server).fetch(double.piece)


@every_vendor
def test_bars_out_of_order_are_put_into_order(double, server):
    server.answer = double.serving(double.bars[::-1])
    rows = double.make(server).fetch(double.piece).rows
    assert rows["close"].tolist() == [bar.close for bar in double.bars]


@every_vendor
def test_too_many_requests_tell_how_long_to_rest_and_are_not_repeated(double, server):
    found = failure(
        double, server, Answer(status=429, body={"error": "slow down"}, headers={"Retry-After": "17"})
    )
    assert type(found) is RateLimited
    if double.name == "yahoo":  # its client says nothing more, and asks once more with another cookie
        return
    assert found.retry_after_s == 17.0
    assert questions(server) == 1
    assert pickle.loads(pickle.dumps(found)).retry_after_s == 17.0


@every_vendor
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_that_fails_is_temporarily_unavailable(double, server, status):
    found = failure(double, server, Answer(status=status, body={"error": "down"}))
    assert type(found) is TemporarilyUnavailable
    assert questions(server) == (2 if double.name == "yahoo" else 1)


@every_vendor
def test_a_connection_that_breaks_is_temporarily_unavailable(double, server):
    assert type(failure(double, server, Answer(reset=True))) is TemporarilyUnavailable


@every_vendor
def test_a_body_that_ends_before_its_announced_length_is_temporarily_unavailable(double, server):
    found = failure(double, server, Answer(body=double.good(double.bars), missing=40))
    assert type(found) is TemporarilyUnavailable


@every_vendor
def test_a_body_cut_in_the_middle_is_temporarily_unavailable(double, server):
    import json

    good = double.good(double.bars)
    whole = good if isinstance(good, bytes) else json.dumps(good).encode()
    for part in (0.3, 0.6, 0.98):
        found = failure(double, server, Answer(body=whole[: int(len(whole) * part)]))
        assert type(found) is TemporarilyUnavailable


@every_vendor
def test_a_server_that_cannot_be_reached_is_temporarily_unavailable(double, server):
    address = server.url
    server.answer = double.serving(double.bars)
    double.make(server).fetch(double.piece)  # ccxt has its list of markets by now
    vendor = double.make(server)
    server._server.shutdown()
    server._server.server_close()
    with pytest.raises(TemporarilyUnavailable) as caught:
        vendor.fetch(double.piece)
    assert CANARY not in str(caught.value)
    assert address


@pytest.mark.parametrize("double", KEYED.values(), ids=KEYED)
@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key_is_refused_for_good_even_if_the_vendor_quotes_it(double, server, status, monkeypatch):
    import os

    words = f"unknown key {os.environ[double.key]}"
    body = (
        words
        if status == 401
        else {"error": words, "message": words, "detail": words, "error_message": words}
    )
    assert type(failure(double, server, Answer(status=status, body=body))) is KeyRefused


@pytest.mark.parametrize("double", KEYED.values(), ids=KEYED)
def test_a_missing_key_is_told_by_the_name_of_its_variable(double, server, monkeypatch):
    monkeypatch.delenv(double.key)
    with pytest.raises(KeyRefused, match=double.key):
        double.make(server).fetch(double.piece)
    monkeypatch.setenv(double.key, f"{CANARY} with a\nline break")
    with pytest.raises(KeyRefused, match=double.key) as caught:
        double.make(server).fetch(double.piece)
    assert CANARY not in str(caught.value)
    assert server.seen == []


@every_vendor
@pytest.mark.parametrize("status", [400, 404])
def test_what_the_vendor_does_not_know_is_refused(double, server, status):
    found = failure(double, server, Answer(status=status, body={"error": "no such symbol"}))
    assert type(found) is AnswerRefused


@every_vendor
def test_no_redirect_is_followed_with_a_key(double, server):
    if double.key is None:
        pytest.skip("it has no key")
    from scripted_server import ScriptedServer

    with ScriptedServer() as stranger:
        failure(double, server, Answer(status=302, headers={"Location": f"{stranger.url}/elsewhere"}))
        assert not any(CANARY in f"{seen}" for seen in stranger.seen)


@every_vendor
@pytest.mark.parametrize("body", ["[]", "{}", "null", "7", '"text"', '{"results": 3}', '{"results": [3]}'])
def test_another_value_than_the_documented_one_is_malformed(double, server, body):
    if double.name == "massive" and body == "{}":
        pytest.skip("an answer without results is one without trades")
    if (double.name, body) == ("ccxt", "[]") or (double.name, body) == ("alpaca", "{}"):
        pytest.skip("that is how it says that there is nothing")
    found = failure(double, server, Answer(body=body))
    assert type(found) in (MalformedAnswer, TemporarilyUnavailable)
    assert not (type(found) is TemporarilyUnavailable and double.name != "ccxt")


WRONG_PRICES = {
    "text": "12,5",
    "null": None,
    "list": [1.0],
    "nan": float("nan"),
    "infinite": float("inf"),
    "truth": True,
}


@every_vendor
@pytest.mark.parametrize("wrong", WRONG_PRICES.values(), ids=WRONG_PRICES)
def test_a_price_that_is_no_number_is_malformed(double, server, wrong):
    if double.name == "databento":
        pytest.skip("its prices are integers of a fixed width")
    if double.name == "yahoo" and wrong is None:
        pytest.skip("that is how it says that nothing traded")
    if double.name == "alphavantage" and wrong is True:
        pytest.skip("its prices are text")
    bars = [double.bars[0], replace(double.bars[1], close=wrong), double.bars[2]]
    try:
        body = double.good(bars)
    except (TypeError, ValueError):
        pytest.skip("its prices are text of digits")
    assert type(failure(double, server, Answer(body=body))) is MalformedAnswer


@every_vendor
def test_times_in_another_unit_do_not_pass_for_an_empty_window(double, server):
    """Milliseconds where seconds are documented, or the other way round, lie in 1970 or far ahead."""
    if double.name in ("alpaca", "fred", "alphavantage", "databento"):
        pytest.skip("its times are text or nanoseconds by definition")

    class Elsewhen(Bar):
        @property
        def seconds(self) -> int:
            real = int(self.utc.timestamp())
            return real * 1000 if double.name in ("finnhub", "yahoo") else real // 1000

    bars = [Elsewhen(b.at, b.open, b.high, b.low, b.close, b.volume) for b in double.bars]
    found = failure(double, server, Answer(body=double.good(bars)))
    assert type(found) in (MalformedAnswer, AnswerRefused)


@every_vendor
def test_the_bar_that_runs_and_bars_of_the_future_are_left_out(double, server):
    if double.piece.bar_seconds != 60:
        pytest.skip("days are tested for each vendor")
    # 18:00:30 by the clock: the bar of 17:59 is over, that of 18:00 runs, that of 18:30 lies ahead.
    at = ("17:58", "17:59", "18:00", "18:30")
    bars = [replace(double.bars[0], at=f"2024-06-03 {time}") for time in at]
    delayed = {"delay_seconds": 0} if double.name in ("massive", "alpaca", "bybit") else {}
    piece = replace(double.piece, start_utc=NOW.floor("h") - pd.Timedelta("1h"), stop_utc=NOW.ceil("h"))
    others = double.others

    def available(seen):
        body = {
            "start": "2010-01-01",
            "end": "2024-06-03T18:00:30Z",
            "schema": {"ohlcv-1m": {"end": "2024-06-03T18:00:30Z"}},
        }
        return Answer(body=body) if "get_dataset_range" in seen.path else others(seen)

    server.answer = lambda seen: available(seen) or Answer(body=double.good(bars))
    found = double.make(server, **delayed).fetch(piece)
    assert [f"{t:%H:%M}" for t in found.rows.index] == ["17:58", "17:59"]
    assert found.complete_to_utc == pd.Timestamp("2024-06-03 18:00", tz="UTC")


@every_vendor
def test_a_clock_of_ours_that_is_ahead_of_the_vendors_does_not_make_a_bar_complete(double, server):
    if double.piece.bar_seconds != 60 or double.name == "databento":
        pytest.skip("tested with bars of a minute; databento says itself how far it has come")
    bars = [replace(double.bars[0], at=f"2024-06-03 {time}") for time in ("17:49", "17:50", "17:51")]
    delayed = {"delay_seconds": 0} if double.name in ("massive", "alpaca", "bybit") else {}
    piece = replace(double.piece, start_utc=NOW.floor("h") - pd.Timedelta("1h"), stop_utc=NOW.ceil("h"))
    # By the vendor's clock it is 17:50:40, ten minutes before ours.
    late = {"Date": "Mon, 03 Jun 2024 17:50:40 GMT"}
    server.answer = double.script(
        lambda seen: Answer(body=double.page(double.good(bars), seen), headers=late)
    )
    found = double.make(server, **delayed).fetch(piece)
    assert [f"{t:%H:%M}" for t in found.rows.index] == ["17:49"]
    assert found.complete_to_utc == pd.Timestamp("2024-06-03 17:50", tz="UTC")


@every_vendor
def test_nobody_is_asked_for_what_has_not_begun(double, server):
    later = replace(double.piece, start_utc=NOW.ceil("D"), stop_utc=NOW.ceil("D") + pd.Timedelta(1, "D"))
    found = double.make(server).fetch(later)
    assert len(found.rows) == 0
    assert found.complete_to_utc == later.start_utc
    assert server.seen == []


@every_vendor
def test_pieces_are_the_request_without_gap_or_overlap(double, server):
    vendor = double.make(server)
    asked = replace(
        double.piece,
        start_utc=pd.Timestamp("2022-11-05 03:30", tz="UTC"),
        stop_utc=pd.Timestamp("2024-02-10 01:00", tz="UTC"),
    )
    pieces = vendor.pieces(asked)
    assert pieces[0].start_utc == asked.start_utc
    assert pieces[-1].stop_utc == asked.stop_utc
    assert all(a.stop_utc == b.start_utc for a, b in zip(pieces, pieces[1:]))
    assert all(replace(p, start_utc=asked.start_utc, stop_utc=asked.stop_utc) == asked for p in pieces)
    # The same instants cut a larger request, so that what was stored under them is found again.
    wider = vendor.pieces(replace(asked, start_utc=pd.Timestamp("2021-01-01", tz="UTC")))
    if len(pieces) > 1:
        assert {p.start_utc for p in pieces[1:]} <= {p.start_utc for p in wider}


@every_vendor
def test_bar_sizes_and_adjustments_that_it_lacks_are_refused_before_anything_is_asked(double, server):
    vendor = double.make(server)
    with pytest.raises(AnswerRefused, match="bars of 7 s"):
        vendor.pieces(replace(double.piece, bar_seconds=7))
    offered = {
        "massive": "raw splits",
        "alpaca": "raw splits all",
        "yahoo": "raw splits all",
        "alphavantage": "raw all",
    }
    for adjustment in ("raw", "splits", "all"):
        asked: BarRequest = replace(double.piece, adjustment=adjustment)
        if adjustment in offered.get(double.name, "raw").split():
            assert vendor.pieces(asked)
        else:
            with pytest.raises(AnswerRefused, match=adjustment):
                vendor.pieces(asked)
    assert server.seen == []


@every_vendor
def test_a_vendor_travels_to_another_process_without_keys_or_connections(double, server):
    server.answer = double.serving(double.bars)
    vendor = double.make(server)
    vendor.fetch(double.piece)
    packed = pickle.dumps(vendor)
    assert CANARY.encode() not in packed
    assert CANARY not in repr(vendor)
    pd.testing.assert_frame_equal(
        pickle.loads(packed).fetch(double.piece).rows, vendor.fetch(double.piece).rows
    )


@every_vendor
def test_several_threads_may_ask_one_vendor_at_a_time(double, server):
    server.answer = double.serving(double.bars)
    vendor = double.make(server)
    alone = vendor.fetch(double.piece)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(vendor.fetch, [double.piece] * 6))
    for found in together:
        pd.testing.assert_frame_equal(found.rows, alone.rows)


@every_vendor
def test_no_key_is_in_what_the_lake_keeps(double, server):
    server.answer = double.serving(double.bars)
    found = double.make(server).fetch(double.piece)
    assert CANARY not in found.source_uri
    if double.key:  # the key did travel, where the vendor wants it
        assert any(CANARY in f"{seen}" or "authorization" in seen.headers for seen in server.seen)


def test_a_vendor_that_no_longer_exists_is_refused_with_what_to_use_instead():
    for name in ("iex", "iexcloud", "iex_cloud"):
        with pytest.raises(ValueError, match="IEX Cloud was shut down.*alpaca"):
            vendor_factory(name)
    assert vendor_factory("polygon") is VENDORS["massive"]
    with pytest.raises(ValueError, match="did you mean 'massive'"):
        vendor_factory("masive")


@pytest.mark.parametrize(
    ("name", "client"),
    [(n, c) for n, c in {"massive": "massive", "alpaca": "alpaca", "bybit": "pybit", "databento": "databento",
                         "ccxt": "ccxt", "yahoo": "yfinance", "finnhub": "finnhub"}.items()],
)  # fmt: skip
def test_a_client_that_is_not_installed_is_told_with_how_to_install_it(name, client, monkeypatch):
    import data.vendors.clients as clients

    real = clients.find_spec
    monkeypatch.setattr(clients, "find_spec", lambda package: None if package == client else real(package))
    with pytest.raises(ValueError, match=r"pip install 'rayfold\[vendors\]'"):
        VENDORS[name]()
