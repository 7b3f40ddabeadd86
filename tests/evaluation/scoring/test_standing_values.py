"""A figure that stands for a week, a session or an hour is late by as long, whatever is missing of it or added."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.scoring.columns_read import late_by_a_value
from evaluation.scoring.standing_values import (
    HOUR,
    SESSION,
    WEEK,
    late_by,
    period_starts,
    standing_for,
    stands,
)

HALF_HOUR = np.timedelta64(30, "m")


def half_hours(days: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Labels and sessions of weekdays from 14:30, 13 bars each."""
    first = np.datetime64("2020-01-06T14:30", "ns")  # a Monday
    day = [k for k in range(days * 7 // 5) if k % 7 < 5]
    labels = np.concatenate([first + k * np.timedelta64(1, "D") + np.arange(13) * HALF_HOUR for k in day])
    return labels, np.repeat(np.array(day, dtype=np.int32), 13)


LABELS, SESSIONS = half_hours()
STARTS = period_starts(SESSIONS, LABELS)
SIZE = len(LABELS)


def of_period(starts: np.ndarray, seed: int = 0, symbols: int = 2) -> np.ndarray:
    number = np.cumsum(starts) - 1
    return np.random.default_rng(seed).standard_normal((number[-1] + 1, symbols))[number]


@pytest.mark.parametrize("period", [WEEK, SESSION, HOUR])
def test_a_figure_of_a_period_on_every_bar_of_it_stands_for_that_period(period):
    assert standing_for(of_period(STARTS[period]), STARTS) == period


def test_a_bar_that_the_file_lacks_and_noise_from_bar_to_bar_change_nothing():
    daily, drawn = of_period(STARTS[SESSION]), np.random.default_rng(1)
    missing = daily.copy()
    missing[7] = np.nan
    missing[drawn.random(SIZE) < 0.02] = np.nan
    assert standing_for(missing, STARTS) == SESSION
    filled = np.nan_to_num(missing)  # as features have it
    assert standing_for(filled, STARTS) == SESSION
    assert standing_for(daily + 0.3 * drawn.standard_normal(daily.shape), STARTS) == SESSION
    assert standing_for(np.exp(3.0 * daily), STARTS) == SESSION


def test_what_is_measured_bar_by_bar_is_late_by_a_bar_be_it_slow_or_fast():
    for seed in range(10):
        drawn = np.random.default_rng(10 + seed)
        white = drawn.standard_normal((SIZE, 2))
        walk = np.cumsum(white, axis=0)
        gaps = walk + np.cumsum(
            np.where(STARTS[SESSION][:, None], 3.0 * white, 0.0), axis=0
        )  # half of it overnight
        slow = np.zeros(white.shape)
        for bar in range(1, SIZE):
            slow[bar] = 0.99 * slow[bar - 1] + white[bar]
        averages = np.stack([np.convolve(column, np.ones(200) / 200, "same") for column in walk.T], axis=1)
        within = (
            np.arange(SIZE)[:, None] * np.ones((1, 2)) - np.flatnonzero(STARTS[SESSION])[SESSIONS_AT][:, None]
        )
        for values in (white, walk, gaps, slow, averages, within, np.sign(white), np.ones((SIZE, 2))):
            assert standing_for(values, STARTS) is None


SESSIONS_AT = np.cumsum(STARTS[SESSION]) - 1


def test_figures_that_were_merged_by_a_date_of_another_zone_stand_for_its_day():
    hours = np.datetime64("2021-01-03T23:00", "ns") + np.arange(24 * 200) * np.timedelta64(1, "h")
    session = (np.arange(len(hours)) // 24).astype(np.int32)  # from 23:00 to 23:00, as futures have it
    starts = period_starts(session, hours)
    new_york = (hours - np.timedelta64(5, "h")).astype("datetime64[D]").astype(np.int64)
    figure = np.random.default_rng(5).standard_normal((300, 1))[new_york - new_york[0]]
    assert standing_for(figure, starts) == "day (from 05:00 UTC)"
    summer = (np.arange(len(hours)) // 2000) % 2  # clocks go forward and back
    by_clock = (hours - (5 - summer) * np.timedelta64(1, "h")).astype("datetime64[D]").astype(np.int64)
    figure = np.random.default_rng(5).standard_normal((300, 1))[by_clock - by_clock[0]]
    assert standing_for(figure, starts).startswith("day (from 0")
    four = np.random.default_rng(6).standard_normal((2000, 1))[np.arange(len(hours)) // 4]
    assert standing_for(np.roll(four, 1, axis=0), starts) == "stretch of 4 hours"
    assert standing_for(np.random.default_rng(7).choice([-1.0, 1.0], (len(hours), 1)), starts) is None


def test_what_changes_once_a_quarter_stands_for_no_week():
    quarter = np.random.default_rng(2).standard_normal((4, 2))[np.arange(SIZE) // (13 * 30)]
    assert standing_for(quarter, STARTS) == SESSION  # late by a session, which takes next to nothing
    days = np.datetime64("2020-01-01", "ns") + np.arange(500) * np.timedelta64(1, "D")
    daily = period_starts(np.arange(500, dtype=np.int32), days)
    quarters = np.random.default_rng(3).standard_normal((8, 1))[np.arange(500) // 63]
    assert standing_for(quarters, daily) is None
    assert standing_for(of_period(daily[WEEK]), daily) == WEEK
    assert not stands(np.random.default_rng(4).standard_normal((500, 1)), daily[SESSION])


def test_late_values_are_the_last_ones_of_the_period_before():
    weekly = of_period(STARTS[WEEK])
    late = late_by_a_value(weekly, SESSIONS, LABELS)
    first = np.flatnonzero(STARTS[WEEK])
    np.testing.assert_array_equal(late[first[3] : first[4]], weekly[first[2] : first[3]])
    np.testing.assert_array_equal(late_by_a_value(weekly, SESSIONS)[first[3]], weekly[first[2]])
    assert late_by(STARTS[WEEK])[first[2] + 5] == first[2] - 1
