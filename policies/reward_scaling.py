"""Reward scaling by the running spread of the discounted return (Engstrom et al. 2020, "Implementation
matters").

The scale is estimated on the fly and is part of a sampler's state, so that a resumed run scales exactly as
before.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class RewardScaler:
    """Divides rewards by the standard deviation of the discounted return seen so far.

    Parameters
    ----------
    num_envs : E.
    gamma : discount per step.
    """

    def __init__(self, num_envs: int, gamma: float) -> None:
        self._gamma = gamma
        self._returns_E = np.zeros(num_envs)
        self._count, self._mean, self._squares = 0.0, 0.0, 0.0

    def scale(self, rewards_E: NDArray[np.floating], ended_E: NDArray[np.bool_]) -> NDArray[np.floating]:
        """Take in one step's rewards (E,) and return them scaled; the running return restarts where
        ``ended_E``.
        """
        self._returns_E = self._gamma * self._returns_E + rewards_E
        # Chan et al. 1979: merge this step's moments into the running ones.
        count, mean = self._returns_E.size, float(self._returns_E.mean())
        total = self._count + count
        shift = mean - self._mean
        self._squares += (
            float(np.square(self._returns_E - mean).sum()) + shift**2 * self._count * count / total
        )
        self._mean += shift * count / total
        self._count = total
        self._returns_E[ended_E] = 0.0
        return rewards_E / max(self.standard_deviation, 1e-8)

    @property
    def standard_deviation(self) -> float:
        """Spread of the discounted return so far; 1.0 before there is any."""
        return float(np.sqrt(self._squares / self._count)) if self._squares > 0.0 else 1.0

    def get_state(self) -> dict[str, Any]:
        return {
            "returns": self._returns_E.copy(),
            "count": self._count,
            "mean": self._mean,
            "squares": self._squares,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        self._returns_E = np.array(state["returns"])
        self._count, self._mean, self._squares = state["count"], state["mean"], state["squares"]
