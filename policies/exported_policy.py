"""A trained policy as files that hold no code: weights (safetensors) and a JSON contract.

RLlib's own checkpoints are pickles, which run code when loaded; use them only to resume a job of one's own.
What is evaluated, handed on and deployed is this export. It refuses to act on observations of another make:
the contract names every entry of the observation, the features behind them, the statistics they were
standardised with, and every bar that the policy has seen. Both files are checked against recorded hashes.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from envs.observations import ObservationLayout
from policies.action_distribution import DistributionSpec
from policies.actor_groups import SHARED
from policies.actor_network import network_config_of
from policies.compiled.inference import acting_form
from policies.contract import (
    CONTRACT_FILE,
    FORMAT_VERSION,
    Contract,
    contract_hash,
    damaged_file,
    layout_facts,
    layout_of,
    partial,
    read_contract,
    write_contract,
)
from policies.distributions import rule_out
from policies.networks import NetworkConfig
from policies.origin import Origin
from policies.outlook import Outlook
from policies.protocol import State

WEIGHTS_FILE = "weights.safetensors"


@dataclass(frozen=True, kw_only=True)
class PolicyContract(Contract):
    """The contract of a network.

    Parameters
    ----------
    actions : distribution of the actions.
    network : sizes of the network.
    """

    actions: DistributionSpec
    network: NetworkConfig

    def to_json(self) -> dict[str, Any]:
        """The contract, and for whoever reads it the state that must be carried between decisions."""
        state = self.actions.network(self.layout, self.network).initial_state(1)
        return {
            "format_version": FORMAT_VERSION,
            "observation": layout_facts(self.layout),
            "feature_hash": self.feature_hash,
            "standardiser": self.standardiser,
            "action_scheme": self.action_scheme,
            "actions": asdict(self.actions),
            "network": self.network.to_json(),
            "recurrent_state": {
                "shapes": {name: list(value.shape[1:]) for name, value in state.items()},
                "start": "zeros at the first bar of an episode, then carried from decision to decision",
            },
            "origin": None if self.origin is None else self.origin.to_json(),
        }

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> PolicyContract:
        return cls(
            layout=layout_of(facts["observation"]),
            feature_hash=facts["feature_hash"],
            standardiser=facts["standardiser"],
            action_scheme=facts["action_scheme"],
            actions=DistributionSpec(**facts["actions"]),
            network=network_config_of(facts["network"]),
            origin=facts["origin"] and Origin.from_json(facts["origin"]),
        )


class TrainedPolicy:
    """A policy for inference: no exploration, no RLlib. Implements ``policies.protocol.Policy``.

    Raises
    ------
    ValueError
        If the weights do not fit the contract's network.
    """

    def __init__(self, contract: PolicyContract, weights: dict[str, torch.Tensor]) -> None:
        self.contract = contract
        self.network = contract.actions.network(contract.layout, contract.network)
        try:
            self.network.load_state_dict(weights)
        except RuntimeError as error:
            raise ValueError(f"the weights do not fit the network of their contract: {error}") from error
        self.network.eval()
        self._acting = acting_form(self.network, with_values=False)
        self._valuing: Any = None

    @property
    def policy_hash(self) -> str:
        """sha256 over the names and bytes of the weights."""
        digest = hashlib.sha256()
        for name, value in sorted(self.network.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.numpy().tobytes())
        return digest.hexdigest()

    @property
    def contract_hash(self) -> str:
        """sha256 over the contract, with the hash of the weights but without the run's id, so that equal trainings
        have equal hashes."""
        return contract_hash(self._facts())

    def _facts(self) -> dict[str, Any]:
        return self.contract.to_json() | {"policy_hash": self.policy_hash}

    def for_assets(self, num_assets: int) -> TrainedPolicy:
        """The same weights for another number of assets, over which they are shared.

        Raises
        ------
        ValueError
            If it tells its assets apart (``symbol_embedding``, ``actors``), or has none.
        """
        contract = self.contract
        if num_assets == contract.layout.num_assets:
            return self
        apart = contract.network.symbol_embedding or contract.network.actors != SHARED
        if apart or not contract.layout.num_assets:
            raise ValueError(
                f"the policy was made for {contract.layout.num_assets} assets that it tells apart and is given "
                f"{num_assets}; train it with policy.symbol_embedding=false and policy.actors=shared"
            )
        names = contract.layout.names
        market = contract.layout.market_per_asset
        asset_names = tuple(name.removesuffix("@0") for name in names[:market])
        clock = len(names) - contract.layout.clock
        account_names, clock_names = names[clock - contract.layout.account : clock], names[clock:]
        layout = ObservationLayout.portfolio(num_assets, asset_names, clock_names, account_names)
        actions = replace(contract.actions, num_assets=num_assets)
        return TrainedPolicy(
            replace(contract, layout=layout, actions=actions), dict(self.network.state_dict())
        )

    def initial_state(self, num_envs: int) -> State:
        return self.network.initial_state(num_envs)

    @property
    def masks_actions(self) -> bool:
        """Whether :meth:`act` must be told what is allowed."""
        return self.contract.network.action_masks

    def act(
        self, observation: NDArray[np.float32], state: State, allowed: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[Any], State]:
        """Decide for each env.

        Parameters
        ----------
        observation : (E, D) float32.
        state : recurrent state, rows (E, A, width).
        allowed : (E, A, N), ``env.action_masks()``, for a policy that was trained with them.

        Returns
        -------
        actions : (E, ...) as the env's action space asks: whole numbers for choices, else float32.
        state : after this decision.
        """
        seen = self._checked(observation, allowed)
        with torch.inference_mode():
            scores, after = self._scores(seen, state, allowed)
            actions = self.contract.actions.distribution(scores).deterministic()
        return actions.numpy(), after

    def _checked(self, observation: NDArray[np.float32], allowed: NDArray[np.bool_] | None) -> torch.Tensor:
        if self.masks_actions is (allowed is None):
            raise ValueError(
                f"policy.action_masks was {str(self.masks_actions).lower()} in training but act() was "
                f"{'not ' if allowed is None else ''}given masks; give it env.action_masks() just then"
            )
        seen = np.ascontiguousarray(observation, dtype=np.float32)
        if seen.ndim != 2 or seen.shape[1] != self.contract.layout.size:
            raise ValueError(
                f"the observation is {seen.shape} but the policy was trained on (E, {self.contract.layout.size}); "
                "give it the observations of an env with the same symbols and features"
            )
        return torch.from_numpy(seen)

    def _scores(
        self, seen: torch.Tensor, state: State, allowed: NDArray[np.bool_] | None
    ) -> tuple[torch.Tensor, State]:
        scores, _, after = self._acting.step(seen, state)
        return scores if allowed is None else rule_out(scores, torch.from_numpy(allowed)), after

    def outlook(
        self, observation: NDArray[np.float32], state: State, allowed: NDArray[np.bool_] | None = None
    ) -> Outlook:
        """What lies behind the decision that `act` takes of the same: the scores are the very same numbers."""
        seen = self._checked(observation, allowed)
        with torch.inference_mode():
            scores, _ = self._scores(seen, state, allowed)
            found = self.contract.actions.distribution(scores).parameters()
            parameters = {name: one.numpy() for name, one in found.items()}
        return Outlook.of(parameters, self.values(observation, state), self.contract.action_scheme)

    def values(self, observation: NDArray[np.float32], state: State) -> NDArray[np.float32]:
        """What the value head expects from here on.

        Parameters
        ----------
        observation, state : as `act` takes them.

        Returns
        -------
        (E,) discounted sum of the rewards to come, in units of the training's reward.
        """
        if self._valuing is None:
            self._valuing = acting_form(self.network, with_values=True)
        seen = torch.from_numpy(np.ascontiguousarray(observation, dtype=np.float32))
        with torch.inference_mode():
            return np.asarray(self._valuing.step(seen, state).values.numpy())

    def save(self, directory: Path) -> None:
        """Write the contract and the weights into ``directory``, which is made if need be."""
        directory.mkdir(parents=True, exist_ok=True)
        weights = directory / WEIGHTS_FILE
        save_file(self.network.state_dict(), partial(weights))
        os.replace(partial(weights), weights)
        write_contract(directory, self._facts())

    @classmethod
    def load(
        cls, directory: Path, *, layout: ObservationLayout | None = None, feature_hash: str | None = None
    ) -> TrainedPolicy:
        """Read a policy; runs no code from the files and opens no others.

        Parameters
        ----------
        directory : where :meth:`save` wrote it.
        layout, feature_hash : of the env it is to act in; None skips the check.

        Raises
        ------
        ValueError
            If a file is missing or damaged, or the policy was trained on other observations.
        """
        for name in (CONTRACT_FILE, WEIGHTS_FILE):
            if not (directory / name).is_file():
                raise ValueError(f"{directory} holds no {name}; it is not an exported policy")
        facts = read_contract(directory / CONTRACT_FILE)
        try:
            contract = PolicyContract.from_json(facts)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(damaged_file(directory / CONTRACT_FILE)) from error
        contract.check_fits(layout, feature_hash)
        damaged = f"the weights in {directory} do not match their recorded hash; the export is damaged"
        try:
            policy = cls(contract, load_file(directory / WEIGHTS_FILE))
        except (SafetensorError, ValueError) as error:
            raise ValueError(damaged) from error
        if policy.policy_hash != facts["policy_hash"]:
            raise ValueError(damaged)
        return policy
