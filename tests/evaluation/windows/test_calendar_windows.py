"""Windows by the calendar: whole periods only, named dates never moved, and what a search seals of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from data.calendars import bar_grid
from data.errors import DataError
from data.schema import Panel
from evaluation.windows.calendar_windows import DatedWindows, PeriodWalkForward
from evaluation.windows.search_windows import search_windows_in

DAY = 86_400


def panel_of(calendar, bar_seconds, start, stop, untradable=()):
    """A panel of every bar of the calendar in [start, stop), one asset at a price of 1."""
    grid = bar_grid(calendar, bar_seconds, start, stop)
    ones = np.ones((len(grid.bar_utc), 1))
    tradable = np.ones(ones.shape, dtype=bool)
    for first, last in untradable:
        tradable[(grid.bar_utc >= np.datetime64(first)) & (grid.bar_utc < np.datetime64(last))] = False
    return Panel(
        symbols=("X",), bar_utc=grid.bar_utc, open=ones, high=ones, low=ones, close=ones, volume=ones,
        tradable=tradable, session=grid.session, calendar=calendar, bar_seconds=bar_seconds,
    )  # fmt: skip


def dates(panel, window):
    days = panel.session[[window.start, window.stop - 1]].astype("datetime64[D]").astype(str)
    return tuple(days.tolist())


def test_months_are_cut_where_the_calendar_cuts_them_and_cut_off_ones_are_left_out():
    # From 10 January to 20 May: January and May are not whole; February to April are, 29, 31 and 30 days.
    panel = panel_of("24/7", DAY, "2024-01-10", "2024-05-21")
    folds = PeriodWalkForward(unit="months", train=2, test=1).folds_in(panel)
    assert [(f.train, f.test) for f in folds] == [(slice(22, 82), slice(82, 112))]


def test_an_embargo_is_taken_from_the_end_of_training():
    panel = panel_of("24/7", DAY, "2024-01-01", "2024-05-01")
    folds = PeriodWalkForward(
        unit="months", train=2, test=1, horizon_bars=1, embargo_bars=4, anchored=True
    ).folds_in(panel)
    assert [(f.train, f.test) for f in folds] == [
        (slice(0, 60 - 5), slice(60, 91)),
        (slice(0, 91 - 5), slice(91, 121)),
    ]


def test_sessions_are_of_unequal_length_where_the_exchange_closes_early():
    # 2 and 5 July 2024 are whole days of 13 half hours, 3 July is a half-day of 7, 4 July is closed.
    panel = panel_of("NYSE", 1800, "2024-07-02", "2024-07-06")
    folds = PeriodWalkForward(unit="sessions", train=1, test=1).folds_in(panel)
    assert [(f.train, f.test) for f in folds] == [
        (slice(0, 13), slice(13, 20)),
        (slice(13, 20), slice(20, 33)),
    ]


def test_weeks_begin_on_monday():
    panel = panel_of("24/7", DAY, "2024-01-03", "2024-01-25")  # a Wednesday to a Wednesday
    (fold,) = PeriodWalkForward(unit="weeks", train=1, test=1).folds_in(panel)
    assert (dates(panel, fold.train), dates(panel, fold.test)) == (
        ("2024-01-08", "2024-01-14"),
        ("2024-01-15", "2024-01-21"),
    )


def test_a_session_that_opens_on_sunday_evening_counts_for_its_monday():
    panel = panel_of("CME Globex Equity", 1800, "2024-03-24", "2024-04-06")
    (fold,) = PeriodWalkForward(unit="weeks", train=1, test=1).folds_in(panel)
    assert dates(panel, fold.test) == ("2024-04-01", "2024-04-05")
    opened = pd.Timestamp(panel.bar_utc[fold.test.start])
    assert (opened.day_name(), opened.hour) == ("Sunday", 22)  # 17:00 in Chicago in summer


@pytest.mark.parametrize("unit", ["sessions", "weeks", "months"])
@pytest.mark.parametrize("calendar", ["24/7", "NYSE", "CME Globex Equity"])
def test_whatever_the_first_and_last_bar_windows_hold_whole_periods_only(calendar, unit):
    whole = panel_of(calendar, 3600 * 4, "2023-07-01", "2024-05-01")
    rng = np.random.default_rng(7)
    for _ in range(8):
        first = int(rng.integers(0, 80))
        panel = whole.slice_bars(first, whole.num_bars - int(rng.integers(1, 80)))
        folds = PeriodWalkForward(unit=unit, train=2, test=1).folds_in(panel)
        for fold in folds:
            for window in (fold.train, fold.test):
                bars = panel.bar_utc[window]
                at = np.searchsorted(whole.bar_utc, bars)
                assert (np.diff(at) == 1).all()
                before, after = whole.session[max(at[0] - 1, 0)], whole.session[at[-1] + 1]
                assert at[0] == 0 or before < whole.session[at[0]]
                assert after > whole.session[at[-1]]
        stops = [fold.test.stop for fold in folds]
        assert stops == sorted(set(stops))


def test_too_few_periods_are_refused_with_the_arithmetic():
    panel = panel_of("24/7", DAY, "2024-01-02", "2024-03-31")
    with pytest.raises(ValueError, match=r"needs 3 whole months \(train 2 \+ test 1\) but the data hold 1"):
        PeriodWalkForward(unit="months", train=2, test=1).folds_in(panel)


def test_a_test_window_without_a_bar_that_can_be_traded_is_refused():
    panel = panel_of("24/7", DAY, "2024-01-01", "2024-04-01", untradable=[("2024-03-01", "2024-04-01")])
    with pytest.raises(DataError, match="test window of fold 0, 2024-03-01 to 2024-03-31, holds no bar"):
        PeriodWalkForward(unit="months", train=2, test=1).folds_in(panel)


def test_named_dates_are_taken_as_they_are_on_a_calendar_with_holidays():
    panel = panel_of("NYSE", DAY, "2022-01-01", "2024-01-01")
    (fold,) = DatedWindows(
        train=("2022-01-01", "2022-12-31"), validation=("2023-01-01", "2023-06-30"), test=("2023-07-01", "2023-12-31"),
        horizon_bars=1, embargo_bars=2,
    ).folds_in(panel)  # fmt: skip
    # 251 sessions in 2022; 3 bars of the gap lie inside the windows before, for each begins where the last one ended.
    assert dates(panel, fold.train) == ("2022-01-03", "2022-12-27")
    assert dates(panel, fold.validation) == ("2023-01-03", "2023-06-27")
    assert dates(panel, fold.test) == ("2023-07-03", "2023-12-29")


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        ({"train": ("2021-12-01", "2022-12-31"), "test": ("2023-01-01", "2023-06-30")}, "train.* reaches outside"),
        ({"train": ("2022-02-01", "2022-12-31"), "test": ("2023-01-01", "2024-01-31")}, "test.* reaches outside"),
        ({"train": ("2022-02-01", "2022-02-28"), "test": ("2023-07-01", "2023-07-02")}, "holds no session of NYSE"),
    ],
)  # fmt: skip
def test_dates_that_the_data_do_not_hold_are_refused_not_moved(windows, message):
    panel = panel_of("NYSE", DAY, "2022-01-01", "2024-01-01")
    with pytest.raises(DataError, match=message):
        DatedWindows(**windows).folds_in(panel)


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        ({"train": ("2022-12-31", "2022-01-01"), "test": ("2023-01-01", "2023-02-01")}, "first date lies after"),
        ({"train": ("2022-01-01", "2022-12-31"), "test": ("2022-12-31", "2023-02-01")}, "test begins on 2022-12-31"),
        ({"train": ("2022-01-01", "soon"), "test": ("2022-12-31", "2023-02-01")}, "train: 'soon' is not a date"),
        ({"train": ("2022-01-01", "2022-02-01T12:00"), "test": ("2022-12-31", "2023-02-01")}, "named by dates"),
    ],
)  # fmt: skip
def test_dates_that_contradict_themselves_are_refused_before_any_data(windows, message):
    with pytest.raises(ValueError, match=message):
        DatedWindows(**windows)


def test_a_search_seals_the_last_month_and_is_scored_on_those_before():
    panel = panel_of("24/7", DAY, "2024-01-01", "2024-06-01")
    windows = search_windows_in(PeriodWalkForward(unit="months", train=2, test=1), panel, "auto")
    assert [dates(panel, fold.test)[0] for fold in windows.folds] == ["2024-03-01", "2024-04-01"]
    assert panel.bar_utc[windows.holdout_start] == np.datetime64("2024-05-01")
    assert [fold.index for fold in windows.holdout_folds] == [2]
    with pytest.raises(ValueError, match="begins inside the test window of fold 2"):
        search_windows_in(PeriodWalkForward(unit="months", train=2, test=1), panel, 10)


def test_a_search_with_named_dates_is_scored_on_the_validation_window_and_seals_the_test_window():
    panel = panel_of("24/7", DAY, "2024-01-01", "2024-06-01")
    plan = DatedWindows(
        train=("2024-01-01", "2024-02-29"), validation=("2024-03-01", "2024-03-31"), test=("2024-04-01", "2024-05-31")
    )  # fmt: skip
    windows = search_windows_in(plan, panel, "auto")
    assert [(f.train, f.test, f.validation) for f in windows.folds] == [(slice(0, 60), slice(60, 91), None)]
    assert windows.holdout_start == 91
    (fold,) = windows.holdout_folds
    assert (fold.train, fold.validation, fold.test) == (slice(0, 60), slice(60, 91), slice(91, 152))


def test_a_single_named_test_window_is_halved():
    panel = panel_of("24/7", DAY, "2024-01-01", "2024-06-01")
    plan = DatedWindows(train=("2024-01-01", "2024-03-31"), test=("2024-04-01", "2024-04-30"))
    windows = search_windows_in(plan, panel, "auto")
    assert [f.test for f in windows.folds] == [slice(91, 106)]
    assert [f.test for f in windows.holdout_folds] == [slice(106, 121)]
