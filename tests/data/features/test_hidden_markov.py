"""The Gaussian hidden Markov model: equal to every path added up, fitted on its window alone, never smoothed."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm

from data.features import FeatureSpec, FeatureStream, Standardiser, compute_features
from data.features.hidden_markov import HiddenMarkov
from data.features.pruning import PruneConfig, fit_standardiser
from data.features.stream import ClosedBar
from data.synthetic import NoiseConfig, make_market

SPEC = FeatureSpec(name="gaussian_hmm", params={"window_bars": 8})
MODEL = HiddenMarkov(
    window_bars=6, mean=np.array([[0.1, -0.3]]), std=np.array([[0.5, 2.0]]), stay=np.array([[0.9, 0.8]])
)


def by_all_paths(window, model, a=0):
    """Probability of the wild state at the end of a window: the sum over all its paths of two states."""
    leave = 1.0 - model.stay[a]
    begin = np.array([leave[1], leave[0]]) / leave.sum()
    weight = np.zeros(2)
    for path in product((0, 1), repeat=len(window)):
        chance = begin[path[0]]
        for before, after in zip(path, path[1:]):
            chance *= model.stay[a, before] if before == after else leave[before]
        for state, value in zip(path, window):
            chance *= 1.0 if np.isnan(value) else norm.pdf(value, model.mean[a, state], model.std[a, state])
        weight[path[-1]] += chance
    return weight[1] / weight.sum()


def log_likelihood(values, model, a=0):
    """Of a whole series, by the forward recursion in logs: another way than the one that fits."""
    stay, leave = np.log(model.stay[a]), np.log(1.0 - model.stay[a])
    move = np.array([[stay[0], leave[0]], [leave[1], stay[1]]])
    state = np.array([leave[1], leave[0]]) - logsumexp(leave)
    for value in values:
        state = logsumexp(state[:, None] + move, axis=0)
        if not np.isnan(value):
            state = state + norm.logpdf(value, model.mean[a], model.std[a])
    return logsumexp(state)


def drawn(seed, num_bars, stay=(0.97, 0.9), std=(0.5, 2.0), mean=(0.05, -0.1)):
    random = np.random.default_rng(seed)
    state, values, states = 0, np.empty(num_bars), np.empty(num_bars, dtype=int)
    for t in range(num_bars):
        state = state if random.random() < stay[state] else 1 - state
        values[t], states[t] = mean[state] + std[state] * random.standard_normal(), state
    return values[:, None], states


def test_the_filter_equals_the_sum_over_all_paths_of_its_window():
    random = np.random.default_rng(0)
    observed = random.normal(size=(40, 1)) * 1.5
    observed[[11, 12, 25]] = np.nan
    found = MODEL.filtered(observed)
    assert np.isnan(found[:6]).all()
    for t in range(6, 40):
        assert found[t, 0] == pytest.approx(by_all_paths(observed[t - 5 : t + 1, 0], MODEL), rel=1e-5)


def test_with_fewer_than_half_of_the_window_known_nothing_is_said():
    observed = np.ones((30, 1))
    observed[10:14] = np.nan
    found = MODEL.filtered(observed)[:, 0]
    # Six bars of which four are missing: two known, at t = 13, 14 and 15.
    assert np.isnan(found[13:16]).all()
    assert np.isfinite(found[[12, 16]]).all()


def test_a_fit_finds_the_law_that_was_drawn_and_the_state_that_was_hidden():
    values, states = drawn(1, 20_000)
    model = HiddenMarkov.fit(values, window_bars=50)
    np.testing.assert_allclose(model.std[0], [0.5, 2.0], rtol=0.05)
    np.testing.assert_allclose(model.mean[0], [0.05, -0.1], atol=0.1)
    np.testing.assert_allclose(model.stay[0], [0.97, 0.9], atol=0.015)
    wild = model.filtered(values)[50:, 0] > 0.5
    assert (wild == (states[50:] == 1)).mean() > 0.9


def test_no_step_away_from_a_fit_is_likelier():
    values, _ = drawn(2, 1500)
    values[100:130] = np.nan
    model = HiddenMarkov.fit(values, window_bars=10)
    best = log_likelihood(values[:, 0], model)
    for name in ("mean", "std", "stay"):
        for state, step in product((0, 1), (-0.02, 0.02)):
            moved = getattr(model, name).copy()
            moved[0, state] += step if name != "std" else step * moved[0, state]
            moved = np.minimum(moved, 0.9999) if name == "stay" else moved
            # The last iterations of the algorithm may leave a thousandth of a unit.
            assert log_likelihood(values[:, 0], replace(model, **{name: moved})) < best + 2e-3


def test_an_asset_that_is_known_too_seldom_or_never_moves_has_no_model():
    values = np.full((300, 3), np.nan)
    values[:50, 0] = np.random.default_rng(0).normal(size=50)
    values[:, 1] = 0.25
    values[:, 2] = np.random.default_rng(1).normal(size=300)
    model = HiddenMarkov.fit(values, window_bars=5)
    assert np.isnan(model.mean[:2]).all()
    assert np.isnan(model.filtered(values)[:, :2]).all()
    assert np.isfinite(model.filtered(values)[5:, 2]).all()
    again = HiddenMarkov.from_dict(model.to_dict())
    assert again.distance(model) == 0.0
    assert model.distance(replace(model, std=model.std * 1.01)) == pytest.approx(0.01 / 1.01)
    assert model.distance(HiddenMarkov.fit(values[:, :2], window_bars=5)) == np.inf


@pytest.fixture(scope="module")
def panel():
    law = NoiseConfig(
        seed=3, num_bars=600, num_assets=2, bar_seconds=60, start_utc="2020-01-01", volatility=2e-3,
        noise_features=0, cost_bps=0.0,
    )  # fmt: skip
    return make_market(law).panel


def test_what_a_policy_sees_is_fitted_on_the_training_window_alone(panel):
    features = compute_features(panel, [SPEC])
    train = slice(50, 400)
    fitted = Standardiser.fit(features, train)
    later = {name: getattr(panel, name).copy() for name in ("open", "high", "low", "close")}
    for values in later.values():
        values[400:] *= 3.0
    other = compute_features(replace(panel, **later), [SPEC])
    assert Standardiser.fit(other, train).to_dict() == fitted.to_dict()
    np.testing.assert_array_equal(fitted.transform(other).asset[:400], fitted.transform(features).asset[:400])
    shares = fitted.known(features, slice(0, 600))
    assert np.isnan(shares[:8]).all()
    assert ((shares[8:] >= 0.0) & (shares[8:] <= 1.0)).all()
    assert fitted.transform(features).asset[train].mean() == pytest.approx(0.0, abs=1e-3)


def test_it_does_not_depend_on_bars_before_its_lookback(panel):
    features, later = (compute_features(p, [SPEC]) for p in (panel, panel.slice_bars(300, 600)))
    fitted = Standardiser.fit(features, slice(0, 400))
    np.testing.assert_array_equal(fitted.transform(later).asset[8:], fitted.transform(features).asset[308:])


def test_the_models_travel_with_the_standardiser_and_older_ones_have_none(panel):
    features = compute_features(panel, [SPEC])
    fitted = Standardiser.fit(features, slice(0, 400))
    again = Standardiser.from_dict(fitted.to_dict())
    np.testing.assert_array_equal(again.transform(features).asset, fitted.transform(features).asset)
    plain = compute_features(panel, [FeatureSpec(name="log_return", params={"horizon_bars": 3})])
    assert "models" not in Standardiser.fit(plain, slice(0, 400)).to_dict()


def test_one_bar_without_the_window_before_it_is_refused(panel):
    features = compute_features(panel, [SPEC])
    fitted = Standardiser.fit(features, slice(0, 400))
    whole = fitted.transform(features)
    last = replace(features, asset=features.asset[-9:], clock=features.clock[-9:])
    np.testing.assert_array_equal(fitted.transform(last).asset[-1], whole.asset[-1])
    single = replace(features, asset=features.asset[-1:], clock=features.clock[-1:])
    with pytest.raises(ValueError, match="give the features of the last 9 bars"):
        fitted.transform(single)
    with pytest.raises(ValueError, match="not standardised"):
        fitted.transform(whole)


def test_a_stream_gives_the_bits_that_the_models_observe(panel):
    features = compute_features(panel, [SPEC])
    stream = FeatureStream([SPEC], panel)
    rows = [stream.push(ClosedBar.of(panel, t)).asset for t in range(40)]
    np.testing.assert_array_equal(np.stack(rows), features.asset[:40])


def test_pruning_measures_the_probability_and_not_the_returns_it_is_made_of(panel):
    specs = [FeatureSpec(name="log_return", params={"horizon_bars": 1}), SPEC]
    features = compute_features(panel, specs)
    prune = PruneConfig(max_correlation=0.99, min_known=0.5, max_same=0.99)
    fitted = fit_standardiser(features, slice(20, 500), clip=10.0, prune=prune)
    assert (
        fitted.pruned == ()
    )  # the observed returns are a copy of the first feature, the probability is none
