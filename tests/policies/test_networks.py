"""The network: one form for steps and sequences, weights shared over assets, mistakes named."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.observations import ObservationLayout
from policies.cores import CORES
from policies.networks import NetworkConfig, PortfolioNetwork
from policies.window_attention import AttentionConfig

STATEFUL = tuple(core for core in CORES if core != "mlp")


def layout_of(num_assets: int) -> ObservationLayout:
    return ObservationLayout.portfolio(num_assets, ("close_return", "volatility"), ("hour_sin", "hour_cos"))


def config_of(core: str, **changes) -> NetworkConfig:
    attention = AttentionConfig(window_bars=4, heads=2) if core == "attention" else None
    sizes = {
        "encoder_units": 6,
        "core_units": 8,
        "value_units": 5,
        "initial_memory_bars": 8,
        "symbol_embedding": False,
    }
    choices = {"weights_distribution": "squashed_gaussian", "action_masks": False, "compiled": "auto"}
    facts = {"core": core, "attention": attention, **choices, **sizes}
    return NetworkConfig(**facts | changes)


def network_of(core: str, *, num_assets: int = 3, pooled_scores: int = 0, **changes) -> PortfolioNetwork:
    """A network with weights large enough that everything shows in the scores."""
    torch.manual_seed(0)
    network = PortfolioNetwork(layout_of(num_assets), 3, config_of(core, **changes), pooled_scores)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return network.double()


def doubled_state(network: PortfolioNetwork, rows: int) -> dict[str, torch.Tensor]:
    return {name: value.double() for name, value in network.initial_state(rows).items()}


def walk(network: PortfolioNetwork, observations, state, keep):
    """Step by step, clearing states as a sampler does."""
    scores, values = [], []
    for observation, keep_t in zip(observations, keep, strict=True):
        cleared = {name: value * keep_t[:, None, None] for name, value in state.items()}
        output = network.step(observation, cleared)
        state = output.state
        scores.append(output.scores)
        values.append(output.values)
    return torch.stack(scores), torch.stack(values), state


@pytest.mark.parametrize("core", CORES)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_a_sequence_with_resets_equals_its_steps(core, data):
    length, rows = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 3))
    earlier = data.draw(st.integers(0, 6))  # bars before the sequence, so that it starts in mid-episode
    resets = data.draw(st.lists(st.booleans(), min_size=length * rows, max_size=length * rows))
    network = network_of(core)
    observations = torch.randn(earlier + length + 1, rows, layout_of(3).size, dtype=torch.float64)
    keep = 1.0 - torch.tensor(resets, dtype=torch.float64).view(length, rows)
    _, _, start = _walked_or(network, observations[:earlier], rows)
    scores, values, after = walk(network, observations[earlier:-1], start, keep)
    output = network.sequence(observations[earlier:-1], start, keep)
    torch.testing.assert_close(output.scores, scores, rtol=0, atol=1e-12)
    torch.testing.assert_close(output.values, values, rtol=0, atol=1e-12)
    # The states need only be as good as each other for what follows.
    following = [network.step(observations[-1], state).scores for state in (after, output.state)]
    torch.testing.assert_close(following[0], following[1], rtol=0, atol=1e-12)


def _walked_or(network: PortfolioNetwork, observations, rows: int):
    state = doubled_state(network, rows)
    if not len(observations):
        return None, None, state
    return walk(network, observations, state, torch.ones(observations.shape[:2], dtype=torch.float64))


@pytest.mark.parametrize("core", CORES)
def test_a_sequence_equals_its_steps_in_single_precision_too(core):
    network = network_of(core).float()
    torch.manual_seed(1)
    observations, keep = torch.randn(32, 4, layout_of(3).size), (torch.rand(32, 4) > 0.1).float()
    scores, values, _ = walk(network, observations, network.initial_state(4), keep)
    output = network.sequence(observations, network.initial_state(4), keep)
    torch.testing.assert_close(output.scores, scores, rtol=1e-6, atol=5e-6)
    torch.testing.assert_close(output.values, values, rtol=1e-6, atol=5e-6)


@pytest.mark.parametrize("core", CORES)
def test_permuting_assets_permutes_scores_and_keeps_values(core):
    network = network_of(core, num_assets=4, pooled_scores=1)
    layout, order = layout_of(4), torch.tensor([2, 0, 3, 1])
    observation = torch.randn(5, 6, layout.size, dtype=torch.float64)
    permuted = observation.clone()
    for block in ("market", "position"):
        columns = observation[..., layout.slices[block]].unflatten(-1, (4, -1))
        permuted[..., layout.slices[block]] = columns[..., order, :].flatten(-2)
    keep = torch.ones(5, 6, dtype=torch.float64)
    state = doubled_state(network, 6)
    before, after = network.sequence(observation, state, keep), network.sequence(permuted, state, keep)
    assert before.scores.shape == (5, 6, 4 * 3 + 1)
    expected = before.scores[..., :-1].unflatten(-1, (4, 3))[..., order, :].flatten(-2)
    torch.testing.assert_close(after.scores[..., :-1], expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(after.scores[..., -1], before.scores[..., -1], rtol=0, atol=1e-12)
    torch.testing.assert_close(after.values, before.values, rtol=0, atol=1e-12)


def test_a_symbol_embedding_tells_equal_assets_apart():
    observation = torch.zeros(1, layout_of(3).size, dtype=torch.float64)
    for embedded in (False, True):
        network = network_of("lstm", symbol_embedding=embedded)
        scores = network.step(observation, doubled_state(network, 1)).scores.view(3, 3)
        assert torch.allclose(scores[0], scores[1]) is not embedded


@pytest.mark.parametrize("core", CORES)
def test_the_number_of_parameters_does_not_depend_on_the_number_of_assets(core):
    def count(num_assets: int) -> int:
        network = PortfolioNetwork(layout_of(num_assets), 3, config_of(core))
        return sum(parameter.numel() for parameter in network.parameters())

    assert count(1) == count(2) == count(50)


@pytest.mark.parametrize("core", CORES)
def test_every_parameter_learns(core):
    network = network_of(core, pooled_scores=1, symbol_embedding=True)
    observations = torch.randn(6, 4, layout_of(3).size, dtype=torch.float64)
    keep = torch.ones(6, 4, dtype=torch.float64)
    output = network.sequence(observations, doubled_state(network, 4), keep)
    (output.scores.square().sum() + output.values.square().sum()).backward()
    idle = [n for n, p in network.named_parameters() if p.grad is None or p.grad.abs().max() == 0.0]
    assert idle == []


@pytest.mark.parametrize("core", CORES)
def test_the_first_policy_is_nearly_uniform(core):
    torch.manual_seed(0)
    network = PortfolioNetwork(layout_of(3), 3, config_of(core))
    observation = torch.randn(64, layout_of(3).size)
    assert network.step(observation, network.initial_state(64)).scores.abs().max() < 0.2


def test_attention_sees_its_window_and_nothing_before():
    network = network_of("attention")  # four bars
    observations = torch.randn(9, 1, layout_of(3).size, dtype=torch.float64)
    keep = torch.ones(9, 1, dtype=torch.float64)
    state = doubled_state(network, 1)
    last = network.sequence(observations, state, keep).scores[8]
    for bar, seen in ((4, False), (5, True), (8, True)):
        changed = observations.clone()
        changed[bar] += 1.0
        moved = not torch.equal(network.sequence(changed, state, keep).scores[8], last)
        assert moved is seen, f"bar {bar}"


def test_attention_over_one_bar_carries_no_state():
    network = network_of("attention", attention=AttentionConfig(window_bars=1, heads=2))
    assert not network.is_stateful
    assert network.initial_state(2) == {}
    observations = torch.randn(3, 2, layout_of(3).size, dtype=torch.float64)
    output = network.sequence(observations, {}, torch.ones(3, 2, dtype=torch.float64))
    torch.testing.assert_close(output.scores[1], network.step(observations[1], {}).scores)


@pytest.mark.parametrize("core", STATEFUL)
def test_a_state_has_a_row_per_env_and_asset_and_starts_at_zero(core):
    network = network_of(core)
    state = network.initial_state(5)
    assert all(value.shape[:2] == (5, 3) and not value.any() for value in state.values())
    after = network.step(
        torch.randn(5, layout_of(3).size, dtype=torch.float64), doubled_state(network, 5)
    ).state
    assert {name: value.shape for name, value in after.items()} == {n: v.shape for n, v in state.items()}


def test_a_foreign_observation_is_one_asset_that_sees_everything():
    network = PortfolioNetwork(ObservationLayout.flat(7), 4, config_of("lstm"))
    output = network.step(torch.randn(2, 7), network.initial_state(2))
    assert output.scores.shape == (2, 4)
    assert output.values.shape == (2,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"core": "transformer"}, "policy.core is 'transformer'; choose mlp, lstm, gru, attention"),
        ({"weights_distribution": "normal"}, "choose squashed_gaussian, dirichlet"),
        ({"core_units": 0}, "policy.core_units is 0; it must be at least 1"),
        ({"core": "attention"}, "policy.attention is null; give window_bars and heads"),
        (
            {"core": "attention", "attention": AttentionConfig(window_bars=4, heads=3)},
            r"core_units \(8\) is not a multiple of policy.attention.heads \(3\)",
        ),
    ],
)
def test_a_wrong_size_is_one_sentence(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(config_of("lstm"), **changes)


@pytest.mark.parametrize("field", ["window_bars", "heads"])
def test_attention_needs_at_least_one_bar_and_one_head(field):
    with pytest.raises(ValueError, match=f"policy.attention.{field} is 0; it must be at least 1"):
        AttentionConfig(**{"window_bars": 4, "heads": 2, field: 0})


@pytest.mark.parametrize("core", ["lstm", "gru"])
def test_before_training_units_remember_for_one_bar_up_to_the_configured_time(core):
    # A gate that keeps T / (T + 1) of its state a bar has about 1 / e of it left after T bars.
    network = PortfolioNetwork(layout_of(3), 3, config_of(core, core_units=16, initial_memory_bars=33))
    kept = torch.sigmoid(network.core_from_asset.bias.detach()[16:32])
    times = torch.linspace(1.0, 32.0, 16)
    torch.testing.assert_close(kept, times / (times + 1.0))
