"""Hygiene and alignment: exactly the planted defects are found, and nothing is filled."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.alignment import align
from data.calendars import bar_grid
from data.checks.hygiene import Finding, HygieneReport
from data.errors import DataError


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
    assert report.table().to_dict("records") == [
        {"symbol": "X", "rows": 60, "gaps": 0, "missing": 0, "inconsistent": 0, "zero_volume": 0, "jump": 0}
        | {"rounded": 0, "outside_session": 0, "off_grid": 0, "shifted_session": 0, "ends": 0}
        | {"duplicate": 0, "outlier": 0, "island": 0, "filled": 0}
    ]


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
def test_labels_that_count_in_another_unit_are_the_same_bars(unit):
    rows = rows_on(half_hours(60)).drop(index=pd.DatetimeIndex(half_hours(60))[7])
    other = rows.set_axis(rows.index.as_unit(unit), axis=0)
    assert crypto({"X": other}).panel.fingerprint == crypto({"X": rows}).panel.fingerprint


def test_a_finding_says_where_it_is():
    rows = rows_on(half_hours(10))
    _, report = crypto({"X": rows.drop(rows.index[[4, 5, 8]])})
    first, second = report.findings
    assert (first.first_utc, first.last_utc, first.bars) == (rows.index[4], rows.index[5], 2)
    assert (second.kind, second.bars) == ("missing", 1)


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


@settings(max_examples=40, deadline=None)
@given(
    moved=st.sets(st.integers(0, 59), max_size=20), size=st.floats(1e-16, 9e-10), seed=st.integers(0, 1000)
)
def test_a_high_or_low_that_misses_by_rounding_is_moved_and_counted(moved, size, seed):
    rows = rows_on(half_hours(60), seed)
    rows["high"], rows["low"] = rows[["open", "close"]].max(axis=1), rows[["open", "close"]].min(axis=1)
    exact = rows.copy()
    for i in sorted(moved):
        rows.iloc[i, 1] *= 1.0 - size
        rows.iloc[i, 2] *= 1.0 + size
    panel, report = crypto({"X": rows})
    touched = (rows[["high", "low"]] != exact[["high", "low"]]).any(axis=1)
    assert report.bars("rounded") == touched.sum()
    assert report.bars("inconsistent") == report.bars("missing") == 0
    np.testing.assert_array_equal(panel.high[:, 0], exact["high"])
    np.testing.assert_array_equal(panel.low[:, 0], exact["low"])


def test_a_high_that_misses_by_more_than_rounding_is_inconsistent():
    rows = rows_on(half_hours(10))
    rows.iloc[4, 1] = rows[["open", "close"]].max(axis=1).iloc[4] * (1.0 - 2e-9)
    _, report = crypto({"X": rows})
    assert (report.bars("rounded"), report.bars("inconsistent")) == (0, 1)


def test_an_asset_without_any_volume_is_refused_as_never_tradable():
    with pytest.raises(
        DataError, match="^Y can never be traded from 2020-01-01 00:00 .* volume is 0 in every row"
    ):
        crypto({"X": rows_on(half_hours(60)), "Y": rows_on(half_hours(60)).assign(volume=0.0)})


def test_an_asset_whose_volume_lies_outside_the_window_is_refused():
    rows = rows_on(half_hours(96))
    rows.iloc[:48, rows.columns.get_loc("volume")] = 0.0
    assert crypto({"X": rows}).panel.tradable.sum() == 48
    with pytest.raises(DataError, match="X can never be traded from 2020-01-01 00:00 to 2020-01-01 23:30"):
        crypto({"X": rows}, stop_utc="2020-01-02")


def test_an_asset_that_is_inconsistent_wherever_it_has_volume_is_refused():
    rows = rows_on(half_hours(60)).assign(high=1.0)
    with pytest.raises(DataError, match="X can never be traded.*each of its rows is inconsistent"):
        crypto({"X": rows})


def test_a_symbol_that_stops_before_the_last_session_ends():
    times = half_hours(48 * 5)
    idle = rows_on(times)
    idle.iloc[100:, idle.columns.get_loc("volume")] = 0.0  # the vendor goes on with the last price
    late = rows_on(times[: 48 * 4 + 1])  # its last bar is the first one of the last session
    _, report = crypto({"X": rows_on(times), "Y": rows_on(times[:100]), "Z": idle, "W": late})
    ends = [f for f in report.findings if f.kind == "ends"]
    assert [(f.symbol, f.first_utc, f.last_utc, f.bars) for f in ends] == [
        (symbol, times[99], times[-1], 140) for symbol in "YZ"
    ]


@pytest.mark.parametrize(
    ("ratio", "said"),
    [(0.25, "4:1"), (0.5, "2:1"), (2 / 3, "3:2"), (0.8, "5:4"), (10.0, "1:10"), (0.3, None)],
)
def test_an_unadjusted_split_is_noted_by_its_ratio(ratio, said):
    times = half_hours(200)
    close = 100.0 * np.exp(np.cumsum(0.002 * np.random.default_rng(5).standard_normal(200)))
    close[120:] *= ratio
    opened = np.concatenate([[100.0], close[:-1]])
    opened[120] = close[120]
    rows = pd.DataFrame(
        {
            "open": opened,
            "high": np.maximum(opened, close),
            "low": np.minimum(opened, close),
            "close": close,
            "volume": 1.0,
        },
        index=pd.DatetimeIndex(times),
    )
    _, report = crypto({"X": rows})
    (jump,) = [f for f in report.findings if f.kind == "jump"]
    assert jump.first_utc == times[120]
    assert jump.note.startswith(f"x{opened[120] / close[119]:.3g} from the last close")
    assert ("split" in jump.note) == (said is not None)
    assert said is None or f"as where a {said} split is not adjusted for" in jump.note


def test_a_wick_is_no_move_to_another_level():
    rows = rows_on(half_hours(20))
    rows.iloc[15, rows.columns.get_loc("low")] /= 10.0
    (jump,) = crypto({"X": rows}).hygiene.findings
    assert jump.note.startswith("wick: low 9.")


def test_returns_that_are_merely_large_are_no_jumps():
    rng = np.random.default_rng(9)
    close = 100.0 * np.exp(np.cumsum(0.05 * rng.standard_t(4, 500) / 3.0))
    opened = np.concatenate([[100.0], close[:-1]]) * np.exp(0.02 * rng.standard_normal(500))
    rows = pd.DataFrame(
        {
            "open": opened,
            "high": np.maximum(opened, close),
            "low": np.minimum(opened, close),
            "close": close,
            "volume": 1.0,
        },
        index=pd.DatetimeIndex(half_hours(500)),
    )
    assert crypto({"X": rows}).hygiene.bars("jump") == 0


def test_bars_beside_the_regular_hours_are_left_out_however_many_they_are():
    grid = bar_grid(
        "NYSE", 1800, np.datetime64("2019-07-08", "ns"), np.datetime64("2019-07-13", "ns")
    ).bar_utc
    half = np.timedelta64(1800, "s")
    days = [np.arange(day[0] - 11 * half, day[0] + 21 * half, half) for day in grid.reshape(5, 13)]
    panel, report = align({"X": rows_on(np.concatenate(days))}, calendar="NYSE", bar_seconds=1800)
    assert panel.num_bars == 5 * 13
    assert report.bars("missing") == 0
    assert report.bars("outside_session") == 5 * (32 - 13)


@pytest.mark.parametrize(
    ("shift", "calendar", "bar_seconds", "said"),
    [
        (
            57600,
            "24/7",
            86400,
            "each lies 57600 s after the beginning of a bar of the grid.*daily bars by their date",
        ),
        (600, "24/7", 1800, "each lies 600 s after.*whole multiples of 1800 s"),
        (1799, "24/7", 1800, "each lies 1799 s after.*a moment before the close"),
        (
            900,
            "NYSE",
            3600,
            "each lies 900 s after.*straddle the open, which no setting cures; give bars of 900 s",
        ),
    ],
)
def test_bars_that_lie_beside_the_grid_by_one_shift_are_told_which(shift, calendar, bar_seconds, said):
    grid = bar_grid(
        calendar, bar_seconds, np.datetime64("2019-07-08", "ns"), np.datetime64("2019-07-20", "ns")
    )
    labels = grid.bar_utc + np.timedelta64(shift, "s")
    with pytest.raises(DataError, match=said):
        align({"X": rows_on(labels)}, calendar=calendar, bar_seconds=bar_seconds)
