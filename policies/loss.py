"""The clipped PPO loss and what is reported about it, in one pass.

The terms are those of RLlib's ``PPOTorchLearner``, to the rounding of float32 (a test compares both). They are written
here because RLlib's version computes each distribution twice, logs six metrics per minibatch, and knows neither a
clip range that changes over training nor none at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from ray.rllib.core.columns import Columns
from ray.rllib.evaluation.postprocessing import Postprocessing
from torch import Tensor

#: What `ppo_loss` reports, in this order. ``kl`` is the exact KL(old || new), nan unless it is part of the loss.
LOSS_REPORT = (
    "total_loss",
    "policy_loss",
    "vf_loss",
    "entropy",
    "approx_kl",
    "clip_fraction",
    "mean_kl_loss",
    "vf_explained_var",
)


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """Numbers that weigh the loss; some change over training.

    Parameters
    ----------
    clip_range : bound on the probability ratio's distance from 1; None does not clip.
    value, entropy : weights of the value loss and of the entropy bonus; value None has no critic.
    value_clip : bound of the squared value error.
    kl : weight of KL(old || new); None leaves the term out.
    """

    clip_range: float | None
    value: float | None
    value_clip: float
    entropy: float
    kl: float | None


def ppo_loss(
    batch: dict[str, Any], current: Any, previous: Any, values: Tensor, weights: LossWeights
) -> tuple[Tensor, Tensor]:
    """Loss of one minibatch (Schulman et al. 2017, equation 9, with the sign of a loss).

    Parameters
    ----------
    batch : RLlib's columns; where ``LOSS_MASK`` (..., bool) is given, only its true steps count.
    current, previous : action distributions of the network and of the sampling policy (None unless ``weights.kl``).
    values : (...), the network's values.

    Returns
    -------
    loss : ().
    report : (8,), detached, see `LOSS_REPORT`.
    """
    mask = batch.get(Columns.LOSS_MASK)
    mean = torch.mean if mask is None else _mean_where(mask)
    advantages, targets = batch[Postprocessing.ADVANTAGES], batch[Postprocessing.VALUE_TARGETS]
    log_ratio = current.logp(batch[Columns.ACTIONS]) - batch[Columns.ACTION_LOGP]
    ratio = log_ratio.exp()
    gain = advantages * ratio
    if weights.clip_range is not None:
        clipped = ratio.clamp(1.0 - weights.clip_range, 1.0 + weights.clip_range)
        gain = torch.minimum(gain, advantages * clipped)
    policy_loss = -mean(gain)
    entropy = mean(current.entropy())
    loss = policy_loss - weights.entropy * entropy
    value_loss = values.new_zeros(())
    if weights.value is not None:
        value_loss = mean((values - targets).square().clamp(max=weights.value_clip))
        loss = loss + weights.value * value_loss
    kl = values.new_full((), torch.nan)
    if weights.kl is not None:
        kl = mean(previous.kl(current))
        loss = loss + weights.kl * kl
    with torch.no_grad():
        clipping = (ratio - 1.0).abs() > (torch.inf if weights.clip_range is None else weights.clip_range)
        report = torch.stack(
            [
                loss,
                policy_loss,
                value_loss,
                entropy,
                # Schulman's low-variance estimator of KL(old || new): E[r - 1 - log r].
                mean(ratio - 1.0 - log_ratio),
                mean(clipping.to(ratio.dtype)),
                kl,
                _explained_variance(targets, values, mask),
            ]
        )
    return loss, report


def _mean_where(mask: Tensor) -> Any:
    count = mask.sum()
    return lambda data: torch.where(mask, data, 0.0).sum() / count


def _explained_variance(targets: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """1 - Var(target - value) / Var(target), at least -1; population variances as in RLlib's ratio."""
    if mask is not None:
        targets, values = targets[mask], values[mask]
    spread = targets.var(correction=0)
    return (1.0 - (targets - values).var(correction=0) / spread.clamp(min=1e-12)).clamp(min=-1.0)
