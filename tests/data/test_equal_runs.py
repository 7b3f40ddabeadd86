"""Runs of equal neighbours: where they begin and end, of none, one and many values."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.equal_runs import begins_run, run_ends, run_starts


def test_runs_are_found_by_hand():
    session = np.array([7, 7, 7, 9, 10, 10, 7], dtype=np.int32)
    np.testing.assert_array_equal(begins_run(session), [1, 0, 0, 1, 1, 0, 1])
    np.testing.assert_array_equal(run_starts(session), [0, 3, 4, 6])
    np.testing.assert_array_equal(run_ends(session), [2, 3, 5, 6])


@pytest.mark.parametrize("kind", [np.int32, np.float64, "datetime64[M]"])
def test_no_values_have_no_run(kind):
    none = np.zeros(0, dtype=kind)
    assert len(begins_run(none)) == len(run_starts(none)) == len(run_ends(none)) == 0


def test_a_first_value_of_any_size_begins_a_run():
    lowest = np.iinfo(np.int32).min
    np.testing.assert_array_equal(
        run_starts(np.array([lowest, lowest, -1, -1, 0], dtype=np.int32)), [0, 2, 4]
    )


@given(st.lists(st.integers(-2, 2), max_size=40))
def test_runs_are_those_of_itertools(values):
    lengths = [len(list(same)) for _, same in itertools.groupby(values)]
    stops = np.cumsum(lengths, dtype=np.int64)
    found = np.array(values, dtype=np.int64)
    np.testing.assert_array_equal(run_starts(found), stops - lengths)
    np.testing.assert_array_equal(run_ends(found), stops - 1)
