"""Clock features on sessions whose hours are known."""

import numpy as np

from data.calendars import bar_grid
from data.features import FeatureSpec, compute_features
from data.schema import Panel


def panel_on(calendar, start, stop, bar_seconds=60):
    grid = bar_grid(calendar, bar_seconds, np.datetime64(start, "ns"), np.datetime64(stop, "ns"))
    price = np.ones((len(grid.bar_utc), 1))
    return Panel(
        symbols=("X",),
        bar_utc=grid.bar_utc,
        open=price,
        high=price,
        low=price,
        close=price,
        volume=price,
        tradable=np.ones(price.shape, dtype=bool),
        session=grid.session,
        calendar=calendar,
        bar_seconds=bar_seconds,
    )


def clock(panel, name, **params):
    return compute_features(panel, [FeatureSpec(name=name, params=params)]).clock


def test_time_of_day_is_that_of_the_bars_close():
    # The bar labelled 05:30 closes at 06:00 UTC, a quarter of the day: sine 1, cosine 0.
    result = clock(panel_on("24/7", "2020-01-01T05:30", "2020-01-01T06:00", 1800), "time_of_day")
    np.testing.assert_allclose(result, [[1.0, 0.0]], atol=1e-7)


def test_new_yorks_opening_has_the_same_time_of_day_in_summer_and_winter():
    winter = clock(panel_on("NYSE", "2019-01-08", "2019-01-09"), "time_of_day")
    summer = clock(panel_on("NYSE", "2019-07-09", "2019-07-10"), "time_of_day")
    np.testing.assert_array_equal(winter, summer)


def test_session_flags_mark_the_first_and_last_fifteen_minutes():
    result = clock(panel_on("NYSE", "2019-01-08", "2019-01-09"), "session_flags", edge_minutes=15)
    assert np.flatnonzero(result[:, 0]).tolist() == list(range(15))
    # The bar that closes at 15:45 is number 374; from its close on, 15 minutes are left.
    assert np.flatnonzero(result[:, 1]).tolist() == list(range(374, 390))


def test_the_close_of_a_half_day_is_known_in_advance():
    panel = panel_on("NYSE", "2019-11-29", "2019-11-30")
    left = clock(panel, "bars_to_close")[:, 0]
    np.testing.assert_allclose(left, (209.0 - np.arange(210)) / 210.0, rtol=1e-6)
    # Cutting the afternoon off does not move the close.
    part = clock(panel.slice_bars(0, 50), "bars_to_close")[:, 0]
    np.testing.assert_array_equal(part, left[:50])


def test_monday_has_weekday_zero():
    result = clock(panel_on("24/7", "2020-01-06", "2020-01-06T00:30", 1800), "day_of_week")
    np.testing.assert_allclose(result, [[0.0, 1.0]], atol=1e-7)
