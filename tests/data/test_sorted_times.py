"""Labels are found among ordered ones as numpy finds them."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from data.sorted_times import among


@settings(max_examples=50, deadline=None)
@given(labels=st.lists(st.integers(0, 30)), others=st.lists(st.integers(0, 30)))
def test_a_label_is_found_where_numpy_finds_it(labels, others):
    left = np.array(labels, dtype="datetime64[ns]")
    right = np.array(sorted(others), dtype="datetime64[ns]")
    np.testing.assert_array_equal(among(left, right), np.isin(left, right))
