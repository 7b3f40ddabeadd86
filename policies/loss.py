"""The clipped PPO loss and what is reported about it, in one pass.

The terms are those of RLlib's ``PPOTorchLearner``, to the rounding of float32 (a test compares both). They are written
here because RLlib's version computes each distribution twice, logs six metrics per minibatch, and knows neither a
clip range that changes over training nor none at all.

Of several actors (`policies.actor_network`) each has its own ratio, clipped by itself, and the account's advantage (Yu
et al. 2022, "The surprising effectiveness of PPO in cooperative multi-agent games", with one value of the account): the
loss is the sum of theirs.

Shapes: "..." steps of a minibatch, A assets, K actors.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    batch: dict[str, Any],
    current: Any,
    previous: Any,
    values: Tensor,
    weights: LossWeights,
    actor_slots: Sequence[Sequence[int]] = (),
) -> tuple[Tensor, Tensor]:
    """Loss of one minibatch (Schulman et al. 2017, equation 9, with the sign of a loss).

    Parameters
    ----------
    batch : RLlib's columns; where ``LOSS_MASK`` (..., bool) is given, only its true steps count.
    current, previous : action distributions of the network and of the sampling policy (None unless ``weights.kl`` or
        there are actors).
    values : (...), the network's values.
    actor_slots : the assets of each actor; none where one policy decides for all.

    Returns
    -------
    loss : ().
    report : (8,), detached, see `LOSS_REPORT`.
    """
    mask = batch.get(Columns.LOSS_MASK)
    mean = torch.mean if mask is None else _mean_where(mask)
    advantages, targets = batch[Postprocessing.ADVANTAGES], batch[Postprocessing.VALUE_TARGETS]
    over_actors = _itself
    if actor_slots:
        over_actors, advantages = _sum_of_last, advantages.unsqueeze(-1)
        log_ratio = _log_ratios(batch[Columns.ACTIONS], current, previous, actor_slots)
    else:
        log_ratio = current.logp(batch[Columns.ACTIONS]) - batch[Columns.ACTION_LOGP]
    ratio = log_ratio.exp()
    gain = advantages * ratio
    if weights.clip_range is not None:
        clipped = ratio.clamp(1.0 - weights.clip_range, 1.0 + weights.clip_range)
        gain = torch.minimum(gain, advantages * clipped)
    policy_loss = -mean(over_actors(gain))
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
                # Divergences of independent actions add up.
                mean(over_actors(ratio - 1.0 - log_ratio)),
                mean(over_actors(clipping.to(ratio.dtype))) / max(len(actor_slots), 1),
                kl,
                _explained_variance(targets, values, mask),
            ]
        )
    return loss, report


def _itself(data: Tensor) -> Tensor:
    return data


def _sum_of_last(data: Tensor) -> Tensor:
    return data.sum(-1)


def _log_ratios(actions: Tensor, current: Any, previous: Any, actor_slots: Sequence[Sequence[int]]) -> Tensor:
    """(..., K) log of the probability of each actor's actions now, over that when they were drawn."""
    with torch.no_grad():
        before = previous.logp_by_asset(actions)
    change = current.logp_by_asset(actions) - before
    places = [torch.tensor(slots, device=change.device) for slots in actor_slots]
    return torch.stack([change.index_select(-1, place).sum(-1) for place in places], dim=-1)


def _mean_where(mask: Tensor) -> Any:
    count = mask.sum()
    return lambda data: torch.where(mask, data, 0.0).sum() / count


def _explained_variance(targets: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """1 - Var(target - value) / Var(target), at least -1; population variances as in RLlib's ratio."""
    if mask is not None:
        targets, values = targets[mask], values[mask]
    spread = targets.var(correction=0)
    return (1.0 - (targets - values).var(correction=0) / spread.clamp(min=1e-12)).clamp(min=-1.0)
