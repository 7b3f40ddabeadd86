"""Calibration of a value head, by hand and on a chain whose values are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.statistics.value_calibration import horizon, n_step_returns, value_calibration


def test_returns_of_two_steps_by_hand():
    found = n_step_returns([1.0, 2.0, 3.0, 4.0], [10.0, 20.0, 30.0, 40.0], 0.5, 2)
    # 1 + 0.5 x 2 + 0.25 x 30 = 9.5; 2 + 0.5 x 3 + 0.25 x 40 = 13.5
    assert found[:2].tolist() == [9.5, 13.5]
    assert np.isnan(found[2:]).all()


@pytest.mark.parametrize(("gamma", "steps"), [(0.0, 1), (0.05, 1), (0.5, 5), (0.97, 99), (1.0, 1000)])
def test_a_return_is_cut_where_a_twentieth_of_its_weight_is_left(gamma, steps):
    assert horizon(gamma) == steps
    assert gamma**steps <= 0.05 or steps == 1000


def test_the_values_of_a_known_chain_are_calibrated_and_doubled_ones_are_not():
    # A sign that stays with probability 0.9 pays its own value: V(s) = s x 0.8 / (1 - gamma x 0.8) by symmetry.
    rng, gamma = np.random.default_rng(0), 0.9
    flips = np.where(rng.random(60_000) < 0.1, -1.0, 1.0)
    sign = np.cumprod(flips)
    reward = np.append(sign[1:], 0.0)  # paid after the decision
    true = sign * 0.8 / (1.0 - gamma * 0.8)
    steps = horizon(gamma)
    honest = value_calibration(true, n_step_returns(reward, true, gamma, steps))
    assert honest.slope == pytest.approx(1.0, abs=0.05)
    assert honest.intercept == pytest.approx(0.0, abs=0.1)
    assert honest.explained > 0.2
    boastful = value_calibration(2.0 * true, n_step_returns(reward, true, gamma, steps))
    assert boastful.slope == pytest.approx(0.5, abs=0.03)
    assert boastful.explained < honest.explained
    reversed_ = value_calibration(-true, n_step_returns(reward, true, gamma, steps))
    assert reversed_.slope == pytest.approx(-1.0, abs=0.05)
    assert reversed_.explained < 0.0


@given(st.lists(st.floats(-5.0, 5.0), min_size=25, max_size=60), st.floats(0.5, 3.0), st.floats(-2.0, 2.0))
def test_returns_that_are_a_line_of_the_values_give_that_line(values, slope, intercept):
    given_values = np.array(values)
    found = value_calibration(given_values, slope * given_values + intercept)
    if given_values.var() > 1e-6:
        assert found.slope == pytest.approx(slope, rel=1e-6)
        assert found.intercept == pytest.approx(intercept, abs=1e-5)
        assert found.correlation == pytest.approx(1.0)


def test_too_few_steps_and_a_head_that_says_one_number_are_not_judged():
    assert np.isnan(value_calibration([1.0] * 10, [1.0] * 10).slope)
    constant = value_calibration(np.ones(50), np.arange(50.0))
    assert np.isnan(constant.slope)
    assert constant.explained == 0.0
    with pytest.raises(ValueError, match="one length"):
        n_step_returns([1.0], [1.0, 2.0], 0.9, 1)
