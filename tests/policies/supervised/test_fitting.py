"""A fit reads the training bars and nothing else, and gives what independent implementations give."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fitted_world import BARRIERS, HORIZON, TRAIN, fitted, settings, world, world_of
from sklearn.linear_model import LogisticRegression, Ridge

from data.labelling import make_labels
from policies.supervised.boosting import grades
from policies.supervised.design import training_rows
from policies.supervised.fitting import fit_models
from policies.supervised.linear import fit_logistic, fit_ridge

MODELS = ("ridge", "logistic", "lightgbm", "lightgbm_rank", "xgboost")
PRICES = ("open", "high", "low", "close")


def needs(model: str) -> None:
    if model == "xgboost":
        pytest.importorskip("xgboost")


@pytest.fixture(scope="module")
def market():
    return world()


@pytest.mark.parametrize("labels", [HORIZON, BARRIERS], ids=["horizon", "barriers"])
@pytest.mark.parametrize("model", MODELS)
def test_bars_after_the_training_window_move_no_bit_of_a_fit(model, labels, market):
    needs(model)
    chosen = settings(model, labels, **({"rule": "share"} if model != "lightgbm_rank" else {}))
    honest = fitted(market, chosen)
    after = np.arange(market.panel.num_bars)[:, None] >= TRAIN.stop
    prices = {name: np.where(after, 7.0, getattr(market.panel, name)) for name in PRICES}
    columns = {name: np.where(after, 3.0, values) for name, values in market.panel.exogenous.items()}
    poisoned = world_of(replace(market.panel, **prices, exogenous=columns))
    assert fitted(poisoned, chosen).policy_hash == honest.policy_hash


@pytest.mark.parametrize("model", MODELS)
def test_a_fit_is_repeated_to_the_bit_and_its_labels_matter(model, market):
    needs(model)
    chosen = settings(model)
    assert fitted(market, chosen).policy_hash == fitted(market, chosen).policy_hash
    later = replace(chosen, labels=replace(chosen.labels, horizon_bars=5))
    assert fitted(market, later).policy_hash != fitted(market, chosen).policy_hash


def test_no_row_has_a_label_that_ends_after_its_stretch(market):
    labels = make_labels(market.panel, replace(HORIZON, horizon_bars=6), cost_bps=0.0)
    rows = training_rows(market.market, labels, (slice(0, 100), slice(300, 340)), "long")
    # 100 - 6 bars of the first stretch and 40 - 6 of the second, three assets each, all of them tradable.
    assert len(rows.earned) == 3 * (94 + 34)
    assert set(rows.bar) == set(range(94)) | set(range(300, 334))


def test_each_row_has_the_features_of_its_bar_and_the_return_after_it(market):
    labels = make_labels(market.panel, replace(HORIZON, horizon_bars=2), cost_bps=0.0)
    rows = training_rows(market.market, labels, (slice(0, 50),), "short")
    at = 7
    bar, asset = rows.bar[at], rows.asset[at]
    earned = 1.0 - market.panel.close[bar + 2, asset] / market.panel.open[bar + 1, asset]
    assert rows.earned[at] == pytest.approx(earned, abs=1e-15)
    np.testing.assert_array_equal(rows.design[at, :-2], market.market.features[bar, asset].astype(np.float64))
    assert rows.design[at, -1] == 1.0


def test_weighted_ridge_is_that_of_scikit_learn():
    random = np.random.default_rng(1)
    design = np.column_stack([random.normal(size=(300, 4)), np.ones(300)])
    label, weight = (
        design @ [1.0, -2.0, 0.5, 0.0, 0.3] + random.normal(size=300),
        random.uniform(0.2, 2.0, 300),
    )
    weight /= weight.mean()
    reference = Ridge(alpha=0.01 * 300).fit(design[:, :-1], label, sample_weight=weight)
    found = fit_ridge(design, label, 0.01, weight)
    np.testing.assert_allclose(found, [*reference.coef_, reference.intercept_], rtol=1e-9)


def test_weighted_logistic_regression_is_that_of_scikit_learn():
    random = np.random.default_rng(2)
    design = np.column_stack([random.normal(size=(400, 3)), np.ones(400)])
    rises = design @ [0.8, -0.4, 0.0, 0.2] + random.logistic(size=400) > 0.0
    weight = random.uniform(0.2, 2.0, 400)
    weight /= weight.mean()
    # Its objective is C times the summed loss plus half the squared coefficients.
    reference = LogisticRegression(C=1.0 / (0.01 * 400), tol=1e-12, max_iter=1000)
    reference.fit(design[:, :-1], rises, sample_weight=weight)
    found = fit_logistic(design, rises, 0.01, weight=weight)
    np.testing.assert_allclose(found, [*reference.coef_[0], reference.intercept_[0]], rtol=1e-6)


def test_returns_of_a_bar_are_graded_by_their_place_among_them():
    earned, bar = np.array([0.3, -0.1, 0.2, 0.0, 5.0, 4.0]), np.array([0, 0, 0, 0, 1, 1])
    # Four rows in two grades: the lower two are 0; two rows in two grades: one each.
    np.testing.assert_array_equal(grades(earned, bar, 2), [1, 0, 1, 0, 1, 0])
    np.testing.assert_array_equal(grades(earned, bar, 4), [3, 0, 2, 1, 2, 0])


def test_a_model_for_each_symbol_learns_opposite_rules_where_one_for_all_learns_none():
    market = world(num_assets=2)
    panel = market.panel
    column = next(name for name in sorted(panel.exogenous) if "signal" in name)
    turned = panel.exogenous[column].copy()
    turned[:, 1] *= -1.0  # the second symbol rises where its column says that it falls
    opposed = world_of(replace(panel, exogenous={**panel.exogenous, column: turned}))
    place = opposed.market.asset_names.index(column)
    pooled = fitted(opposed, settings("logistic")).models.models
    each = fitted(opposed, settings("logistic", scope="symbol")).models.models
    assert abs(pooled[0].model.coefficients[place]) < 0.3
    assert each[0].model.coefficients[place] > 0.3 > -0.3 > each[1].model.coefficients[place]


def test_barriers_of_unequal_distance_give_each_side_a_model_of_its_own(market):
    both = fitted(market, settings("logistic", BARRIERS)).models
    assert [one.side for one in both.models] == ["long", "short"]
    assert [
        one.side for one in fitted(market, settings("logistic", BARRIERS, sides="short")).models.models
    ] == ["short"]


def test_labels_of_one_class_are_refused_in_one_sentence(market):
    still = dict.fromkeys(PRICES, np.ones(market.panel.close.shape))
    panel = replace(market.panel, **still)
    with pytest.raises(ValueError, match="the long side never pays on the training bars"):
        fit_models(panel, market.market, (TRAIN,), settings("logistic"), 0)


def test_a_window_shorter_than_the_label_is_refused(market):
    chosen = settings("ridge", replace(HORIZON, horizon_bars=50))
    with pytest.raises(ValueError, match="leaves no row after a lookback of 0 and a horizon of 50 bars"):
        fit_models(market.panel, market.market, (slice(0, 50),), chosen, 0)
