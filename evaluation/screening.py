"""Feature screening: which features predict the next return out of sample, by models that disagree for good reasons.

Purged expanding folds; a ridge regression and boosted trees fitted on each training window; a feature's importance is
what its model loses on the test window when that feature's values are shuffled there. Axes: R rows, F feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.features import FeatureSet, Standardiser
from data.labels import horizon_returns
from data.schema import Panel
from evaluation.splits import Fold, WalkForward
from evaluation.supervised import Predict, fit_ridge

FloatArray = NDArray[np.float64]
MODELS = ("ridge", "trees")


@dataclass(frozen=True, kw_only=True)
class ScreeningConfig:
    """How features are screened.

    Attributes
    ----------
    num_folds : expanding folds; the first trains on as many bars as each tests on.
    horizon_bars : bars that the label covers; also the purge.
    embargo_bars : further bars left out before each test window.
    cost_bps : per side; the label is what a position along the predicted side earns, so costs lower the score.
    penalty : of the ridge regression, per row.
    num_shuffles : shuffles per feature and fold.
    models : of `MODELS`; "trees" needs the package lightgbm.
    seed : of shuffles and trees.
    """

    num_folds: int
    horizon_bars: int
    embargo_bars: int
    cost_bps: float
    penalty: float
    num_shuffles: int
    models: tuple[str, ...]
    seed: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "models", tuple(self.models))
        if self.num_folds < 1 or self.horizon_bars < 1 or self.num_shuffles < 1:
            raise ValueError("screening.num_folds, horizon_bars and num_shuffles must be at least 1")
        unknown = [name for name in self.models if name not in MODELS]
        if unknown or not self.models:
            raise ValueError(f"screening.models is {list(self.models)}; choose of {', '.join(MODELS)}")


def screening_folds(config: ScreeningConfig, num_bars: int) -> list[Fold]:
    """Expanding folds of equal test length."""
    gap = config.horizon_bars + config.embargo_bars
    length = (num_bars - gap) // (config.num_folds + 1)
    splitter = WalkForward(
        max(length, 1), max(length, 1), horizon_bars=config.horizon_bars, embargo_bars=config.embargo_bars,
        anchored=True,
    )  # fmt: skip
    return splitter.folds(num_bars)


def net_score(prediction: FloatArray, growth: FloatArray, cost: float) -> float:
    """Mean net return per row of holding the predicted side, rows weighted by the prediction's size.

    Parameters
    ----------
    prediction : (R,) predicted returns. growth : (R,) realised returns of a long position before costs.
    cost : of a round trip, fraction of notional.
    """
    size = np.abs(prediction)
    weight = size / size.mean() if size.mean() > 0.0 else size
    return float(np.mean(weight * (np.sign(prediction) * growth - cost)))


def _trees(design: FloatArray, label: FloatArray, seed: int) -> Predict:
    try:
        import lightgbm
    except ImportError as error:
        raise ValueError(
            "the model 'trees' needs the package lightgbm; install it or leave it out"
        ) from error
    settings = {
        "objective": "regression", "num_leaves": 15, "learning_rate": 0.05, "min_data_in_leaf": 100,
        "feature_fraction": 0.7, "bagging_fraction": 0.7, "bagging_freq": 1, "seed": seed, "deterministic": True,
        "force_row_wise": True, "num_threads": 1, "verbosity": -1,
    }  # fmt: skip
    model = lightgbm.train(settings, lightgbm.Dataset(design, label=label), num_boost_round=80)
    return lambda rows: np.asarray(model.predict(rows, num_threads=1))


def _fit(model: str, design: FloatArray, label: FloatArray, config: ScreeningConfig) -> Predict:
    if model == "trees":
        return _trees(design, label, config.seed)
    with_constant = np.column_stack([design, np.ones(len(design))])
    coefficients = fit_ridge(with_constant, label, config.penalty)
    return lambda rows: rows @ coefficients[:-1] + coefficients[-1]


def _rows(features: FeatureSet, label_TA: FloatArray, bars: slice) -> tuple[FloatArray, FloatArray]:
    design = np.nan_to_num(features.asset[bars].astype(np.float64)).reshape(-1, len(features.asset_names))
    label = label_TA[bars].reshape(-1)
    usable = np.isfinite(label)
    return design[usable], label[usable]


def screen_features(panel: Panel, features: FeatureSet, config: ScreeningConfig) -> pd.DataFrame:
    """Screen every asset feature.

    Parameters
    ----------
    panel, features : the bars and their features, not standardised; each fold standardises on its training window.

    Returns
    -------
    A row per feature, model and fold: feature, model, fold, score (of the whole model), importance (its loss of score
    when the feature is shuffled on the test window, mean over shuffles).

    Raises
    ------
    ValueError
        If the folds do not fit into the bars, or a model's package is missing.
    """
    label_TA = horizon_returns(panel, horizon_bars=config.horizon_bars).net_return
    cost = 2.0 * config.cost_bps * 1e-4
    rows = []
    for fold in screening_folds(config, panel.num_bars):
        ready = Standardiser.fit(features, fold.train).transform(features)
        known = slice(max(fold.train.start, features.lookback_bars), fold.train.stop)
        design, label = _rows(ready, label_TA, known)
        unseen, growth = _rows(ready, label_TA, fold.test)
        for model in config.models:
            predict = _fit(model, design, label, config)
            score = net_score(predict(unseen), growth, cost)
            random = np.random.default_rng([config.seed, fold.index])
            for column, name in enumerate(features.asset_names):
                losses = []
                for _ in range(config.num_shuffles):
                    shuffled = unseen.copy()
                    shuffled[:, column] = random.permutation(shuffled[:, column])
                    losses.append(score - net_score(predict(shuffled), growth, cost))
                rows.append(
                    {
                        "feature": name, "model": model, "fold": fold.index, "score": score,
                        "importance": float(np.mean(losses)),
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


def consensus(table: pd.DataFrame) -> pd.DataFrame:
    """A row per feature, best first: mean importance, share of folds and models in which it helped, mean rank.

    A feature is `kept` when it helps in more than half of the folds of every model and on average.
    """
    ranked = table.assign(rank=table.groupby(["model", "fold"])["importance"].rank(ascending=False))
    ranked["helped"] = ranked["importance"] > 0.0
    grouped = ranked.groupby("feature", sort=False)
    result = grouped.agg(importance=("importance", "mean"), helped=("helped", "mean"), rank=("rank", "mean"))
    by_model = ranked.groupby(["feature", "model"])["helped"].mean().groupby("feature").min()
    result["kept"] = (by_model.reindex(result.index) > 0.5) & (result["importance"] > 0.0)
    return result.sort_values(["rank", "importance"], ascending=[True, False]).reset_index()


def summary_markdown(table: pd.DataFrame, names: Sequence[str]) -> str:
    """The text of summary.md: the consensus table and how the models did as a whole."""
    agreed = consensus(table)
    lines = ["# Feature screening", "", "| feature | kept | helped in | mean rank | importance (bps a bar) |"]
    lines += ["|---|---|---:|---:|---:|"]
    lines += [
        f"| {row.feature} | {'yes' if row.kept else 'no'} | {row.helped:.0%} | {row.rank:.1f} "
        f"| {1e4 * row.importance:.3f} |"
        for row in agreed.itertuples(index=False)
    ]
    scores = table.drop_duplicates(["model", "fold"]).groupby("model")["score"].mean()
    lines += ["", "| model | net return out of sample (bps a bar) |", "|---|---:|"]
    lines += [f"| {model} | {1e4 * score:.3f} |" for model, score in scores.items()]
    kept = int(agreed["kept"].sum())
    lines += ["", f"{kept} of {len(names)} features help out of sample in every model."]
    return "\n".join(lines) + "\n"
