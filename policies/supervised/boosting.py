"""Boosted trees of LightGBM and XGBoost, each in its library's own text format, which holds no code.

One thread and fixed seeds: the same rows and parameters give the same trees. A model predicts by what its text says, so
that one read from a file cannot differ. Axes: R rows, F feature.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from policies.supervised.settings import LightGBMParameters, RankParameters, XGBoostParameters

FloatArray = NDArray[np.float64]


class LightGBMModel:
    """text : LightGBM's own. Scores are probabilities, or of a ranking numbers that order the symbols of a bar."""

    suffix = "lightgbm.txt"

    def __init__(self, text: str) -> None:
        import lightgbm

        self.text = text
        self._booster = lightgbm.Booster(model_str=text)

    def predict(self, design: FloatArray) -> FloatArray:
        """(R,) scores."""
        return np.asarray(self._booster.predict(design, num_threads=1), dtype=np.float64)


class XGBoostModel:
    """text : XGBoost's own JSON. Scores are probabilities in single precision."""

    suffix = "xgboost.json"

    def __init__(self, text: str) -> None:
        import xgboost

        self.text = text
        self._booster = xgboost.Booster({"nthread": 1})
        self._booster.load_model(bytearray(text.encode()))

    def predict(self, design: FloatArray) -> FloatArray:
        """(R,) scores."""
        return np.asarray(self._booster.inplace_predict(np.ascontiguousarray(design)), dtype=np.float64)


def fit_lightgbm(
    design: FloatArray,
    rises: NDArray[np.bool_],
    parameters: LightGBMParameters,
    seed: int,
    weight: FloatArray | None = None,
) -> LightGBMModel:
    """Trees for the probability of a rise."""
    import lightgbm

    data = lightgbm.Dataset(design, label=rises.astype(np.float64), weight=weight)
    settings = _lightgbm_settings(parameters, seed) | {"objective": "binary"}
    return LightGBMModel(lightgbm.train(settings, data, num_boost_round=parameters.rounds).model_to_string())


def fit_ranking(
    design: FloatArray,
    earned: FloatArray,
    bar: NDArray[np.int64],
    parameters: RankParameters,
    seed: int,
    weight: FloatArray | None = None,
) -> LightGBMModel:
    """Trees that order the symbols of a bar by what they earn next (LambdaMART; Burges 2010).

    Parameters
    ----------
    earned : (R,) returns. bar : (R,) in order; a bar with fewer than two rows says nothing of an order.

    Raises
    ------
    ValueError
        If no bar has two rows.
    """
    import lightgbm

    _, place, size = np.unique(bar, return_inverse=True, return_counts=True)
    kept = size[place] > 1
    if not kept.any():
        raise ValueError(
            "lightgbm_rank orders the symbols of a bar, but no training bar has two; give it more symbols"
        )
    design, earned, place = design[kept], earned[kept], place[kept]
    group = size[size > 1]
    data = lightgbm.Dataset(
        design,
        label=grades(earned, place, parameters.grades),
        group=group,
        weight=None if weight is None else weight[kept],
    )
    settings = _lightgbm_settings(parameters, seed) | {
        "objective": "lambdarank", "label_gain": list(range(parameters.grades)),
        "lambdarank_truncation_level": int(group.max()),
    }  # fmt: skip
    return LightGBMModel(lightgbm.train(settings, data, num_boost_round=parameters.rounds).model_to_string())


def grades(earned: FloatArray, group: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """(R,) relevance 0 to ``count - 1``: place of each row among those of its group, lowest first.

    Parameters
    ----------
    earned, group : (R,); a group's rows lie side by side. Of equal rows the earlier one is the lower.
    """
    order = np.lexsort((earned, group))
    _, first, size = np.unique(group[order], return_index=True, return_counts=True)
    within = np.arange(len(order)) - np.repeat(first, size)
    relevance = np.empty(len(order), dtype=np.int64)
    relevance[order] = within * count // np.repeat(size, size)
    return relevance


def fit_xgboost(
    design: FloatArray,
    rises: NDArray[np.bool_],
    parameters: XGBoostParameters,
    seed: int,
    weight: FloatArray | None = None,
) -> XGBoostModel:
    """Trees for the probability of a rise."""
    import xgboost

    data = xgboost.DMatrix(design, label=rises.astype(np.float64), weight=weight, nthread=1)
    settings: dict[str, Any] = {
        "objective": "binary:logistic", "tree_method": "hist", "max_depth": parameters.depth,
        "learning_rate": parameters.learning_rate, "min_child_weight": parameters.min_child_weight,
        "colsample_bytree": parameters.feature_share, "subsample": parameters.row_share,
        "reg_lambda": parameters.l2, "seed": seed % 2**31, "nthread": 1, "verbosity": 0,
    }  # fmt: skip
    booster = xgboost.train(settings, data, num_boost_round=parameters.rounds)
    return XGBoostModel(booster.save_raw("json").decode())


def _lightgbm_settings(parameters: LightGBMParameters, seed: int) -> dict[str, Any]:
    return {
        "num_leaves": parameters.leaves, "learning_rate": parameters.learning_rate,
        "min_data_in_leaf": parameters.min_leaf_rows, "feature_fraction": parameters.feature_share,
        "bagging_fraction": parameters.row_share, "bagging_freq": 1, "lambda_l2": parameters.l2, "seed": seed % 2**31,
        "deterministic": True, "force_row_wise": True, "num_threads": 1, "verbosity": -1,
    }  # fmt: skip
