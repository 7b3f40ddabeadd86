"""Labels that are closing instants are moved to the opens of their bars where the config says so, and found where
the calendar shows them."""

import numpy as np
import pandas as pd
import pytest

from data.calendars import bar_grid, sessions_between
from data.errors import DataError
from data.sources.label_instants import opening_labels

FROM, TO = (
    np.datetime64("2019-10-21", "ns"),
    np.datetime64("2019-12-01", "ns"),
)  # a clock change and a half-day


def grid_of(calendar, bar_seconds):
    return bar_grid(calendar, bar_seconds, FROM, TO).bar_utc


def closes_of(calendar, bar_seconds):
    """The closing instant of each bar, by hand: one bar on, but not beyond the session or into its break."""
    found = sessions_between(calendar, FROM, TO)
    ends = np.concatenate([found.close_utc, found.break_start_utc[~np.isnat(found.break_start_utc)]])
    closes = []
    for opened in grid_of(calendar, bar_seconds):
        length = np.timedelta64(bar_seconds, "s")
        inside = ends[(ends > opened) & (ends < opened + length)]
        closes.append(inside.min() if len(inside) else opened + length)
    return np.array(closes, dtype="datetime64[ns]")


def read(labels, calendar, bar_seconds, kind):
    return opening_labels(
        pd.DatetimeIndex(labels),
        labels=kind,
        calendar=calendar,
        bar_seconds=bar_seconds,
        timezone="UTC",
        where="X",
    ).to_numpy("datetime64[ns]")


@pytest.mark.parametrize("bar_seconds", [60, 1800, 3600, 14400])
@pytest.mark.parametrize("calendar", ["24/7", "NYSE", "XHKG"])
def test_closing_labels_become_the_opens_of_their_bars(calendar, bar_seconds):
    found = read(closes_of(calendar, bar_seconds), calendar, bar_seconds, "close")
    np.testing.assert_array_equal(found, grid_of(calendar, bar_seconds))


@pytest.mark.parametrize("bar_seconds", [60, 1800, 3600])
@pytest.mark.parametrize("calendar", ["NYSE", "XHKG"])
def test_the_sessions_of_an_exchange_show_which_kind_labels_are(calendar, bar_seconds):
    opens, closes = grid_of(calendar, bar_seconds), closes_of(calendar, bar_seconds)
    np.testing.assert_array_equal(read(opens, calendar, bar_seconds, "open"), opens)
    with pytest.raises(DataError, match="labels are closing instants; set data.labels=close"):
        read(closes, calendar, bar_seconds, "open")
    with pytest.raises(DataError, match="labels are opening instants; set data.labels=open"):
        read(opens, calendar, bar_seconds, "close")


def test_closing_labels_with_gaps_are_found_and_thin_symbols_are_not_taken_for_them():
    rng = np.random.default_rng(3)
    closes, opens = closes_of("NYSE", 1800), grid_of("NYSE", 1800)
    some = rng.random(len(closes)) < 0.97
    with pytest.raises(DataError, match="set data.labels=close"):
        read(closes[some], "NYSE", 1800, "open")
    thin = opens[rng.random(len(opens)) < 0.2]
    np.testing.assert_array_equal(read(thin, "NYSE", 1800, "open"), thin)


def test_bars_before_and_after_hours_are_not_taken_for_closing_labels():
    sessions = sessions_between("NYSE", FROM, TO)
    day = np.arange(-330, 390, 30) * np.timedelta64(60, "s")
    labels = np.concatenate([opened + day for opened in sessions.open_utc]).astype("datetime64[ns]")
    np.testing.assert_array_equal(read(labels, "NYSE", 1800, "open"), labels)


