"""When a vendor may be asked, on a clock that the tests turn."""

from __future__ import annotations

import math

import numpy as np
import pytest

from data.vendors.definition import Budget
from rayjobs.ingest.pacing import CallWindow, Pacing
from rayjobs.ingest.settings import PacingSettings

SETTINGS = PacingSettings(
    first_wait_s=1.0, longest_wait_s=60.0, jitter=0.0, rest_s=30.0, outage_after=3, tries=6, patience_s=900.0
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def pacing(clock: Clock, *, minute=None, day=None, slots=2, settings=SETTINGS) -> Pacing:
    budget = Budget(calls_per_minute=minute, calls_per_day=day, at_a_time=slots)
    return Pacing(budget, settings, clock, np.random.default_rng(0))


@pytest.mark.parametrize("limit", [0.5, 1, 5, 300])
def test_no_stretch_of_a_window_has_more_calls_than_allowed(limit):
    clock, made = Clock(), []
    one = pacing(clock, minute=limit, slots=1)
    while len(made) < 4 * max(limit, 1):
        wait = one.ask()
        if wait == 0.0:
            made.append(clock.now)
            one.succeeded(1)
        clock.now += max(wait, 0.01)
    length, count = (60.0, int(limit)) if limit >= 1 else (60.0 / limit, 1)
    for begun in made:
        assert sum(begun <= call < begun + length for call in made) <= count
    # And no time is lost: four windows of calls take little more than three windows.
    assert made[-1] - made[0] <= 3 * length + 0.01 * 4 * count + 1


def test_pages_of_an_answer_count_as_calls():
    clock = Clock()
    one = pacing(clock, minute=5, day=100)
    assert one.ask() == 0.0
    one.succeeded(5)  # four more than the one that leave was given for
    assert one.calls_left() == (0, 95)
    assert one.ask() == pytest.approx(60.0)
    clock.now += 60.0
    assert one.ask() == 0.0


def test_the_calls_of_a_day_are_kept_whatever_the_minute_allows():
    clock = Clock()
    one = pacing(clock, minute=100, day=3, slots=9)
    for _ in range(3):
        assert one.ask() == 0.0
        clock.now += 10.0
    assert one.ask() == pytest.approx(86_400.0 - 30.0)
    assert one.calls_left().day == 0


def test_no_more_are_open_at_a_time_than_the_budget_has_slots():
    one = pacing(Clock(), slots=2)
    assert [one.ask(), one.ask(), one.ask()] == [0.0, 0.0, math.inf]
    one.succeeded(1)
    assert one.ask() == 0.0


def test_too_many_requests_rest_the_whole_vendor_for_what_it_said_and_never_less():
    clock = Clock()
    one = pacing(clock, settings=SETTINGS.__class__(**{**vars(SETTINGS), "jitter": 0.5}))
    for _ in range(50):
        assert one.ask() == 0.0
        one.rate_limited(7.0)
        assert 7.0 <= one.rests() <= 10.5
        assert one.ask() >= 7.0
        clock.now += 10.6


def test_without_a_time_the_rest_doubles_until_an_answer_comes():
    clock, rests = Clock(), []
    one = pacing(clock)
    for _ in range(4):
        assert one.ask() == 0.0
        one.rate_limited(None)
        rests.append(one.rests())
        clock.now += one.rests()
    assert rests == [30.0, 60.0, 60.0, 60.0]
    assert one.ask() == 0.0
    one.succeeded(1)
    assert one.ask() == 0.0
    one.rate_limited(None)
    assert one.rests() == 30.0


def test_single_failures_rest_nobody_and_an_outage_rests_the_vendor():
    clock = Clock()
    one = pacing(clock, slots=1)
    rests = []
    for _ in range(5):
        assert one.ask() == 0.0
        one.unavailable()
        rests.append(one.rests())
        clock.now += one.rests()
    assert rests == [0.0, 0.0, 1.0, 2.0, 4.0]


def test_the_wait_of_a_piece_doubles_up_to_the_longest():
    one = pacing(Clock())
    assert [one.piece_wait(tries) for tries in (1, 2, 3, 6, 7, 500)] == [1.0, 2.0, 4.0, 32.0, 60.0, 60.0]


def test_a_window_forgets_calls_that_are_older_than_itself():
    window = CallWindow(2, 60.0)
    window.add(0.0, 2)
    assert window.wait(59.0) == pytest.approx(1.0)
    assert window.wait(60.0) == 0.0
