"""Action distributions: one categorical per asset.

Shapes: A assets, N choices per asset. Assets are independent given the observation, so log-probabilities,
entropies and divergences add up over assets.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from ray.rllib.core.distribution.torch.torch_distribution import TorchDeterministic, TorchDistribution
from torch import Tensor


def choices_per_asset(action_space: gym.Space) -> tuple[int, int]:
    """(A, N) of an action space.

    Raises
    ------
    ValueError
        If the space is neither ``Discrete`` nor ``MultiDiscrete`` with the same number of choices for every
        asset.
    """
    if isinstance(action_space, gym.spaces.Discrete):
        return 1, int(action_space.n)
    if isinstance(action_space, gym.spaces.MultiDiscrete) and len(set(action_space.nvec.tolist())) == 1:
        return len(action_space.nvec), int(action_space.nvec[0])
    raise ValueError(
        f"the policy needs a Discrete action space or a MultiDiscrete one with equal choices, "
        f"got {action_space}"
    )


class PerAssetCategorical(TorchDistribution):
    """Independent categoricals over the last axis of ``log_probs`` (..., A, N).

    For a ``Discrete`` space (``squeeze=True``) actions have no asset axis.
    """

    def __init__(self, log_probs: Tensor, *, squeeze: bool = False) -> None:
        self.log_probs = log_probs
        self._squeeze = squeeze

    @classmethod
    def for_space(cls, action_space: gym.Space) -> type[PerAssetCategorical]:
        """A class bound to one action space, as RLlib's ``from_logits`` takes no other argument."""
        num_assets, num_choices = choices_per_asset(action_space)
        squeeze = isinstance(action_space, gym.spaces.Discrete)

        class BoundPerAssetCategorical(cls):  # type: ignore[valid-type,misc]
            @classmethod
            def from_logits(cls, logits: Tensor, **_: Any) -> PerAssetCategorical:
                scores = logits.unflatten(-1, (num_assets, num_choices))
                return PerAssetCategorical(torch.log_softmax(scores, dim=-1), squeeze=squeeze)

        return BoundPerAssetCategorical

    def _get_torch_distribution(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("PerAssetCategorical computes everything itself")

    def logp(self, value: Tensor) -> Tensor:
        """Log-probability (...,) of actions (..., A)."""
        index = value.unsqueeze(-1) if self._squeeze else value
        return self.log_probs.gather(-1, index.long().unsqueeze(-1)).squeeze(-1).sum(-1)

    def entropy(self) -> Tensor:
        """Entropy (...,) in nats, summed over assets."""
        return -(self.log_probs.exp() * self.log_probs).sum((-2, -1))

    def kl(self, other: PerAssetCategorical) -> Tensor:
        """KL(self || other) (...,) in nats, summed over assets."""
        return (self.log_probs.exp() * (self.log_probs - other.log_probs)).sum((-2, -1))

    def sample(self, *, sample_shape: Any = None) -> Tensor:
        """Draw actions with torch's global generator (stock RLlib's path)."""
        assert sample_shape is None, "PerAssetCategorical draws one sample per row"
        return self.sample_from(torch.rand(self.log_probs.shape[:-1]))

    def rsample(self, *, sample_shape: Any = None) -> Tensor:
        raise NotImplementedError("categorical actions cannot be reparametrised")

    def sample_from(self, uniforms: Tensor) -> Tensor:
        """Map uniforms (..., A) in [0, 1) to actions by inverting the distribution function."""
        thresholds = self.log_probs[..., :-1].exp().cumsum(-1)
        actions = (uniforms.unsqueeze(-1) >= thresholds).sum(-1)
        return actions.squeeze(-1) if self._squeeze else actions

    def mode(self) -> Tensor:
        """The likeliest action of each asset; the lowest index on ties."""
        actions = self.log_probs.argmax(-1)
        return actions.squeeze(-1) if self._squeeze else actions

    def to_deterministic(self) -> TorchDeterministic:
        return TorchDeterministic(loc=self.mode())

    @staticmethod
    def required_input_dim(space: gym.Space, **_: Any) -> int:
        return int(np.prod(choices_per_asset(space)))
