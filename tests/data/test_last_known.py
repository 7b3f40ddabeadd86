"""The last value that was known, against a walk from row to row."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from data.last_known import carried, known_before, last_known_row

NAN = math.nan
SERIES = np.array([[NAN, 1.0], [2.0, NAN], [NAN, NAN], [5.0, 0.0]])


def test_a_value_stands_until_the_next_one_and_never_before_the_first():
    np.testing.assert_array_equal(carried(SERIES), [[NAN, 1.0], [2.0, 1.0], [2.0, 1.0], [5.0, 0.0]])
    np.testing.assert_array_equal(known_before(SERIES), [[NAN, NAN], [NAN, 1.0], [2.0, 1.0], [2.0, 1.0]])
    np.testing.assert_array_equal(last_known_row(np.isfinite(SERIES)), [[-1, 0], [1, 0], [1, 0], [3, 3]])


def test_what_counts_as_known_may_be_stated():
    volume = np.array([0.0, 3.0, 0.0, 0.0])
    np.testing.assert_array_equal(carried(volume, volume > 0.0), [NAN, 3.0, 3.0, 3.0])
    np.testing.assert_array_equal(known_before(volume, volume > 0.0), [NAN, NAN, 3.0, 3.0])


@pytest.mark.parametrize("take", [carried, known_before])
@pytest.mark.parametrize("values", [SERIES, np.ones((3, 2))])
def test_the_answer_is_a_new_array(take, values):
    before = values.copy()
    take(values)[...] = 7.0
    np.testing.assert_array_equal(values, before)


@given(
    values=arrays.arrays(
        np.float64,
        arrays.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=6),
        elements=st.sampled_from([NAN, -1.0, 0.0, 2.5, math.inf]),
    )
)
def test_every_series_is_followed_by_itself(values):
    now, before = carried(values), known_before(values)
    for series in np.ndindex(values.shape[1:]):
        last = NAN
        for t in range(len(values)):
            at = (t, *series)
            np.testing.assert_equal(before[at], last)
            last = values[at] if math.isfinite(values[at]) else last
            np.testing.assert_equal(now[at], last)
