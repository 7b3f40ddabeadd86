"""Meta-labels: a rule takes the side, a model says whether to take it, and no other side is ever traded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fitted_world import BARRIERS, HORIZON, TRAIN, fitted, observations, settings, world, world_of
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from data.features import Standardiser
from data.labelling import make_labels
from policies.exports import load_export
from policies.supervised.policy import SupervisedPolicy
from policies.supervised.primary_rule import PrimaryRule

META = replace(HORIZON, primary="noise_00")
SCORED = slice(700, 990)


@pytest.fixture(scope="module")
def market():
    return world()


def standardised(mean: float, std: float, clip: float = 10.0) -> Standardiser:
    return Standardiser(
        feature_hash="test", mean=np.array([[mean]]), std=np.array([[std]]), clip=clip, method="by_symbol"
    )


@given(
    value=st.floats(-1e6, 1e6, width=32),
    mean=st.floats(-1e6, 1e6),
    std=st.floats(1e-6, 1e6),
    oppose=st.booleans(),
)
def test_the_side_read_from_an_observation_is_never_the_wrong_one(value, mean, std, oppose):
    fitted_on = standardised(mean, std)
    rule = PrimaryRule.of(replace(HORIZON, primary="one", oppose=oppose), ("one",), fitted_on.to_dict(), 1)
    seen = fitted_on.observed(np.array([[value]], dtype=np.float32), 0)
    (side,) = rule.side(seen[:, :, None])[0]
    truth = -np.sign(value) if oppose else np.sign(value)
    assert side in (0.0, truth)
    # A value that float32 tells from 0 and from the mean, inside of the limit, is never taken for either.
    z, zero = (value - mean) / std, -mean / std
    if abs(z) < 9.9 and abs(zero) < 9.9 and abs(z) > 1e-4 and abs(z - zero) > 1e-4:
        assert side == truth


def test_what_is_not_known_takes_no_side():
    fitted_on = standardised(
        5.0, 2.0
    )  # the mean is well above 0, and an unknown value is observed as the mean
    rule = PrimaryRule.of(META, ("noise_00",), fitted_on.to_dict(), 1)
    seen = fitted_on.observed(np.array([[np.nan], [6.0], [-1.0], [0.0]], dtype=np.float32), 0)
    assert rule.side(seen[:, :, None])[:, 0].tolist() == [0.0, 1.0, -1.0, 0.0]


@pytest.mark.parametrize("rule", ["threshold", "share", "edge"])
@pytest.mark.parametrize("labels", [META, replace(BARRIERS, primary="noise_00")], ids=["horizon", "barriers"])
def test_no_side_but_the_rules_is_ever_taken(market, labels, rule):
    chosen = settings("logistic", labels, rule=rule, threshold=0.5, round_trip_cost=1e-6)
    actions = fitted(market, chosen).act(observations(market, SCORED), None)[0]
    taken = np.sign(market.panel.exogenous["noise_00"][SCORED])
    assert ((actions == 0.0) | (np.sign(actions) == taken)).all()
    assert (actions > 0.0).any()
    assert (actions < 0.0).any()
    opposed = replace(chosen, labels=replace(labels, oppose=True))
    turned = fitted(market, opposed).act(observations(market, SCORED), None)[0]
    assert ((turned == 0.0) | (np.sign(turned) == -taken)).all()


def test_each_side_is_fitted_on_the_bars_where_the_rule_takes_it_and_on_no_others(market):
    chosen = settings("logistic", replace(META, weights="equal"))
    found = {one.side: one.model.coefficients for one in fitted(market, chosen).models.models}
    labels = make_labels(market.panel, HORIZON, cost_bps=0.0)
    side = np.sign(market.panel.exogenous["noise_00"])
    design = np.concatenate(
        [
            market.market.features.astype(float),
            np.repeat(market.market.clock[:, None].astype(float), 3, axis=1),
        ],
        axis=2,
    )
    for name, sign, earned in (("long", 1.0, labels.long), ("short", -1.0, labels.short)):
        rows = (side[: TRAIN.stop - 1] == sign) & np.isfinite(earned[: TRAIN.stop - 1])
        pays = earned[: TRAIN.stop - 1][rows] > 0.0
        reference = LogisticRegression(C=1.0 / (1e-3 * len(pays)), tol=1e-12, max_iter=2000)
        reference.fit(design[: TRAIN.stop - 1][rows], pays)
        expected = [*reference.coef_[0], reference.intercept_[0]]
        np.testing.assert_allclose(found[name], expected, rtol=1e-5, atol=1e-7)


def test_a_model_learns_when_the_rule_is_right(market):
    # The rule is a coin; whether it will be right is written in the column beside it.
    panel = market.panel
    signal = next(name for name in panel.exogenous if "signal" in name)
    coin = np.sign(panel.exogenous["noise_00"])
    right = np.where(np.sign(panel.exogenous[signal]) == coin, 1.0, -1.0)
    told = world_of(replace(panel, exogenous={"noise_00": coin, "right": right}))
    actions = fitted(told, settings("logistic", META, threshold=0.5)).act(observations(told, SCORED), None)[0]
    np.testing.assert_array_equal(actions != 0.0, right[SCORED] > 0.0)
    np.testing.assert_array_equal(np.sign(actions), np.where(right[SCORED] > 0.0, coin[SCORED], 0.0))


def test_a_rule_of_one_side_has_one_model_and_that_side_alone(market):
    only = replace(market.panel, exogenous={**market.panel.exogenous, "noise_00": np.full((1000, 3), 2.0)})
    long_only = world_of(only)
    policy = fitted(long_only, settings("logistic", META, threshold=0.5))
    assert [one.side for one in policy.models.models] == ["long"]
    assert policy.act(observations(long_only, SCORED), None)[0].min() == 0.0
    with pytest.raises(ValueError, match="noise_00, which takes no short side on the training bars"):
        fitted(long_only, settings("logistic", META, sides="short"))


def test_a_policy_of_meta_labels_survives_its_export(market, tmp_path):
    policy = fitted(market, settings("lightgbm", META, rule="share", net_labels=True), cost_bps=1.0)
    policy.save(tmp_path)
    again = load_export(tmp_path)
    assert isinstance(again, SupervisedPolicy)
    seen = observations(market, SCORED)
    assert again.act(seen, None)[0].tobytes() == policy.act(seen, None)[0].tobytes()
    assert again.contract.settings == policy.contract.settings


def test_labels_net_of_costs_give_each_side_a_model_and_an_edge_that_is_net(market):
    gross = fitted(market, settings("ridge")).models
    net = fitted(market, settings("ridge", net_labels=True), cost_bps=5.0).models
    assert [one.side for one in gross.models] == ["long"]
    assert [one.side for one in net.models] == ["long", "short"]
    design = np.ones((1, 3, market.market.features.shape[2] + 2))
    _, before = gross.strength_and_edge(design)
    _, after = net.strength_and_edge(design)
    # A round trip costs 5 bps going in and 5 bps of what it has grown to coming out; a bar moves 20 bps.
    np.testing.assert_allclose(before - after, 1e-3, rtol=2e-3)


def test_contracts_that_do_not_speak_of_net_labels_stay_as_they_were(market):
    facts = settings("ridge").to_json()
    assert "net_labels" not in facts
    assert type(settings("ridge")).from_json(facts) == settings("ridge")
    assert settings("ridge", net_labels=True).to_json()["net_labels"] is True


@pytest.mark.parametrize(
    ("standardiser", "sentence"),
    [
        (
            {"method": "own_past"},
            "cannot be told from values that are standardised by each symbol's own past",
        ),
        ({"models": {"noise_00": {}}}, "a probability that a model gives"),
        ({"pruned": ["noise_00"]}, "features.prune leaves out of this training window"),
    ],
)
def test_a_feature_whose_sign_is_not_observed_is_refused(standardiser, sentence):
    with pytest.raises(ValueError, match=sentence):
        PrimaryRule.of(META, ("noise_00", "noise_01"), standardiser, 3)
    with pytest.raises(ValueError, match="did you mean 'noise_0[01]'"):
        PrimaryRule.of(replace(META, primary="noise_0"), ("noise_00", "noise_01"), None, 3)
