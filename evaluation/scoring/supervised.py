"""Supervised baselines: models of the next return on the same features, traded through the same simulator.

Fitted on the fold's training window alone, purged: a row whose label reaches past the window is not used. Predictions
become directions by a threshold, so that doubt means no position. Axes: T time, A asset, F feature, R rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.labels import horizon_returns
from data.schema import Panel
from envs.market import Market
from policies.baselines import Schedule

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


def design_matrix(market: Market) -> FloatArray:
    """(T, A, F) what a model may know at the close of each bar: the asset's features, the clock, and a constant."""
    assets = market.features.astype(np.float64)
    clock = np.repeat(market.clock[:, None, :].astype(np.float64), assets.shape[1], axis=1)
    return np.concatenate([assets, clock, np.ones((*assets.shape[:2], 1))], axis=2)


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


def fit_ridge(design: FloatArray, label: FloatArray, penalty: float) -> FloatArray:
    """(F,) coefficients that minimise mean squared error plus ``penalty`` times their squares (the last one free)."""
    ridge = penalty * len(design) * np.eye(design.shape[1])
    ridge[-1, -1] = 0.0
    coefficients, *_ = np.linalg.lstsq(design.T @ design + ridge, design.T @ label, rcond=None)
    return np.asarray(coefficients, dtype=np.float64)


def fit_logistic(design: FloatArray, rises: NDArray[np.bool_], penalty: float, steps: int = 25) -> FloatArray:
    """(F,) coefficients of a penalised logistic regression, by Newton's method (the last coefficient is free)."""
    coefficients = np.zeros(design.shape[1])
    ridge = np.full(design.shape[1], penalty * len(design))
    ridge[-1] = 0.0
    for _ in range(steps):
        probability = 1.0 / (1.0 + np.exp(-np.clip(design @ coefficients, -30.0, 30.0)))
        gradient = design.T @ (probability - rises) + ridge * coefficients
        curvature = (design * (probability * (1.0 - probability))[:, None]).T @ design + np.diag(ridge + 1e-9)
        move = np.linalg.solve(curvature, gradient)
        coefficients -= move
        if np.abs(move).max() < 1e-10:
            break
    return coefficients


def _boosting(design: FloatArray, rises: NDArray[np.bool_], seed: int) -> Predict:
    import lightgbm

    settings: dict[str, Any] = {
        "objective": "binary", "num_leaves": 15, "learning_rate": 0.05, "min_data_in_leaf": 200,
        "feature_fraction": 0.7, "bagging_fraction": 0.7, "bagging_freq": 1, "lambda_l2": 1.0, "seed": seed,
        "deterministic": True, "force_row_wise": True, "num_threads": 1, "verbosity": -1,
    }  # fmt: skip
    data = lightgbm.Dataset(design, label=rises.astype(np.float64))
    model = lightgbm.train(settings, data, num_boost_round=100)
    return lambda rows: np.asarray(model.predict(rows, num_threads=1)) - 0.5


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
            predict = lambda rows: 1.0 / (1.0 + np.exp(-np.clip(rows @ slopes, -30.0, 30.0))) - 0.5  # noqa: E731
        else:
            predict = _boosting(design, rises, config.seed)
        bound = float(np.quantile(np.abs(predict(design)), 1.0 - config.trade_share))
    everything = design_matrix(market)
    score = predict(everything.reshape(-1, everything.shape[2])).reshape(everything.shape[:2])
    return Schedule(target_TA=np.where(np.abs(score) >= max(bound, math.ulp(0.0)), np.sign(score), 0.0))
