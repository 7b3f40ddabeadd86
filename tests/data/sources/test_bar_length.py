"""Bars of another length than configured are refused by name; thin symbols, gaps, nights and clock changes are not."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.calendars import bar_grid, sessions_between
from data.errors import DataError
from data.repair_decisions import Repairs
from data.sources.bar_length import check_bar_length, spelled


@pytest.mark.parametrize(
    ("step", "bar_seconds", "found", "cure"),
    [
        ("15min", 1800, "900 s", "data.bar_seconds=900"),
        ("1h", 1800, r"3600 s \(one hour\)", "data.bar_seconds=3600"),
        ("1D", 1800, r"86400 s \(one day\)", "data.bar_seconds=86400"),
        ("1min", 86400, r"60 s \(one minute\)", "data.bar_seconds=60"),
        ("7D", 86400, r"604800 s \(one week\)", "not supported"),
        ("7min", 1800, "420 s", "not supported"),
    ],
)
def test_rows_of_another_length_are_refused_with_the_length_found_and_the_cure(
    load_tables, bars_at, every, step, bar_seconds, found, cure
):
    with pytest.raises(
        DataError, match=f"BTC: .* rows are {found}.* apart, but data.bar_seconds is .*{cure}"
    ):
        load_tables(bars_at(every("2024-01-01", step, 60)), bar_seconds=bar_seconds)


def test_daily_rows_of_a_stock_are_told_to_name_the_calendar_too(load_tables, bars_at):
    days = pd.bdate_range("2023-01-02", periods=300).strftime("%Y-%m-%d")
    with pytest.raises(
        DataError, match=r"set data.bar_seconds=86400.*no row lies on a weekend.*such as NYSE"
    ):
        load_tables(bars_at(days))


def test_monthly_rows_are_no_daily_bars(load_tables, bars_at):
    months = pd.date_range("2010-01-01", periods=60, freq="MS").strftime("%Y-%m-%d")
    with pytest.raises(DataError, match=r"31 days\) apart.*not supported"):
        load_tables(bars_at(months), bar_seconds=86400)


def test_one_symbol_of_another_length_is_named_beside_one_that_fits(load_tables, bars_at, every):
    tables = {
        "BTC.csv": bars_at(every("2024-01-01", "30min", 200)),
        "ETH.csv": bars_at(every("2024-01-01", "1h", 100)),
    }
    with pytest.raises(DataError, match=r"ETH: .*3600 s.*but those of BTC are 1800 s.*one length"):
        load_tables(tables)


def rows_at(labels):
    return pd.DataFrame({"open": 1.0}, index=pd.DatetimeIndex(labels))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000), present=st.floats(0.03, 1.0), bar_seconds=st.sampled_from([60, 1800, 3600])
)
def test_a_thin_symbol_passes_however_few_of_its_bars_are_there(seed, present, bar_seconds):
    rng = np.random.default_rng(seed)
    grid = np.datetime64("2024-01-01", "ns") + np.arange(2000) * np.timedelta64(bar_seconds, "s")
    kept = grid[rng.random(len(grid)) < present]
    assert check_bar_length({"X": rows_at(kept)}, "24/7", bar_seconds) == []


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), present=st.floats(0.5, 1.0), factor=st.sampled_from([2, 4, 48]))
def test_coarser_rows_with_gaps_are_found_all_the_same(seed, present, factor):
    rng = np.random.default_rng(seed)
    grid = np.datetime64("2024-01-01", "ns") + np.arange(300) * np.timedelta64(1800 * factor, "s")
    kept = grid[rng.random(len(grid)) < present]
    with pytest.raises(DataError, match=f"set data.bar_seconds={1800 * factor}"):
        check_bar_length({"X": rows_at(kept)}, "24/7", 1800)


@pytest.mark.parametrize("bar_seconds", [60, 1800, 3600, 14400, 28800, 86400])
@pytest.mark.parametrize("calendar", ["24/7", "NYSE", "CME Globex Equity", "XHKG"])
def test_the_grid_of_each_calendar_fits_itself_over_a_clock_change(calendar, bar_seconds):
    grid = bar_grid(calendar, bar_seconds, np.datetime64("2019-02-01"), np.datetime64("2019-04-15")).bar_utc
    assert check_bar_length({"X": rows_at(grid)}, calendar, bar_seconds) == []


def test_daily_dates_of_an_exchange_fit_its_daily_grid(load_tables, bars_at):
    days = bar_grid("NYSE", 86400, np.datetime64("2018-01-01"), np.datetime64("2019-12-31")).session
    dates = days.astype("datetime64[D]").astype(str)
    assert load_tables(bars_at(dates), calendar="NYSE", bar_seconds=86400).panel.num_bars == len(days)
    with pytest.raises(DataError, match="data.bar_seconds=86400"):
        load_tables(bars_at(dates), calendar="NYSE", bar_seconds=1800)


def test_a_stretch_of_another_length_is_said_and_much_of_it_is_refused():
    half_hours = np.datetime64("2024-01-01", "ns") + np.arange(1000) * np.timedelta64(1800, "s")
    hours = half_hours[-1] + np.arange(1, 61) * np.timedelta64(3600, "s")
    (remark,) = check_bar_length({"X": rows_at(np.concatenate([half_hours, hours]))}, "24/7", 1800)
    assert "from 2024-01-21 19:30 to 2024-01-24 07:30 the rows are 3600 s (one hour) apart" in remark
    more = half_hours[-1] + np.arange(1, 301) * np.timedelta64(3600, "s")
    with pytest.raises(DataError, match="give bars of one length"):
        check_bar_length({"X": rows_at(np.concatenate([half_hours, more]))}, "24/7", 1800)


def test_days_before_the_half_hours_of_a_file_are_said_or_refused():
    half_hours = np.datetime64("2024-01-01", "ns") + np.arange(2000) * np.timedelta64(1800, "s")
    days = pd.bdate_range(end="2023-12-30", periods=400).to_numpy("datetime64[ns]")
    with pytest.raises(
        DataError, match=r"86400 s \(one day\) apart, elsewhere 1800 s; give bars of one length"
    ):
        check_bar_length({"X": rows_at(np.concatenate([days, half_hours]))}, "24/7", 1800)
    (remark,) = check_bar_length({"X": rows_at(np.concatenate([days[-40:], half_hours]))}, "24/7", 1800)
    assert "86400 s (one day) apart" in remark


@pytest.mark.parametrize("calendar", ["NYSE", "XHKG"])
def test_closing_labels_fit_too_where_the_close_cuts_bars_short(calendar):
    # Bars of four hours end at 13:30 and, cut short, at 16:00 in New York: 2.5 hours apart.
    grid = bar_grid(calendar, 14400, np.datetime64("2019-02-01"), np.datetime64("2019-04-15")).bar_utc
    sessions = sessions_between(calendar, grid[0], grid[-1] + np.timedelta64(1, "D"))
    ends = np.sort(np.concatenate([sessions.close_utc, sessions.break_start_utc]))
    cut = ends[np.searchsorted(ends, grid, side="right")]
    closes = np.minimum(grid + np.timedelta64(4, "h"), cut)
    assert check_bar_length({"X": rows_at(closes)}, calendar, 14400) == []


def test_lengths_are_spelled_as_people_read_them():
    assert [spelled(s) for s in (0.25, 900, 3600, 86400, 2_678_400)] == [
        "0.25 s",
        "900 s",
        "3600 s (one hour)",
        "86400 s (one day)",
        "2678400 s (31 days)",
    ]


def test_duplicates_do_not_hide_rows_of_another_length(load_tables, bars_at, every):
    table = bars_at(every("2024-01-01", "15min", 200))
    table = pd.concat([table, table.iloc[:5]]).sort_values("timestamp")
    with pytest.raises(DataError, match="set data.bar_seconds=900"):
        load_tables(table, repair=Repairs(duplicates="keep_first"))
