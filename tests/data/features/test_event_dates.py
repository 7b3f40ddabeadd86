"""Dates of events as they are written, and what of them was known at an instant, against a count of every event."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.calendars import bar_grid
from data.features.event_dates import NEVER_YET, NO_MORE, closes, instants_of, known_by, known_events
from data.schema import Panel

HOUR = 3600 * 10**9


def utc(text):
    return int(np.datetime64(text, "ns").astype(np.int64))


@pytest.mark.parametrize(
    ("written", "zone", "instant", "known"),
    [
        ("2018-01-30T21:15Z", "UTC", "2018-01-30T21:15", "2018-01-30T21:15"),
        ("2018-01-30 16:15:00-05:00", "UTC", "2018-01-30T21:15", "2018-01-30T21:15"),
        ("2018-01-30T21:15", "America/New_York", "2018-01-30T21:15", "2018-01-30T21:15"),  # no zone: UTC
        # A date alone is the day's end: midnight of New York is 5:00 UTC in winter, 4:00 in summer.
        ("2018-01-30", "America/New_York", "2018-01-31T05:00", "2018-01-31T05:00"),
        ("2018-07-25", "America/New_York", "2018-07-26T04:00", "2018-07-26T04:00"),
        ("2018-01-30T00:00:00", "America/New_York", "2018-01-31T05:00", "2018-01-31T05:00"),
        ("2018-01-30T00:00Z", "America/New_York", "2018-01-30T00:00", "2018-01-30T00:00"),
        ("2018-01-30", "UTC", "2018-01-31T00:00", "2018-01-31T00:00"),
        ("2018-01-30T21:15Z known 2018-01-09", "UTC", "2018-01-30T21:15", "2018-01-10T00:00"),
        ("2018-01-30T21:15Z  known  2018-02-01T12:00Z ; ", "UTC", "2018-01-30T21:15", "2018-02-01T12:00"),
    ],
)
def test_an_event_is_read_as_it_is_written(written, zone, instant, known):
    for form in (written, (written.strip(" ;"),)):
        found = instants_of(form, zone)
        assert [part.tolist() for part in found] == [[utc(instant)], [utc(known)]]


def test_a_symbol_may_have_no_event():
    known = known_events("", "UTC")
    last, following = known.at(np.array([0, utc("2020-01-01")]))
    assert last.tolist() == [NEVER_YET] * 2
    assert following.tolist() == [NO_MORE] * 2


EVENTS = st.lists(st.tuples(st.integers(0, 40), st.none() | st.integers(0, 40)), max_size=8)


def as_text(hours):
    stamp = np.datetime64("2020-01-01T01:00", "s") + np.timedelta64(hours, "h")
    return f"{stamp}Z"


@given(EVENTS)
def test_what_is_known_is_what_a_count_of_every_event_says(events):
    texts = tuple(as_text(at) + ("" if heard is None else f" known {as_text(heard)}") for at, heard in events)
    now = utc("2020-01-01T01:00") + np.arange(-2, 45) * HOUR
    last, following = known_events(texts, "UTC").at(now)
    for k, instant in enumerate(range(-2, 45)):
        heard_of = [at for at, heard in events if (at if heard is None else heard) <= instant]
        past, coming = [at for at in heard_of if at <= instant], [at for at in heard_of if at > instant]
        assert last[k] == (now[0] + (max(past) + 2) * HOUR if past else NEVER_YET)
        assert following[k] == (now[0] + (min(coming) + 2) * HOUR if coming else NO_MORE)


@given(EVENTS, st.integers(-2, 45))
def test_what_is_heard_of_later_changes_nothing_that_is_known_before(events, cut):
    texts = [as_text(at) + ("" if heard is None else f" known {as_text(heard)}") for at, heard in events]
    now = utc("2020-01-01T01:00") + np.arange(-2, cut + 1) * HOUR
    early = known_by({"A": texts}, int(now[-1]), "24/7")["A"] if len(now) else []
    if len(now):
        whole, part = known_events(tuple(texts), "UTC").at(now), known_events(tuple(early), "UTC").at(now)
        assert np.array_equal(whole, part)


def test_a_bar_closes_when_it_ends_and_at_the_latest_with_its_session():
    grid = bar_grid("NYSE", 86_400, np.datetime64("2018-07-02"), np.datetime64("2018-07-06"))
    price = np.full((len(grid.bar_utc), 1), 5.0)
    panel = Panel(
        symbols=("A",), bar_utc=grid.bar_utc, open=price, high=price, low=price, close=price, volume=price,
        tradable=price > 0, session=grid.session, calendar="NYSE", bar_seconds=86_400,
    )  # fmt: skip
    # 3 July 2018 was a half-day: New York closed at 13:00, 17:00 UTC. The 4th was a holiday.
    assert closes(panel).tolist() == [utc(f"2018-07-{at}") for at in ("02T20:00", "03T17:00", "05T20:00")]
    always = replace(
        panel, calendar="24/7", bar_seconds=3600, bar_utc=panel.bar_utc,
        session=panel.bar_utc.astype("datetime64[D]").astype(np.int32),
    )  # fmt: skip
    assert (closes(always) - panel.bar_utc.astype(np.int64) == HOUR).all()
