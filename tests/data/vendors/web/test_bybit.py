"""Bybit: pages of bars, its codes of errors, and funding in the bar at whose end it was paid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scripted_server import Answer
from vendor_doubles import NOW, Bar, bybit_bars, bybit_rates, clock, request

from data.vendors.bybit import Bybit
from data.vendors.definition import (
    AnswerRefused,
    KeyRefused,
    MalformedAnswer,
    RateLimited,
    TemporarilyUnavailable,
)


def bybit(server, **more):
    return Bybit(base_url=server.url, now=clock, **more)


def bars_between(start, stop, bar_seconds):
    times = pd.date_range(start, stop, freq=f"{bar_seconds}s", inclusive="left")
    return [Bar(str(t), 10.0, 11.0, 9.0, 10.0 + i % 8 / 8, 1.0 + i) for i, t in enumerate(times)]


def exchange(server, bars, rates):
    """Answer as Bybit does: both ends inclusive, the newest first, at most `limit` of them."""

    def answer(seen):
        limit = int(seen.query["limit"])
        if "funding" in seen.path:
            low, high = int(seen.query["startTime"]), int(seen.query["endTime"])
            at = {t: r for t, r in rates.items() if low <= pd.Timestamp(t, tz="UTC").value // 10**6 <= high}
            return Answer(body=bybit_rates(dict(list(at.items())[-limit:])))
        low, high = int(seen.query["start"]), int(seen.query["end"])
        return Answer(body=bybit_bars([b for b in bars if low <= b.seconds * 1000 <= high][-limit:]))

    server.answer = answer


def test_funding_stands_in_the_bar_at_whose_end_it_was_paid(server):
    bars = bars_between("2024-05-31 07:58", "2024-05-31 08:02", 60)
    exchange(server, bars, {"2024-05-31 00:00": 9.0, "2024-05-31 08:00": 1e-4})
    found = bybit(server).fetch(request("BTCUSDT", 60, "2024-05-31 07:58", "2024-05-31 08:02")).rows
    assert found["funding_rate"].dropna().to_dict() == {pd.Timestamp("2024-05-31 07:59", tz="UTC"): 1e-4}


@pytest.mark.parametrize("bar_seconds", [60, 1800, 14400, 86400])
def test_what_the_simulator_charges_is_what_was_paid(server, bar_seconds):
    from data.schema import Panel
    from envs.context import funding_rates
    from envs.instruments import CATALOGUE

    start, stop = "2024-05-28" if bar_seconds > 60 else "2024-05-30", "2024-05-31"
    rates = {str(t): 1e-4 * (i + 1) for i, t in enumerate(pd.date_range(start, "2024-05-31", freq="8h"))}
    exchange(server, bars_between(start, stop, bar_seconds), rates)
    rows = bybit(server).fetch(request("BTCUSDT", bar_seconds, start, stop)).rows
    at = rows.index.tz_localize(None).to_numpy("datetime64[ns]")
    prices = {name: rows[[name]].to_numpy() for name in ("open", "high", "low", "close", "volume")}
    panel = Panel(
        symbols=("BTC",), bar_utc=at, tradable=np.ones((len(at), 1), dtype=bool),
        session=at.astype("datetime64[D]").astype(np.int32), calendar="24/7", bar_seconds=bar_seconds,
        exogenous={"funding_rate": rows[["funding_rate"]].to_numpy()}, **prices,
    )  # fmt: skip
    perpetual = replace(CATALOGUE["crypto_perpetual"], funding_rate=123.0)
    charged = funding_rates(panel, {"BTC": perpetual})[:, 0]
    # Into the bar that opens at t, what was paid in (t - 1 bar, t] is charged; the first bar has none before it.
    paid = pd.Series(rates)
    paid.index = pd.DatetimeIndex(paid.index)
    expected = [0.0, *(paid[(paid.index > a) & (paid.index <= b)].sum() for a, b in zip(at, at[1:]))]
    np.testing.assert_allclose(charged, expected, atol=1e-15)


def test_funding_of_neighbouring_pieces_is_there_once(server):
    exchange(
        server,
        bars_between("2024-05-31", "2024-06-01", 3600),
        {f"2024-05-31 {h:02}:00": h / 1e5 for h in (0, 8, 16)},
    )
    whole = bybit(server).fetch(request("BTCUSDT", 3600, "2024-05-31", "2024-06-01")).rows
    parts = [
        bybit(server).fetch(request("BTCUSDT", 3600, f"2024-05-31 {a}:00", f"2024-05-31 {b}:00")).rows
        for a, b in (("00", "08"), ("08", "16"), ("16", "23"))
    ]
    pd.testing.assert_frame_equal(pd.concat(parts), whole.iloc[:23])


def test_more_bars_and_rates_than_one_page_holds_all_come(server):
    bars = bars_between("2024-05-29", "2024-05-30 11:40", 60)  # 2,140 bars: three pages of at most 1,000
    rates = {str(t): i / 1e6 for i, t in enumerate(pd.date_range("2024-01-01", "2024-06-01", freq="8h"))}
    exchange(server, bars, rates)
    found = bybit(server).fetch(request("BTCUSDT", 60, "2024-05-29", "2024-05-30 11:40"))
    assert len(found.rows) == 2140
    assert found.calls == 4
    exchange(server, bars_between("2024-01-01", "2024-06-01", 86400), rates)
    days = bybit(server).fetch(
        request("BTCUSDT", 86400, "2024-01-01", "2024-06-01")
    )  # 456 payments: three pages
    assert len(days.rows) == 152
    # The mean of the three payments of a day, numbers 3 d + 1 to 3 d + 3: the second of them.
    np.testing.assert_allclose(days.rows["funding_rate"], (3 * np.arange(152) + 2) / 1e6)


def test_the_payment_at_the_last_close_is_waited_for(server):
    # It is 18:00:30. With a delay of 300 s the bar of 17:54 is the last one over.
    exchange(server, bars_between("2024-06-03 17:00", "2024-06-03 18:01", 60), {})
    found = bybit(server).fetch(request("BTCUSDT", 60, "2024-06-03 17:00", "2024-06-03 19:00"))
    assert found.complete_to_utc == NOW.floor("min") - pd.Timedelta(minutes=5)
    assert found.rows.index[-1] == pd.Timestamp("2024-06-03 17:54", tz="UTC")


def test_spot_and_funding_turned_off_ask_for_no_rates(server):
    exchange(server, bars_between("2024-05-31", "2024-05-31 01:00", 60), {})
    for settings in ({"category": "spot"}, {"funding": False}):
        found = bybit(server, **settings).fetch(request("BTCUSDT", 60, "2024-05-31", "2024-05-31 01:00"))
        assert "funding_rate" not in found.rows
    assert all("kline" in seen.path for seen in server.seen)
    with pytest.raises(ValueError, match="category is 'option'"):
        Bybit(category="option")


CODES = {
    10001: AnswerRefused, 10003: KeyRefused, 10006: RateLimited, 10016: TemporarilyUnavailable, 33004: KeyRefused,
}  # fmt: skip


@pytest.mark.parametrize(("code", "kind"), CODES.items())
def test_its_codes_are_told_apart_and_not_repeated(server, code, kind):
    reset = {"X-Bapi-Limit-Reset-Timestamp": str(int((pd.Timestamp.now("UTC").timestamp() + 30) * 1000))}
    server.in_turn(Answer(body={"retCode": code, "retMsg": "words", "result": {}}, headers=reset))
    with pytest.raises(kind, match="words") as caught:
        bybit(server).fetch(request("BTCUSDT", 60, "2024-05-31", "2024-05-31 01:00"))
    assert len(server.seen) == 1
    if kind is RateLimited:
        assert caught.value.retry_after_s == pytest.approx(30, abs=2)


def test_a_country_that_is_shut_out_is_told_from_an_address_that_asked_too_often(server):
    server.in_turn(
        Answer(status=403, body="The distribution is configured to block access from your country.")
    )
    with pytest.raises(KeyRefused, match="country"):
        bybit(server).fetch(request("BTCUSDT", 60, "2024-05-31", "2024-05-31 01:00"))
    server.in_turn(Answer(status=403, body="access too frequent"))
    with pytest.raises(RateLimited) as caught:
        bybit(server).fetch(request("BTCUSDT", 60, "2024-05-31", "2024-05-31 01:00"))
    assert caught.value.retry_after_s == 600.0


@pytest.mark.parametrize(
    "rows",
    [
        [["1717113600000", "1", "1", "1"]],
        [[1717113600000, "1", "1", "1", "1", "1", "1"]],
        [["1717113600000", "1_0", "1", "1", "1", "1", "1"]],
        [["1717113600000", "", "1", "1", "1", "1", "1"]],
        "bars",
    ],
)
def test_rows_that_are_not_as_documented_are_malformed(server, rows):
    server.in_turn(Answer(body={"retCode": 0, "result": {"list": rows}}))
    with pytest.raises(MalformedAnswer):
        bybit(server).fetch(request("BTCUSDT", 60, "2024-05-31", "2024-05-31 01:00"))


def test_two_rates_for_one_instant_are_refused(server):
    double = bybit_rates({"2024-05-31 00:30": 1e-4})
    double["result"]["list"] += bybit_rates({"2024-05-31 00:30": 2e-4})["result"]["list"]
    bars = bybit_bars(bars_between("2024-05-31", "2024-05-31 01:00", 60))
    server.answer = lambda seen: Answer(body=double if "funding" in seen.path else bars)
    with pytest.raises(MalformedAnswer, match="two funding rates"):
        bybit(server).fetch(request("BTCUSDT", 60, "2024-05-31", "2024-05-31 01:00"))