def test_daily_bars_labelled_by_their_close_belong_to_that_session(load_tables, bars_at):
    days = sessions_between("NYSE", FROM, TO)
    local = pd.DatetimeIndex(days.close_utc).tz_localize("UTC").tz_convert("America/New_York")
    table = bars_at(local.strftime("%Y-%m-%d %H:%M:%S"))
    config = {"calendar": "NYSE", "bar_seconds": 86400, "timezone": "America/New_York"}
    for labels in ("open", "close", None):
        dataset = load_tables(table, **config, labels=labels)
        np.testing.assert_array_equal(dataset.panel.bar_utc, days.open_utc)
        assert "labelled at or after the close" in dataset.hygiene.remarks[0]


def test_a_daily_label_at_four_in_the_afternoon_is_of_a_half_day_too(load_tables, bars_at):
    days = sessions_between("NYSE", FROM, TO)
    dates = days.session.astype("datetime64[D]").astype(str)
    table = bars_at([f"{date} 16:00:00" for date in dates])
    panel = load_tables(table, calendar="NYSE", bar_seconds=86400, timezone="America/New_York").panel
    np.testing.assert_array_equal(panel.bar_utc, days.open_utc)


def test_a_daily_label_in_the_evening_of_a_market_that_opens_on_the_eve_is_not_guessed(load_tables, bars_at):
    days = sessions_between("CME Globex Equity", FROM, TO)
    dates = days.session.astype("datetime64[D]").astype(str)
    table = bars_at([f"{date} 16:30:00" for date in dates])
    with pytest.raises(DataError, match="are not bars of calendar"):
        load_tables(table, calendar="CME Globex Equity", bar_seconds=86400, timezone="America/Chicago")


@pytest.mark.parametrize("written", ["{d}", "{d} 00:00:00+00:00", "{d} 00:00:00-05:00"])
def test_daily_bars_labelled_by_their_date_in_any_zone_at_hand_are_those_of_the_session(
    load_tables, bars_at, written
):
    days = sessions_between("NYSE", np.datetime64("2019-11-05", "ns"), np.datetime64("2019-11-26", "ns"))
    dates = days.session.astype("datetime64[D]").astype(str)
    table = bars_at([written.format(d=d) for d in dates])
    config = {"calendar": "NYSE", "bar_seconds": 86400}
    for kind in ("open", "close"):  # a date names its session, whichever instant of it
        panel = load_tables(table, **config, labels=kind, timezone="America/New_York").panel
        np.testing.assert_array_equal(panel.bar_utc, days.open_utc)


def test_on_24_7_the_config_decides_and_whole_days_of_closing_labels_are_pointed_out(
    load_tables, bars_at, every
):
    closing = bars_at(every("2024-01-01 00:30", "30min", 480))
    dataset = load_tables(closing)
    assert dataset.panel.bar_utc[0] == np.datetime64("2024-01-01T00:30", "ns")
    assert "if they are closes, set data.labels=close" in dataset.hygiene.remarks[0]
    moved = load_tables(closing, labels="close")
    assert moved.panel.bar_utc[0] == np.datetime64("2024-01-01", "ns")
    assert moved.hygiene.remarks == ()
    assert load_tables(bars_at(every("2024-01-01", "30min", 480))).hygiene.remarks == ()


def test_labels_of_another_kind_are_refused(load_tables, bars_at, every):
    with pytest.raises(DataError, match="labels is 'middle'; it must be open or close"):
        load_tables(bars_at(every("2024-01-01", "30min", 10)), labels="middle")


def test_a_few_daily_rows_on_holidays_are_left_out_and_counted(load_tables, bars_at):
    dates = pd.bdate_range("2024-01-02", "2024-02-29").strftime(
        "%Y-%m-%d"
    )  # 15 January and 19 February are holidays
    table = bars_at(dates)
    dataset = load_tables(table, calendar="NYSE", bar_seconds=86400)
    assert dataset.hygiene.bars("outside_session") == 2
    kept = ~dates.isin(["2024-01-15", "2024-02-19"])
    np.testing.assert_array_equal(dataset.panel.close[:, 0], table["close"][kept])
    with pytest.raises(DataError, match="2024-01-15 is no session"):
        load_tables(table.iloc[5:14], calendar="NYSE", bar_seconds=86400)
