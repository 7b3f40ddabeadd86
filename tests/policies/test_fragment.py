"""Fragments: counting their steps, splitting them for several learners."""

from __future__ import annotations

import numpy as np
import pytest

from policies.fragment import Fragment


def a_fragment(num_envs=4):
    grid = np.arange(2.0 * num_envs, dtype=np.float32).reshape(2, num_envs)
    valid = np.ones((2, num_envs), dtype=bool)
    valid[1, 0] = False
    return Fragment(
        observations=grid[:, :, None],
        actions=grid.astype(np.int64),
        scores=grid[:, :, None],
        log_probs=grid,
        advantages=grid,
        value_targets=grid,
        keep=grid,
        valid=valid,
        states={"hidden": grid.reshape(2, num_envs, 1, 1)},
    )


def test_steps_without_a_transition_are_not_counted():
    assert a_fragment().num_env_steps == 7


def test_advantage_moments_leave_invalid_steps_out():
    # Valid: 0, 1, 2, 3 and 5, 6, 7; sum 24, squares 14 + 110 = 124.
    assert a_fragment().advantage_moments() == (7.0, 24.0, 124.0)


def test_parts_hold_all_envs_in_order():
    first, second = a_fragment().split_envs(2)
    np.testing.assert_array_equal(first.advantages, [[0, 1], [4, 5]])
    np.testing.assert_array_equal(second.states["hidden"][:, :, 0, 0], [[2, 3], [6, 7]])
    assert first.num_env_steps + second.num_env_steps == 7


def test_envs_that_cannot_be_shared_equally_are_refused():
    with pytest.raises(ValueError, match="4 envs per runner cannot be shared equally by 3 learners"):
        a_fragment().split_envs(3)
