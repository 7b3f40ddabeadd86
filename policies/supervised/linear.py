"""Ridge and logistic regression, in closed form and by Newton's method. Axes: F feature, R rows."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def fit_ridge(
    design: FloatArray, label: FloatArray, penalty: float, weight: FloatArray | None = None
) -> FloatArray:
    """(F,) coefficients that minimise mean squared error plus ``penalty`` times their squares (the last one free).

    Parameters
    ----------
    weight : (R,) of the rows, with a mean of 1; None weighs them alike.
    """
    ridge = penalty * len(design) * np.eye(design.shape[1])
    ridge[-1, -1] = 0.0
    weighted = design if weight is None else design * weight[:, None]
    coefficients, *_ = np.linalg.lstsq(weighted.T @ design + ridge, weighted.T @ label, rcond=None)
    return np.asarray(coefficients, dtype=np.float64)


def fit_logistic(
    design: FloatArray,
    rises: NDArray[np.bool_],
    penalty: float,
    steps: int = 25,
    weight: FloatArray | float = 1.0,
) -> FloatArray:
    """(F,) coefficients of a penalised logistic regression, by Newton's method (the last coefficient is free).

    Parameters
    ----------
    weight : (R,) of the rows, with a mean of 1.
    """
    coefficients = np.zeros(design.shape[1])
    ridge = np.full(design.shape[1], penalty * len(design))
    ridge[-1] = 0.0
    for _ in range(steps):
        probability = logistic(design @ coefficients)
        gradient = design.T @ (weight * (probability - rises)) + ridge * coefficients
        curvature = weight * (probability * (1.0 - probability))
        move = np.linalg.solve((design * curvature[:, None]).T @ design + np.diag(ridge + 1e-9), gradient)
        coefficients -= move
        if np.abs(move).max() < 1e-10:
            break
    return coefficients


def logistic(score: FloatArray) -> FloatArray:
    """Probability of a log-odds score, which is cut at +-30."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(score, -30.0, 30.0))), dtype=np.float64)


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearModel:
    """coefficients : (F,). classifies : scores are probabilities, else the predicted label itself."""

    coefficients: FloatArray
    classifies: bool

    def predict(self, design: FloatArray) -> FloatArray:
        """(R,) scores. Row by row and not by a matrix product, whose rounding depends on the number of rows."""
        score = (design * self.coefficients).sum(axis=1)
        return logistic(score) if self.classifies else score

    @property
    def text(self) -> str:
        """As JSON; numbers are written so that they are read to the bit."""
        return json.dumps({"classifies": self.classifies, "coefficients": self.coefficients.tolist()})

    @classmethod
    def of_text(cls, text: str) -> LinearModel:
        """From what `text` gave."""
        facts = json.loads(text)
        return cls(
            coefficients=np.array(facts["coefficients"], dtype=np.float64), classifies=facts["classifies"]
        )
