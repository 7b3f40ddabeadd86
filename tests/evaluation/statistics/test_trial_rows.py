"""What is reckoned from trials that are read in parts is what the whole matrix gives, in less memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy.stats import rankdata

from evaluation.gate.search_significance import study_significance
from evaluation.statistics.overfitting import cscv
from evaluation.statistics.trial_count import (
    effective_number_of_trials,
    leader_clusters,
    needed_correlation,
)
from evaluation.statistics.trial_rows import ArrayRows, TrialRows


class ReadInParts(TrialRows):
    """Rows of a matrix that nobody may ask for at once."""

    def __init__(self, returns_TN, chunk_values):
        self._rows, self.chunk_values = np.ascontiguousarray(returns_TN.T), chunk_values
        self.most = 0

    @property
    def shape(self):
        return self._rows.shape

    def take(self, places_n):
        self.most = max(self.most, len(places_n))
        return self._rows[places_n]


def alike(num_bars, num_ideas, copies, seed=0):
    """Several near-copies of each of some ideas, one that never trades, and one that trades in one bar alone."""
    random = np.random.default_rng(seed)
    ideas = np.repeat(random.normal(1e-4, 1e-2, (num_bars, num_ideas)), copies, axis=1)
    returns = ideas + random.normal(0.0, 1e-4, ideas.shape)
    once = np.zeros((num_bars, 1))
    once[num_bars // 3] = 0.01
    return np.hstack([returns, np.zeros((num_bars, 1)), once])


@pytest.mark.parametrize(("num_bars", "num_ideas", "copies"), [(120, 12, 3), (97, 5, 1), (64, 1, 1)])
@pytest.mark.parametrize("chunk_values", [1, 300, 10**6])
def test_parts_say_what_the_matrix_says(num_bars, num_ideas, copies, chunk_values):
    returns = alike(num_bars, num_ideas, copies)
    rows = ReadInParts(returns, chunk_values)
    whole, parts = study_significance(returns, 99), study_significance(rows, 99)
    assert parts.num_trials == whole.num_trials == 99
    assert parts.effective_trials == whole.effective_trials
    # Those that never traded are one, the near-copies of an idea hardly more than one.
    assert num_ideas + 2 <= effective_number_of_trials(rows) <= 2 * num_ideas + 2
    assert parts.sharpe_variance == pytest.approx(whole.sharpe_variance, rel=1e-12)
    assert parts.probability_of_overfitting == pytest.approx(whole.probability_of_overfitting, abs=1e-12)
    assert parts.probability_of_loss == pytest.approx(whole.probability_of_loss, abs=1e-12)
    assert rows.most <= max(1, chunk_values // num_bars)
    np.testing.assert_allclose(cscv(rows, 8).logits_K, cscv(returns, 8).logits_K, rtol=1e-12, atol=1e-12)
    for found, expected in zip(leader_clusters(rows), leader_clusters(returns.T), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def led_one_by_one(returns_TN, least):
    """Each look joins the leader that it is most like, by returns and by ranks, if it is enough; else it leads."""
    leaders, leader, correlation = [], [], []
    both = np.minimum(np.corrcoef(returns_TN.T), np.corrcoef(rankdata(returns_TN, axis=0).T))
    for place in range(returns_TN.shape[1]):
        alike = [both[place, one] for one in leaders]
        joins = bool(alike) and max(alike) >= least
        leader.append(leaders[int(np.argmax(alike))] if joins else place)
        correlation.append(max(alike) if joins else 1.0)
        if not joins:
            leaders.append(place)
    return np.array(leader), np.array(correlation)


@pytest.mark.parametrize("chunk_values", [1, 900, 10**6])
@pytest.mark.parametrize("seed", range(3))
def test_leaders_are_those_of_one_look_after_another(seed, chunk_values):
    # Ideas with near-copies, mixed, and a crash that all hold: their returns are alike, and their ranks are not.
    random = np.random.default_rng(seed)
    noise = random.choice([0.05, 0.2, 0.3, 1.0], 60)
    returns = random.normal(size=(150, 9))[:, random.integers(0, 9, 60)] + noise * random.normal(
        size=(150, 60)
    )
    returns[70, : 30 * seed] -= 200.0
    leader, correlation = leader_clusters(ReadInParts(returns, chunk_values))
    expected = led_one_by_one(returns, needed_correlation(150))
    np.testing.assert_array_equal(leader, expected[0])
    np.testing.assert_allclose(correlation, expected[1], rtol=1e-5)
    assert 9 < len(set(leader)) < 60


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_refused_in_whichever_part_it_is(bad):
    returns = alike(100, 4, 2)
    returns[50, 7] = bad
    rows = ReadInParts(returns, 100)
    with pytest.raises(ValueError, match="NaN"):
        leader_clusters(rows)
    with pytest.raises(ValueError, match="NaN or infinite"):
        cscv(rows, 4)


def test_too_few_trials_or_bars_are_refused_as_those_of_a_matrix_are():
    with pytest.raises(ValueError, match="at least two trials"):
        cscv(ReadInParts(np.zeros((40, 1)), 100), 4)
    with pytest.raises(ValueError, match="too few for 8 blocks"):
        cscv(ReadInParts(np.zeros((6, 3)), 100), 8)
    assert study_significance(ReadInParts(np.empty((0, 0)), 100), 3).effective_trials == 3
    with pytest.raises(ValueError, match="give \\(N trials, T bars\\)"):
        ArrayRows(np.zeros(3))


def test_parts_take_no_more_memory_than_the_matrix_alone_would():
    returns = np.random.default_rng(0).normal(0.0, 0.01, (2_000, 200))  # 3.2 MB
    rows = ReadInParts(returns, 2**13)  # 64 KB at a time
    cscv(rows, 4)  # what is imported or kept at the first time
    tracemalloc.start()
    try:
        cscv(rows, 8)
        leader_clusters(rows)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # The leaders' ranks are not made where none is near; tracemalloc counts their room all the same.
    assert peak < 1.3 * returns.nbytes
