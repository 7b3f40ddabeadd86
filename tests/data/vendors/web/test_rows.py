"""Cutting, checking and completing rows, against slow oracles."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vendor_doubles import request

from data.vendors.clock import earlier_clock, over_by
from data.vendors.definition import MalformedAnswer
from data.vendors.failures import refused, retry_after_seconds
from data.vendors.keys import without_keys
from data.vendors.pieces import cut
from data.vendors.session_days import first_open_day, local_dates, session_openings
from data.vendors.tables import delivery, instants, numbers

BARS = dict.fromkeys(("open", "high", "low", "close", "volume"), 1.0)


def deliver(piece, labels, over, **columns):
    filled = {name: np.full(len(labels), value) for name, value in BARS.items()}
    return delivery(piece, labels, {**filled, **columns}, vendor="v", source_uri="v:", calls=1, over_by=over)


@settings(max_examples=25, deadline=None)
@given(
    bar_seconds=st.sampled_from([60, 300, 1800, 3600, 14400]),
    nows=st.lists(st.integers(0, 3 * 86400), min_size=1, max_size=12),
    delay=st.sampled_from([0, 60, 900]),
)
def test_successive_deliveries_from_where_the_last_was_complete_bring_each_bar_once(bar_seconds, nows, delay):
    start, stop = pd.Timestamp("2024-06-01", tz="UTC"), pd.Timestamp("2024-06-03", tz="UTC")
    every = pd.date_range(start, stop, freq=f"{bar_seconds}s", inclusive="left")
    got = []
    mark = start
    for now in sorted(start + pd.Timedelta(seconds=s) for s in nows) + [stop + pd.Timedelta(1, "D")]:
        piece = request("X", bar_seconds, str(mark.tz_localize(None)), str(stop.tz_localize(None)))
        found = deliver(piece, every, over_by(piece, now, delay, "24/7"))
        got += list(found.rows.index)
        # Whatever was delivered was over, and whatever was over and lay in the window was delivered.
        assert all(t + pd.Timedelta(seconds=bar_seconds + delay) <= now for t in found.rows.index)
        mark = found.complete_to_utc or stop
        if mark >= stop:
            break
    assert got == list(every)


@settings(max_examples=12, deadline=None)
@given(hours=st.lists(st.integers(0, 40 * 24), min_size=1, max_size=8))
def test_days_by_session_come_once_each_and_never_before_their_date_is_over(hours):
    start, stop = (
        pd.Timestamp("2024-03-01", tz="UTC"),
        pd.Timestamp("2024-04-05", tz="UTC"),
    )  # DST, Good Friday
    dates = pd.bdate_range("2024-03-01", "2024-04-04").drop("2024-03-29").to_numpy("datetime64[D]")
    every = session_openings(dates, "NYSE", "v")
    got = []
    mark = start
    for now in sorted(start + pd.Timedelta(hours=h) for h in hours) + [stop + pd.Timedelta(9, "D")]:
        piece = request("X", 86400, str(mark.tz_localize(None)), str(stop.tz_localize(None)))
        found = deliver(piece, every, over_by(piece, now, 0.0, "NYSE"))
        got += list(found.rows.index)
        local = now.tz_convert("America/New_York")
        assert all(t.tz_convert("America/New_York").date() < local.date() for t in found.rows.index)
        mark = found.complete_to_utc or stop
        if mark >= stop:
            break
    assert got == list(every)


def test_the_first_open_day_after_a_friday_is_monday_and_after_a_holiday_the_day_behind_it():
    def found(now):
        return first_open_day("NYSE", pd.Timestamp(now, tz="America/New_York")).tz_convert("America/New_York")

    assert f"{found('2024-05-31 23:59'):%m-%d %H:%M}" == "05-31 09:30"
    assert f"{found('2024-06-01 00:00'):%m-%d %H:%M}" == "06-03 09:30"
    assert f"{found('2024-07-04 12:00'):%m-%d %H:%M}" == "07-05 09:30"


def test_the_earlier_of_two_clocks_counts_and_a_large_difference_is_told(caplog):
    now = pd.Timestamp("2024-06-03 18:00", tz="UTC")
    assert earlier_clock(now, {"date": "Mon, 03 Jun 2024 17:00:00 GMT"}) == pd.Timestamp(
        "2024-06-03 17:00", tz="UTC"
    )
    assert "the vendor's clock says" in caplog.text
    for told in ({"Date": "Mon, 03 Jun 2024 19:00:00 GMT"}, {"Date": "nonsense"}, {}, None):
        assert earlier_clock(now, told) == now


@settings(max_examples=25, deadline=None)
@given(
    start=st.integers(0, 3000),
    length=st.integers(1, 40_000),
    unit=st.sampled_from(["day", "month", "year"]),
)
def test_pieces_meet_at_the_units_of_utc(start, length, unit):
    first = pd.Timestamp("2019-12-30 23:00", tz="UTC") + pd.Timedelta(hours=start)
    last = first + pd.Timedelta(minutes=length)
    asked = request("X", 60, str(first.tz_localize(None)), str(last.tz_localize(None)))
    pieces = cut(asked, unit)
    assert (pieces[0].start_utc, pieces[-1].stop_utc) == (first, last)
    for left, right in zip(pieces, pieces[1:]):
        assert left.stop_utc == right.start_utc
        assert right.start_utc == right.start_utc.normalize()
        assert unit == "day" or right.start_utc.day == 1
        assert unit != "year" or right.start_utc.month == 1


@given(st.lists(st.floats(-1e12, 1e12), max_size=20))
def test_numbers_come_back_to_the_bit_as_numbers_and_as_text(values):
    np.testing.assert_array_equal(numbers(values, "x", "v"), np.array(values, dtype=float))
    np.testing.assert_array_equal(
        numbers([repr(v) for v in values], "x", "v", text=True), np.array(values, dtype=float)
    )


@pytest.mark.parametrize("wrong", ["1", True, [1], {}, "nan", "0x10", " 1", "1 ", "1_0", "١", "1e", "--1"])
def test_what_is_no_number_is_malformed_in_either_reading(wrong):
    with pytest.raises(MalformedAnswer):
        numbers([1.0, wrong], "x", "v", text=isinstance(wrong, str) and wrong != "1")


def test_a_null_is_a_gap_only_where_it_is_documented():
    assert np.isnan(numbers([None, 2], "x", "v", gaps=True)).tolist() == [True, False]
    with pytest.raises(MalformedAnswer, match="NoneType"):
        numbers([None, 2], "x", "v")


WRONG_TIMES = [
    (1717164000000, "s"), (1e400, "s"), (1.5, "s"), (True, "s"), ("1", "s"), (2**80, "ns"), (-(10**18), "ms"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "unit"), WRONG_TIMES)
def test_times_in_another_unit_or_type_are_malformed(value, unit):
    with pytest.raises(MalformedAnswer):
        instants([value], unit, "v")


def test_seconds_read_as_milliseconds_lie_in_1970_where_the_window_finds_them_out():
    (found,) = instants([1717164000], "ms", "v")
    assert found.year == 1970


def test_text_of_another_zone_or_without_one_is_an_instant_or_malformed():
    (found,) = instants(["2024-05-31T10:00:00-04:00"], "text", "v")
    assert found == pd.Timestamp("2024-05-31 14:00", tz="UTC")
    for wrong in ("31.05.2024", "soon", "", "99999-01-01T00:00:00Z", 5):
        with pytest.raises(MalformedAnswer):
            instants([wrong], "text", "v")


def test_days_are_read_from_midnights_of_the_exchange_or_of_utc_and_from_nothing_else():
    exchange = pd.DatetimeIndex(["2024-05-31 04:00", "2024-12-02 05:00"], tz="UTC")
    assert (
        local_dates(exchange, "NYSE", "v").tolist() == local_dates(exchange.normalize(), "NYSE", "v").tolist()
    )
    with pytest.raises(MalformedAnswer, match="midnight neither"):
        local_dates(pd.DatetimeIndex(["2024-05-31 05:00"], tz="UTC"), "NYSE", "v")


def test_rows_far_outside_are_malformed_when_none_is_inside_and_left_out_otherwise(caplog):
    piece = request("X", 60, "2024-05-31 14:00", "2024-05-31 15:00")
    far = pd.DatetimeIndex(["1970-01-20 21:00", "1970-01-20 21:01"], tz="UTC")
    with pytest.raises(MalformedAnswer, match="asked for"):
        deliver(piece, far, piece.stop_utc)
    mixed = far.append(pd.DatetimeIndex(["2024-05-31 14:05"], tz="UTC"))
    assert len(deliver(piece, mixed, piece.stop_utc).rows) == 1
    assert "2 rows outside are left out" in caplog.text


def test_a_negative_volume_and_a_bar_between_minutes_are_malformed():
    piece = request("X", 60, "2024-05-31 14:00", "2024-05-31 15:00")
    at = pd.DatetimeIndex(["2024-05-31 14:05"], tz="UTC")
    with pytest.raises(MalformedAnswer, match="negative volume"):
        deliver(piece, at, piece.stop_utc, volume=np.array([-1.0]))
    with pytest.raises(MalformedAnswer, match="no whole minute"):
        deliver(piece, at + pd.Timedelta(seconds=30), piece.stop_utc)


def test_retry_after_is_read_from_a_number_or_a_date():
    assert retry_after_seconds({"retry-after": "12"}) == 12.0
    assert retry_after_seconds({"Retry-After": "-3"}) == 0.0
    soon = pd.Timestamp.now("UTC") + pd.Timedelta(seconds=60)
    assert retry_after_seconds({"Retry-After": soon.strftime("%a, %d %b %Y %H:%M:%S GMT")}) == pytest.approx(
        60, abs=2
    )
    for unknown in ({"Retry-After": "later"}, {"Retry-After": "inf"}, {}, None):
        assert retry_after_seconds(unknown) is None


def test_statuses_are_told_apart_and_long_answers_shortened():
    assert len(str(refused(500, "v", "x" * 10_000))) < 300
    assert str(refused(400, "v", '{"error": "unknown\\nsymbol"}')) == "v answered 400: unknown symbol"


def test_keys_are_blotted_out_whole_the_longer_first():
    assert (
        without_keys("a=secret-one&b=secret-one-more", ["secret-one", "secret-one-more"]) == "a=[key]&b=[key]"
    )
    assert without_keys("the key is a", ["a"]) == "the key is a"
