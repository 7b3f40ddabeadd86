"""PSI and KL by hand and against their law without drift; the confidence sequence's promise at all times."""

import math

import numpy as np
import pytest

from evaluation.statistics.drift import category_drift, drift, worst_drift
from evaluation.statistics.sequential import confidence_sequence


def test_choices_by_hand():
    # 60 and 40 then, 30 and 70 now; half a value more in each of two bins, so shares of 101.
    found = category_drift([0] * 60 + [1] * 40, [0] * 30 + [1] * 70)
    p, q = (60.5 / 101, 40.5 / 101), (30.5 / 101, 70.5 / 101)
    assert found.psi == pytest.approx(sum((b - a) * math.log(b / a) for a, b in zip(p, q)))
    assert found.kl == pytest.approx(sum(b * math.log(b / a) for a, b in zip(p, q)))
    assert found.num_bins == 2
    assert found.p_value < 0.001


def test_the_same_distribution_is_alarmed_as_often_as_its_p_value_says():
    random = np.random.default_rng(0)
    alarms = [
        drift(random.standard_normal(2000), random.standard_normal(300)).p_value < 0.05 for _ in range(200)
    ]
    assert 0.01 <= np.mean(alarms) <= 0.1


@pytest.mark.parametrize(
    "moved", [lambda x: x + 1.0, lambda x: 2.0 * x, lambda x: np.where(x > 0, np.nan, x)]
)
def test_what_moves_spreads_or_goes_missing_is_seen(moved):
    random = np.random.default_rng(1)
    found = drift(random.standard_normal(2000), moved(random.standard_normal(300)))
    assert found.psi > 0.25
    assert found.p_value < 1e-6


def test_values_beyond_the_reference_count_and_a_constant_is_no_trouble():
    assert drift(np.arange(100.0), np.full(50, 1e9)).psi > 1.0
    still = drift(np.zeros(100), np.zeros(100))
    assert still.psi == pytest.approx(0.0)
    assert drift(np.zeros(100), np.ones(100)).psi > 1.0


def test_too_few_values_are_not_judged():
    few = drift(np.arange(100.0), np.arange(5.0))
    assert math.isnan(few.psi)
    assert worst_drift({"a": few}) is None
    far = drift(np.arange(100.0), np.arange(100.0) + 90)
    assert worst_drift({"a": few, "b": far, "c": drift(np.arange(100.0), np.arange(100.0))}) == ("b", far)


def test_the_sequence_ever_misses_the_mean_no_oftener_than_alpha():
    random = np.random.default_rng(2)
    missed = 0
    for _ in range(200):
        values = random.choice([-0.02, 0.01, 0.03], size=250, p=[0.4, 0.4, 0.2])  # mean 0.002
        sequence = confidence_sequence(values, low=-0.1, high=0.1, alpha=0.1)
        missed += sequence.first_beyond(0.002) is not None
    assert missed / 200 <= 0.1


def test_a_mean_that_fell_is_found_and_the_interval_only_narrows():
    random = np.random.default_rng(3)
    values = -0.01 + 0.01 * random.standard_normal(250)
    sequence = confidence_sequence(values, low=-0.1, high=0.1, alpha=0.05)
    assert sequence.first_beyond(0.0) is not None
    assert sequence.first_beyond(0.0) < 200
    assert (np.diff(sequence.low) >= 0).all()
    assert (np.diff(sequence.high) <= 0).all()
    assert sequence.high[-1] < 0.0


def test_values_beyond_the_bounds_are_cut_and_counted():
    sequence = confidence_sequence([5.0, 0.0, -5.0], low=-1.0, high=1.0, alpha=0.05)
    assert sequence.num_cut == 2


@pytest.mark.parametrize(
    ("low", "high", "alpha"), [(1.0, 0.0, 0.1), (0.0, 1.0, 0.0), (0.0, float("inf"), 0.1)]
)
def test_bounds_that_are_none_are_refused(low, high, alpha):
    with pytest.raises(ValueError, match="bounds|alpha"):
        confidence_sequence([0.5], low=low, high=high, alpha=alpha)
