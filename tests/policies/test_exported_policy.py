"""An exported policy acts to the bit as before, runs no code when loaded, and refuses what it was not made for."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envs.actions import ActionConfig, action_space
from envs.observations import ObservationLayout
from policies.action_distribution import DistributionSpec
from policies.cores import CORES
from policies.exported_policy import CONTRACT_FILE, WEIGHTS_FILE, PolicyContract, TrainedPolicy
from policies.networks import NetworkConfig
from policies.protocol import Policy
from policies.window_attention import AttentionConfig

LAYOUT = ObservationLayout.portfolio(2, ("x", "y"), ("hour",))


def policy_of(
    core: str = "lstm", scheme: str = "direction", weights: str = "squashed_gaussian", seed: int = 0
):
    network = NetworkConfig(
        core=core,
        encoder_units=5,
        core_units=4,
        value_units=3,
        initial_memory_bars=16,
        symbol_embedding=True,
        attention=AttentionConfig(window_bars=3, heads=2) if core == "attention" else None,
        weights_distribution=weights,
        action_masks=False,
        compiled="auto",
    )
    actions = ActionConfig(scheme=scheme, allow_short=weights != "dirichlet", rebalance_band=0.0)
    contract = PolicyContract(
        layout=LAYOUT,
        feature_hash="f" * 64,
        standardiser={"mean": [0.1, 0.2], "std": [1.0, 2.0]},
        action_scheme=scheme,
        actions=DistributionSpec.for_space(action_space(actions, 2), weights),
        network=network,
    )
    generator = torch.Generator().manual_seed(seed)
    shapes = contract.actions.network(LAYOUT, network).state_dict()
    return TrainedPolicy(contract, {n: torch.randn(v.shape, generator=generator) for n, v in shapes.items()})


def actions_over_time(policy: TrainedPolicy, num_steps: int = 6, num_envs: int = 3) -> list[np.ndarray]:
    random, state, actions = np.random.default_rng(1), policy.initial_state(num_envs), []
    for _ in range(num_steps):
        observation = random.standard_normal((num_envs, LAYOUT.size)).astype(np.float32)
        decided, state = policy.act(observation, state)
        actions.append(decided)
    return actions


@pytest.mark.parametrize("weights", ["squashed_gaussian", "dirichlet"])
@pytest.mark.parametrize("scheme", ["direction", "orders", "direction_size", "weights"])
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(core=st.sampled_from(list(CORES)), seed=st.integers(0, 2**31))
def test_a_saved_and_loaded_policy_acts_the_same_to_the_bit(tmp_path, scheme, weights, core, seed):
    policy = policy_of(core, scheme, weights, seed)
    policy.save(tmp_path)
    loaded = TrainedPolicy.load(tmp_path, layout=LAYOUT, feature_hash="f" * 64)
    assert loaded.contract == policy.contract
    assert loaded.policy_hash == policy.policy_hash
    for before, after in zip(actions_over_time(policy), actions_over_time(loaded), strict=True):
        assert before.dtype == after.dtype
        assert before.tobytes() == after.tobytes()


def test_a_trained_policy_is_a_policy_whose_rows_do_not_mix():
    policy = policy_of()
    assert isinstance(policy, Policy)
    observation = np.random.default_rng(0).standard_normal((4, LAYOUT.size)).astype(np.float32)
    together, _ = policy.act(observation, policy.initial_state(4))
    for row in range(4):
        alone, _ = policy.act(observation[row : row + 1], policy.initial_state(1))
        assert alone[0].tolist() == together[row].tolist()


def test_other_weights_have_another_hash():
    assert policy_of(seed=0).policy_hash != policy_of(seed=1).policy_hash


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self):
        return Path.touch, (self._path,)


def test_loading_runs_no_pickle_even_where_one_lies_in_wait(tmp_path):
    directory, sprung = tmp_path / "policy", tmp_path / "sprung"
    policy = policy_of()
    policy.save(directory)
    trap = pickle.dumps(Trap(sprung))
    for name in ("policy.pkl", "weights.pt", "module_state.pkl", "rllib_checkpoint.json"):
        (directory / name).write_bytes(trap)
    assert TrainedPolicy.load(directory).policy_hash == policy.policy_hash
    (directory / WEIGHTS_FILE).write_bytes(trap)  # a pickle under the name of the weights
    with pytest.raises(ValueError, match="the export is damaged"):
        TrainedPolicy.load(directory)
    assert not sprung.exists()
    pickle.loads(trap)
    assert sprung.exists()  # the trap works


def damage_weights(directory: Path) -> None:
    content = bytearray((directory / WEIGHTS_FILE).read_bytes())
    content[-1] ^= 1
    (directory / WEIGHTS_FILE).write_bytes(content)


def truncate_weights(directory: Path) -> None:
    content = (directory / WEIGHTS_FILE).read_bytes()
    (directory / WEIGHTS_FILE).write_bytes(content[: len(content) // 2])


def swap_weights(directory: Path) -> None:
    policy_of("gru").save(directory / "other")
    (directory / WEIGHTS_FILE).write_bytes((directory / "other" / WEIGHTS_FILE).read_bytes())


def edit_contract(directory: Path) -> None:
    facts = json.loads((directory / CONTRACT_FILE).read_text())
    facts["standardiser"]["mean"][0] = 0.0
    (directory / CONTRACT_FILE).write_text(json.dumps(facts))


def truncate_contract(directory: Path) -> None:
    content = (directory / CONTRACT_FILE).read_text()
    (directory / CONTRACT_FILE).write_text(content[: len(content) // 2])


@pytest.mark.parametrize(
    "harm", [damage_weights, truncate_weights, swap_weights, edit_contract, truncate_contract]
)
def test_a_damaged_export_is_refused_in_one_sentence(tmp_path, harm):
    policy_of().save(tmp_path)
    harm(tmp_path)
    with pytest.raises(ValueError, match=r"^[^\n]*damaged[^\n]*$"):
        TrainedPolicy.load(tmp_path)


@pytest.mark.parametrize("name", [CONTRACT_FILE, WEIGHTS_FILE])
def test_a_folder_without_an_export_is_refused(tmp_path, name):
    policy_of().save(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ValueError, match=f"holds no {name}; it is not an exported policy"):
        TrainedPolicy.load(tmp_path)


def test_another_release_is_asked_for_a_new_export(tmp_path):
    policy_of().save(tmp_path)
    facts = json.loads((tmp_path / CONTRACT_FILE).read_text()) | {"format_version": 99}
    (tmp_path / CONTRACT_FILE).write_text(json.dumps(facts))
    with pytest.raises(ValueError, match=r"format version 99, this release reads 2; export the policy again"):
        TrainedPolicy.load(tmp_path)


def test_another_observation_is_refused_and_the_difference_named(tmp_path):
    policy_of().save(tmp_path)
    other = ObservationLayout.portfolio(2, ("x", "z"), ("hour",))
    with pytest.raises(ValueError, match=r"missing \['y@0', 'y@1'\], not known to it \['z@0', 'z@1'\]"):
        TrainedPolicy.load(tmp_path, layout=other)
    swapped = replace(LAYOUT, names=(LAYOUT.names[1], LAYOUT.names[0], *LAYOUT.names[2:]))
    with pytest.raises(ValueError, match="the order of entries differs"):
        TrainedPolicy.load(tmp_path, layout=swapped)


def test_features_defined_otherwise_are_refused(tmp_path):
    policy_of().save(tmp_path)
    with pytest.raises(ValueError, match="use the features config of its run"):
        TrainedPolicy.load(tmp_path, feature_hash="0" * 64)


def test_a_policy_replaces_an_older_one_and_leaves_nothing_half_written(tmp_path):
    policy_of(seed=0).save(tmp_path)
    newer = policy_of(seed=1)
    newer.save(tmp_path)
    assert TrainedPolicy.load(tmp_path).policy_hash == newer.policy_hash
    assert sorted(path.name for path in tmp_path.iterdir()) == [CONTRACT_FILE, WEIGHTS_FILE]


def test_the_contract_can_be_read_without_this_program(tmp_path):
    policy_of("attention").save(tmp_path)
    facts = json.loads((tmp_path / CONTRACT_FILE).read_text())
    # Two bars before the current one, of four units each, per asset.
    assert facts["recurrent_state"]["shapes"] == {"keys": [2, 8], "values": [2, 8], "bars_seen": [2, 1]}
    assert facts["observation"]["names"] == list(LAYOUT.names)
    assert facts["standardiser"] == {"mean": [0.1, 0.2], "std": [1.0, 2.0]}


def test_a_policy_for_a_foreign_env_gives_one_action_per_row():
    policy = policy_of()
    layout = ObservationLayout.flat(3)
    actions = DistributionSpec.for_space(gym.spaces.Discrete(2), "squashed_gaussian")
    contract = replace(policy.contract, layout=layout, actions=actions, action_scheme="", standardiser=None)
    foreign = TrainedPolicy(contract, actions.network(layout, contract.network).state_dict())
    decided, _ = foreign.act(np.zeros((5, 3), np.float32), foreign.initial_state(5))
    assert decided.shape == (5,)


def test_a_policy_trained_with_masks_wants_them_and_decides_within_them():
    plain = policy_of()
    contract = replace(plain.contract, network=replace(plain.contract.network, action_masks=True))
    network = contract.actions.network(LAYOUT, contract.network)
    masked = TrainedPolicy(contract, network.state_dict())
    observation, state = np.zeros((4, LAYOUT.size), np.float32), masked.initial_state(4)
    for choice in range(3):
        allowed = np.zeros((4, 2, 3), dtype=bool)
        allowed[..., choice] = True
        assert (masked.act(observation, state, allowed)[0] == choice).all()
    with pytest.raises(
        ValueError, match="action_masks was true in training but act\\(\\) was not given masks"
    ):
        masked.act(observation, state)
    with pytest.raises(ValueError, match="action_masks was false in training but act\\(\\) was given masks"):
        plain.act(observation, state, allowed)


@pytest.mark.parametrize("core", list(CORES))
def test_an_outlook_holds_the_probabilities_and_the_value_of_the_network_asset_by_asset(core):
    policy = policy_of(core)
    seen = np.random.default_rng(2).standard_normal((3, LAYOUT.size)).astype(np.float32)
    state = policy.initial_state(3)
    with torch.inference_mode():
        scores, values, _ = policy.network.step(torch.from_numpy(seen), state)
    outlook = policy.outlook(seen, state)
    assert outlook.names == ("short", "flat", "long")
    expected = np.exp(scores.numpy().reshape(3, 2, 3))
    np.testing.assert_allclose(
        outlook.parameters, expected / expected.sum(axis=-1, keepdims=True), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(outlook.value, values.numpy(), rtol=1e-4, atol=1e-5)
    actions, _ = policy.act(seen, state)
    assert (outlook.parameters.argmax(axis=-1) == actions).all()  # of the very same scores


@pytest.mark.parametrize(
    ("scheme", "weights", "names"),
    [
        ("orders", "squashed_gaussian", ("hold", "buy", "sell", "close")),
        ("direction_size", "squashed_gaussian", ("short", "flat", "long", "size, mean", "size, deviation")),
        ("weights", "squashed_gaussian", ("weight, 16 %", "weight, median", "weight, 84 %")),
        ("weights", "dirichlet", ("weight, mean", "weight, deviation", "cash, mean")),
    ],
)
def test_an_outlook_names_what_an_action_scheme_chooses_between(scheme, weights, names):
    policy = policy_of("lstm", scheme, weights)
    seen = np.zeros((2, LAYOUT.size), np.float32)
    outlook = policy.outlook(seen, policy.initial_state(2))
    assert outlook.names == names
    assert outlook.parameters.shape == (2, 2, len(names))
    assert outlook.value.shape == (2,)
