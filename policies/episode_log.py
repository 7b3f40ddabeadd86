"""Returns, lengths and statistics of episodes, across the fragments that cut them; part of a sampler's state."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


class EpisodeLog:
    """Adds up rewards per env and keeps the latest finished episodes.

    Parameters
    ----------
    num_envs : E.
    window : finished episodes that the means look back on.
    """

    def __init__(self, num_envs: int, window: int) -> None:
        self._returns_E = np.zeros(num_envs)
        self._lengths_E = np.zeros(num_envs, dtype=np.int64)
        self._finished: deque[tuple[float, int]] = deque(maxlen=max(1, window))
        self._statistics: deque[dict[str, float]] = deque(maxlen=self._finished.maxlen)
        self._new = 0

    def add(
        self, rewards_E: NDArray[np.floating], ended_E: NDArray[np.bool_], counted_E: NDArray[np.bool_]
    ) -> None:
        """Take in one step; envs where ``counted_E`` is False made no transition."""
        np.add(self._returns_E, rewards_E, out=self._returns_E, where=counted_E)
        self._lengths_E += counted_E
        if ended_E.any():
            finished = zip(self._returns_E[ended_E].tolist(), self._lengths_E[ended_E].tolist(), strict=True)
            self._finished.extend(finished)
            self._new += int(ended_E.sum())
            self._returns_E[ended_E] = 0.0
            self._lengths_E[ended_E] = 0

    def add_statistics(self, statistics: Mapping[str, NDArray[np.floating]]) -> None:
        """Take in what the env itself tells of the episodes that ended since the last call: name -> (N,)."""
        columns = [values.tolist() for values in statistics.values()]
        self._statistics.extend(dict(zip(statistics, row, strict=True)) for row in zip(*columns, strict=True))

    def take_new(self) -> int:
        """Episodes that ended since the last call."""
        new, self._new = self._new, 0
        return new

    def means(self) -> tuple[float, float] | None:
        """Mean return and mean length of the latest episodes; None before the first one ended."""
        if not self._finished:
            return None
        returns, lengths = zip(*self._finished, strict=True)
        return float(np.mean(returns)), float(np.mean(lengths))

    def statistic_means(self) -> dict[str, float]:
        """Means over the latest episodes of what :meth:`add_statistics` was given; empty before the first one."""
        names = self._statistics[0] if self._statistics else ()
        return {name: float(np.mean([episode[name] for episode in self._statistics])) for name in names}

    def get_state(self) -> dict[str, Any]:
        return {
            "returns": self._returns_E.copy(),
            "lengths": self._lengths_E.copy(),
            "finished": list(self._finished),
            "statistics": list(self._statistics),
            "new": self._new,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        self._returns_E, self._lengths_E = state["returns"].copy(), state["lengths"].copy()
        self._finished = deque(state["finished"], maxlen=self._finished.maxlen)
        self._statistics = deque(state["statistics"], maxlen=self._finished.maxlen)
        self._new = state["new"]
