"""Calendars: bar grids with half-days, breaks and daylight saving, against dates looked up by hand."""

import numpy as np
import pytest

from data.calendars import (
    bar_grid,
    bars_a_year,
    periods_per_year,
    session_bounds,
    sessions_between,
    time_zone,
)
from data.errors import DataError


def at(text):
    return np.datetime64(text, "ns")


def test_crypto_trades_every_bar_and_a_session_is_a_utc_day():
    grid = bar_grid("24/7", 1800, at("2020-01-01T23:00"), at("2020-01-02T01:00"))
    expected = [
        at("2020-01-01T23:00"),
        at("2020-01-01T23:30"),
        at("2020-01-02T00:00"),
        at("2020-01-02T00:30"),
    ]
    np.testing.assert_array_equal(grid.bar_utc, expected)
    assert np.diff(grid.session).tolist() == [0, 1, 0]


def test_new_york_has_390_minutes_a_day_in_summer_and_winter_time():
    # 9:30 in New York is 14:30 UTC in January and 13:30 UTC in July.
    winter = bar_grid("NYSE", 60, at("2019-01-08"), at("2019-01-09"))
    summer = bar_grid("NYSE", 60, at("2019-07-09"), at("2019-07-10"))
    assert len(winter.bar_utc) == len(summer.bar_utc) == 390
    assert winter.bar_utc[0] == at("2019-01-08T14:30")
    assert summer.bar_utc[-1] == at("2019-07-09T19:59")


def test_the_day_after_thanksgiving_closes_at_one_oclock():
    grid = bar_grid("NYSE", 60, at("2019-11-28"), at("2019-11-30"))
    assert len(grid.bar_utc) == 210
    assert grid.bar_utc[-1] == at("2019-11-29T17:59")


def test_hourly_bars_count_from_the_open_and_the_last_is_cut_short():
    grid = bar_grid("NYSE", 3600, at("2019-01-08"), at("2019-01-09"))
    assert grid.bar_utc[[0, -1]].tolist() == [at("2019-01-08T14:30").item(), at("2019-01-08T20:30").item()]
    assert len(grid.bar_utc) == 7


def test_a_daily_bar_is_labelled_by_the_open_of_its_session():
    grid = bar_grid("NYSE", 86400, at("2019-01-04"), at("2019-01-08"))  # Friday and Monday
    np.testing.assert_array_equal(grid.bar_utc, [at("2019-01-04T14:30"), at("2019-01-07T14:30")])


def test_futures_rest_for_an_hour_and_their_sunday_evening_belongs_to_monday():
    # E-mini futures trade from 17:00 to 16:00 Chicago, that is 23:00 to 22:00 UTC in winter.
    grid = bar_grid("CME Globex Equity", 60, at("2024-01-07"), at("2024-01-09T12:00"))
    assert grid.bar_utc[0] == at("2024-01-07T23:00")
    hours = set(grid.bar_utc.astype("datetime64[h]").astype(int) % 24)
    assert 22 not in hours
    assert grid.session[0] == at("2024-01-08").astype("datetime64[D]").astype(int)
    assert (np.diff(grid.session) >= 0).all()


def test_a_lunch_break_leaves_a_hole():
    # Hong Kong trades 9:30 to 12:00 and 13:00 to 16:00, in all 330 minutes.
    grid = bar_grid("HKEX", 60, at("2024-01-09"), at("2024-01-10"))
    assert len(grid.bar_utc) == 330
    steps = np.diff(grid.bar_utc)
    assert (steps == np.timedelta64(61, "m")).sum() == 1


def test_session_bounds_come_from_the_calendar_and_not_from_the_bars():
    grid = bar_grid("NYSE", 60, at("2019-11-27"), at("2019-11-30"))
    opened, closed = session_bounds("NYSE", grid.session)
    assert opened[0] == at("2019-11-27T14:30")
    assert closed[0] == at("2019-11-27T21:00")
    assert closed[-1] == at("2019-11-29T18:00")


def test_a_session_the_calendar_does_not_know_is_refused():
    saturday = at("2019-11-30").astype("datetime64[D]").astype(np.int32)
    with pytest.raises(DataError, match="does not know"):
        session_bounds("NYSE", np.array([saturday], dtype=np.int32))


def test_bars_a_year_are_counted_over_a_leap_cycle():
    assert periods_per_year("24/7", 1800) == 365.25 * 48
    # 2016 to 2019: 252 + 251 + 251 + 252 sessions.
    assert periods_per_year("NYSE", 86400) == 1006 / 4
    # Half-days lose 180 of 390 minutes; there were 1 + 2 + 3 + 3 of them.
    assert periods_per_year("NYSE", 60) == (1006 * 390 - 9 * 180) / 4


def test_a_record_is_annualised_by_the_bars_of_its_own_years():
    first, last = at("2020-01-02T14:30"), at("2021-12-31T14:30")
    assert bars_a_year("NYSE", 86_400, first, last) == (253 + 252) / 2
    assert bars_a_year("24/7", 1800, first, last) == 365.25 * 48


@pytest.mark.parametrize(
    ("calendar", "first", "years"), [("EUREX_Bond", 2021, 3), ("XKRX", 1995, 3), ("NYSE", 2013, 4)]
)
def test_bars_of_a_year_are_those_that_whole_years_of_the_record_hold(calendar, first, years):
    grid = bar_grid(calendar, 1800, at(f"{first}-01-01"), at(f"{first + years}-01-01")).bar_utc
    found = bars_a_year(calendar, 1800, grid[0], grid[-1])
    assert found == pytest.approx(len(grid) / years, rel=0.004)


def test_hours_that_have_changed_since_do_not_change_what_a_record_earned_a_year():
    grid = bar_grid("EUREX_Bond", 1800, at("2021-01-01"), at("2024-01-01")).bar_utc
    assert bars_a_year("EUREX_Bond", 1800, grid[0], grid[-1]) / periods_per_year("EUREX_Bond", 1800) < 0.8


def test_some_weeks_without_a_holiday_are_not_taken_for_a_year_without_one():
    grid = bar_grid("NYSE", 1800, at("2021-08-02"), at("2021-08-21")).bar_utc
    # Every session of these weeks is whole: 13 bars; a year up to then has 252 or 253 sessions.
    assert bars_a_year("NYSE", 1800, grid[0], grid[-1]) in (252 * 13, 253 * 13)


def test_an_unknown_calendar_names_the_nearest():
    with pytest.raises(DataError, match="did you mean 'NYSE'"):
        bar_grid("NYSSE", 60, at("2019-01-01"), at("2019-02-01"))


@pytest.mark.parametrize("bar_seconds", [0, -60, 7, 100000])
def test_a_bar_length_that_does_not_divide_a_day_is_refused(bar_seconds):
    with pytest.raises(DataError, match="divide a day"):
        bar_grid("24/7", bar_seconds, at("2019-01-01"), at("2019-02-01"))


def test_time_zones():
    assert time_zone("24/7") == "UTC"
    assert time_zone("NYSE") == "America/New_York"


def test_sessions_that_overlap_are_found_whole():
    found = sessions_between("24/7", at("2020-01-01T12:00"), at("2020-01-01T13:00"))
    assert found.open_utc.tolist() == [at("2020-01-01").item()]
