"""Trials that are variations of one idea count as one."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.trial_count import effective_number_of_trials, trial_clusters


def test_independent_trials_count_one_each():
    returns = np.random.default_rng(0).normal(size=(500, 12))
    assert effective_number_of_trials(returns) == 12


def test_copies_count_once():
    returns = np.random.default_rng(0).normal(size=(500, 1))
    assert effective_number_of_trials(np.repeat(returns, 9, axis=1)) == 1


def test_variations_of_three_ideas_count_as_three():
    random = np.random.default_rng(1)
    ideas = np.repeat(random.normal(size=(800, 3)), 5, axis=1)
    returns = ideas + 0.5 * random.normal(size=ideas.shape)  # correlation 1 / 1.25 = 0.8 within an idea
    clusters = trial_clusters(returns)
    assert effective_number_of_trials(returns) == 3
    assert [len(set(clusters[k : k + 5])) for k in (0, 5, 10)] == [1, 1, 1]


def test_an_idea_and_its_opposite_are_two():
    returns = np.random.default_rng(2).normal(size=(300, 1))
    assert effective_number_of_trials(np.hstack([returns, -returns])) == 2


def test_trials_that_never_traded_are_one_cluster_of_their_own():
    random = np.random.default_rng(3)
    returns = np.hstack([random.normal(size=(100, 2)), np.zeros((100, 3))])
    assert effective_number_of_trials(returns) == 3
    assert effective_number_of_trials(np.zeros((100, 3))) == 1


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="N >= 1"):
        effective_number_of_trials(np.zeros(4))
    with pytest.raises(ValueError, match="min_correlation"):
        effective_number_of_trials(np.zeros((4, 1)), min_correlation=1.5)
