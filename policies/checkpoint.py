"""A trained policy as files that hold no code: weights (safetensors) and a JSON contract.

RLlib's own checkpoints are pickles, which run code when loaded; use them only to resume a job of one's own.
What is evaluated, handed on and deployed is this export. It refuses to act on observations of another make:
the contract names every entry of the observation, the features behind them, and the statistics they were
standardised with.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from envs.observations import ObservationLayout
from policies.networks import NetworkConfig, PortfolioNetwork, State

CONTRACT_FILE, WEIGHTS_FILE = "policy.json", "weights.safetensors"
FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class PolicyContract:
    """What a policy needs to be given, and what it gives back.

    Parameters
    ----------
    layout : names and places of the observation's entries.
    feature_hash : hash of the feature definitions that fill the market and clock blocks; "" for foreign envs.
    standardiser : statistics of the training window, as ``Standardiser.to_dict``; None for foreign envs.
    action_scheme : name of the action scheme, such as ``direction``.
    choices_per_asset : number of choices per asset.
    network : sizes of the network.
    """

    layout: ObservationLayout
    feature_hash: str
    standardiser: dict[str, Any] | None
    action_scheme: str
    choices_per_asset: int
    network: NetworkConfig

    def to_json(self, policy_hash: str) -> dict[str, Any]:
        network = PortfolioNetwork(self.layout, self.choices_per_asset, self.network)
        state = {name: list(value.shape[1:]) for name, value in network.initial_state(1).items()}
        return {
            "format_version": FORMAT_VERSION,
            "policy_hash": policy_hash,
            "observation": asdict(self.layout) | {"schema_hash": self.layout.schema_hash},
            "feature_hash": self.feature_hash,
            "standardiser": self.standardiser,
            "action_scheme": self.action_scheme,
            "choices_per_asset": self.choices_per_asset,
            "network": asdict(self.network),
            "recurrent_state": {
                "shapes": state,
                "start": "zeros at the first bar of an episode, then carried from decision to decision",
            },
        }

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> PolicyContract:
        layout = {k: v for k, v in facts["observation"].items() if k != "schema_hash"}
        return cls(
            layout=ObservationLayout(**layout | {"names": tuple(layout["names"])}),
            feature_hash=facts["feature_hash"],
            standardiser=facts["standardiser"],
            action_scheme=facts["action_scheme"],
            choices_per_asset=facts["choices_per_asset"],
            network=NetworkConfig(**facts["network"]),
        )


class TrainedPolicy:
    """A policy for inference: the likeliest action of each asset, no exploration, no RLlib.

    Implements ``policies.protocol.Policy``.
    """

    def __init__(self, contract: PolicyContract, weights: dict[str, torch.Tensor]) -> None:
        self.contract = contract
        self._network = PortfolioNetwork(contract.layout, contract.choices_per_asset, contract.network)
        self._network.load_state_dict(weights)
        self._network.eval()
        self._action_shape = (contract.layout.num_assets,) if contract.layout.num_assets else ()

    @property
    def policy_hash(self) -> str:
        """sha256 over the names and bytes of the weights."""
        digest = hashlib.sha256()
        for name, value in sorted(self._network.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.numpy().tobytes())
        return digest.hexdigest()

    def initial_state(self, num_envs: int) -> State:
        return self._network.initial_state(num_envs)

    def act(self, observation: NDArray[np.float32], state: State) -> tuple[NDArray[np.int64], State]:
        """Decide for each env.

        Parameters
        ----------
        observation : (E, D) float32.
        state : recurrent state, rows (E, A, H).

        Returns
        -------
        actions : (E, A), or (E,) for an env without assets.
        state : after this decision.
        """
        with torch.inference_mode():
            output = self._network.step(torch.from_numpy(np.ascontiguousarray(observation)), state)
            scores = output.scores.unflatten(-1, (-1, self.contract.choices_per_asset))
            actions = scores.argmax(-1).numpy()
        return actions.reshape(len(observation), *self._action_shape), output.state

    def save(self, directory: Path) -> None:
        """Write the contract and the weights into ``directory``, which is made if need be."""
        directory.mkdir(parents=True, exist_ok=True)
        save_file(self._network.state_dict(), directory / WEIGHTS_FILE)
        contract = json.dumps(self.contract.to_json(self.policy_hash), indent=2)
        (directory / CONTRACT_FILE).write_text(contract + "\n")

    @classmethod
    def load(
        cls, directory: Path, *, layout: ObservationLayout | None = None, feature_hash: str | None = None
    ) -> TrainedPolicy:
        """Read a policy; runs no code from the files.

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
        facts = json.loads((directory / CONTRACT_FILE).read_text())
        if facts.get("format_version") != FORMAT_VERSION:
            raise ValueError(
                f"{directory / CONTRACT_FILE} has format version {facts.get('format_version')}, "
                f"this release reads {FORMAT_VERSION}; export the policy again"
            )
        contract = PolicyContract.from_json(facts)
        if layout is not None and layout.schema_hash != contract.layout.schema_hash:
            raise ValueError(_difference(contract.layout.names, layout.names))
        if feature_hash is not None and feature_hash != contract.feature_hash:
            raise ValueError(
                "the policy was trained on features defined otherwise (other definitions or parameters); "
                "use the features config of its run"
            )
        policy = cls(contract, load_file(directory / WEIGHTS_FILE))
        if policy.policy_hash != facts["policy_hash"]:
            raise ValueError(
                f"the weights in {directory} do not match their recorded hash; the export is damaged"
            )
        return policy


def _difference(trained: tuple[str, ...], given: tuple[str, ...]) -> str:
    missing, extra = sorted(set(trained) - set(given)), sorted(set(given) - set(trained))
    detail = (
        f"missing {missing[:5]}, not known to it {extra[:5]}"
        if missing or extra
        else "the order of entries differs"
    )
    return (
        f"the policy was trained on {len(trained)} observation entries and is given {len(given)}: {detail}; "
        "use the env and features config of its run"
    )
