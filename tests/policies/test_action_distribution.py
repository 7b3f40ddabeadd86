"""Each action space gets the distribution that fits it; what fits none is refused."""

from __future__ import annotations

from dataclasses import asdict

import gymnasium as gym
import numpy as np
import pytest
import torch

from envs.actions import ActionConfig, action_space
from envs.observations import ObservationLayout
from policies.action_distribution import DistributionSpec
from policies.networks import NetworkConfig

CONFIG = NetworkConfig(
    core="lstm",
    encoder_units=4,
    core_units=4,
    value_units=4,
    initial_memory_bars=16,
    symbol_embedding=False,
    attention=None,
    weights_distribution="squashed_gaussian",
    action_masks=False,
    compiled="auto",
)


def space_of(scheme: str, *, allow_short: bool = True, num_assets: int = 3) -> gym.Space:
    config = ActionConfig(scheme=scheme, allow_short=allow_short, rebalance_band=0.0)  # type: ignore[arg-type]
    return action_space(config, num_assets)


@pytest.mark.parametrize(
    ("scheme", "weights", "kind", "num_scores"),
    [
        ("direction", "squashed_gaussian", "categorical", 3 * 3),
        ("orders", "squashed_gaussian", "categorical", 3 * 4),
        ("direction_size", "squashed_gaussian", "direction_size", 3 * 5),
        ("weights", "squashed_gaussian", "squashed_gaussian", 3 * 2),
        ("weights", "dirichlet", "dirichlet", 3 * 1 + 1),  # one for cash
    ],
)
def test_every_scheme_has_a_distribution_whose_draws_its_space_contains(scheme, weights, kind, num_scores):
    space = space_of(scheme, allow_short=weights != "dirichlet")
    spec = DistributionSpec.for_space(space, weights)
    assert (spec.kind, spec.num_scores) == (kind, num_scores)
    distribution = spec.distribution(torch.randn(100, num_scores))
    for actions in (distribution.draw(np.random.default_rng(0)), distribution.deterministic()):
        assert actions.shape == (100, *spec.action_shape)
        assert all(action.astype(space.dtype) in space for action in actions.numpy())
        assert actions.numpy().dtype == spec.action_dtype
        assert distribution.logp(actions).shape == (100,)


@pytest.mark.parametrize("scheme", ["direction", "orders", "direction_size", "weights"])
def test_a_network_gives_exactly_the_scores_that_are_needed(scheme):
    spec = DistributionSpec.for_space(space_of(scheme), "squashed_gaussian")
    layout = ObservationLayout.portfolio(3, ("x",), ())
    network = spec.network(layout, CONFIG)
    output = network.step(torch.zeros(2, layout.size), network.initial_state(2))
    assert output.scores.shape == (2, spec.num_scores)


def test_foreign_spaces_are_served_from_a_flat_observation():
    for space, num_scores in (
        (gym.spaces.Discrete(2), 2),
        (gym.spaces.MultiDiscrete([5, 5]), 10),
        (gym.spaces.Box(-2.0, 2.0, (2,)), 4),
    ):
        spec = DistributionSpec.for_space(space, "squashed_gaussian")
        network = spec.network(ObservationLayout.flat(6), CONFIG)
        output = network.step(torch.zeros(1, 6), network.initial_state(1))
        assert output.scores.shape == (1, num_scores)
        action = spec.distribution(output.scores).deterministic()[0].detach().numpy()
        assert action.astype(space.dtype) in space


@pytest.mark.parametrize(
    "space",
    [
        gym.spaces.MultiDiscrete([3, 4]),
        gym.spaces.MultiDiscrete([3, 3], start=[1, 1]),
        gym.spaces.Discrete(3, start=1),
        gym.spaces.Box(-np.inf, np.inf, (2,)),
        gym.spaces.Box(np.float32([0.0, -1.0]), np.float32([1.0, 1.0])),
        gym.spaces.Box(0.0, 1.0, (2, 2)),
        gym.spaces.MultiBinary(3),
    ],
)
def test_a_space_that_nothing_fits_is_refused(space):
    with pytest.raises(ValueError, match="the policy needs a Discrete action space"):
        DistributionSpec.for_space(space, "squashed_gaussian")


def test_a_dirichlet_refuses_shorts():
    with pytest.raises(ValueError, match="set env.action.allow_short=false or policy.weights_distribution="):
        DistributionSpec.for_space(space_of("weights"), "dirichlet")


def test_observation_and_action_must_agree_on_the_assets():
    spec = DistributionSpec.for_space(space_of("direction", num_assets=2), "squashed_gaussian")
    with pytest.raises(ValueError, match="the observation has 3 assets but the action space 2"):
        spec.network(ObservationLayout.portfolio(3, ("x",), ()), CONFIG)


def test_a_spec_comes_back_from_its_facts():
    spec = DistributionSpec.for_space(space_of("weights"), "squashed_gaussian")
    assert DistributionSpec(**asdict(spec)) == spec
