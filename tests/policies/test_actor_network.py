"""Equal actors: each is a policy network on its own assets, and none touches another's weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.observations import ObservationLayout
from policies.action_distribution import DistributionSpec
from policies.actor_groups import ActorGroups
from policies.actor_network import ActorsNetwork, columns_of_slots, for_symbols, layout_of_slots
from policies.compiled.inference import CompiledActors, acting_form
from policies.cores import CORES
from policies.networks import NetworkConfig, PortfolioNetwork
from policies.window_attention import AttentionConfig

SYMBOLS = ("W", "X", "Y", "Z")
APART: ActorGroups = {"odd": ("X", "Z"), "even": ("W", "Y")}


def layout_of(num_assets: int) -> ObservationLayout:
    return ObservationLayout.portfolio(num_assets, ("close_return", "volatility"), ("hour_sin", "hour_cos"))


def config_of(core: str = "lstm", actors: ActorGroups = "shared", **changes) -> NetworkConfig:
    facts = {
        "core": core,
        "encoder_units": 6,
        "core_units": 16,
        "value_units": 5,
        "initial_memory_bars": 8,
        "symbol_embedding": False,
        "attention": AttentionConfig(window_bars=4, heads=2) if core == "attention" else None,
        "weights_distribution": "squashed_gaussian",
        "action_masks": False,
        "compiled": "auto",
        "actors": actors,
    }
    return NetworkConfig(**facts | changes)


def network_of(core: str = "lstm", actors: ActorGroups = "shared", symbols=SYMBOLS, **changes):
    """A network for a choice of three per asset, in double precision, with weights that show in every number."""
    spec = DistributionSpec(kind="categorical", num_assets=len(symbols), choices=3)
    torch.manual_seed(0)
    config = for_symbols(config_of(core, actors, **changes), symbols)
    network = spec.network(layout_of(len(symbols)), config)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return network.double()


def doubled_state(network, rows: int) -> dict[str, torch.Tensor]:
    return {name: value.double() for name, value in network.initial_state(rows).items()}


def observations_of(length: int, rows: int, num_assets: int = 4) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(length, rows, layout_of(num_assets).size, dtype=torch.float64)


def with_equal_weights(network: ActorsNetwork, shared: PortfolioNetwork) -> None:
    for actor in network.networks:
        actor.load_state_dict(shared.state_dict())


def by_asset(scores: torch.Tensor, num_assets: int = 4) -> torch.Tensor:
    return scores.unflatten(-1, (num_assets, 3))


def walk(network, observations, state, keep):
    scores, values = [], []
    for observation, keep_t in zip(observations, keep, strict=True):
        cleared = {name: value * keep_t[:, None, None] for name, value in state.items()}
        output = network.step(observation, cleared)
        state = output.state
        scores.append(output.scores)
        values.append(output.values)
    return torch.stack(scores), torch.stack(values), state


@pytest.mark.parametrize("core", CORES)
def test_one_actor_that_has_every_symbol_is_the_shared_policy_to_the_bit(core):
    shared, one = network_of(core), network_of(core, {"all": SYMBOLS})
    with_equal_weights(one, shared)
    observations, keep = observations_of(6, 3), torch.ones(6, 3, dtype=torch.float64)
    keep[2, 1] = 0.0
    ours, theirs = (n.sequence(observations, doubled_state(n, 3), keep) for n in (one, shared))
    assert torch.equal(ours.scores, theirs.scores)
    assert torch.equal(ours.values, theirs.values)
    assert all(torch.equal(ours.state[name], theirs.state[name]) for name in theirs.state)
    ours, theirs = (n.step(observations[0], doubled_state(n, 3)) for n in (one, shared))
    assert torch.equal(ours.scores, theirs.scores)
    assert torch.equal(ours.values, theirs.values)


@pytest.mark.parametrize("core", CORES)
def test_actors_of_equal_weights_are_the_shared_policy_where_it_pools_nothing_over_symbols(core):
    shared, own = network_of(core), network_of(core, "symbol")
    with torch.no_grad():  # the account's embedding reads the mean over symbols; here it does not
        shared.encode_context.weight[:, : shared.encode_asset.out_features] = 0.0
    with_equal_weights(own, shared)
    observations, keep = observations_of(6, 3), torch.ones(6, 3, dtype=torch.float64)
    ours, theirs = (n.sequence(observations, doubled_state(n, 3), keep) for n in (own, shared))
    torch.testing.assert_close(ours.scores, theirs.scores, rtol=0, atol=1e-12)
    for name in theirs.state:
        torch.testing.assert_close(ours.state[name], theirs.state[name], rtol=0, atol=1e-12)


@pytest.mark.parametrize("core", CORES)
def test_each_actor_decides_as_its_network_does_alone_and_the_account_is_worth_their_sum(core):
    own = network_of(core, "symbol")
    observations, keep = observations_of(5, 2), torch.ones(5, 2, dtype=torch.float64)
    together = own.sequence(observations, doubled_state(own, 2), keep)
    worth = torch.zeros_like(together.values)
    for slot, actor in enumerate(own.networks):
        seen = observations[..., columns_of_slots(layout_of(4), [slot])]
        alone = actor.sequence(seen, doubled_state(actor, 2), keep)
        torch.testing.assert_close(by_asset(together.scores)[..., slot, :], alone.scores, rtol=0, atol=1e-14)
        worth += alone.values
    torch.testing.assert_close(together.values, worth, rtol=0, atol=1e-14)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("actors", ["symbol", APART])
def test_gradients_of_scores_reach_their_own_actor_alone(core, actors):
    own = network_of(core, actors)
    observations, keep = observations_of(5, 2), torch.ones(5, 2, dtype=torch.float64)
    for number, slots in enumerate(own.actor_slots):
        own.zero_grad()
        output = own.sequence(observations, doubled_state(own, 2), keep)
        by_asset(output.scores)[..., list(slots), :].square().sum().backward()
        touched = {
            int(name.split(".")[1])
            for name, parameter in own.named_parameters()
            if parameter.grad is not None and parameter.grad.any()
        }
        assert touched == {number}


def test_every_parameter_of_every_actor_learns():
    own = network_of("lstm", APART, symbol_embedding=True)
    observations, keep = observations_of(5, 2), torch.ones(5, 2, dtype=torch.float64)
    output = own.sequence(observations, doubled_state(own, 2), keep)
    (output.scores.square().sum() + output.values.square().sum()).backward()
    idle = [n for n, p in own.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


@pytest.mark.parametrize("core", CORES)
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_a_sequence_with_resets_equals_its_steps(core, data):
    length, rows = data.draw(st.integers(1, 7)), data.draw(st.integers(1, 3))
    resets = data.draw(st.lists(st.booleans(), min_size=length * rows, max_size=length * rows))
    own = network_of(core, APART)
    observations = observations_of(length + 1, rows)
    keep = 1.0 - torch.tensor(resets, dtype=torch.float64).view(length, rows)
    scores, values, after = walk(own, observations[:-1], doubled_state(own, rows), keep)
    output = own.sequence(observations[:-1], doubled_state(own, rows), keep)
    torch.testing.assert_close(output.scores, scores, rtol=0, atol=1e-12)
    torch.testing.assert_close(output.values, values, rtol=0, atol=1e-12)
    following = [own.step(observations[-1], state).scores for state in (after, output.state)]
    torch.testing.assert_close(following[0], following[1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("core", CORES)
def test_symbols_in_another_order_keep_their_actors_decisions(core):
    groups = {"pair": ("X", "W"), "y": ("Y",), "z": ("Z",)}
    order = [2, 3, 1, 0]  # the first asset is now Y, then Z, X, W
    symbols = tuple(SYMBOLS[slot] for slot in order)
    before, after = network_of(core, groups), network_of(core, groups, symbols)
    names = [[actor.name for actor in network.config.placed] for network in (before, after)]
    assert names == [["pair", "y", "z"], ["y", "z", "pair"]]
    for number, name in enumerate(names[1]):
        after.networks[number].load_state_dict(before.networks[names[0].index(name)].state_dict())
    observation = observations_of(1, 5)[0]
    moved = observation.clone()
    for block in ("market", "position"):
        part = layout_of(4).slices[block]
        moved[:, part] = observation[:, part].unflatten(-1, (4, -1))[:, order].flatten(-2)
    one, other = (
        network.step(seen, doubled_state(network, 5))
        for network, seen in ((before, observation), (after, moved))
    )
    torch.testing.assert_close(by_asset(other.scores), by_asset(one.scores)[:, order], rtol=0, atol=1e-12)
    torch.testing.assert_close(other.values, one.values, rtol=0, atol=1e-12)
    for name, value in one.state.items():
        torch.testing.assert_close(other.state[name], value[:, order], rtol=0, atol=1e-12)


@pytest.mark.parametrize("core", ["lstm", "gru", "mlp"])
@pytest.mark.parametrize("actors", ["symbol", APART])
def test_the_compiled_form_gives_torchs_numbers_and_a_row_its_bits_alone(core, actors):
    own = network_of(core, actors).float()
    torch.manual_seed(2)
    observation = torch.randn(19, layout_of(4).size)
    state = {name: 0.5 * torch.randn(19, 4, value.shape[-1]) for name, value in own.initial_state(1).items()}
    form = acting_form(own, with_values=True)
    assert isinstance(form, CompiledActors)
    with torch.inference_mode():
        found, expected = form.step(observation, state), own.step(observation, state)
    torch.testing.assert_close(found.scores, expected.scores, atol=3e-6, rtol=0)
    torch.testing.assert_close(found.values, expected.values, atol=5e-6, rtol=0)
    for name in state:
        torch.testing.assert_close(found.state[name], expected.state[name], atol=3e-6, rtol=0)
    for row in (0, 7, 18):
        alone = form.step(observation[row : row + 1], {n: v[row : row + 1] for n, v in state.items()})
        assert torch.equal(alone.scores[0], found.scores[row])
        assert torch.equal(alone.values[0], found.values[row])
    without = acting_form(own, with_values=False).step(observation, state)
    assert torch.equal(without.scores, found.scores)
    assert without.values.shape == (0,)


def test_a_state_has_a_row_per_env_and_asset_and_starts_at_zero():
    own, shared = network_of("lstm", "symbol"), network_of("lstm")
    assert own.is_stateful
    found, expected = own.initial_state(5), shared.initial_state(5)
    assert {n: v.shape for n, v in found.items()} == {n: v.shape for n, v in expected.items()}
    assert not any(value.any() for value in found.values())
    assert not network_of("mlp", "symbol").is_stateful


def test_an_actor_sees_its_own_symbols_the_account_and_the_clock():
    names = layout_of_slots(layout_of(4), [1, 3]).names
    assert [name for name in names if "@" in name and name.split("@")[1] not in "13"] == []
    assert names[:4] == ("close_return@1", "volatility@1", "close_return@3", "volatility@3")
    assert names[-2:] == ("hour_sin", "hour_cos")
    own = network_of("mlp", "symbol")
    observation = observations_of(1, 1)[0]
    other = observation.clone()
    place = layout_of(4).names.index("volatility@2")
    other[0, place] += 1.0
    moved = (by_asset(own.step(other, {}).scores) != by_asset(own.step(observation, {}).scores)).any(-1)
    assert moved.tolist() == [[False, False, True, False]]


def test_an_actor_of_one_symbol_needs_no_vector_to_tell_it_by():
    own = network_of("lstm", {"alone": ("W",), "rest": ("X", "Y", "Z")}, symbol_embedding=True)
    alone, rest = own.networks
    assert alone.symbols is None
    assert rest.symbols.shape == (3, 6)


def test_what_belongs_to_all_symbols_at_once_is_refused():
    with pytest.raises(ValueError, match="a Dirichlet divides one budget among all"):
        config_of(actors="symbol", weights_distribution="dirichlet")
    with pytest.raises(ValueError, match="nothing says which symbols stand in the observation"):
        DistributionSpec(kind="categorical", num_assets=4, choices=3).network(
            layout_of(4), config_of(actors="symbol")
        )
    with pytest.raises(ValueError, match="for the 4 symbols W, X, Y, Z, but the observation has 3 assets"):
        ActorsNetwork(layout_of(3), 3, for_symbols(config_of(actors="symbol"), SYMBOLS))
    with pytest.raises(ValueError, match="takes symbols in any order"):
        replace(for_symbols(config_of(actors="symbol"), SYMBOLS), actors="shared")


def test_a_config_is_what_its_json_says_and_older_ones_say_nothing_of_actors():
    shared = config_of("attention")
    assert "actors" not in shared.to_json()
    assert NetworkConfig.from_json(shared.to_json()) == shared
    placed = for_symbols(config_of("attention", APART), SYMBOLS)
    assert type(placed).from_json(placed.to_json()) == placed
