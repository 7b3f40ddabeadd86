"""Time since and until the events of each symbol, by hand."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from data.calendars import bar_grid
from data.features import FeatureSpec, compute_features
from data.features.library import FEATURES
from data.schema import Panel

EVENTS = {"AMD": "2018-01-30T21:15Z known 2018-01-22T12:00Z; 2018-02-05", "SPY": ""}


@pytest.fixture(scope="module")
def panel():
    """Daily bars of New York, 22 January to 9 February 2018; each closes at 21:00 UTC."""
    grid = bar_grid("NYSE", 86_400, np.datetime64("2018-01-22"), np.datetime64("2018-02-10"))
    price = np.full((len(grid.bar_utc), 3), 5.0)
    return Panel(
        symbols=("AMD", "SPY", "XYZ"), bar_utc=grid.bar_utc, open=price, high=price, low=price, close=price,
        volume=price, tradable=price > 0, session=grid.session, calendar="NYSE", bar_seconds=86_400,
    )  # fmt: skip


def values(panel, name, **params):
    """(T, A) of a feature with one output, by the day of the bar's session."""
    found = compute_features(panel, [FeatureSpec(name=name, params=params)]).asset[..., 0]
    days = panel.session.astype("datetime64[D]").astype(str)
    return {day[5:]: row for day, row in zip(days, found, strict=True)}


def test_earnings_after_the_close_are_first_seen_at_the_next_close(panel):
    found = values(panel, "time_since_earnings", events=EVENTS, days=10)
    # At the close of the 30th the release of 21:15 is a quarter of an hour ahead; a day later it is 23:45 h ago.
    assert np.isnan(found["01-30"][0])
    np.testing.assert_allclose(found["01-31"][0], (23.75 / 24.0) / 10.0, rtol=1e-6)
    np.testing.assert_allclose(found["02-02"][0], (2.0 + 23.75 / 24.0) / 10.0, rtol=1e-6)
    # The 5th alone ends at midnight in New York, 5:00 UTC of the 6th: at the close of the 6th it is 16 h ago.
    np.testing.assert_allclose(found["02-05"][0], (5.0 + 23.75 / 24.0) / 10.0, rtol=1e-6)
    np.testing.assert_allclose(found["02-06"][0], (16.0 / 24.0) / 10.0, rtol=1e-6)


def test_time_since_stays_at_one_from_the_given_days_on(panel):
    found = values(panel, "time_since_earnings", events={"AMD": "2018-01-23T21:00Z"}, days=2.0)
    # An event at the very close is past, with nothing since.
    expected = {"01-22": np.nan, "01-23": 0.0, "01-24": 0.5, "01-25": 1.0, "02-09": 1.0}
    np.testing.assert_allclose([found[day][0] for day in expected], list(expected.values()))


def test_the_next_earnings_are_seen_from_when_their_date_was_known(panel):
    found = values(panel, "time_until_earnings", events=EVENTS, days=20)
    # Known at noon of the 22nd: 8 days and a quarter of an hour before. The second was never announced beforehand.
    np.testing.assert_allclose(found["01-22"][0], (8.0 + 0.25 / 24.0) / 20.0, rtol=1e-6)
    np.testing.assert_allclose(found["01-30"][0], (0.25 / 24.0) / 20.0, rtol=1e-6)
    assert np.isnan([found[day][0] for day in ("01-31", "02-02", "02-05")]).all()


def test_a_date_that_is_known_late_is_seen_late_and_counted_from_the_event(panel):
    found = values(
        panel, "time_since_event", event="split", events={"AMD": "2018-01-24T21:00Z known 2018-01-31T12:00Z"}, days=10
    )  # fmt: skip
    assert np.isnan(found["01-30"][0])
    np.testing.assert_allclose(found["01-31"][0], 0.7)


@pytest.mark.parametrize("name", ["time_since_earnings", "time_until_earnings"])
def test_a_symbol_without_dates_is_never_known(panel, name):
    found = values(panel, name, events=EVENTS, days=10)
    assert np.isnan(list(found.values()))[:, 1:].all()


def test_two_kinds_of_events_are_two_features(panel):
    specs = [FeatureSpec(name="time_since_event", params={"event": kind, "events": EVENTS, "days": 9}) for kind in
             ("split", "guidance")]  # fmt: skip
    assert compute_features(panel, specs).asset_names == ("time_since_split_9", "time_since_guidance_9")


def test_other_dates_are_another_feature(panel):
    found = {
        compute_features(
            panel, [FeatureSpec(name="time_since_earnings", params={"events": {"AMD": text}, "days": 9})]
        ).feature_hash
        for text in ("2018-01-30", "2018-01-31", "2018-01-30 known 2018-01-20")
    }
    assert len(found) == 3


def test_bars_since_a_dividend(panel):
    dividend = np.zeros(panel.close.shape)
    dividend[3, 0] = 0.5
    paying = replace(panel, exogenous={"dividend": dividend})
    found = np.array(list(values(paying, "time_since_dividend", window_bars=4).values()))
    assert np.isnan(found[:3]).all()  # the window is not complete
    np.testing.assert_array_equal(found[3:9, 0], [0.0, 0.25, 0.5, 0.75, 1.0, 1.0])
    assert (found[3:, 1] == 1.0).all()
    assert np.isnan(list(values(panel, "time_since_dividend", window_bars=4).values())).all()


@pytest.mark.parametrize(
    ("name", "params", "words"),
    [
        ("time_since_earnings", {"events": EVENTS, "days": 10}, "its dates do not name XYZ"),
        ("time_since_earnings", {"events": EVENTS | {"XYZ": []}, "days": 10}, ""),
        ("time_since_earnings", {"events": EVENTS | {"XYZ": "2018-01-03"}, "days": 10}, r"XYZ \(2018-01-04\) is"),
        ("time_until_earnings", {"events": EVENTS, "days": 10}, "no date of XYZ says that it was known before"),
        ("time_since_dividend", {"window_bars": 3}, "no column 'dividend'"),
        ("rsi", {"window_bars": 3}, ""),
    ],
)  # fmt: skip
def test_what_a_feature_lacks_is_said(panel, name, params, words):
    found = FEATURES[name].lacks(panel, params)
    assert re.search(words, found) if words else found == ""
