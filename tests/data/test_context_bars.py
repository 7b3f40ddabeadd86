"""A context bar counts from its close on, for as long as it is fresh, whatever calendar it is of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data.calendars import bar_grid
from data.context_bars import join_context
from data.errors import DataError
from data.features import FeatureSpec, compute_features
from data.schema import Panel


def bars(symbols, calendar, seconds, start, stop):
    grid = bar_grid(calendar, seconds, np.datetime64(start), np.datetime64(stop))
    close = 10.0 + np.arange(len(grid.bar_utc) * len(symbols), dtype=float).reshape(-1, len(symbols))
    return Panel(
        symbols=symbols,
        bar_utc=grid.bar_utc,
        open=close - 0.5,
        high=close + 1.0,
        low=close - 1.0,
        close=close,
        volume=close,
        tradable=close > 0.0,
        session=grid.session,
        calendar=calendar,
        bar_seconds=seconds,
    )


@pytest.fixture(scope="module")
def hourly():
    return bars(("BTC", "ETH"), "24/7", 3600, "2019-07-01", "2019-07-09")


@pytest.fixture(scope="module")
def daily():
    # New York's sessions close at 20:00 UTC, on the eve of the 4th at 17:00; the 4th has none.
    return bars(("VIX",), "NYSE", 86_400, "2019-07-01", "2019-07-09")


def at(panel, close_utc, column="VIX.close"):
    row = np.flatnonzero(panel.bar_utc + np.timedelta64(3600, "s") == np.datetime64(close_utc))[0]
    values = panel.exogenous[column][row]
    assert values[0] == values[1] or np.isnan(values).all()
    return values[0]


def test_a_daily_bar_is_known_from_its_sessions_close_and_not_at_noon(hourly, daily):
    joined = join_context(hourly, daily, max_age_seconds=4 * 86_400)
    assert np.isnan(at(joined, "2019-07-01T19:00"))
    assert at(joined, "2019-07-01T20:00") == 10.0
    assert at(joined, "2019-07-02T12:00") == 10.0
    assert at(joined, "2019-07-02T20:00") == 11.0
    assert at(joined, "2019-07-03T16:00") == 11.0
    assert at(joined, "2019-07-03T17:00") == 12.0  # a half-day
    assert at(joined, "2019-07-05T19:00") == 12.0
    assert at(joined, "2019-07-05T20:00", "VIX.high") == 14.0


def test_what_is_too_old_is_not_known(hourly, daily):
    joined = join_context(hourly, daily, max_age_seconds=86_400)
    assert at(joined, "2019-07-04T17:00") == 12.0
    assert np.isnan(at(joined, "2019-07-04T18:00"))


def test_a_missing_context_bar_leaves_the_one_before(hourly, daily):
    holes = {name: np.array(getattr(daily, name)) for name in ("open", "high", "low", "close", "volume")}
    for name in ("open", "high", "low", "close"):
        holes[name][1] = np.nan
    holes["volume"][1] = 0.0
    tradable = np.isfinite(holes["close"])
    joined = join_context(hourly, replace(daily, **holes, tradable=tradable), max_age_seconds=4 * 86_400)
    assert at(joined, "2019-07-02T20:00") == 10.0


def test_later_context_bars_move_nothing_before_they_close(hourly, daily):
    joined = join_context(hourly, daily, max_age_seconds=4 * 86_400)
    cut = join_context(hourly, daily.slice_bars(0, 3), max_age_seconds=4 * 86_400)
    before = joined.bar_utc + np.timedelta64(3600, "s") < np.datetime64("2019-07-05T20:00")
    for name, values in joined.exogenous.items():
        assert np.array_equal(values[before], cut.exogenous[name][before], equal_nan=True)


def test_features_read_the_context_by_its_symbol(hourly, daily):
    joined = join_context(hourly, daily, max_age_seconds=4 * 86_400)
    spec = FeatureSpec(name="volatility_index", params={"reference": "VIX", "window_bars": 2})
    found = compute_features(joined, [spec])
    # One bar late: shown at the close of 21:00 is what was known at 20:00.
    row = np.flatnonzero(joined.bar_utc == np.datetime64("2019-07-02T20:00"))[0]
    np.testing.assert_allclose(found.asset[row, :, 0], np.log(11.0), rtol=1e-6)


def test_a_traded_symbol_and_a_taken_name_are_refused(hourly, daily):
    with pytest.raises(DataError, match="BTC is traded by the panel"):
        join_context(hourly, hourly.select(["BTC"]), max_age_seconds=0)
    with pytest.raises(DataError, match=r"have a column 'VIX.open' already"):
        join_context(join_context(hourly, daily, max_age_seconds=0), daily, max_age_seconds=0)
    with pytest.raises(DataError, match="max_age_seconds is -1"):
        join_context(hourly, daily, max_age_seconds=-1)
