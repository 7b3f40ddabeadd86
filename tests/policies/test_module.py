"""RLlib's columns and the sequence learner's columns run the same network."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from ray.rllib.core.columns import Columns

from envs.observations import ObservationLayout
from policies.cores import CORES
from policies.distributions import rule_out
from policies.module import KEEP, PortfolioModule
from policies.networks import NetworkConfig
from policies.window_attention import AttentionConfig

L, B, A = 5, 4, 2
LAYOUT = ObservationLayout.portfolio(A, ("x", "y"), ("hour",))
FLAT = (gym.spaces.Box(-1.0, 1.0, (4,)), gym.spaces.Discrete(2))


def module_of(
    core: str, layout: ObservationLayout | None = LAYOUT, spaces=None, action_masks: bool = False
) -> PortfolioModule:
    observation, action = spaces or (LAYOUT.space(), gym.spaces.MultiDiscrete([3] * A))
    network = NetworkConfig(
        core=core,
        encoder_units=6,
        core_units=4,
        value_units=5,
        initial_memory_bars=16,
        symbol_embedding=False,
        attention=AttentionConfig(window_bars=3, heads=2) if core == "attention" else None,
        weights_distribution="squashed_gaussian",
        action_masks=action_masks,
        compiled="auto",
    )
    torch.manual_seed(0)
    return PortfolioModule(
        observation_space=observation,
        action_space=action,
        model_config={"layout": layout, "network": network},
    )


def start(module: PortfolioModule, rows: int) -> dict[str, torch.Tensor]:
    return {name: value.expand(rows, *value.shape) for name, value in module.get_initial_state().items()}


@pytest.mark.parametrize("core", CORES)
def test_batch_major_and_time_major_columns_give_the_same_scores(core):
    module = module_of(core)
    observation = torch.randn(L, B, LAYOUT.size)
    ours = {Columns.OBS: observation, KEEP: torch.ones(L, B), Columns.STATE_IN: start(module, B)}
    theirs = {Columns.OBS: observation.transpose(0, 1), Columns.STATE_IN: start(module, B)}
    time_major, batch_major = module.forward_train(ours), module.forward_train(theirs)
    for column in (Columns.ACTION_DIST_INPUTS, Columns.EMBEDDINGS):
        torch.testing.assert_close(time_major[column], batch_major[column].transpose(0, 1))
    assert (Columns.STATE_OUT in batch_major) is (core != "mlp")
    assert Columns.STATE_OUT not in time_major


@pytest.mark.parametrize("core", CORES)
def test_values_are_computed_with_and_without_the_scores(core):
    module = module_of(core)
    columns = {
        Columns.OBS: torch.randn(L, B, LAYOUT.size),
        KEEP: torch.ones(L, B),
        Columns.STATE_IN: start(module, B),
    }
    again = module.compute_values(columns)
    spared = module.compute_values(columns, embeddings=module.forward_train(columns)[Columns.EMBEDDINGS])
    assert again.shape == (L, B)
    torch.testing.assert_close(again, spared)


@pytest.mark.parametrize("core", CORES)
def test_only_a_core_with_memory_is_stateful(core):
    module = module_of(core)
    assert module.is_stateful() is (core != "mlp") is bool(module.get_initial_state())


def test_a_state_carried_over_a_cut_gives_what_the_whole_gives():
    module = module_of("lstm")
    observation = torch.randn(B, L, LAYOUT.size)
    whole = module.forward_inference({Columns.OBS: observation, Columns.STATE_IN: start(module, B)})
    first = module.forward_inference({Columns.OBS: observation[:, :2], Columns.STATE_IN: start(module, B)})
    second = module.forward_inference(
        {Columns.OBS: observation[:, 2:], Columns.STATE_IN: first[Columns.STATE_OUT]}
    )
    joined = torch.cat([part[Columns.ACTION_DIST_INPUTS] for part in (first, second)], dim=1)
    torch.testing.assert_close(joined, whole[Columns.ACTION_DIST_INPUTS])


def test_rllib_finds_in_the_distribution_what_it_calls():
    module = module_of("lstm")
    bound = module.get_exploration_action_dist_cls()
    assert bound.required_input_dim(module.action_space) == 3 * A
    scores = torch.randn(7, 3 * A)
    distribution = bound.from_logits(scores)
    drawn = distribution.sample()
    assert all(action in module.action_space for action in drawn.numpy())
    assert (
        distribution.logp(drawn).shape == distribution.entropy().shape == distribution.kl(distribution).shape
    )
    likeliest = scores.view(7, A, 3).argmax(-1)
    assert torch.equal(distribution.to_deterministic().sample(), likeliest)


def test_a_foreign_env_needs_no_layout():
    module = module_of("lstm", None, FLAT)
    columns = {Columns.OBS: torch.zeros(3, 1, 4), Columns.STATE_IN: start(module, 3)}
    scores = module.forward_exploration(columns)[Columns.ACTION_DIST_INPUTS]
    assert scores.shape == (3, 1, 2)
    distribution = module.get_inference_action_dist_cls().from_logits(scores)
    assert np.asarray(distribution.sample()).shape == (3, 1)


def test_in_training_the_mask_of_the_sampled_decision_is_applied_again():
    module = module_of("lstm", action_masks=True)
    columns = {
        Columns.OBS: torch.randn(L, B, LAYOUT.size),
        KEEP: torch.ones(L, B),
        Columns.STATE_IN: start(module, B),
    }
    allowed = torch.rand(L, B, A, 3) > 0.4
    sampled = rule_out(module.forward_exploration(columns)[Columns.ACTION_DIST_INPUTS], allowed)
    trained = module.forward_train(columns | {Columns.ACTION_DIST_INPUTS: sampled})
    # With the same weights the policy of the update is the policy that sampled.
    torch.testing.assert_close(trained[Columns.ACTION_DIST_INPUTS], sampled)


def test_masks_need_choices():
    with pytest.raises(
        ValueError, match=r"policy.action_masks needs choices, but the actions .* are continuous"
    ):
        module_of("lstm", spaces=(LAYOUT.space(), gym.spaces.Box(0.0, 1.0, (A,))), action_masks=True)
