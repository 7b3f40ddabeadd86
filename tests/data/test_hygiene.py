"""Hygiene and alignment: exactly the planted defects are found, and nothing is filled."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.alignment import align
from data.calendars import bar_grid
from data.hygiene import Finding, HygieneReport
from data.schema import DataError


def rows_on(times, seed=0):
    rng = np.random.default_rng(seed)
    close = 100.0 + rng.normal(0.0, 1.0, len(times))
    opened = 100.0 + rng.normal(0.0, 1.0, len(times))
    return pd.DataFrame(
        {
            "open": opened,
            "high": np.maximum(opened, close) + 1.0,
            "low": np.minimum(opened, close) - 1.0,
            "close": close,
            "volume": 5.0,
        },
        index=pd.DatetimeIndex(times),
    )


def half_hours(num_bars):
    return np.datetime64("2020-01-01", "ns") + np.arange(num_bars) * np.timedelta64(1800, "s")


def crypto(bars, **window):
    return align(bars, calendar="24/7", bar_seconds=1800, **window)


@settings(max_examples=60, deadline=None)
@given(
    absent=st.sets(st.integers(1, 58), max_size=12),
    inconsistent=st.sets(st.integers(0, 59), max_size=6),
    idle=st.sets(st.integers(0, 59), max_size=6),
    seed=st.integers(0, 1000),
)
def test_exactly_the_planted_defects_are_found(absent, inconsistent, idle, seed):
    inconsistent, idle = inconsistent - absent, idle - absent
    rows = rows_on(half_hours(60), seed)
    rows.iloc[sorted(inconsistent), rows.columns.get_loc("high")] = 1.0
    rows.iloc[sorted(idle), rows.columns.get_loc("volume")] = 0.0
    kept = rows.drop(rows.index[sorted(absent)])
    panel, report = crypto({"X": kept})

    assert report.rows == (("X", 60 - len(absent)),)
    assert report.bars("missing") == len(absent)
    assert report.runs("missing") == sum(i - 1 not in absent for i in absent)
    assert report.bars("inconsistent") == len(inconsistent)
    assert report.bars("zero_volume") == len(idle)
    assert report.bars("outside_session") == report.bars("off_grid") == 0

    unknown = np.zeros(60, dtype=bool)
    unknown[sorted(absent | inconsistent)] = True
    np.testing.assert_array_equal(np.isnan(panel.close[:, 0]), unknown)
    np.testing.assert_array_equal(panel.tradable[:, 0], ~(unknown | np.isin(np.arange(60), sorted(idle))))
    np.testing.assert_array_equal(panel.close[~unknown, 0], rows["close"].to_numpy()[~unknown])
    assert (panel.volume[unknown] == 0.0).all()


def test_a_clean_series_has_a_clean_report():
    _, report = crypto({"X": rows_on(half_hours(60))})
    assert report.clean
    assert report.to_frame().empty
    assert report.table().to_dict("records") == [
        {"symbol": "X", "rows": 60, "gaps": 0, "missing": 0, "inconsistent": 0, "zero_volume": 0, "jump": 0}
        | {"outside_session": 0, "off_grid": 0, "shifted_session": 0}
    ]


def test_a_finding_says_where_it_is():
    rows = rows_on(half_hours(10))
    _, report = crypto({"X": rows.drop(rows.index[[4, 5, 8]])})
    first, second = report.findings
    assert (first.first_utc, first.last_utc, first.bars) == (rows.index[4], rows.index[5], 2)
    assert (second.kind, second.bars) == ("missing", 1)
    assert report.to_frame().shape == (2, 5)


def test_a_series_that_begins_later_than_another_is_missing_until_then():
    times = half_hours(10)
    panel, report = crypto({"X": rows_on(times), "Y": rows_on(times[4:])})
    assert np.isnan(panel.close[:4, 1]).all()
    assert (report.bars("missing", "X"), report.bars("missing", "Y")) == (0, 4)


def test_further_columns_become_exogenous_and_unknown_where_a_symbol_lacks_them():
    times = half_hours(4)
    first = rows_on(times).assign(funding=[1.0, 2.0, 3.0, 4.0])
    panel, _ = crypto({"X": first, "Y": rows_on(times)})
    np.testing.assert_array_equal(
        panel.exogenous["funding"], [[1, np.nan], [2, np.nan], [3, np.nan], [4, np.nan]]
    )


def test_bars_after_hours_and_between_the_grid_are_left_out_and_reported():
    grid = bar_grid("NYSE", 60, np.datetime64("2019-11-29", "ns"), np.datetime64("2019-11-30", "ns")).bar_utc
    minute = np.timedelta64(1, "m").astype("timedelta64[ns]")
    after_the_half_day = grid[-1] + minute * np.arange(1, 4)
    times = np.sort(np.concatenate([grid, after_the_half_day, [grid[10] + minute // 2]]))
    panel, report = align({"X": rows_on(times)}, calendar="NYSE", bar_seconds=60)
    assert panel.num_bars == 210
    assert (report.runs("outside_session"), report.bars("outside_session")) == (1, 3)
    assert report.bars("off_grid") == 1
    assert report.bars("missing") == 0


def test_summer_days_that_are_an_hour_late_are_pointed_out():
    # A week in July as a file writes it that uses New York's winter offset all year.
    grid = bar_grid("NYSE", 60, np.datetime64("2019-07-08", "ns"), np.datetime64("2019-07-13", "ns")).bar_utc
    _, report = align({"X": rows_on(grid + np.timedelta64(1, "h"))}, calendar="NYSE", bar_seconds=60)
    assert report.bars("shifted_session") == 5


def test_days_with_trading_before_and_after_hours_are_not_taken_for_shifted():
    grid = bar_grid("NYSE", 60, np.datetime64("2019-07-08", "ns"), np.datetime64("2019-07-13", "ns")).bar_utc
    minute = np.timedelta64(1, "m").astype("timedelta64[ns]")
    days = [np.arange(day[0] - 60 * minute, day[-1] + 61 * minute, minute) for day in grid.reshape(5, 390)]
    _, report = align({"X": rows_on(np.concatenate(days))}, calendar="NYSE", bar_seconds=60)
    assert report.bars("shifted_session") == 0
    assert report.bars("outside_session") == 5 * 120


def test_an_unadjusted_split_and_a_misplaced_decimal_point_are_pointed_out_and_kept():
    rows = rows_on(half_hours(20))
    rows.iloc[10:, :4] /= 2.0
    rows.iloc[15, rows.columns.get_loc("low")] /= 10.0
    panel, report = crypto({"X": rows})
    assert [f.first_utc for f in report.findings] == [rows.index[10], rows.index[15]]
    assert report.bars("jump") == 2
    assert panel.tradable.all()


def test_a_window_keeps_only_its_bars_and_their_findings():
    rows = rows_on(half_hours(60))
    kept = rows.drop(rows.index[[5, 30]])
    panel, report = crypto({"X": kept}, start_utc="2020-01-01T10:00", stop_utc="2020-01-01T20:00")
    assert panel.num_bars == 20
    assert report.bars("missing") == 1
    assert report.rows == (("X", 19),)


BAD = {
    "not sorted": lambda rows: rows.iloc[[0, 2, 1, 3]],
    "occurs more than once": lambda rows: rows.iloc[[0, 1, 1, 2]],
    "close is nan": lambda rows: rows.assign(close=[1.0, np.nan, 1.0, 1.0]),
    "low is -1.0": lambda rows: rows.assign(low=-1.0),
    "open is 0.0": lambda rows: rows.assign(open=0.0),
    "high is inf": lambda rows: rows.assign(high=np.inf),
    "volume is -5.0": lambda rows: rows.assign(volume=-5.0),
    "empty": lambda rows: rows.iloc[:0],
}


@pytest.mark.parametrize("said", BAD)
def test_bars_that_cannot_be_used_are_refused_with_their_symbol(said):
    with pytest.raises(DataError, match=f"^X: .*{said}"):
        crypto({"X": BAD[said](rows_on(half_hours(4)))})


def test_bars_of_another_calendar_or_length_are_refused():
    with pytest.raises(DataError, match="are not bars of calendar 'NYSE'"):
        align({"X": rows_on(half_hours(100))}, calendar="NYSE", bar_seconds=1800)
    with pytest.raises(DataError, match="set calendar, bar_seconds and timezone"):
        align({"X": rows_on(half_hours(100))}, calendar="24/7", bar_seconds=86400)


@pytest.mark.parametrize("window", [{"start_utc": "2019-06-01"}, {"stop_utc": "2020-03-01"}])
def test_a_window_outside_the_data_is_refused(window):
    with pytest.raises(DataError, match="outside the data, which run from 2020-01-01"):
        crypto({"X": rows_on(half_hours(60))}, **window)


def test_a_symbol_without_bars_in_the_window_is_refused():
    times = half_hours(60)
    with pytest.raises(DataError, match="^Y has no bar between"):
        crypto({"X": rows_on(times), "Y": rows_on(times[40:])}, stop_utc="2020-01-01T10:00")


def test_a_symbol_that_trades_on_weekends_only_does_not_fit_the_exchange():
    weekdays = bar_grid(
        "NYSE", 3600, np.datetime64("2019-07-05", "ns"), np.datetime64("2019-07-09", "ns")
    ).bar_utc
    weekend = np.arange(
        np.datetime64("2019-07-06T14:30", "ns"), np.datetime64("2019-07-06T20:00", "ns"), 3600 * 10**9
    )
    with pytest.raises(DataError, match="^Y: 6 of 6 bars"):
        align({"X": rows_on(weekdays), "Y": rows_on(weekend)}, calendar="NYSE", bar_seconds=3600)


def test_a_report_knows_its_kinds():
    finding = Finding(symbol="X", kind="odd", first_utc=half_hours(1)[0], last_utc=half_hours(1)[0], bars=1)
    with pytest.raises(ValueError, match="odd"):
        HygieneReport(rows=(("X", 1),), findings=(finding,))
