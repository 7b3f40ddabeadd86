"""Places among ascending instants, against numpy's own sets."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from data.membership import among, places_among

uneven = st.lists(st.integers(-5, 20), max_size=12).map(sorted)
even = st.builds(
    lambda start, step, count: list(range(start, start + step * count, step)),
    st.integers(-5, 5), st.integers(1, 4), st.integers(0, 8),
)  # fmt: skip


def instants(values: list[int]) -> np.ndarray:
    return np.array(values, "datetime64[ns]")


@settings(max_examples=120)
@given(uneven, uneven | even)
def test_it_finds_what_numpy_finds_at_the_first_of_equals(values, others):
    found = places_among(instants(values), instants(others))
    np.testing.assert_array_equal(found.here, np.isin(values, others))
    np.testing.assert_array_equal(found.places, [others.index(value) for value in values if value in others])
    np.testing.assert_array_equal(among(instants(values), instants(others)), found.here)
