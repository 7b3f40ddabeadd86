"""Looks that are nearly the same count by what choosing among them can gain; different ones count one each."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.statistics.significance import expected_maximum_sharpe
from evaluation.statistics.trial_count import (
    MOST_CHOICES,
    effective_number_of_trials,
    effective_size,
    leader_clusters,
    needed_correlation,
    number_of_choices,
)


def correlated(rho, size, seed=0, bars=800):
    random = np.random.default_rng(seed)
    common = random.normal(size=(bars, 1))
    return np.sqrt(rho) * common + np.sqrt(1.0 - rho) * random.normal(size=(bars, size))


def test_independent_trials_count_one_each():
    assert effective_number_of_trials(correlated(0.0, 12)) == 12


def test_copies_count_once():
    assert effective_number_of_trials(np.repeat(correlated(0.0, 1), 9, axis=1)) == 1


@pytest.mark.parametrize("rho", [0.5, 0.8, 0.9])
def test_trials_that_merely_resemble_each_other_are_several(rho):
    assert effective_number_of_trials(correlated(rho, 30)) == 30


def test_the_same_policy_under_other_costs_is_one_and_three_such_are_three():
    random = np.random.default_rng(1)
    ideas = np.repeat(random.normal(size=(800, 3)), 5, axis=1)
    returns = ideas + 0.01 * random.normal(size=ideas.shape)
    leader, correlation = leader_clusters(returns.T)
    assert effective_number_of_trials(returns) == 3
    assert leader.tolist() == [0] * 5 + [5] * 5 + [10] * 5
    assert correlation.min() > 0.999


def test_a_hundred_near_copies_count_as_more_than_one():
    # The best of 100 that correlate by 0.98 is sqrt(0.02) * 2.5 = 0.35 deviations above what they share.
    assert effective_number_of_trials(correlated(0.98, 100)) == 2
    assert effective_size(100, 0.98) == pytest.approx(1.0 + 0.1414 * 2.531 / 0.5203, rel=0.01)


def test_the_effective_size_lies_between_one_and_the_size():
    for size in (1, 2, 5, 100):
        sizes = [effective_size(size, rho) for rho in (1.0, 0.999, 0.95, 0.5, 0.0)]
        assert sizes == sorted(sizes)
        assert sizes[0] == 1.0
        assert sizes[-1] == pytest.approx(size)


def test_few_bars_in_common_need_more_correlation():
    assert needed_correlation(12) > 0.97 > needed_correlation(200) > 0.95
    two = np.array([[0.1, 0.2, 0.3, 0.1], [0.1, 0.2, 0.3, 0.1], [0.1, 0.2, 0.3, 0.2]]).T
    assert effective_number_of_trials(two) == 2  # four bars: only what is equal is the same


def test_an_idea_and_its_opposite_are_two():
    returns = np.random.default_rng(2).normal(size=(300, 1))
    assert effective_number_of_trials(np.hstack([returns, -returns])) == 2


def test_trials_that_never_traded_are_one_cluster_of_their_own():
    random = np.random.default_rng(3)
    returns = np.hstack([random.normal(size=(100, 2)), np.zeros((100, 3))])
    assert effective_number_of_trials(returns) == 3
    assert effective_number_of_trials(np.zeros((100, 3))) == 1


def test_clusters_do_not_depend_on_how_many_are_compared_at_once():
    random = np.random.default_rng(4)
    ideas = random.normal(size=(200, 64))
    rows = np.concatenate(
        [ideas, ideas + 1e-3 * random.normal(size=ideas.shape), random.normal(size=(300, 64))]
    )
    leader, _ = leader_clusters(rows)
    assert leader.tolist() == [*range(200), *range(200), *range(400, 700)]


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="N >= 1"):
        effective_number_of_trials(np.zeros(4))


@pytest.mark.parametrize("jump", [0.3, 1.0, 10.0])
def test_a_bar_on_which_all_hold_the_same_makes_no_look_like_another(jump):
    looks = np.random.default_rng(0).normal(0.0, 0.005, (40, 755))
    looks[:, 700] = jump
    leader, _ = leader_clusters(looks)
    np.testing.assert_array_equal(leader, np.arange(40))


def test_copies_at_another_size_and_cost_are_still_one():
    drawn = np.random.default_rng(1)
    first = drawn.normal(0.0, 0.005, 755) * (drawn.random(755) < 0.3)  # often out of the market
    looks = np.stack([first, 0.5 * first, first - 0.0001 * (first != 0.0)])
    leader, correlation = leader_clusters(looks)
    np.testing.assert_array_equal(leader, 0)
    assert (correlation > 0.95).all()


@pytest.mark.parametrize(("shown", "taken"), [(5, 1), (5, 3), (20, 1), (20, 15), (30, 5)])
def test_the_best_of_many_symbols_lie_as_high_as_the_best_of_so_many_looks(shown, taken):
    drawn = np.random.default_rng(0)
    symbols = np.sort(drawn.standard_normal((20_000, shown)), axis=1)[:, shown - taken :]
    portfolio = (np.sqrt(taken) * symbols.mean(axis=1)).mean()
    looks = round(number_of_choices(shown, taken))
    single = drawn.standard_normal((20_000, looks)).max(axis=1).mean()
    assert single == pytest.approx(portfolio, abs=0.12)  # a look more or less


def test_who_takes_every_symbol_has_chosen_none():
    assert number_of_choices(7, 7) == number_of_choices(3, 7) == 1.0
    # 60 of 300 lie 10.8 deviations up (1.3960 times the root of 60), where no probability has digits left but its tail.
    assert expected_maximum_sharpe(number_of_choices(300, 60), 1.0) == pytest.approx(10.8, abs=0.02)
    assert number_of_choices(3000, 1500) == MOST_CHOICES
