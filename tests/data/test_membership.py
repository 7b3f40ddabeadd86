"""Membership among ascending instants, against numpy's own."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from data.membership import among

instants = st.lists(st.integers(-5, 20), max_size=12).map(
    lambda values: np.sort(np.array(values, "datetime64[ns]"))
)


@settings(max_examples=60)
@given(instants, instants)
def test_it_finds_what_numpy_finds(values, ascending):
    np.testing.assert_array_equal(among(values, ascending), np.isin(values, ascending))
