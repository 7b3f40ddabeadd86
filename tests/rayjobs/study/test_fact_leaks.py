"""A date that is used before it was announced is caught and named; what ships, and an honest own feature, are clean."""

from __future__ import annotations

import numpy as np
import pytest

from data.calendars import time_zone
from data.features import FeatureSpec
from data.features.definition import Feature
from data.features.event_dates import closes, events_of, instants_of, written
from data.schema import Panel
from rayjobs.study.leak_check import single_feature_report

EVENTS = {
    "SPY": "",
    "AMD": "2020-01-09T21:15Z known 2020-01-02; 2020-01-14T21:15Z known 2020-01-11; 2020-01-20T12:00Z known 2020-01-22",
}


@pytest.fixture(scope="module")
def panel():
    rng = np.random.default_rng(0)
    close = 100.0 * np.exp(np.cumsum(0.003 * rng.standard_normal((1200, 2)), axis=0))
    times = np.datetime64("2020-01-01", "ns") + np.arange(1200) * np.timedelta64(1800, "s")
    return Panel(
        symbols=("SPY", "AMD"), bar_utc=times, open=close, high=close * 1.001, low=close / 1.001, close=close,
        volume=np.floor(rng.exponential(500.0, close.shape)), tradable=np.ones(close.shape, dtype=bool),
        session=times.astype("datetime64[D]").astype(np.int32), calendar="24/7", bar_seconds=1800,
    )  # fmt: skip


def dates(panel, events, symbol):
    return np.sort(instants_of(written(events.get(symbol, ""), symbol), time_zone(panel.calendar))[0])


def days_until_the_next(panel, *, events):
    """Before its date was known."""
    found = np.full(panel.close.shape, np.nan)
    for a, symbol in enumerate(panel.symbols):
        for at in dates(panel, events, symbol)[::-1]:
            found[closes(panel) < at, a] = (at - closes(panel)[closes(panel) < at]) / 86_400e9
    return found


def reported_before_it_was(panel, *, events):
    """From the event on, and not from when it was known."""
    return np.stack(
        [np.searchsorted(dates(panel, events, s), closes(panel), side="right") for s in panel.symbols], axis=1
    ).astype(float)


def week_of_results(panel, *, events):
    """A flag around each date, and the price beside it."""
    now = closes(panel)
    near = [
        (np.abs(now[:, None] - dates(panel, events, s)) < 3 * 86_400e9).any(axis=1) for s in panel.symbols
    ]
    return np.stack([np.stack(near, axis=1), panel.close], axis=2)


def times_since(panel, *, events):
    """Honest."""
    now, found = closes(panel), []
    for symbol in panel.symbols:
        last, _ = events_of(panel, events, symbol).at(now)
        found.append(np.where(last < 0, np.nan, (now - last) / 3600e9))
    return np.stack(found, axis=1)


def report_of(panel, monkeypatch, function, **how):
    feature = Feature(name=function.__name__, kind="asset", function=function, **how)
    monkeypatch.setattr("data.features.compute.FEATURES", {feature.name: feature})
    return single_feature_report(FeatureSpec(name=feature.name, params={"events": EVENTS}), panel, seed=0)


@pytest.mark.parametrize("cheat", [days_until_the_next, reported_before_it_was], ids=lambda f: f.__name__)
def test_it_is_caught_and_named(panel, monkeypatch, cheat):
    report = report_of(panel, monkeypatch, cheat)
    (finding,) = report.leaks
    assert finding.culprit == cheat.__name__
    assert "it uses a date of AMD before it was announced" in str(finding)


def test_the_output_that_uses_it_is_named(panel, monkeypatch):
    report = report_of(
        panel, monkeypatch, week_of_results, outputs=lambda panel, params: ("price", "week")[::-1]
    )
    assert [finding.culprit.split("_")[-1] for finding in report.leaks] == ["week"]


def test_an_honest_feature_of_ones_own_is_clean_and_no_note_says_that_it_reads_no_bar(panel, monkeypatch):
    report = report_of(panel, monkeypatch, times_since)
    assert report.clean, str(report)
    assert report.notes == ()


@pytest.mark.parametrize("name", ["time_since_earnings", "time_until_earnings"])
def test_what_ships_is_clean(panel, name):
    report = single_feature_report(
        FeatureSpec(name=name, params={"events": EVENTS, "days": 5}), panel, seed=0
    )
    assert report.clean, str(report)
    assert report.notes == ()


def test_a_feature_that_cannot_do_without_dates_says_so(panel, monkeypatch):
    def first_date(panel, *, events):
        return (closes(panel) - dates(panel, events, "AMD")[0])[:, None] / 1e9 + panel.close

    report = report_of(panel, monkeypatch, first_date)
    assert not report.clean
    assert "it must take a symbol without events, too" in str(report)
