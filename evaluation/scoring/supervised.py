"""Supervised baselines: models of the next return on the same features, traded through the same simulator.

Fitted on the fold's training window alone, purged: a row whose label reaches past the window is not used. Predictions
become directions by a threshold, so that doubt means no position. The models are those of `policies.supervised`.
Axes: T time, A asset, F feature, R rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from data.labels import horizon_returns
from data.schema import Panel
from envs.market import Market
from policies.baselines import Schedule
from policies.supervised.boosting import fit_lightgbm
from policies.supervised.design import design_matrix
from policies.supervised.linear import fit_logistic, fit_ridge, logistic
from policies.supervised.settings import LightGBMParameters

FloatArray = NDArray[np.float64]
Predict = Callable[[FloatArray], FloatArray]
MODELS = ("ridge", "logistic", "boosting")
PACKAGES = {"boosting": "lightgbm"}
"""Model -> the package that it needs beyond Rayfold's own; the extra `supervised` brings it."""


def require_packages(models: Sequence[str]) -> None:
    """Raise ValueError if a model needs a package that is not installed, before anything is trained."""
    for model in models:
        package = PACKAGES.get(model)
        if package is not None and find_spec(package) is None:
            raise ValueError(
                f"scoring.supervised names {model!r}, which needs the package {package}: "
                "pip install -c requirements.lock -e '.[supervised]', or leave it out"
            )


@dataclass(frozen=True, kw_only=True)
class SupervisedConfig:
    """How the supervised baselines are fitted.

    Attributes
    ----------
    horizon_bars : bars that the label covers; positions are held from one decision to the next all the same.
    penalty : of squared coefficients, per training row, on standardised features.
    threshold : ridge trades when the predicted return exceeds `threshold` times the cost of a round trip; the others
        when the probability of a rise is at least that far from one half as the quantile of the training predictions
        that would trade `trade_share` of the bars.
    trade_share : share of training rows that the classifiers trade, 0 to 1.
    round_trip_cost : of notional, fraction (0.0004 for 2 bps a side).
    seed : of boosting.
    """

    horizon_bars: int
    penalty: float
    threshold: float
    trade_share: float
    round_trip_cost: float
    seed: int

    def __post_init__(self) -> None:
        if self.horizon_bars < 1:
            raise ValueError(f"supervised.horizon_bars is {self.horizon_bars}; it must be at least 1")
        if not 0.0 < self.trade_share <= 1.0:
            raise ValueError(f"supervised.trade_share is {self.trade_share}; it must lie in (0, 1]")
        if min(self.penalty, self.threshold, self.round_trip_cost) < 0.0:
            raise ValueError("supervised.penalty, threshold and round_trip_cost must not be negative")


def training_rows(
    panel: Panel, market: Market, train: slice | Sequence[slice], horizon_bars: int
) -> tuple[FloatArray, FloatArray]:
    """(R, F) design and (R,) label of the usable rows of a training window, or of each of its stretches, purged by the
    label's horizon.

    The label of bar t is the return from the open of t + 1 to the close of t + horizon; the last `horizon_bars` rows of
    the window would look past it and are left out, as are bars before the features' lookback and without a label.
    """
    parts = [train] if isinstance(train, slice) else list(train)
    known = [(max(part.start, market.first_bar), part.stop - horizon_bars) for part in parts]
    known = [(start, stop) for start, stop in known if start < stop]
    if not known:
        raise ValueError(
            f"the training window [{parts[0].start}, {parts[-1].stop}) leaves no row after a lookback of "
            f"{market.first_bar} and a horizon of {horizon_bars} bars; lengthen it"
        )
    label_TA = horizon_returns(panel, horizon_bars=horizon_bars).net_return
    design_TAF = design_matrix(market)
    label = np.concatenate([label_TA[start:stop].reshape(-1) for start, stop in known])
    design = np.concatenate(
        [design_TAF[start:stop].reshape(-1, design_TAF.shape[2]) for start, stop in known]
    )
    usable = np.isfinite(label)
    return design[usable], label[usable]


def _boosting(design: FloatArray, rises: NDArray[np.bool_], seed: int) -> Predict:
    parameters = LightGBMParameters(
        rounds=100, learning_rate=0.05, leaves=15, min_leaf_rows=200, feature_share=0.7, row_share=0.7, l2=1.0
    )
    model = fit_lightgbm(design, rises, parameters, seed)
    return lambda rows: model.predict(rows) - 0.5


def fit_schedule(
    model: str, panel: Panel, market: Market, train: slice | Sequence[slice], config: SupervisedConfig
) -> Schedule:
    """Fit a model on the training window and turn its predictions for every bar into directions.

    Parameters
    ----------
    model : "ridge" (predicted return against costs), "logistic" or "boosting" (probability of a rise).
    market : with features standardised on ``train`` alone.

    Returns
    -------
    Schedule over the whole panel; only the bars after the training window are out of sample.

    Raises
    ------
    ValueError
        For an unknown model, an empty training window, or boosting without its package.
    """
    if model not in MODELS:
        raise ValueError(f"unknown supervised model {model!r}; known are {', '.join(MODELS)}")
    design, label = training_rows(panel, market, train, config.horizon_bars)
    if model == "ridge":
        coefficients = fit_ridge(design, label, config.penalty)
        predict: Predict = lambda rows: rows @ coefficients  # noqa: E731
        bound = config.threshold * config.round_trip_cost
    else:
        rises = label > 0.0
        if model == "logistic":
            slopes = fit_logistic(design, rises, config.penalty)
            predict = lambda rows: logistic(rows @ slopes) - 0.5  # noqa: E731
        else:
            predict = _boosting(design, rises, config.seed)
        bound = float(np.quantile(np.abs(predict(design)), 1.0 - config.trade_share))
    everything = design_matrix(market)
    score = predict(everything.reshape(-1, everything.shape[2])).reshape(everything.shape[:2])
    return Schedule(target_TA=np.where(np.abs(score) >= max(bound, math.ulp(0.0)), np.sign(score), 0.0))
