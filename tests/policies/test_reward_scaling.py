"""Rewards divided by the running spread of the discounted return."""

from __future__ import annotations

import numpy as np
import pytest

from policies.reward_scaling import RewardScaler

NEVER = np.zeros(2, dtype=bool)


def test_the_spread_is_that_of_all_discounted_returns_so_far():
    scaler = RewardScaler(2, gamma=0.5)
    np.testing.assert_allclose(scaler.scale(np.array([1.0, 1.0]), NEVER), [1.0, 1.0])  # no spread yet
    # Returns 0.5 + 3 = 3.5 and 0.5 + 1 = 1.5; of 1, 1, 3.5, 1.5 the mean is 1.75.
    spread = np.std([1.0, 1.0, 3.5, 1.5])
    np.testing.assert_allclose(scaler.scale(np.array([3.0, 1.0]), NEVER), np.array([3.0, 1.0]) / spread)
    assert scaler.standard_deviation == pytest.approx(spread)


def test_the_discounted_return_restarts_where_an_episode_ended():
    scaler = RewardScaler(2, gamma=0.5)
    scaler.scale(np.array([1.0, 1.0]), np.array([True, False]))
    scaler.scale(np.array([1.0, 1.0]), NEVER)
    assert scaler.standard_deviation == pytest.approx(np.std([1.0, 1.0, 1.0, 1.5]))


def test_a_scaler_with_another_ones_state_scales_to_the_same_bits():
    random = np.random.default_rng(3)
    first, second = RewardScaler(4, gamma=0.9), RewardScaler(4, gamma=0.9)
    for _ in range(10):
        first.scale(random.normal(size=4), random.random(4) < 0.2)
    second.set_state(first.get_state())
    rewards, ended = random.normal(size=4), np.zeros(4, dtype=bool)
    np.testing.assert_array_equal(first.scale(rewards, ended), second.scale(rewards, ended))
