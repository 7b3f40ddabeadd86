"""The loss of several actors: a ratio and a clip of its own for each, the account's advantage for all."""

from __future__ import annotations

import math

import pytest
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.evaluation.postprocessing import Postprocessing

from policies.distributions import PerAssetCategorical
from policies.loss import LOSS_REPORT, LossWeights, ppo_loss

WEIGHTS = LossWeights(clip_range=0.2, value=None, value_clip=math.inf, entropy=0.0, kl=None)


def batch_of(actions: torch.Tensor, before: PerAssetCategorical, advantages: torch.Tensor):
    return {
        Columns.ACTIONS: actions,
        Columns.ACTION_LOGP: before.logp(actions),
        Postprocessing.ADVANTAGES: advantages,
        Postprocessing.VALUE_TARGETS: torch.zeros_like(advantages),
    }


def report_of(report: torch.Tensor) -> dict[str, float]:
    return dict(zip(LOSS_REPORT, report.tolist(), strict=True))


def test_each_actors_ratio_is_clipped_by_itself():
    # Two assets, two choices, one step. Before, all have probability 1/2. Now asset 0 chose with 0.9 (ratio 1.8,
    # clipped to 1.2) and asset 1 with 0.55 (ratio 1.1, within the range): -(1.2 + 1.1) at an advantage of 1.
    now = torch.tensor([[[0.9, 0.1], [0.55, 0.45]]], dtype=torch.float64).log().requires_grad_()
    before = PerAssetCategorical(torch.zeros(1, 2, 2, dtype=torch.float64))
    batch = batch_of(torch.zeros(1, 2, dtype=torch.long), before, torch.ones(1, dtype=torch.float64))
    values = torch.zeros(1, dtype=torch.float64)
    loss, report = ppo_loss(batch, PerAssetCategorical(now), before, values, WEIGHTS, ((0,), (1,)))
    assert loss.item() == pytest.approx(-2.3)
    loss.backward()
    assert not now.grad[0, 0].any()  # beyond its range: nothing pushes it on
    # d(-p / 0.5)/d(score) = -2 p (1 - p) at the choice that was taken.
    assert now.grad[0, 1, 0].item() == pytest.approx(-2 * 0.55 * 0.45)
    told = report_of(report)
    assert told["clip_fraction"] == 0.5
    # Schulman's estimator of each: 1.8 - 1 - log 1.8 and 1.1 - 1 - log 1.1.
    assert told["approx_kl"] == pytest.approx(0.8 - math.log(1.8) + 0.1 - math.log(1.1))


def test_one_ratio_for_all_would_have_stopped_both():
    now = torch.tensor([[[0.9, 0.1], [0.55, 0.45]]], dtype=torch.float64).log().requires_grad_()
    before = PerAssetCategorical(torch.zeros(1, 2, 2, dtype=torch.float64))
    batch = batch_of(torch.zeros(1, 2, dtype=torch.long), before, torch.ones(1, dtype=torch.float64))
    loss, _ = ppo_loss(batch, PerAssetCategorical(now), None, torch.zeros(1, dtype=torch.float64), WEIGHTS)
    assert loss.item() == pytest.approx(-1.2)  # 1.8 x 1.1 is clipped
    loss.backward()
    assert not now.grad.any()


def test_one_actor_with_every_asset_has_the_loss_of_the_shared_policy():
    torch.manual_seed(0)
    before = PerAssetCategorical(torch.randn(7, 3, 4, dtype=torch.float64))
    now = PerAssetCategorical(torch.randn(7, 3, 4, dtype=torch.float64))
    actions = torch.randint(4, (7, 3))
    batch = batch_of(actions, before, torch.randn(7, dtype=torch.float64))
    weights = LossWeights(clip_range=0.2, value=0.5, value_clip=math.inf, entropy=0.01, kl=0.3)
    values = torch.randn(7, dtype=torch.float64)
    for mask in (None, torch.tensor([True, True, False, True, True, False, True])):
        if mask is not None:
            batch[Columns.LOSS_MASK] = mask
        shared, told = ppo_loss(batch, now, before, values, weights)
        one, told_of_one = ppo_loss(batch, now, before, values, weights, ((0, 1, 2),))
        torch.testing.assert_close(one, shared, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(told_of_one, told, rtol=1e-12, atol=1e-12)


def test_at_the_sampling_policy_the_gradient_is_that_of_the_shared_policy():
    # All ratios are 1: the sum of the actors' gains and the joint one have the same slope.
    torch.manual_seed(0)
    scores = torch.randn(9, 3, 4, dtype=torch.float64)
    actions, advantages = torch.randint(4, (9, 3)), torch.randn(9, dtype=torch.float64)
    before = PerAssetCategorical(scores)
    batch = batch_of(actions, before, advantages)
    found = []
    for actor_slots in ((), ((0,), (1,), (2,)), ((0, 2), (1,))):
        now = scores.clone().requires_grad_()
        loss, _ = ppo_loss(
            batch, PerAssetCategorical(now), before, torch.zeros(9, dtype=torch.float64), WEIGHTS, actor_slots
        )
        loss.backward()
        found.append(now.grad)
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=1e-15)
    torch.testing.assert_close(found[2], found[0], rtol=0, atol=1e-15)
