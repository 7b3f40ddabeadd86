"""Fits the models of a supervised policy: a pure function of bars, training stretches, settings and seed.

Axes: T time, A asset, R rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from data.labelling import Labels, make_labels
from data.schema import Panel
from envs.market import Market
from policies.supervised.boosting import fit_lightgbm, fit_ranking, fit_xgboost
from policies.supervised.design import TrainingRows, training_rows
from policies.supervised.fitted_models import SIDES, FittedModel, FittedModels, Model
from policies.supervised.linear import LinearModel, fit_logistic, fit_ridge
from policies.supervised.primary_rule import PrimaryRule
from policies.supervised.settings import (
    LightGBMParameters,
    LinearParameters,
    RankParameters,
    SupervisedSettings,
    XGBoostParameters,
)

FloatArray = NDArray[np.float64]


def fit_models(
    panel: Panel,
    market: Market,
    stretches: Sequence[slice],
    settings: SupervisedSettings,
    seed: int,
    *,
    cost_bps: ArrayLike = 0.0,
    primary: PrimaryRule | None = None,
) -> FittedModels:
    """Fit on the training stretches alone.

    Nothing that is read lies outside of them, but for the lookback of features before their first bar: labels that
    would reach past the end of a stretch are not used. One thread, so that the sums of the linear models do not depend
    on how many cores there are: fitted again, the same bits come out.

    Parameters
    ----------
    panel : all bars. market : the same, with features standardised on the training bars alone.
    stretches : half-open bars, in time order. seed : of the trees' draws.
    cost_bps : of one side, basis points of notional, which labels are net of; broadcast to (T, A), NaN = no label.
    primary : the rule whose sides are learnt of, where the labels name one.

    Raises
    ------
    ValueError
        If no row has a label, or all labels of a classifier are of one class.
    """
    labels = _labels(panel, market, settings, cost_bps, primary)
    fitted, rows_of = [], {}
    with threadpool_limits(limits=1):
        for side in settings.fitted_sides:
            if primary is not None and not any(labels.of_side(side)[part].any() for part in stretches):
                continue
            rows_of[side] = training_rows(market, labels, stretches, side)
            for asset, rows in _fits(rows_of[side], panel.num_assets, settings):
                fitted.append(_fit_one(rows, side, asset, settings, seed))
    if not fitted:
        raise ValueError(
            f"labels.primary is {settings.labels.primary}, which takes no {' or '.join(settings.fitted_sides)} side on "
            "the training bars; name another feature, or allow the other side"
        )
    models = FittedModels(settings=settings, models=tuple(fitted), bound=0.0)
    return FittedModels(
        settings=settings, models=models.models, bound=_bound(models, rows_of, panel.num_assets)
    )


def _labels(
    panel: Panel,
    market: Market,
    settings: SupervisedSettings,
    cost_bps: ArrayLike,
    primary: PrimaryRule | None,
) -> Labels:
    """The labels of all bars, with the sides that the primary rule takes."""
    if (primary is None) != (settings.labels.primary is None):
        raise AssertionError(f"labels.primary is {settings.labels.primary}, and the rule given is {primary}")
    of_both_sides = replace(settings.labels, primary=None, oppose=False)
    labels = make_labels(panel, of_both_sides, cost_bps=cost_bps)
    if primary is None:
        return labels
    return replace(labels, config=settings.labels, primary=primary.side(market.features))


def _fits(
    rows: TrainingRows, num_assets: int, settings: SupervisedSettings
) -> Iterator[tuple[int | None, TrainingRows]]:
    """The fits of one side: all symbols together, or one by one; none of a symbol that a rule does not take."""
    if settings.scope == "pooled":
        yield None, rows
        return
    for asset in range(num_assets):
        own = rows.of_asset(asset)
        if len(own.earned) or settings.labels.primary is None:
            yield asset, own


def _fit_one(
    rows: TrainingRows, side: str, asset: int | None, settings: SupervisedSettings, seed: int
) -> FittedModel:
    if not len(rows.earned):
        raise ValueError(f"symbol {asset} has no labelled row in the training bars; use policy.scope=pooled")
    pays = rows.earned > 0.0
    if settings.classifies and pays.all() | (~pays).all():
        raise ValueError(
            f"the {side} side {'always' if pays.all() else 'never'} pays on the training bars, so that there is "
            "nothing to tell apart; lengthen them, or set other labels (policy.labels)"
        )
    model = _model(rows, settings, seed)
    gain, loss = (float(rows.earned[which].mean()) if which.any() else 0.0 for which in (pays, ~pays))
    return FittedModel(side=side, asset=asset, model=model, gain=gain, loss=loss)


def _model(rows: TrainingRows, settings: SupervisedSettings, seed: int) -> Model:
    parameters, pays = settings.parameters, rows.earned > 0.0
    if settings.model == "lightgbm_rank":
        assert isinstance(parameters, RankParameters)
        return fit_ranking(rows.design, rows.earned, rows.bar, parameters, seed, rows.weight)
    if isinstance(parameters, LightGBMParameters):
        return fit_lightgbm(rows.design, pays, parameters, seed, rows.weight)
    if isinstance(parameters, XGBoostParameters):
        return fit_xgboost(rows.design, pays, parameters, seed, rows.weight)
    assert isinstance(parameters, LinearParameters)
    if settings.model == "ridge":
        slopes = fit_ridge(rows.design, rows.earned, parameters.penalty, rows.weight)
    else:
        slopes = fit_logistic(rows.design, pays, parameters.penalty, weight=rows.weight)
    return LinearModel(coefficients=slopes, classifies=settings.model == "logistic")


def _bound(models: FittedModels, rows_of: dict[str, TrainingRows], num_assets: int) -> float:
    """Least strength that is traded: the threshold itself, or what the strongest share of the training rows reaches."""
    position = models.settings.position
    if position.rule == "threshold":
        return position.threshold
    if position.rule != "share":
        return 0.0
    if models.settings.labels.primary is None:
        best = _strengths(models, next(iter(rows_of.values())), num_assets).max(axis=1)
    else:  # each row has one side that may be taken
        best = np.concatenate(
            [_strengths(models, rows, num_assets)[:, SIDES[side]] for side, rows in rows_of.items()]
        )
    return max(float(np.quantile(best, 1.0 - position.share)), 0.0)


def _strengths(models: FittedModels, rows: TrainingRows, num_assets: int) -> FloatArray:
    """(R, S) what the models say of training rows."""
    strengths = np.empty((len(rows.earned), 2))
    for asset in range(num_assets):
        of_asset = rows.asset == asset
        design = np.zeros((int(of_asset.sum()), num_assets, rows.design.shape[1]))
        design[:, asset] = rows.design[of_asset]
        strength, _ = models.strength_and_edge(design)
        strengths[of_asset] = strength[:, asset]
    return strengths
