"""An export of several actors: the same decisions after reload, for the same symbols alone."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from envs.observations import ObservationLayout
from policies.action_distribution import DistributionSpec
from policies.actor_groups import ActorGroups
from policies.actor_network import for_symbols
from policies.contract import CONTRACT_FILE, facts_hash
from policies.exported_policy import PolicyContract, TrainedPolicy
from policies.networks import NetworkConfig

SYMBOLS = ("W", "X", "Y")
LAYOUT = ObservationLayout.portfolio(3, ("close_return", "volatility"), ("hour_sin",))
GROUPS: ActorGroups = {"first": ("Y", "W"), "second": ("X",)}


def policy_of(actors: ActorGroups = "symbol") -> TrainedPolicy:
    network = NetworkConfig(
        core="lstm",
        encoder_units=5,
        core_units=4,
        value_units=3,
        initial_memory_bars=16,
        symbol_embedding=True,
        attention=None,
        weights_distribution="squashed_gaussian",
        action_masks=False,
        compiled="auto",
        actors=actors,
    )
    contract = PolicyContract(
        layout=LAYOUT,
        feature_hash="f" * 64,
        standardiser=None,
        action_scheme="direction",
        actions=DistributionSpec(kind="categorical", num_assets=3, choices=3),
        network=for_symbols(network, SYMBOLS),
    )
    random = torch.Generator().manual_seed(0)
    shapes = contract.actions.network(LAYOUT, contract.network).state_dict()
    return TrainedPolicy(contract, {n: torch.randn(v.shape, generator=random) for n, v in shapes.items()})


def decisions(policy: TrainedPolicy) -> list[np.ndarray]:
    random, state, found = np.random.default_rng(1), policy.initial_state(4), []
    for _ in range(6):
        seen = random.standard_normal((4, LAYOUT.size)).astype(np.float32)
        found.append(policy.values(seen, state))
        actions, state = policy.act(seen, state)
        found.append(actions)
    return found


@pytest.mark.parametrize("actors", ["symbol", GROUPS])
def test_a_saved_and_loaded_policy_acts_and_values_the_same_to_the_bit(tmp_path, actors):
    policy = policy_of(actors)
    policy.save(tmp_path)
    loaded = TrainedPolicy.load(tmp_path, layout=LAYOUT, feature_hash="f" * 64)
    assert loaded.contract == policy.contract
    assert loaded.policy_hash == policy.policy_hash
    assert loaded.contract_hash == policy.contract_hash
    for before, after in zip(decisions(policy), decisions(loaded), strict=True):
        assert before.tobytes() == after.tobytes()


def test_groups_in_another_order_in_the_file_are_the_same_policy(tmp_path):
    policy = policy_of(GROUPS)
    policy.save(tmp_path)
    facts = json.loads((tmp_path / CONTRACT_FILE).read_text())
    kept = facts.pop("contract_hash")
    facts["network"]["actors"] = dict(reversed(facts["network"]["actors"].items()))
    assert facts_hash(facts) == kept  # no hash tells one order from another, so none may matter
    (tmp_path / CONTRACT_FILE).write_text(json.dumps({**facts, "contract_hash": kept}))
    for before, after in zip(decisions(policy), decisions(TrainedPolicy.load(tmp_path)), strict=True):
        assert before.tobytes() == after.tobytes()


def test_a_contract_of_a_shared_policy_says_nothing_of_actors():
    told = policy_of("shared").contract.to_json()["network"]
    assert "actors" not in told
    assert "symbols" not in told
    told = policy_of(GROUPS).contract.to_json()["network"]
    assert told["symbols"] == SYMBOLS
    assert told["actors"] == GROUPS


def test_actors_are_for_their_number_of_symbols():
    assert policy_of().for_assets(3).policy_hash == policy_of().policy_hash
    with pytest.raises(ValueError, match="policy.actors=shared"):
        policy_of().for_assets(2)
