"""Closes as arrays say what the marks say, and what is left out for its number of returns could find nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.coverage.price_sketch import MIN_COMMON_RETURNS
from data.coverage.session_closes import Closes
from data.coverage.shifted_copies import laid_anew, places_of_returns, shift_between


def marks_of(prices, first: int = 18_000, step: int = 1) -> dict[int, float]:
    return {first + step * at: float(price) for at, price in enumerate(prices)}


def test_returns_are_those_between_neighbours_whose_close_moved():
    closes = Closes.of({3: 100.0, 1: 100.0, 4: 110.0, 9: 99.0})
    assert closes.sessions.tolist() == [1, 3, 4, 9]
    assert (closes.starts.tolist(), closes.gaps.tolist()) == ([3, 4], [1, 5])
    np.testing.assert_allclose(closes.moved, np.log([1.1, 0.9]))
    assert np.flatnonzero(np.isfinite(closes.by_day)).tolist() == [0, 2, 3, 8]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    copied=st.integers(0, 40),
    decimals=st.integers(1, 4),
    shift=st.integers(-50, 50),
)
def test_fewer_returns_in_common_than_a_copy_needs_are_no_copy(seed, copied, decimals, shift):
    drawn = np.random.default_rng(seed)
    seen = np.round(100.0 * np.exp(np.cumsum(drawn.normal(0.0, 0.02, 120))), decimals)
    other = np.round(100.0 * np.exp(np.cumsum(drawn.normal(0.0, 0.02, 120))), decimals)
    other[:copied] = seen[40 : 40 + copied]
    given_marks = marks_of(other, first=18_000 + 40 + shift)
    ours, theirs = Closes.of(marks_of(seen)), Closes.of(given_marks)
    gaps = set(np.unique(ours.gaps).tolist())
    places = places_of_returns(given_marks, gaps)
    if ours.number_among(theirs.codes(gaps)) < MIN_COMMON_RETURNS:
        assert shift_between(ours.marks, given_marks, places) is None
        assert laid_anew(ours.marks, places) == []


@pytest.mark.parametrize("marks", [{}, {5: 10.0}])
def test_no_close_or_one_has_no_return(marks):
    closes = Closes.of(marks)
    assert closes.number_among(Closes.of(marks_of([1.0, 2.0, 3.0])).codes({1})) == 0
    assert len(closes.codes({1})) == 0
