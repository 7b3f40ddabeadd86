"""Which distribution fits an action space, as facts that an exported policy can carry.

Schemes of the portfolio env map as follows: `direction` and `orders` to a categorical per asset, `direction_size`
to a categorical times a Beta, `weights` to a squashed Gaussian or a Dirichlet with cash.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from torch import Tensor

from envs.observations import ObservationLayout
from policies.actor_groups import SHARED
from policies.actor_network import ActorNetworkConfig, ActorsNetwork
from policies.distributions import (
    ActionDistribution,
    CashDirichlet,
    DirectionSize,
    PerAssetCategorical,
    SquashedGaussian,
)
from policies.networks import NetworkConfig, PortfolioNetwork

Kind = Literal["categorical", "direction_size", "squashed_gaussian", "dirichlet"]


@dataclass(frozen=True, kw_only=True)
class DistributionSpec:
    """A distribution without its scores.

    Parameters
    ----------
    kind : see the classes in `policies.distributions`.
    num_assets : A; for an env without assets, the number of action entries.
    choices : N, choices per asset of a categorical; 0 for continuous actions.
    low, high : bounds of continuous actions.
    scalar : actions have no asset axis (``Discrete`` spaces).
    """

    kind: Kind
    num_assets: int
    choices: int = 0
    low: float = 0.0
    high: float = 1.0
    scalar: bool = False

    @classmethod
    def for_space(cls, space: gym.Space, weights_distribution: str) -> DistributionSpec:
        """The distribution that fits an action space.

        Parameters
        ----------
        space : of a single env.
        weights_distribution : ``squashed_gaussian`` or ``dirichlet``, for a Box (A,).

        Raises
        ------
        ValueError
            If none fits.
        """
        if isinstance(space, gym.spaces.Discrete) and space.start == 0:
            return cls(kind="categorical", num_assets=1, choices=int(space.n), scalar=True)
        if isinstance(space, gym.spaces.MultiDiscrete) and _has_equal_choices(space):
            return cls(kind="categorical", num_assets=len(space.nvec), choices=int(space.nvec[0]))
        if isinstance(space, gym.spaces.Box):
            if space.shape[1:] == (2,) and _is_direction_size(space):
                return cls(kind="direction_size", num_assets=space.shape[0])
            if len(space.shape) == 1 and _has_equal_bounds(space):
                return cls._for_weights(space, weights_distribution)
        raise ValueError(
            "the policy needs a Discrete action space, a MultiDiscrete one with equal choices from 0, a Box (A,) "
            f"with equal finite bounds, or the Box (A, 2) of the scheme direction_size; got {space}"
        )

    @classmethod
    def _for_weights(cls, space: gym.spaces.Box, weights_distribution: str) -> DistributionSpec:
        num_assets, low, high = space.shape[0], float(space.low[0]), float(space.high[0])
        if weights_distribution == "squashed_gaussian":
            return cls(kind="squashed_gaussian", num_assets=num_assets, low=low, high=high)
        if (low, high) != (0.0, 1.0):
            raise ValueError(
                f"a Dirichlet holds weights from 0 to 1, but actions range from {low:g} to {high:g}; "
                "set env.action.allow_short=false or policy.weights_distribution=squashed_gaussian"
            )
        return cls(kind="dirichlet", num_assets=num_assets)

    @property
    def scores_per_asset(self) -> int:
        """Scores that each asset contributes."""
        return {"categorical": self.choices, "direction_size": 5, "squashed_gaussian": 2, "dirichlet": 1}[
            self.kind
        ]

    @property
    def pooled_scores(self) -> int:
        """Scores for the portfolio as a whole, after those of the assets."""
        return 1 if self.kind == "dirichlet" else 0

    @property
    def num_scores(self) -> int:
        return self.num_assets * self.scores_per_asset + self.pooled_scores

    @property
    def action_shape(self) -> tuple[int, ...]:
        """Shape of one env's action."""
        if self.scalar:
            return ()
        return (self.num_assets, 2) if self.kind == "direction_size" else (self.num_assets,)

    @property
    def action_dtype(self) -> type[Any]:
        return np.int64 if self.kind == "categorical" else np.float32

    def distribution(self, scores: Tensor) -> ActionDistribution:
        """The distribution with parameters ``scores`` (..., num_scores)."""
        if self.kind == "dirichlet":
            return CashDirichlet(scores)
        per_asset = scores.unflatten(-1, (self.num_assets, self.scores_per_asset))
        if self.kind == "direction_size":
            return DirectionSize(per_asset)
        if self.kind == "squashed_gaussian":
            return SquashedGaussian(per_asset, low=self.low, high=self.high)
        return PerAssetCategorical(per_asset, scalar=self.scalar)

    def network(self, layout: ObservationLayout, config: NetworkConfig) -> PortfolioNetwork | ActorsNetwork:
        """A network whose scores parametrise this distribution; one of several actors where the config has them.

        Raises
        ------
        ValueError
            If observation and action disagree on the number of assets, or actors have no assets to divide.
        """
        if layout.num_assets not in (0, self.num_assets):
            raise ValueError(
                f"the observation has {layout.num_assets} assets but the action space {self.num_assets}; "
                "both must come from the same env"
            )
        if isinstance(config, ActorNetworkConfig):
            return ActorsNetwork(layout, self.scores_per_asset, config)
        if config.actors != SHARED:
            raise ValueError(
                f"policy.actors is {config.actors!r}, but nothing says which symbols stand in the observation; "
                "set policy.actors=shared for an env of another make"
            )
        rows = max(layout.num_assets, 1)  # an env without assets is one row that gives all scores
        scores_per_row = self.num_assets * self.scores_per_asset // rows
        return PortfolioNetwork(layout, scores_per_row, config, self.pooled_scores)


def _has_equal_choices(space: gym.spaces.MultiDiscrete) -> bool:
    return space.nvec.ndim == 1 and len(set(space.nvec.tolist())) == 1 and not np.any(space.start)


def _is_direction_size(space: gym.spaces.Box) -> bool:
    return bool(
        (space.low == 0.0).all() and (space.high[:, 0] == 2.0).all() and (space.high[:, 1] == 1.0).all()
    )


def _has_equal_bounds(space: gym.spaces.Box) -> bool:
    bounds = np.concatenate([space.low, space.high])
    return bool(np.isfinite(bounds).all() and np.ptp(space.low) == 0.0 and np.ptp(space.high) == 0.0)
