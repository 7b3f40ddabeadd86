"""The models of one supervised policy: which were fitted for what, what they predict, and the texts that hold them.

Axes: N bars or envs, A asset, F feature, S side (0 long, 1 short).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from policies.supervised.boosting import LightGBMModel, XGBoostModel
from policies.supervised.linear import LinearModel
from policies.supervised.positions import LONG, SHORT
from policies.supervised.settings import SupervisedSettings

FloatArray = NDArray[np.float64]
SIDES = {"long": LONG, "short": SHORT}


class Model(Protocol):
    """Predicts row by row: no row's score depends on the others. ``text`` holds all of it, and no code."""

    @property
    def text(self) -> str: ...

    def predict(self, design: FloatArray) -> FloatArray: ...


READERS: Mapping[str, tuple[str, Callable[[str], Model]]] = {
    "ridge": ("json", LinearModel.of_text),
    "logistic": ("json", LinearModel.of_text),
    "lightgbm": (LightGBMModel.suffix, LightGBMModel),
    "lightgbm_rank": (LightGBMModel.suffix, LightGBMModel),
    "xgboost": (XGBoostModel.suffix, XGBoostModel),
}
"""Model -> ending of its file, and what reads its text."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedModel:
    """One model.

    Parameters
    ----------
    side : "long" or "short", whose label it was fitted on.
    asset : slot of the only symbol that it is for; None for all.
    model : what predicts.
    gain, loss : mean return of the training rows whose side paid, and of those whose did not; 0 for none.
    """

    side: str
    asset: int | None
    model: Model
    gain: float
    loss: float

    def facts(self) -> dict[str, Any]:
        """What is known of it beside its text."""
        return {"side": self.side, "asset": self.asset, "gain": self.gain, "loss": self.loss}


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedModels:
    """All models of a policy.

    Parameters
    ----------
    settings : of the policy. models : one for each fitted side, and each symbol where ``scope`` is symbol.
    bound : least strength that is traded under rules threshold and share.
    """

    settings: SupervisedSettings
    models: tuple[FittedModel, ...]
    bound: float

    def strength_and_edge(self, design: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(N, A, S) what sides are compared by, and expected return of each, NaN where a model tells none.

        Parameters
        ----------
        design : (N, A, F).
        """
        strength = np.full((*design.shape[:2], 2), -np.inf)
        edge = np.full(strength.shape, -np.inf)
        for fitted in self.models:
            assets = slice(None) if fitted.asset is None else slice(fitted.asset, fitted.asset + 1)
            rows = design[:, assets]
            score = fitted.model.predict(np.ascontiguousarray(rows.reshape(-1, rows.shape[2])))
            score = score.reshape(rows.shape[:2])
            place = SIDES[fitted.side]
            if self.settings.classifies:
                expected = score * fitted.gain + (1.0 - score) * fitted.loss
                other = 1.0 - score
            else:
                expected = np.full(score.shape, np.nan) if self.settings.model == "lightgbm_rank" else score
                other = -score
            strength[:, assets, place], edge[:, assets, place] = score, expected
            if self.settings.mirrored:
                strength[:, assets, SHORT], edge[:, assets, SHORT] = other, -expected
        return strength, edge

    @property
    def texts(self) -> dict[str, str]:
        """Name of a file -> the model in it."""
        names = text_names(self.settings, self.facts())
        return {name: fitted.model.text for name, fitted in zip(names, self.models)}

    def facts(self) -> dict[str, Any]:
        """What a contract says of the models beside their texts."""
        return {"bound": self.bound, "fitted": [fitted.facts() for fitted in self.models]}

    @property
    def digest(self) -> str:
        """`models_digest` of these."""
        return models_digest(self.facts(), self.texts)

    @classmethod
    def of_texts(
        cls, settings: SupervisedSettings, facts: Mapping[str, Any], texts: Mapping[str, str]
    ) -> FittedModels:
        """From what `facts` and `texts` gave.

        Raises
        ------
        KeyError
            If a text is missing.
        """
        read = READERS[settings.model][1]
        models = tuple(
            FittedModel(**one, model=read(texts[name]))
            for one, name in zip(facts["fitted"], text_names(settings, facts))
        )
        return cls(settings=settings, models=models, bound=facts["bound"])


def models_digest(facts: Mapping[str, Any], texts: Mapping[str, str]) -> str:
    """sha256 over every text, and what is known beside them."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name, text in sorted(texts.items()):
        digest.update(name.encode())
        digest.update(text.encode())
    return digest.hexdigest()


def text_names(settings: SupervisedSettings, facts: Mapping[str, Any]) -> list[str]:
    """The files that hold the models of these facts.

    Raises
    ------
    KeyError
        For facts that no policy of this release writes.
    """
    for one in facts["fitted"]:
        SIDES[one["side"]]  # so that no text of a contract names a file elsewhere
    return [f"{file_name(one['side'], one['asset'])}.{READERS[settings.model][0]}" for one in facts["fitted"]]


def file_name(side: str, asset: int | None) -> str:
    """Name of a model's file, without the ending."""
    return side if asset is None else f"{side}_{asset:03d}"
