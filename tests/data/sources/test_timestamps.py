"""Times of a file become UTC once, by their own unit and offset, or are refused."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import DataError
from data.sources.timestamps import to_utc

SCALE = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def unix(first, counts, unit, step=1800):
    return (pd.Timestamp(first).value // 10**9 + step * np.arange(counts)) * SCALE[unit]


@settings(max_examples=40, deadline=None)
@given(
    units=st.lists(st.sampled_from(list(SCALE)), min_size=2, max_size=4),
    counts=st.integers(3, 40),
    newest_first=st.booleans(),
)
def test_each_row_is_read_by_its_own_size_where_a_file_changes_its_unit(units, counts, newest_first):
    seconds = pd.Timestamp("2024-12-22").value // 10**9 + 1800 * np.arange(counts * len(units))
    written = seconds * np.repeat([SCALE[unit] for unit in units], counts)
    order = slice(None, None, -1 if newest_first else 1)
    found = to_utc(pd.Series(written[order]), "UTC", "X")
    np.testing.assert_array_equal(found.to_numpy("datetime64[s]").astype(np.int64), seconds[order])


@pytest.mark.parametrize("other", [0, 1234, unix("2020-01-01", 1, "us")[0]])
def test_units_that_make_no_series_in_order_of_time_are_refused(other):
    times = pd.Series([*unix("2024-01-01", 5, "ms"), other, *unix("2024-01-02", 5, "ms")])
    with pytest.raises(DataError, match="X: by their size the times are Unix times in different units"):
        to_utc(times, "UTC", "X")


@pytest.mark.parametrize(
    ("offset", "first"),
    [
        ("+01", "2024-07-01T00:00"), ("+00", "2024-07-01T01:00"), ("-04", "2024-07-01T05:00"),
        ("+0530", "2024-06-30T19:30"), ("+05:30", "2024-06-30T19:30"), (" +01", "2024-07-01T00:00"),
        ("Z", "2024-07-01T01:00"), (".250+01", "2024-07-01T00:00:00.250"), ("", "2024-07-01T00:00"),
    ],
)  # fmt: skip
def test_an_offset_is_applied_once_whatever_the_time_zone_of_the_config(offset, first):
    times = pd.Series([f"2024-07-01 0{hour}:00:00{offset}" for hour in range(1, 5)])
    found = to_utc(times, "Europe/London", "X")
    assert found[0] == pd.Timestamp(first)


def test_times_without_seconds_may_have_an_offset_of_two_digits():
    assert to_utc(pd.Series(["2024-07-01T01+01"] * 2), "Asia/Tokyo", "X")[0] == pd.Timestamp("2024-07-01")


def test_a_date_that_ends_like_an_offset_is_a_date():
    assert to_utc(pd.Series(["2018-01-05", "2018-01-06"]), "UTC", "X")[0] == pd.Timestamp("2018-01-05")


def test_both_offsets_of_a_zone_may_have_two_digits():
    times = pd.Series(["2024-03-31 00:30:00+00", "2024-03-31 02:30:00+01"])
    assert to_utc(times, "Europe/London", "X").tolist() == [
        pd.Timestamp("2024-03-31T00:30"),
        pd.Timestamp("2024-03-31T01:30"),
    ]
    with pytest.raises(DataError, match=r"different offsets \(\+0000, \+0100\)"):
        to_utc(times, "America/New_York", "X")


def test_some_times_with_two_digits_and_some_without_are_refused():
    with pytest.raises(DataError, match="some times have an offset and some have none"):
        to_utc(pd.Series(["2024-03-31 00:30:00+00", "2024-03-31 02:30:00"]), "UTC", "X")


@pytest.mark.parametrize(
    ("times", "example"),
    [
        ([20240101, 20240102], "2018-01-31"),
        ([202401010000, 202401010030], "2018-01-31T14:30"),
        ([20240101000000, 20240101003000], "2018-01-31T14:30:00"),
    ],
)
def test_dates_written_without_separators_are_named_as_what_they_are(times, example):
    with pytest.raises(
        DataError, match=f"look like dates written without separators; write them as {example}"
    ):
        to_utc(pd.Series(times), "UTC", "X")
