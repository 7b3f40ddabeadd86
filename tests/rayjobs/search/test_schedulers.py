"""Pruning rules: who goes on at a rung."""

from __future__ import annotations

import math

import pytest

from rayjobs.search.proposal.schedulers import among_best, not_below_median


@pytest.mark.parametrize(
    ("value", "recorded", "goes_on"),
    [
        (1.0, [1.0], True),  # the first at a rung is the best so far
        (0.5, [1.0, 0.5], False),  # fewer than 3: only the best
        (2.0, [1.0, 0.5, 2.0], True),
        (1.0, [1.0, 0.5, 2.0], False),  # 3 // 3 = 1 place
        (1.0, [1.0, 0.5, 2.0, 0.1, 0.2, 0.3], True),  # 6 // 3 = 2 places
        (1.0, [1.0, 1.0, 1.0], True),  # equals are not better
        (math.nan, [1.0], False),
    ],
)
def test_successive_halving_lets_the_best_third_go_on(value, recorded, goes_on):
    assert among_best(value, recorded, 3) is goes_on


def test_the_median_rule_ends_the_lower_half_after_some_grace():
    assert not_below_median(0.0, [0.0, 1.0, 2.0], 4)
    assert not not_below_median(0.0, [0.0, 1.0, 2.0, 3.0, 4.0], 4)  # median 2
    assert not_below_median(2.0, [0.0, 1.0, 2.0, 3.0, 4.0], 4)
    assert not not_below_median(1.4, [1.4, 0.0, 2.0, 1.0, 3.0, 4.0], 4)  # median (1.4 + 2) / 2 = 1.7
