"""Trailing means are those of a plain loop, to the bit, for any shape and any holes."""

import numpy as np
import pytest

from data.features.windows import BLOCK, trailing_mean


def plain_mean(values, window_bars):
    out = np.full(values.shape, np.nan)
    for t in range(window_bars - 1, len(values)):
        for a in range(values.shape[1]):
            total, known = 0.0, 0
            for value in values[t - window_bars + 1 : t + 1, a]:
                if not np.isnan(value):
                    total, known = total + value, known + 1
            if known and 2 * known >= window_bars:
                out[t, a] = total / known
    return out


@pytest.mark.parametrize(
    ("num_bars", "num_assets", "window_bars"), [(3, 2, 9), (40, 1, 1), (700, 3, 13), (5, BLOCK + 1, 2)]
)
def test_a_trailing_mean_is_summed_in_the_order_of_its_window(num_bars, num_assets, window_bars):
    rng = np.random.default_rng(num_bars)
    values = rng.normal(size=(num_bars, num_assets)) * 10.0 ** rng.integers(-8, 8, (num_bars, num_assets))
    values[rng.uniform(size=values.shape) < 0.4] = np.nan
    values[rng.uniform(size=values.shape) < 0.1] = -0.0
    assert trailing_mean(values, window_bars).tobytes() == plain_mean(values, window_bars).tobytes()
