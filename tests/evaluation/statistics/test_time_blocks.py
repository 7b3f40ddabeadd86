"""Means over blocks of time."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.statistics.time_blocks import block_mean


def test_the_error_is_that_of_the_means_of_the_blocks():
    found = block_mean(np.array([1.0, 3.0, 5.0, 7.0, 0.0, 2.0]), 3)
    # Means of blocks 2, 6, 1: mean 3, deviation sqrt((1 + 9 + 4) / 2) = sqrt(7), error sqrt(7 / 3).
    assert found.mean == 3.0
    assert found.error == pytest.approx(np.sqrt(7.0 / 3.0))
    assert found.t == pytest.approx(3.0 / np.sqrt(7.0 / 3.0))
    assert found.num_blocks == 3


@pytest.mark.parametrize(("bars", "blocks"), [(2, 2), (5, 2), (12, 6), (1000, 20)])
def test_a_block_has_two_bars_at_least_and_there_are_two_blocks(bars, blocks):
    assert block_mean(np.arange(float(bars)), 20).num_blocks == blocks


def test_what_never_varies_has_no_t():
    assert block_mean(np.full(40, 0.25), 20).t == 0.0
