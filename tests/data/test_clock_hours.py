"""Bars on the clock's hours beside a market that opens at half past: each is known when its hour is over."""

import numpy as np
import pandas as pd
import pytest

from data.alignment import align
from data.calendars import sessions_between
from data.clock_hours import clock_grid, on_clock

FROM, TO = np.datetime64("2019-10-21", "ns"), np.datetime64("2019-12-02", "ns")
HOUR = np.timedelta64(1, "h")


def rows_at(labels, seed=1):
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(0.002 * rng.standard_normal(len(labels))))
    opened = np.concatenate([[100.0], close[:-1]])
    prices = {
        "open": opened,
        "high": np.maximum(opened, close),
        "low": np.minimum(opened, close),
        "close": close,
    }
    return pd.DataFrame({**prices, "volume": 1.0}, index=pd.DatetimeIndex(labels))


def hours_of_new_york(first=9, last=15):
    """Hours by hand: each session from `first` to `last` o'clock in New York, a half-day until 12 o'clock."""
    sessions = sessions_between("NYSE", FROM, TO)
    labels = []
    for session, closed in zip(sessions.session, sessions.close_utc, strict=True):
        date = pd.Timestamp(np.datetime64(int(session), "D"))
        for hour in range(first, last + 1):
            at = (date + pd.Timedelta(hours=hour)).tz_localize("America/New_York").tz_convert("UTC")
            label = at.tz_localize(None).to_datetime64().astype("datetime64[ns]")
            if label < closed or last > 15:
                labels.append(label)
    return np.array(labels)


def test_the_grid_on_the_clock_has_the_hours_that_overlap_each_session_across_a_change_of_clocks():
    grid = clock_grid("NYSE", 3600, FROM, TO)
    np.testing.assert_array_equal(grid.bar_utc, hours_of_new_york())
    assert np.isin("2019-11-29", grid.bar_utc.astype("datetime64[D]").astype(str))  # a half-day, four hours
    assert (grid.session == np.datetime64("2019-11-29").astype(int)).sum() == 4


def test_hours_of_regular_and_extended_trading_become_a_panel_of_sessions():
    panel, report = align({"X": rows_at(hours_of_new_york(4, 19))}, calendar="NYSE", bar_seconds=3600)
    np.testing.assert_array_equal(panel.bar_utc, hours_of_new_york())
    assert panel.tradable.all()
    assert report.bars("missing") == 0
    assert report.bars("outside_session") == len(hours_of_new_york(4, 19)) - panel.num_bars
    assert "on the hours of the clock" in report.remarks[0]


def test_a_first_bar_that_is_labelled_by_the_open_is_that_of_the_clocks_hour():
    hours = hours_of_new_york()
    opens = sessions_between("NYSE", FROM, TO).open_utc
    labels = np.where(np.isin(hours + HOUR // 2, opens), hours + HOUR // 2, hours)
    panel, _ = align({"X": rows_at(labels)}, calendar="NYSE", bar_seconds=3600)
    np.testing.assert_array_equal(panel.bar_utc, hours)
    assert panel.tradable.all()


def test_closing_labels_on_the_clock_are_those_of_the_hour_before(load_hours):
    hours = hours_of_new_york()
    assert "set data.labels=close" in load_hours(hours + HOUR, "open")
    np.testing.assert_array_equal(load_hours(hours + HOUR, "close"), hours)
    assert "set data.labels=open" in load_hours(hours, "close")
    np.testing.assert_array_equal(load_hours(hours, "open"), hours)


@pytest.fixture
def load_hours():
    from data.errors import DataError
    from data.sources.label_instants import opening_labels

    def load(labels, kind):
        try:
            found = opening_labels(
                pd.DatetimeIndex(labels),
                labels=kind,
                calendar="NYSE",
                bar_seconds=3600,
                timezone="UTC",
                where="X",
            )
        except DataError as error:
            return str(error)
        return found.to_numpy("datetime64[ns]")

    return load


@pytest.mark.parametrize(
    ("calendar", "seconds"), [("NYSE", 1800), ("24/7", 3600), ("XHKG", 1800), ("NYSE", 86400)]
)
def test_bars_that_begin_with_the_session_are_on_no_clock(calendar, seconds):
    from data.calendars import bar_grid

    grid = bar_grid(calendar, seconds, FROM, TO).bar_utc
    assert not on_clock(grid, calendar, seconds)
