"""Progress of a sweep: a plain line per trial, a table on a terminal."""

from __future__ import annotations

import io
import re
from types import SimpleNamespace

import pytest
from practice_setup import practice_search
from rich.console import Console

from rayjobs.search.sweep.display import SweepDisplay, duration
from rayjobs.search.trial.record import TrialRecord


def record(number, state, value=None, **changes):
    facts = {
        "number": number,
        "state": state,
        "params": {"x": 0.25},
        "overrides": {},
        "values": () if value is None else (value,),
        "scores": (),
        "env_steps": 1000,
        "seconds": 12.0,
        "error": None,
        "repeat_of": None,
        "repeated": False,
    }
    return TrialRecord(**facts | changes)


def shown(*records, remaining=2, terminal=False, width=160):
    out = io.StringIO()
    clock = iter([0.0, *[30.0] * 50])
    running = SimpleNamespace(number=7, seconds=0.0, rung=0, values=(), params={"x": 0.5})
    loop = SimpleNamespace(
        ended=list(records),
        running=[running],
        remaining=remaining,
        config=practice_search(),
    )
    console = Console(file=out, width=width, force_terminal=terminal)
    with SweepDisplay("sharpe", console=console, clock=lambda: next(clock)) as display:
        display.update(loop)
        display.update(loop)  # nothing is shown twice
    return out.getvalue()


def test_each_trial_that_ended_is_one_line():
    lines = shown(record(0, "complete", 1.5), record(1, "pruned", 0.5)).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("trial    0 complete score +1.500  1,000 env steps in 12 s  x=0.25")
    # Two trials in 30 s: 15 s each for the two that wait and half of the one that runs.
    assert "1 done, 1 pruned, 0 failed, 2 waiting, best +1.500 (trial 0), 38 s left" in lines[1]


def test_a_failure_shows_its_error_and_whether_it_is_tried_again():
    said = shown(record(0, "failed", error="RuntimeError: no", repeated=True))
    assert "trial    0 failed   RuntimeError: no; will be tried again" in said


def test_a_terminal_shows_what_runs():
    assert "x=0.5" in shown(record(0, "complete", 1.5), terminal=True)


@pytest.mark.parametrize("width", [60, 100])
def test_on_a_terminal_no_word_of_a_trial_that_ended_is_cut(width):
    params = {f"a_parameter_{number}": 0.125 * number for number in range(8)}
    error = "RuntimeError: the loss of fold 2 is not finite, and neither is its gradient " + "x" * 20
    drawn = shown(
        record(0, "complete", 1.5, params=params),
        record(1, "failed", error=error),
        terminal=True,
        width=width,
    )
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn).splitlines()
    assert max(map(len, lines)) <= width
    told = {word for line in lines for word in line.split()}
    assert {f"{name}={value:.3g}" for name, value in params.items()} <= told
    assert set(error.split()) <= told


@pytest.mark.parametrize(("seconds", "words"), [(45, "45 s"), (600, "10 min"), (7200, "2.0 h")])
def test_durations_are_read_at_a_glance(seconds, words):
    assert duration(seconds) == words
