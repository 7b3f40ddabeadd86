"""The compiled form of a policy gives torch's scores, and a row's bits whatever stands beside it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from envs.observations import ObservationLayout
from policies.action_distribution import DistributionSpec
from policies.compiled.inference import CompiledNetwork, acting_form
from policies.exported_policy import PolicyContract, TrainedPolicy
from policies.networks import NetworkConfig, PortfolioNetwork
from policies.window_attention import AttentionConfig

# Of these the input gates fill whole blocks.
UNITS = {"lstm": 20, "gru": 16, "mlp": 48, "attention": 20}


def config(core="lstm", **changes):
    facts = {
        "core": core,
        "encoder_units": 24,
        "core_units": UNITS[core],
        "value_units": 8,
        "initial_memory_bars": 8,
        "symbol_embedding": True,
        "attention": AttentionConfig(window_bars=4, heads=2) if core == "attention" else None,
        "weights_distribution": "squashed_gaussian",
        "action_masks": False,
        "compiled": "auto",
    }
    return NetworkConfig(**{**facts, **changes})


def layout(num_assets):
    # 5 market columns: a product whose inputs are no multiple of four.
    return ObservationLayout.portfolio(num_assets, tuple("abcde"), ("hour",))


def network(num_assets, settings, spec=None):
    torch.manual_seed(num_assets)
    spec = spec or DistributionSpec(kind="categorical", num_assets=num_assets, choices=3)
    made = spec.network(layout(num_assets), settings)
    with torch.no_grad():
        for parameter in made.parameters():  # biases and small score weights too
            parameter.copy_(0.3 * torch.randn_like(parameter))
    return made


def inputs(num_envs, num_assets, core="lstm"):
    random = np.random.default_rng(num_envs)
    observation = torch.from_numpy(random.normal(size=(num_envs, layout(num_assets).size)).astype(np.float32))
    units = UNITS[core]
    state = {
        name: torch.from_numpy(0.5 * random.normal(size=(num_envs, num_assets, units)).astype(np.float32))
        for name in {"lstm": ("hidden", "cell"), "gru": ("hidden",), "mlp": ()}[core]
    }
    return observation, state


@pytest.mark.parametrize("core", ["lstm", "gru", "mlp"])
@pytest.mark.parametrize("num_assets", [1, 2, 3, 8])
@pytest.mark.parametrize("embedding", [True, False])
def test_scores_values_and_state_are_torchs_up_to_rounding(num_assets, embedding, core):
    made = network(num_assets, config(core, symbol_embedding=embedding))
    observation, state = inputs(37, num_assets, core)  # several blocks, the last one not full
    found = CompiledNetwork.of(made, with_values=True).step(observation, state)
    with torch.inference_mode():
        expected = made.step(observation, state)
    assert expected.scores.std() > 0.1
    assert expected.values.std() > 0.1
    torch.testing.assert_close(found.scores, expected.scores, atol=3e-6, rtol=0)
    torch.testing.assert_close(found.values, expected.values, atol=3e-6, rtol=0)
    assert found.state.keys() == expected.state.keys() == state.keys()
    for name in state:
        torch.testing.assert_close(found.state[name], expected.state[name], atol=3e-6, rtol=0)


def test_an_observation_without_assets_is_one_row():
    torch.manual_seed(0)
    made = PortfolioNetwork(ObservationLayout.flat(13), 5, config(symbol_embedding=False))
    observation, state = torch.randn(40, 13), {name: torch.randn(40, 1, 20) for name in ("hidden", "cell")}
    found = CompiledNetwork.of(made, with_values=True).step(observation, state)
    with torch.inference_mode():
        expected = made.step(observation, state)
    for ours, torchs in zip(found[:2], expected[:2], strict=True):
        torch.testing.assert_close(ours, torchs, atol=3e-6, rtol=0)
    torch.testing.assert_close(found.state["cell"], expected.state["cell"], atol=3e-6, rtol=0)


@pytest.mark.parametrize("core", ["lstm", "gru", "mlp"])
@pytest.mark.parametrize("num_assets", [1, 3, 8])
def test_a_rows_bits_do_not_depend_on_the_rows_beside_it(num_assets, core):
    compiled = CompiledNetwork.of(network(num_assets, config(core)), with_values=True)
    observation, state = inputs(37, num_assets, core)
    together = compiled.step(observation, state)
    for row in range(37):
        alone = compiled.step(observation[row : row + 1], {n: v[row : row + 1] for n, v in state.items()})
        assert torch.equal(alone.scores[0], together.scores[row])
        assert torch.equal(alone.values[0], together.values[row])
        for name in state:
            assert torch.equal(alone.state[name][0], together.state[name][row])


def test_scores_are_the_same_bits_with_values_and_without():
    made = network(3, config())
    observation, state = inputs(5, 3)
    with_values, without = (
        CompiledNetwork.of(made, with_values=on).step(observation, state) for on in (True, False)
    )
    assert torch.equal(with_values.scores, without.scores)
    assert len(without.values) == 0


def test_the_state_that_was_given_is_left_as_it_was():
    compiled = CompiledNetwork.of(network(3, config()), with_values=True)
    observation, state = inputs(4, 3)
    before = {name: value.clone() for name, value in state.items()}
    compiled.step(observation, state)
    assert all(torch.equal(state[name], before[name]) for name in state)


def test_attention_has_no_compiled_form():
    assert CompiledNetwork.of(network(2, config("attention")), with_values=True) is None


@pytest.mark.parametrize("core", ["lstm", "gru", "mlp"])
def test_units_that_do_not_fill_a_block_have_no_compiled_form(core):
    assert CompiledNetwork.of(network(2, config(core, core_units=18)), with_values=True) is None


def test_a_dirichlet_with_its_pooled_score_has_no_compiled_form():
    made = network(2, config(), DistributionSpec(kind="dirichlet", num_assets=2))
    assert CompiledNetwork.of(made, with_values=True) is None


@pytest.mark.parametrize("core", ["lstm", "gru", "mlp"])
def test_switched_off_it_is_torch_alone_with_the_same_numbers(core):
    kernels, plain = network(2, config(core)), network(2, config(core, compiled="off"))
    plain.load_state_dict(kernels.state_dict())
    assert isinstance(acting_form(kernels, with_values=True), CompiledNetwork)
    assert acting_form(plain, with_values=True) is plain
    observation, _ = inputs(5, 2)
    state = plain.initial_state(5)
    sequences = observation.unsqueeze(0).repeat(3, 1, 1)
    keep = torch.ones(3, 5)
    ours, theirs = (made.sequence(sequences, state, keep) for made in (kernels, plain))
    torch.testing.assert_close(ours.scores, theirs.scores, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(ours.values, theirs.values, rtol=1e-4, atol=1e-5)
    for made in (kernels, plain):
        (made.sequence(sequences, state, keep).values.sum()).backward()
    for (name, one), other in zip(kernels.named_parameters(), plain.parameters(), strict=True):
        if one.grad is not None:
            torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-4, msg=name)


def test_without_kernels_no_function_of_this_room_is_called(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a kernel was called")

    for module in ("activations.tanh_inplace", "dense._run_layer", "sequence._forward", "inference._step"):
        monkeypatch.setattr(f"policies.compiled.{module}", refuse)
    plain = network(2, config("lstm", compiled="off"))
    observation, _ = inputs(5, 2)
    state = plain.initial_state(5)
    plain.sequence(observation.unsqueeze(0), state, torch.ones(1, 5)).values.sum().backward()
    with torch.inference_mode():
        acting_form(plain, with_values=True).step(observation, state)


def exported():
    """A policy for three assets, as it is loaded for acting."""
    spec = DistributionSpec(kind="categorical", num_assets=3, choices=3)
    contract = PolicyContract(
        layout=layout(3),
        feature_hash="",
        standardiser=None,
        action_scheme="direction",
        actions=spec,
        network=config(),
    )
    return TrainedPolicy(contract, network(3, config()).state_dict())


def test_an_exported_policy_acts_by_the_compiled_form_and_as_torch_would():
    policy = exported()
    observation, state = inputs(64, 3)
    observation = observation.numpy()
    actions, _ = policy.act(observation, state)
    policy._acting = policy.network
    expected, _ = policy.act(observation, state)
    np.testing.assert_array_equal(actions, expected)
    assert len(np.unique(actions)) == 3


def test_an_observation_of_another_length_is_refused():
    policy = exported()
    with pytest.raises(
        ValueError, match=r"the observation is \(2, 70\) but the policy was trained on \(E, 40\)"
    ):
        policy.act(np.zeros((2, 70), dtype=np.float32), policy.initial_state(2))
