"""Numbers and times in the writing of any country are read by all cells of a file, or refused with both readings."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import DataError
from data.sources.numerals import NotNumeric, decimal_mark, numbers
from data.sources.timestamps import to_utc
from data.sources.written_times import clock_of, plain_times


def written(value, decimal, thousands, places):
    text = f"{value:,.{places}f}".replace(",", "T").replace(".", "D")
    return text.replace("T", thousands).replace("D", decimal)


@settings(max_examples=30, deadline=None)
@given(
    values=st.lists(st.floats(0.0, 1e9), min_size=1, max_size=20),
    style=st.sampled_from(
        [(".", ""), (".", ","), (",", ""), (",", "."), (",", " "), (".", "'"), (",", "\u00a0")]
    ),
    places=st.sampled_from([2, 4]),
)
def test_numbers_are_read_in_the_writing_they_have(values, style, places):
    decimal, thousands = style
    cells = pd.Series([written(value, decimal, thousands, places) for value in values])
    assert decimal_mark({"close": cells}, "X") == decimal
    np.testing.assert_allclose(numbers(cells, decimal, "close"), np.round(values, places), atol=1e-9)


@pytest.mark.parametrize(
    ("cells", "mark"),
    [
        (["1,234", "1,234,567"], "."), (["1,234", "0,5"], ","), (["1,234", "12,5"], ","), (["1,234", "1234,5"], ","),
        (["1,234", "101.25"], "."), (["1.234", "101,25"], ","), (["1.234", "5"], "."), (["12", "13"], "."),
        (["1.234.567", "1.234"], ","), (["-1,5"], ","), (["$1,234.50"], "."), (["1,2M"], ","), (["0,123"], ","),
    ],
)  # fmt: skip
def test_any_cell_of_a_file_may_decide_what_the_mark_is(cells, mark):
    columns = {str(i): pd.Series([cell]) for i, cell in enumerate(cells)}
    assert decimal_mark(columns, "X") == mark


def test_a_mark_that_no_cell_decides_is_refused_with_both_readings():
    with pytest.raises(DataError, match=r"'1,234' may be 1234 .* or 1.234 .* set data.decimal"):
        decimal_mark({"close": pd.Series(["1,234", "2,345"])}, "X")


def test_cells_that_contradict_each_other_are_refused():
    with pytest.raises(DataError, match=r"'1.25' has a decimal point and '1,25' a decimal comma"):
        decimal_mark({"close": pd.Series(["1.25", "1,25"])}, "X")


@pytest.mark.parametrize("cell", ["ten", "1.2.3", "1,2,3", "12,34", "1-2", "--1", "0x10", "1,,2", "-"])
def test_what_is_no_number_is_no_number(cell):
    with pytest.raises(NotNumeric, match=re.escape(repr(cell))):
        numbers(pd.Series(["1", cell]), ".", "close")


@pytest.mark.parametrize(
    ("cell", "value"),
    [("45.2M", 45.2e6), ("1.5k", 1500.0), ("2B", 2e9), ("-0.35%", -0.35), ("€1,200.50", 1200.5), ("1e5", 1e5),
    ("", np.nan),
     ("NaN", np.nan), ("+3", 3.0), (".5", 0.5)],
)  # fmt: skip
def test_marks_around_a_number_are_read(cell, value):
    np.testing.assert_allclose(numbers(pd.Series([cell]), ".", "x"), [value])


def read(times, *, dates=None, timezone=None, groups=None):
    column = pd.Series(times, dtype="str")
    found = plain_times(column, groups=groups, where="X", dates=dates, timezone=timezone)
    return to_utc(found.times, timezone or "UTC", "X"), found.remark


FORMS = [
    "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%m-%d-%Y %H:%M", "%Y/%m/%d %H:%M", "%Y.%m.%d %H:%M:%S",
    "%Y%m%d %H:%M:%S", "%Y%m%d  %H:%M:%S", "%Y%m%d-%H:%M:%S", "%Y%m%d %H%M%S", "%Y%m%d%H%M", "%Y%m%d%H%M%S",
    "%d/%m/%y %H:%M", "%m/%d/%y %I:%M %p", "%m/%d/%Y %I:%M:%S %p", "%Y-%m-%d %I:%M %p", "%d-%b-%Y %H:%M",
    "%b %d, %Y %H:%M",
    "%B %d, %Y %I:%M %p", "%d %b %Y %H:%M:%S", "%a %b %d, %Y %H:%M", "%d%b%Y %H:%M", "%Y-%m-%d %H:%M:%S UTC",
    "%Y-%m-%dT%H:%M:%S.000Z", "%d/%m/%Y, %H:%M:%S", "%d/%m/%Y %H:%M GMT",
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("newest_first", [False, True])
def test_times_are_read_in_the_form_they_have(form, newest_first):
    instants = pd.date_range("2024-01-09 21:00", periods=300, freq="30min")[:: -1 if newest_first else 1]
    found, _ = read(instants.strftime(form))
    assert found.equals(instants.as_unit("ns")), form


@settings(max_examples=30, deadline=None)
@given(
    start=st.datetimes(
        pd.Timestamp("2001-01-01").to_pydatetime(), pd.Timestamp("2029-12-31").to_pydatetime()
    ),
    step=st.sampled_from(["1min", "30min", "1h", "1D", "1W"]),
    count=st.integers(1, 60),
    day_first=st.booleans(),
)
def test_a_date_is_never_read_in_the_wrong_order(start, step, count, day_first):
    instants = pd.date_range(pd.Timestamp(start).floor("min"), periods=count, freq=step)
    form = "%d/%m/%Y %H:%M" if day_first else "%m/%d/%Y %H:%M"
    try:
        found, _ = read(instants.strftime(form))
    except DataError as error:
        assert "may be" in str(error)  # noqa: PT017
        stated, _ = read(instants.strftime(form), dates="day_first" if day_first else "month_first")
        assert stated.equals(instants.as_unit("ns"))
    else:
        assert found.equals(instants.as_unit("ns"))


def test_an_order_that_no_row_decides_is_refused_with_both_readings():
    with pytest.raises(
        DataError,
        match=r"'05/06/2024 00:00' may be 2024-06-05 \(day first\) or 2024-05-06 \(month first\).*set data.dates",
    ):
        read([f"05/06/2024 {hour:02}:00" for hour in range(24)])


def test_the_order_of_the_whole_file_counts_for_each_symbol():
    times = ["05/06/2024", "06/06/2024", "13/06/2024", "14/06/2024"]
    found, remark = read(times, groups=pd.Series(["A", "A", "B", "B"]))
    assert found[0] == pd.Timestamp("2024-06-05")
    assert "'13/06/2024' were read day first (2024-06-13)" in remark


def test_dates_in_two_orders_are_refused():
    with pytest.raises(DataError, match="in several orders of day, month and year"):
        read(["13/06/2024", "06/14/2024"])


def test_a_stated_order_that_cannot_be_is_refused():
    with pytest.raises(DataError, match="data.dates is month_first"):
        read(["13/06/2024", "14/06/2024"], dates="month_first")


@pytest.mark.parametrize(
    ("zone", "utc"),
    [("EST", "14:30"), ("EDT", "13:30"), ("America/New_York", "14:30"), ("US/Eastern", "14:30"), ("GMT+0200", "07:30"),
     ("UTC", "09:30"), ("CET", "08:30"), ("JST", "00:30"), ("-05:00", "14:30"), ("GMT-0500", "14:30")],
)  # fmt: skip
@pytest.mark.parametrize("form", ["%Y-%m-%d %H:%M:%S", "%m/%d/%Y %H:%M"])
def test_the_name_of_a_zone_is_read(zone, utc, form):
    found, _ = read(
        [f"{pd.Timestamp(day).strftime(form)} {zone}" for day in ("2024-01-16 9:30", "2024-01-17 9:30")]
    )
    assert found[0] == pd.Timestamp(f"2024-01-16 {utc}")


def test_each_row_has_its_own_zone():
    found, _ = read(["2024-03-08 09:30:00 EST", "2024-03-11 09:30:00 EDT"])
    assert found.tolist() == [pd.Timestamp("2024-03-08 14:30"), pd.Timestamp("2024-03-11 13:30")]


def test_an_abbreviation_of_several_zones_is_decided_by_the_config_or_refused():
    times = ["2024-01-16 08:30:00 CST", "2024-01-17 08:30:00 CST"]
    with pytest.raises(DataError, match=r"'CST' at the end of .* stands for several zones"):
        read(times)
    assert read(times, timezone="America/Chicago")[0][0] == pd.Timestamp("2024-01-16 14:30")
    assert read(times, timezone="Asia/Shanghai")[0][0] == pd.Timestamp("2024-01-16 00:30")
    with pytest.raises(DataError, match="stands for several zones"):
        read(times, timezone="Europe/Berlin")


@pytest.mark.parametrize(
    "times",
    [
        ["2024-01-16 24:30"],
        ["16/01/2024 13:00 PM"],
        ["16/01/2024 25:00"],
        ["yesterday"],
        ["16/Foo/2024"],
        ["2024-01-16 9"],
    ],
)
def test_what_is_no_time_is_refused_by_its_row(times):
    with pytest.raises(DataError, match="of row 1 cannot be read|in several orders"):
        read(times)


@pytest.mark.parametrize(
    ("clocks", "first"),
    [(["9:30", "10:00"], "9:30"), (["093000", "100000"], "9:30"), (["93000", "100000"], "9:30"), (["930",
    "1000"], "9:30"),
     (["0", "30", "100"], "0:00"), (["9:30:00 PM", "10:00:00 PM"], "21:30"), (["12:00 AM", "12:30 AM"], "0:00")],
)  # fmt: skip
def test_times_of_day_are_read_with_and_without_marks(clocks, first):
    found = clock_of(pd.Series(clocks))
    assert found.iloc[0] == pd.Timedelta(f"{first}:00")


@pytest.mark.parametrize("clocks", [["9:30", "25:00"], ["noon"], ["9:30 PM", "10:00"], ["1430.5"]])
def test_what_is_no_time_of_day_is_none(clocks):
    assert clock_of(pd.Series(clocks)) is None


@pytest.mark.parametrize("numbers", [[45292, 45293], [0, 1, 2], [45292.5, 45293.5]])
def test_excels_days_and_row_numbers_are_no_unix_times(numbers):
    with pytest.raises(DataError, match="are no Unix times of bars"):
        read([str(n) for n in numbers])
