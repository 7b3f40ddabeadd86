"""Supervised baselines: models of the next return, traded through the same simulator.

Each is fitted twice: on the features and the clock that the policy sees, and on price features that are always the same
(`price_features`), which the configuration cannot take from it. Fitted on the fold's training window alone, purged: a
row whose label reaches past the window is not used. Predictions become directions by a threshold, so that doubt means
no position. The models are those of `policies.supervised`. Axes: T time, A asset, F feature, R rows.
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
from evaluation.scoring.price_features import price_features
from policies.baselines import Schedule
from policies.supervised.boosting import fit_lightgbm
from policies.supervised.design import design_matrix, designed
from policies.supervised.linear import fit_logistic, fit_ridge, logistic
from policies.supervised.settings import LightGBMParameters

FloatArray = NDArray[np.float64]
Predict = Callable[[FloatArray], FloatArray]
MODELS = ("ridge", "logistic", "boosting")
PACKAGES = {"boosting": "lightgbm"}
"""Model -> the package that it needs beyond Rayfold's own; the extra `supervised` brings it."""
ON_PRICES = "_on_prices"
"""End of the name of a baseline that reads price features: `ridge_on_prices` beside `ridge`, which reads others."""


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
    rows = _LabelledRows.of(panel, market.first_bar, train, horizon_bars)
    return rows.of_design(design_matrix(market), 0), rows.label


@dataclass(frozen=True, kw_only=True, eq=False)
class _LabelledRows:
    """The usable rows of the training bars, the same whatever is read at them.

    Attributes
    ----------
    bar : (K,) training bars. usable : (K, A) which of them have a label. label : (R,) of those, in their order.
    """

    bar: NDArray[np.int64]
    usable: NDArray[np.bool_]
    label: FloatArray

    @classmethod
    def of(
        cls, panel: Panel, first_bar: int, train: slice | Sequence[slice], horizon_bars: int
    ) -> _LabelledRows:
        """The rows of a training window from ``first_bar`` on, or of its stretches."""
        parts = _stretches(train)
        known = [(max(part.start, first_bar), part.stop - horizon_bars) for part in parts]
        known = [(start, stop) for start, stop in known if start < stop]
        if not known:
            raise ValueError(
                f"the training window [{parts[0].start}, {parts[-1].stop}) leaves no row after a lookback of "
                f"{first_bar} and a horizon of {horizon_bars} bars; lengthen it"
            )
        bar = np.concatenate([np.arange(start, stop) for start, stop in known])
        label_KA = horizon_returns(panel, horizon_bars=horizon_bars).net_return[bar]
        usable = np.isfinite(label_KA)
        return cls(bar=bar, usable=usable, label=label_KA[usable])

    def of_design(self, design_TAF: FloatArray, first_bar: int) -> FloatArray:
        """(R, F) the rows of a design whose first bar is ``first_bar`` of the panel."""
        return design_TAF[self.bar - first_bar][self.usable]


def _stretches(train: slice | Sequence[slice]) -> list[slice]:
    return [train] if isinstance(train, slice) else list(train)


def _boosting(design: FloatArray, rises: NDArray[np.bool_], seed: int) -> Predict:
    parameters = LightGBMParameters(
        rounds=100, learning_rate=0.05, leaves=15, min_leaf_rows=200, feature_share=0.7, row_share=0.7, l2=1.0
    )
    model = fit_lightgbm(design, rises, parameters, seed)
    return lambda rows: model.predict(rows) - 0.5


def fit_schedules(
    models: Sequence[str],
    panel: Panel,
    market: Market,
    train: slice | Sequence[slice],
    config: SupervisedConfig,
    *,
    wanted: slice | None = None,
) -> dict[str, Schedule]:
    """Fit each model on the training window twice, and turn its predictions into directions.

    Parameters
    ----------
    models : "ridge" (predicted return against costs), "logistic" or "boosting" (probability of a rise).
    market : with features standardised on ``train`` alone.
    wanted : bars at which a direction is wanted; None is all of them.

    Returns
    -------
    MODEL, which read the market's features and clock, and MODEL_on_prices, which read `price_features`. Schedules
    over the panel, flat outside of the training and the wanted bars; only the bars after the training window are out of
    sample.

    Raises
    ------
    ValueError
        For an unknown model, an empty training window, or boosting without its package.
    """
    for model in models:
        if model not in MODELS:
            raise ValueError(f"unknown supervised model {model!r}; known are {', '.join(MODELS)}")
    if not models:
        return {}
    parts = _stretches(train)
    rows = _LabelledRows.of(panel, market.first_bar, parts, config.horizon_bars)
    wanted = slice(0, panel.num_bars) if wanted is None else wanted
    bars = slice(min(part.start for part in (*parts, wanted)), max(part.stop for part in (*parts, wanted)))
    clock = market.clock[bars]
    inputs = {
        "": designed(market.features[bars], clock),
        ON_PRICES: designed(price_features(panel, parts, bars), clock[:, :0]),
    }
    fitted = {}
    for read, design in inputs.items():
        known = rows.of_design(design, bars.start)
        for model in models:
            side_NA = _sides(model, known, rows.label, design, config)
            target = np.zeros((panel.num_bars, panel.num_assets))
            target[bars] = side_NA
            fitted[f"{model}{read}"] = Schedule(target_TA=target)
    return fitted


def _sides(
    model: str, known: FloatArray, label: FloatArray, design: FloatArray, config: SupervisedConfig
) -> FloatArray:
    """(N, A) directions of a model that was fitted on the rows (R, F) ``known``, for a design (N, A, F)."""
    if model == "ridge":
        coefficients = fit_ridge(known, label, config.penalty)
        predict: Predict = lambda rows: rows @ coefficients  # noqa: E731
        bound = config.threshold * config.round_trip_cost
    else:
        rises = label > 0.0
        if model == "logistic":
            slopes = fit_logistic(known, rises, config.penalty)
            predict = lambda rows: logistic(rows @ slopes) - 0.5  # noqa: E731
        else:
            predict = _boosting(known, rises, config.seed)
        bound = float(np.quantile(np.abs(predict(known)), 1.0 - config.trade_share))
    score = predict(design.reshape(-1, design.shape[2])).reshape(design.shape[:2])
    return np.where(np.abs(score) >= max(bound, math.ulp(0.0)), np.sign(score), 0.0)


def fit_schedule(
    model: str, panel: Panel, market: Market, train: slice | Sequence[slice], config: SupervisedConfig
) -> Schedule:
    """One model on the market's own features, as `fit_schedules` fits it."""
    return fit_schedules([model], panel, market, train, config)[model]
