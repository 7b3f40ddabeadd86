"""Feature screening: which features predict the next return out of sample, by models that disagree for good reasons.

Purged expanding folds; a ridge regression and a random forest fitted on each training window, on labels net of costs,
weighted by their uniqueness (`data.labelling`); a feature's importance is what a model's net score loses on the test
window when that feature's values are shuffled there.
Axes: T time, A asset, F feature, R rows (a bar of an asset).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.features import FeatureSet, Standardiser
from data.labelling import LabelConfig, Labels, make_labels
from data.schema import Panel
from data.split_factors import split_factors
from data.traded_prices import last_traded
from envs.costs import CostConfig
from envs.instruments import Instrument
from evaluation.scoring.supervised import Predict, fit_ridge
from evaluation.windows.splits import Fold, WalkForward

FloatArray = NDArray[np.float64]
LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ScreeningConfig:
    """How features are screened.

    Attributes
    ----------
    bars : "training" screens on the bars before the first walk-forward test window, so that what is chosen here can
        still be tested on bars that the choice did not see; "all" screens on every bar.
    num_folds : expanding folds; the first trains on as many bars as each tests on.
    horizon_bars : bars that the labels cover at most; also the purge.
    embargo_bars : further bars left out before each test window.
    models : of `MODELS`; a feature stands out only where all of them agree.
    penalty : of the ridge regression, per row.
    num_trees, max_depth : of the random forest.
    max_rows : training rows a model is fitted on, evenly spaced over the window.
    num_shuffles : shuffles per feature and fold.
    num_blocks : blocks of time that each test window is cut into for the significance of an importance.
    confidence : that nothing stands out where nothing predicts, 0.5 to 1.
    seed : of shuffles and trees.
    """

    bars: Literal["training", "all"]
    num_folds: int
    horizon_bars: int
    embargo_bars: int
    models: tuple[str, ...]
    penalty: float
    num_trees: int
    max_depth: int
    max_rows: int
    num_shuffles: int
    num_blocks: int
    confidence: float
    seed: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "models", tuple(self.models))
        for name in ("num_folds", "horizon_bars", "num_trees", "max_depth", "num_shuffles"):
            if getattr(self, name) < 1:
                raise ValueError(f"screening.{name} is {getattr(self, name)}; it must be at least 1")
        if self.num_blocks < 2 or self.max_rows < 100:
            raise ValueError("screening.num_blocks must be at least 2 and screening.max_rows at least 100")
        if self.embargo_bars < 0 or self.penalty < 0.0:
            raise ValueError("screening.embargo_bars and screening.penalty must not be negative")
        if not 0.5 <= self.confidence < 1.0:
            raise ValueError(f"screening.confidence is {self.confidence}; use 0.5 to below 1")
        unknown = [name for name in self.models if name not in MODELS]
        if unknown or not self.models:
            raise ValueError(f"screening.models is {list(self.models)}; choose of {', '.join(MODELS)}")


def screening_folds(config: ScreeningConfig, num_bars: int) -> list[Fold]:
    """Expanding folds of equal test length."""
    gap = config.horizon_bars + config.embargo_bars
    length = max((num_bars - gap) // (config.num_folds + 1), 1)
    splitter = WalkForward(
        length, length, horizon_bars=config.horizon_bars, embargo_bars=config.embargo_bars, anchored=True
    )
    return splitter.folds(num_bars)[: config.num_folds]


def check_folds(config: ScreeningConfig, num_bars: int, lookback_bars: int) -> None:
    """Raise ValueError unless every fold has bars to learn from and two bars for each block of its test window."""
    fold = screening_folds(config, num_bars)[0]
    train, test = fold.train.stop - lookback_bars, fold.test.stop - fold.test.start
    if min(train, test) < 2 * config.num_blocks:
        raise ValueError(
            f"screening.num_folds is {config.num_folds}, which leaves {max(train, 0)} bars to learn from after a "
            f"lookback of {lookback_bars} and {test} to test on; use fewer folds or blocks, or give more data"
        )


def cost_per_side(panel: Panel, instruments: Mapping[str, Instrument], costs: CostConfig) -> FloatArray:
    """(T, A) commission, spread and fixed slippage of one side, fraction of notional, at each last known close.

    What depends on the size of an order (impact, volume slippage) or on time (borrow, funding) is left out. Fees and
    ticks are those of shares as traded, as they are in the next bar, where an order fills.
    """
    price = last_traded(panel)
    price = np.where(price > 0.0, price, np.nan)  # a share of nothing is not known
    price = price * split_factors(panel)  # of one unit that is traded
    columns = []
    for asset, symbol in enumerate(panel.symbols):
        one = instruments[symbol]
        ticks = one.half_spread_ticks if costs.half_spread_bps is None else 0.0
        spread_bps = one.half_spread_bps if costs.half_spread_bps is None else costs.half_spread_bps
        per_unit = one.commission_per_unit if costs.fee_bps is None else 0.0
        fee_bps = one.taker_fee_bps if costs.fee_bps is None else costs.fee_bps
        slippage_bps = costs.slippage_value if costs.slippage == "fixed_bps" else 0.0
        ticks += costs.slippage_value if costs.slippage == "fixed_ticks" else 0.0
        in_price = ticks * one.tick_size + per_unit / one.multiplier
        columns.append(1e-4 * (spread_bps + fee_bps + slippage_bps) + in_price / price[:, asset])
    return np.stack(columns, axis=1)


def net_label(growth: FloatArray, cost: FloatArray) -> FloatArray:
    """(R,) what the better side earns net of a round trip, signed by that side; 0 where neither side pays.

    Parameters
    ----------
    growth : (R,) return of a long position before costs. cost : (R,) of a round trip, fraction of notional.
    """
    return np.sign(growth) * np.maximum(np.abs(growth) - cost, 0.0)


def net_score(prediction: FloatArray, growth: FloatArray, cost: FloatArray) -> FloatArray:
    """(R,) net return of holding the predicted side in each row, rows weighted by the prediction's size.

    Parameters
    ----------
    prediction : (R,) predicted returns. growth, cost : as for `net_label`.
    """
    size = np.abs(prediction)
    weight = size / size.mean() if size.mean() > 0.0 else size
    return weight * (np.sign(prediction) * growth - cost)


def taken_score(prediction: FloatArray, earned: FloatArray) -> FloatArray:
    """(R,) net return of taking a primary rule's side where it is predicted to pay, weighted as `net_score`.

    Parameters
    ----------
    prediction : (R,) predicted net returns. earned : (R,) what the rule's side earns, net.
    """
    size = np.maximum(prediction, 0.0)
    weight = size / size.mean() if size.mean() > 0.0 else size
    return weight * earned


def _ridge(design: FloatArray, label: FloatArray, weight: FloatArray, config: ScreeningConfig) -> Predict:
    with_constant = np.column_stack([design, np.ones(len(design))])
    root = np.sqrt(weight)
    coefficients = fit_ridge(with_constant * root[:, None], label * root, config.penalty)
    return lambda rows: rows @ coefficients[:-1] + coefficients[-1]


def _forest(design: FloatArray, label: FloatArray, weight: FloatArray, config: ScreeningConfig) -> Predict:
    from sklearn.ensemble import RandomForestRegressor  # seconds, and only where a forest is asked for

    forest = RandomForestRegressor(
        n_estimators=config.num_trees,
        max_depth=config.max_depth,
        min_samples_leaf=20,
        max_features=1 / 3,
        random_state=config.seed,
        n_jobs=1,
    )
    forest.fit(design, label, sample_weight=weight)
    return lambda rows: np.asarray(forest.predict(rows))


MODELS: Mapping[str, Callable[[FloatArray, FloatArray, FloatArray, ScreeningConfig], Predict]] = {
    "ridge": _ridge,
    "forest": _forest,
}


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """Rows of a window, time after time.

    Attributes
    ----------
    design : (R, F). label : (R,) net return that a model is fitted on. weight : (R,) of a row in a fit, mean near 1.
    move, cost : (R,) half the difference of what long and short earn, and what the mean of both falls short of 0: a
        long position's return before costs and the cost of either side, where both have the same window.
    meta : there is a primary rule, whose side earns `label`.
    """

    design: FloatArray
    label: FloatArray
    weight: FloatArray
    move: FloatArray
    cost: FloatArray
    meta: bool

    @classmethod
    def of(cls, ready: FeatureSet, labels: Labels, bars: slice, weight_NA: FloatArray) -> _Rows:
        assets = np.nan_to_num(ready.asset[bars].astype(np.float64))
        clock = np.repeat(ready.clock[bars, None, :].astype(np.float64), assets.shape[1], axis=1)
        design = np.concatenate([assets, clock], axis=2).reshape(-1, assets.shape[2] + clock.shape[2])
        usable = weight_NA.reshape(-1) > 0.0
        long, short = (side[bars].reshape(-1)[usable] for side in (labels.long, labels.short))
        return cls(
            design=design[usable],
            label=labels.net_return[bars].reshape(-1)[usable],
            weight=weight_NA.reshape(-1)[usable],
            move=0.5 * (long - short),
            cost=-0.5 * (long + short),
            meta=labels.primary is not None,
        )

    def thinned(self, count: int) -> _Rows:
        """At most `count` rows, evenly spaced."""
        if len(self.label) <= count:
            return self
        chosen = np.linspace(0, len(self.label) - 1, count).astype(np.int64)
        arrays = {name: getattr(self, name)[chosen] for name in ("design", "label", "weight", "move", "cost")}
        return _Rows(**arrays, meta=self.meta)

    def score(self, prediction: FloatArray) -> FloatArray:
        """(R,) what trading by the predictions earns, net."""
        if self.meta:
            return taken_score(prediction, self.label)
        return net_score(prediction, self.move, self.cost)


def screen_features(
    panel: Panel,
    features: FeatureSet,
    config: ScreeningConfig,
    cost_TA: FloatArray,
    labels: LabelConfig | None = None,
) -> pd.DataFrame:
    """Screen every feature, of assets and of the clock.

    Parameters
    ----------
    panel, features : the bars and their features, not standardised; each fold standardises on its training window.
    cost_TA : (T, A) cost of one side, fraction of notional (`cost_per_side`).
    labels : what is predicted, over the same horizon as the folds are purged by; None is the return over it.

    Returns
    -------
    A row per feature, model, fold and block of time: feature, model, fold, block, score (of the whole model on that
    block, mean net return of a row), importance (its loss when the feature is shuffled, mean over shuffles).

    Raises
    ------
    ValueError
        If the folds do not fit into the bars, a window has no label, or the labels reach beyond the purge.
    """
    wanted = labels or returns_over(config.horizon_bars)
    if wanted.horizon_bars != config.horizon_bars:
        raise ValueError(
            f"labels.horizon_bars is {wanted.horizon_bars}, but the folds are purged by screening.horizon_bars="
            f"{config.horizon_bars}; make them equal"
        )
    check_folds(config, panel.num_bars, features.lookback_bars)
    made = make_labels(panel, wanted, cost_bps=1e4 * cost_TA, features=features)
    tables = []
    for fold in screening_folds(config, panel.num_bars):
        known = slice(features.lookback_bars, fold.train.stop)
        ready = Standardiser.fit(features, fold.train).transform(features)
        training = _Rows.of(ready, made, known, made.sample_weights(known)).thinned(config.max_rows)
        unseen = _Rows.of(ready, made, fold.test, made.known[fold.test].astype(np.float64))
        if not len(training.label) or not len(unseen.label):
            raise ValueError(
                f"fold {fold.index} has {len(training.label)} labels to learn from and {len(unseen.label)} to test on; "
                "shorten labels.horizon_bars or labels.volatility_bars, or give more data"
            )
        for model in config.models:
            LOG.info("screening: fold %d of %d, %s", fold.index + 1, config.num_folds, model)
            predict = MODELS[model](training.design, training.label, training.weight, config)
            table = _importances(
                predict, unseen, (*features.asset_names, *features.clock_names), config, fold
            )
            tables.append(table.assign(model=model))
    return pd.concat(tables, ignore_index=True)


def returns_over(horizon_bars: int) -> LabelConfig:
    """The labels of a fixed horizon, each of the same weight."""
    return LabelConfig(
        kind="horizon",
        horizon_bars=horizon_bars,
        profit_target=None,
        stop_loss=None,
        volatility_bars=None,
        weights="equal",
        primary=None,
        oppose=False,
    )


def _importances(
    predict: Predict, unseen: _Rows, names: tuple[str, ...], config: ScreeningConfig, fold: Fold
) -> pd.DataFrame:
    """A row per feature and block of one fold and model."""
    score_R = unseen.score(predict(unseen.design))
    random = np.random.default_rng([config.seed, fold.index])
    order = [random.permutation(len(score_R)) for _ in range(config.num_shuffles)]
    rows = []
    for column, name in enumerate(names):
        loss_R = np.zeros_like(score_R)
        shuffled = unseen.design.copy()
        for shuffle in order:
            shuffled[:, column] = unseen.design[shuffle, column]
            loss_R += score_R - unseen.score(predict(shuffled))
        loss_R /= config.num_shuffles
        blocks = zip(np.array_split(score_R, config.num_blocks), np.array_split(loss_R, config.num_blocks))
        rows += [
            {
                "feature": name,
                "fold": fold.index,
                "block": block,
                "score": float(score.mean()),
                "importance": float(loss.mean()),
            }
            for block, (score, loss) in enumerate(blocks)
        ]
    return pd.DataFrame(rows)
