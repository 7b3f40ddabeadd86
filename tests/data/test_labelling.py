"""Labels by configuration: either side's net return, classes, meta-labels, and weights by uniqueness."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.features import FeatureSpec, compute_features
from data.labelling import LabelConfig, make_labels, uniqueness
from data.labels import UNKNOWN, triple_barrier_labels
from data.synthetic import NoiseConfig, make_market

HORIZON = LabelConfig(
    kind="horizon",
    horizon_bars=5,
    profit_target=None,
    stop_loss=None,
    volatility_bars=None,
    weights="uniqueness",
    primary=None,
    oppose=False,
)
BARRIERS = replace(HORIZON, kind="triple_barrier", profit_target=1.0, stop_loss=0.5, volatility_bars=20)


@pytest.fixture(scope="module")
def panel():
    law = NoiseConfig(
        seed=3,
        num_bars=400,
        num_assets=2,
        bar_seconds=60,
        start_utc="2020-01-01",
        volatility=2e-3,
        noise_features=0,
        cost_bps=0.0,
    )
    return make_market(law).panel


def test_a_label_is_what_the_better_side_earns_after_both_trades_are_paid(panel):
    made = make_labels(panel, HORIZON, cost_bps=5.0)
    growth = panel.close[15] / panel.open[11]  # of bar 10, over five bars from the next open
    paid = 5e-4 * (1.0 + growth)
    np.testing.assert_allclose(made.long[10], growth - 1.0 - paid)
    np.testing.assert_allclose(made.short[10], 1.0 - growth - paid)
    best = np.maximum(made.long[10], made.short[10])
    wanted = np.where(best > 0.0, np.sign(growth - 1.0) * best, 0.0)
    np.testing.assert_allclose(made.net_return[10], wanted)
    np.testing.assert_array_equal(made.choice[10], np.sign(wanted))


def test_labels_whose_window_is_not_complete_are_not_known(panel):
    made = make_labels(panel, HORIZON, cost_bps=5.0)
    assert made.known[:-5].all()
    assert not made.known[-5:].any()
    assert (made.choice[-5:] == UNKNOWN).all()
    assert np.isnan(made.net_return[-5:]).all()


def test_where_the_cost_is_not_known_there_is_no_label(panel):
    cost = np.full(panel.close.shape, 5.0)
    cost[7, 1] = np.nan
    made = make_labels(panel, HORIZON, cost_bps=cost)
    assert not made.known[7, 1]
    assert made.known[7, 0]


def test_barriers_stand_at_volatilities_known_at_the_close(panel):
    made = make_labels(panel, BARRIERS, cost_bps=1.0)
    at = 60
    changes = np.diff(np.log(panel.close), axis=0)[at - 20 : at]  # the last is that of bar 60
    volatility = np.sqrt((changes**2).mean(axis=0) * 5)
    by_hand = triple_barrier_labels(
        panel, horizon_bars=5, profit_target=volatility, stop_loss=0.5 * volatility, cost_bps=1.0
    )
    np.testing.assert_allclose(made.long[at], by_hand.net_return[at], rtol=1e-9)
    assert not made.known[:20].any()
    assert made.known[20:-5].all()


def test_an_absent_barrier_is_never_touched(panel):
    wide = make_labels(panel, replace(BARRIERS, profit_target=1e6, stop_loss=None), cost_bps=5.0)
    plain = make_labels(panel, HORIZON, cost_bps=5.0)
    np.testing.assert_allclose(wide.net_return[20:-5], plain.net_return[20:-5])


def test_labels_before_a_bar_do_not_read_bars_beyond_their_window(panel):
    cut = 200
    changed = panel.close.copy()
    changed[cut + 1 :] *= 1.07
    higher = {name: getattr(panel, name).copy() for name in ("open", "high", "low")}
    for values in higher.values():
        values[cut + 1 :] *= 1.07
    other = replace(panel, close=changed, **higher)
    for config in (HORIZON, BARRIERS):
        one, two = (make_labels(bars, config, cost_bps=1.0) for bars in (panel, other))
        np.testing.assert_array_equal(one.net_return[: cut - 4], two.net_return[: cut - 4])


def test_meta_labels_say_whether_the_side_of_a_feature_pays(panel):
    features = compute_features(panel, [FeatureSpec(name="log_return", params={"horizon_bars": 3})])
    config = replace(HORIZON, primary="log_return_3")
    made = make_labels(panel, config, cost_bps=1.0, features=features)
    side = np.sign(np.log(panel.close[50] / panel.close[47]))
    earned = np.where(side > 0, made.long[50], made.short[50])
    np.testing.assert_array_equal(made.net_return[50], earned)
    np.testing.assert_array_equal(made.choice[50], earned > 0.0)
    assert not made.known[:3].any()  # the feature is not known yet
    turned = make_labels(panel, replace(config, oppose=True), cost_bps=1.0, features=features)
    np.testing.assert_array_equal(turned.net_return[50], np.where(side < 0, made.long[50], made.short[50]))
    with pytest.raises(ValueError, match="did you mean 'log_return_3'"):
        make_labels(panel, replace(config, primary="log_return_4"), cost_bps=1.0, features=features)


def test_uniqueness_is_the_mean_share_of_a_label_in_its_bars():
    # Labels of bars 0, 1 and 4 read bars 1-3, 2-3 and 5: bar 1 is read once, bars 2 and 3 twice, bar 5 once.
    used = np.array([1, 1, 0, 0, 1, 0], dtype=bool)[:, None]
    end_bar = np.array([3, 3, 0, 0, 5, 0])[:, None]
    np.testing.assert_allclose(
        uniqueness(used, end_bar)[:, 0], [(1.0 + 0.5 + 0.5) / 3.0, 0.5, 0.0, 0.0, 1.0, 0.0]
    )


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.integers(1, 6))
def test_uniqueness_equals_counting_bar_by_bar(seed, num_bars, longest):
    random = np.random.default_rng(seed)
    row = np.arange(num_bars)[:, None]
    end_bar = np.minimum(row + random.integers(1, longest + 1, size=(num_bars, 2)), num_bars - 1)
    used = (random.random((num_bars, 2)) < 0.7) & (end_bar > row)
    wanted = np.zeros(used.shape)
    for a in range(2):
        reads = [range(t + 1, end_bar[t, a] + 1) if used[t, a] else range(0) for t in range(num_bars)]
        number = [sum(bar in window for window in reads) for bar in range(num_bars)]
        for t in np.flatnonzero(used[:, a]):
            wanted[t, a] = np.mean([1.0 / number[bar] for bar in reads[t]])
    np.testing.assert_allclose(uniqueness(used, end_bar), wanted)


def test_weights_of_a_window_use_no_label_that_may_read_beyond_it(panel):
    made = make_labels(panel, BARRIERS, cost_bps=1.0)
    weights = made.sample_weights(slice(50, 150))
    assert not weights[-5:].any()  # quick touches among them are left out too
    assert (weights[:-5] > 0.0).all()
    assert weights[:-5].mean() == pytest.approx(1.0)
    assert weights[0, 0] > weights[1:-6, 0].mean()  # the first shares its bars with fewer
    later = replace(made, long=np.where(np.arange(400)[:, None] >= 150, 9.0, made.long))
    np.testing.assert_array_equal(later.sample_weights(slice(50, 150)), weights)


def test_labels_of_one_bar_or_of_equal_weight_all_count_the_same(panel):
    for config in (replace(HORIZON, horizon_bars=1), replace(HORIZON, weights="equal")):
        weights = make_labels(panel, config, cost_bps=1.0).sample_weights(slice(0, 400))
        assert set(weights.ravel()) == {0.0, 1.0}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"horizon_bars": 0}, "horizon_bars is 0"),
        ({"profit_target": 1.0}, "are of labels=triple_barrier"),
        ({"kind": "triple_barrier"}, "volatility_bars is None"),
        ({"kind": "triple_barrier", "volatility_bars": 20}, "both null"),
        ({"kind": "triple_barrier", "volatility_bars": 20, "stop_loss": -1.0}, "stop_loss is -1.0"),
        ({"oppose": True}, "without labels.primary"),
    ],
)
def test_labels_that_cannot_be_are_refused(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        replace(HORIZON, **change)
