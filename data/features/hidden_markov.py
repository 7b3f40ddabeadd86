"""A Gaussian hidden Markov model of two states, calm and wild: fitted on a training window, filtered forward only.

Fitting is Baum and Welch's algorithm (Rabiner 1989, A tutorial on hidden Markov models, equations 40 to 54, scaled as
there in section V.A). Filtering (Hamilton 1994, Time Series Analysis, equations 22.4.5 and 22.4.6) begins `window_bars`
before t from the stationary distribution, so that what is known at t depends on those bars and on nothing else;
nothing is smoothed backwards.

Axes: T time, A asset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from data.array_types import FloatArray
from data.locked_arrays import frozen

MIN_OBSERVATIONS = 100
"""With fewer known values in its training window a model is not fitted, and its feature is not known."""
MAX_ITERATIONS, ENOUGH = 200, 1e-7
"""Baum and Welch stops when an iteration raises the mean log likelihood of a bar by less than `ENOUGH`."""
LEAST_SPREAD = 1e-2
"""A state's standard deviation is at least this share of that of all values, for a state may not shrink to a point."""


@dataclass(frozen=True, kw_only=True, eq=False)
class HiddenMarkov:
    """Models of one observed column, one for each asset; state 0 is the calm one, of the smaller deviation.

    Parameters
    ----------
    window_bars : bars that are filtered.
    mean, std : (A, 2) of what is observed in each state, its own unit; NaN for an asset without a model.
    stay : (A, 2) probability that a state stays for one more bar.
    """

    window_bars: int
    mean: FloatArray
    std: FloatArray
    stay: FloatArray

    def __post_init__(self) -> None:
        for name in ("mean", "std", "stay"):
            values = frozen(getattr(self, name), np.float64)
            object.__setattr__(self, name, values)
            if values.ndim != 2 or values.shape[1] != 2 or values.shape != np.shape(self.mean):
                raise ValueError(f"{name} is {values.shape}; a hidden Markov model needs (assets, 2).")
        if self.window_bars < 1:
            raise ValueError(f"window_bars is {self.window_bars}; it must be at least 1 bar.")

    @classmethod
    def fit(cls, observed: NDArray[Any], *, window_bars: int) -> HiddenMarkov:
        """Return the models of a training window, observed (T, A), NaN where not known."""
        found = np.full((3, observed.shape[1], 2), np.nan)
        for a in range(observed.shape[1]):
            values = np.ascontiguousarray(observed[:, a], dtype=np.float64)
            known = values[np.isfinite(values)]
            if len(known) >= MIN_OBSERVATIONS and known.std() > 1e-6 * np.abs(known).max():
                found[:, a] = _baum_welch(
                    values, known.mean(), known.std(), MAX_ITERATIONS, ENOUGH, LEAST_SPREAD
                )
        return cls(window_bars=window_bars, mean=found[0], std=found[1], stay=found[2])

    def filtered(self, observed: NDArray[Any]) -> NDArray[np.float32]:
        """Return (T, A) the probability of the wild state given bars t - window_bars + 1 to t.

        NaN in the first `window_bars` rows, with fewer than half of the window known, and without a model.

        Parameters
        ----------
        observed : (T, A), NaN where not known.
        """
        out = np.full(observed.shape, np.nan, dtype=np.float32)
        for a in range(observed.shape[1]):
            if np.isfinite(self.mean[a]).all():
                values = np.ascontiguousarray(observed[:, a], dtype=np.float64)
                out[:, a] = _filter(values, self.mean[a], self.std[a], self.stay[a], self.window_bars)
        return out

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and numbers, for JSON; `from_dict` gives the models back, bit for bit."""
        arrays = {name: getattr(self, name) for name in ("mean", "std", "stay")}
        return {"window_bars": self.window_bars} | {
            name: [[None if np.isnan(value) else float(value) for value in row] for row in values]
            for name, values in arrays.items()
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> HiddenMarkov:
        """Return the models that `to_dict` described."""
        arrays = {name: np.array(state[name], dtype=np.float64) for name in ("mean", "std", "stay")}
        return cls(window_bars=int(state["window_bars"]), **arrays)

    def distance(self, other: HiddenMarkov) -> float:
        """Return the largest difference of a parameter, relative to the deviations; infinite for other assets."""
        if self.window_bars != other.window_bars or self.mean.shape != other.mean.shape:
            return float("inf")
        if not np.array_equal(np.isnan(self.mean), np.isnan(other.mean)):
            return float("inf")
        scale = np.where(other.std > 0.0, other.std, 1.0)
        gaps = [np.abs(getattr(self, f.name) - getattr(other, f.name)) for f in fields(self)[1:]]
        return float(np.nan_to_num(np.stack([gaps[0] / scale, gaps[1] / scale, gaps[2]])).max(initial=0.0))


@numba.njit(cache=True)
def _densities(value, mean, std):  # type: ignore[no-untyped-def]
    """Density of a value in each state, over their larger one; 1 and 1 where it is not known."""
    if np.isnan(value):
        return 1.0, 1.0, 0.0
    calm = -0.5 * ((value - mean[0]) / std[0]) ** 2 - np.log(std[0])
    wild = -0.5 * ((value - mean[1]) / std[1]) ** 2 - np.log(std[1])
    larger = max(calm, wild)
    # Never 0, so that no bar, however strange, makes the other state impossible for ever.
    return max(np.exp(calm - larger), 1e-30), max(np.exp(wild - larger), 1e-30), larger


@numba.njit(cache=True)
def _stationary(stay):  # type: ignore[no-untyped-def]
    """Long-run probability of the wild state."""
    leave = (1.0 - stay[0]) + (1.0 - stay[1])
    return (1.0 - stay[0]) / leave if leave > 0.0 else 0.5


@numba.njit(cache=True)
def _filter(observed, mean, std, stay, window_bars):  # type: ignore[no-untyped-def]
    size = observed.size
    out = np.full(size, np.nan)
    first, second = np.empty(size), np.empty(size)
    for t in range(size):
        first[t], second[t], _ = _densities(observed[t], mean, std)
    begin = _stationary(stay)
    known = 0
    for t in range(size):
        known += not np.isnan(observed[t])
        if t >= window_bars:
            known -= not np.isnan(observed[t - window_bars])
        if t < window_bars or 2 * known < window_bars:
            continue
        wild = begin
        for u in range(t - window_bars + 1, t + 1):
            prior = wild * stay[1] + (1.0 - wild) * (1.0 - stay[0])
            joint = prior * second[u]
            wild = joint / (joint + (1.0 - prior) * first[u])
        out[t] = wild
    return out


@numba.njit(cache=True)
def _baum_welch(observed, centre, spread, max_iterations, enough, least_spread):  # type: ignore[no-untyped-def]
    """(3, 2) mean, std and stay of both states, calm before wild."""
    size = observed.size
    mean = np.array([centre, centre])
    std = np.array([0.5 * spread, 1.5 * spread])
    stay = np.array([0.95, 0.95])
    forward, first, second, scale = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    last = -np.inf
    for _ in range(max_iterations):
        total, wild = 0.0, _stationary(stay)
        for t in range(size):
            first[t], second[t], larger = _densities(observed[t], mean, std)
            prior = wild * stay[1] + (1.0 - wild) * (1.0 - stay[0])
            joint = prior * second[t]
            scale[t] = joint + (1.0 - prior) * first[t]
            wild = joint / scale[t]
            forward[t] = wild
            total += np.log(scale[t]) + larger
        total /= size
        if total - last < enough:
            break
        last = total
        weight, moment, square = np.zeros(2), np.zeros(2), np.zeros(2)
        visits, stays = np.zeros(2), np.zeros(2)
        back0, back1 = 1.0, 1.0
        for t in range(size - 1, -1, -1):
            # Probability of the wild state given all bars: of the training window alone, and for fitting alone.
            after = forward[t] * back1
            state1 = after / (after + (1.0 - forward[t]) * back0)
            if not np.isnan(observed[t]):
                deviation = observed[t] - centre
                for s in range(2):
                    share = state1 if s == 1 else 1.0 - state1
                    weight[s] += share
                    moment[s] += share * deviation
                    square[s] += share * deviation * deviation
            before = forward[t - 1] if t > 0 else _stationary(stay)
            ahead0, ahead1 = first[t] * back0 / scale[t], second[t] * back1 / scale[t]
            stays[0] += (1.0 - before) * stay[0] * ahead0
            stays[1] += before * stay[1] * ahead1
            visits[0] += (1.0 - before) * (stay[0] * ahead0 + (1.0 - stay[0]) * ahead1)
            visits[1] += before * (stay[1] * ahead1 + (1.0 - stay[1]) * ahead0)
            back0, back1 = (
                stay[0] * ahead0 + (1.0 - stay[0]) * ahead1,
                stay[1] * ahead1 + (1.0 - stay[1]) * ahead0,
            )
        for s in range(2):
            if weight[s] > 0.0:
                own = moment[s] / weight[s]
                mean[s] = centre + own
                variance = square[s] / weight[s] - own * own
                std[s] = max(np.sqrt(max(variance, 0.0)), least_spread * spread)
            if visits[s] > 0.0:
                stay[s] = min(max(stays[s] / visits[s], 1e-6), 1.0 - 1e-6)
    found = np.stack((mean, std, stay))
    return found if std[0] <= std[1] else found[:, ::-1].copy()
