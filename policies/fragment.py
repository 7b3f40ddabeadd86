"""Columnar rollout fragments: what a sampler hands to a learner, one object per rollout.

Shapes: L fragment steps, E envs, D observation, A assets, S scores per asset, H units of recurrent state, Q
= L / sequence length. Everything is time-major. ``keep`` is 0.0 at the first step of an episode, so that a
recurrent state is cleared exactly there.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]


class Moments(NamedTuple):
    """Count, sum and sum of squares; add up over fragments before taking the mean."""

    count: float
    total: float
    squares: float

    def __add__(self, other: Moments) -> Moments:  # type: ignore[override]
        return Moments(self.count + other.count, self.total + other.total, self.squares + other.squares)

    @property
    def mean(self) -> float:
        return self.total / self.count

    @property
    def standard_deviation(self) -> float:
        return float(np.sqrt(max(self.squares / self.count - self.mean**2, 0.0)))


@dataclass(frozen=True, kw_only=True)
class Fragment:
    """Columns of one rollout.

    Parameters
    ----------
    observations : (L, E, D), what was seen.
    actions : (L, E) or (L, E, A), what was done.
    scores : (L, E, A * S), distribution inputs of the sampling policy.
    log_probs : (L, E), log-probability of the actions under the sampling policy.
    advantages, value_targets : (L, E), see :func:`generalised_advantages`; advantages are not normalised.
    keep : (L, E), 0.0 where an episode starts.
    valid : (L, E), False on steps that carry no transition (the reset step of a NEXT_STEP env).
    states : name -> (Q, E, A, H), recurrent state before the first step of each sequence.
    """

    observations: FloatArray
    actions: NDArray[np.int64]
    scores: FloatArray
    log_probs: FloatArray
    advantages: FloatArray
    value_targets: FloatArray
    keep: FloatArray
    valid: BoolArray
    states: dict[str, FloatArray]

    @property
    def num_env_steps(self) -> int:
        return int(self.valid.sum())

    def advantage_moments(self) -> Moments:
        """Moments of the advantages over valid steps."""
        valid = self.advantages[self.valid].astype(np.float64)
        return Moments(float(valid.size), float(valid.sum()), float(np.square(valid).sum()))

    def split_envs(self, num_parts: int) -> list[Fragment]:
        """Split along the env axis into parts of equal size, one per learner.

        Raises
        ------
        ValueError
            If the number of envs is not a multiple of ``num_parts``.
        """
        num_envs = self.valid.shape[1]
        if num_envs % num_parts:
            raise ValueError(
                f"{num_envs} envs per runner cannot be shared equally by {num_parts} learners; "
                "make algo.num_envs a multiple of algo.num_learners"
            )
        if num_parts == 1:
            return [self]
        parts = []
        for envs in np.split(np.arange(num_envs), num_parts):
            rows = slice(int(envs[0]), int(envs[-1]) + 1)
            columns = {f.name: getattr(self, f.name)[:, rows] for f in fields(self) if f.name != "states"}
            parts.append(Fragment(states={k: v[:, rows] for k, v in self.states.items()}, **columns))
        return parts


def generalised_advantages(
    rewards: FloatArray,
    values: FloatArray,
    next_values: FloatArray,
    ended: BoolArray,
    valid: BoolArray,
    *,
    gamma: float,
    lambda_: float,
) -> tuple[FloatArray, FloatArray]:
    """Generalised advantage estimation (Schulman et al. 2016, equation 16).

    Parameters
    ----------
    rewards, values : (L, E), reward of the step and value of the observation before it.
    next_values : (L, E), value of the observation after the step: the final one where the episode was
        truncated, 0.0 where it terminated.
    ended : (L, E), the episode ended at this step, by either; the sum of the estimator does not reach across.
    valid : (L, E), False on steps without a transition; their advantage is 0.0.
    gamma, lambda_ : discount and trace decay per step, each in [0, 1].

    Returns
    -------
    advantages : (L, E).
    value_targets : (L, E), advantages + values.
    """
    deltas = rewards + gamma * next_values - values
    carries = np.where(ended | ~valid, 0.0, gamma * lambda_).astype(np.float32)
    advantages = np.zeros_like(rewards)
    ahead = np.zeros_like(rewards[0])
    for t in range(len(rewards) - 1, -1, -1):
        ahead = np.where(valid[t], deltas[t] + carries[t] * ahead, 0.0).astype(np.float32)
        advantages[t] = ahead
    return advantages, advantages + values
