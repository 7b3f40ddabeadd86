"""A supervised model as a policy: it reads the observation's features, predicts, and takes positions.

Its export is a JSON contract and the models as text: coefficients as JSON, trees in the format of their library.
Nothing of it is code, and what was exported decides in another process as it did here, to the bit.

Axes: E env rows, D observation entries, A asset.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.actions import ACTION_SCHEMES
from envs.observations import POSITION_NAMES, ObservationLayout
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
from policies.origin import Origin
from policies.outlook import Outlook
from policies.protocol import State
from policies.supervised.design import designed
from policies.supervised.fitted_models import SIDES, FittedModels, models_digest, text_names
from policies.supervised.positions import held, on_side, target_positions
from policies.supervised.primary_rule import PrimaryRule
from policies.supervised.settings import SupervisedSettings, require_package

KIND = "supervised"
"""What a contract's ``kind`` says; that of a network has none."""


@dataclass(frozen=True, kw_only=True)
class SupervisedContract(Contract):
    """The contract of a supervised policy.

    Parameters
    ----------
    settings : of the model and its positions.
    allow_short : of the env's actions; False takes no short side.
    """

    settings: SupervisedSettings
    allow_short: bool

    @property
    def primary(self) -> PrimaryRule | None:
        """The rule whose sides were learnt of, where the labels name one.

        Raises
        ------
        ValueError
            If its side cannot be told from what is observed.
        """
        layout = self.layout
        names = [name.rpartition("@")[0] for name in layout.names[: layout.market_per_asset]]
        return PrimaryRule.of(self.settings.labels, names, self.standardiser, layout.num_assets)

    def to_json(self) -> dict[str, Any]:
        """The contract as JSON."""
        return {
            "format_version": FORMAT_VERSION,
            "kind": KIND,
            "observation": layout_facts(self.layout),
            "feature_hash": self.feature_hash,
            "standardiser": self.standardiser,
            "action_scheme": self.action_scheme,
            "allow_short": self.allow_short,
            "settings": self.settings.to_json(),
            "origin": None if self.origin is None else self.origin.to_json(),
        }

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> SupervisedContract:
        """From what `to_json` gave."""
        return cls(
            layout=layout_of(facts["observation"]),
            feature_hash=facts["feature_hash"],
            standardiser=facts["standardiser"],
            action_scheme=facts["action_scheme"],
            allow_short=facts["allow_short"],
            settings=SupervisedSettings.from_json(facts["settings"]),
            origin=facts["origin"] and Origin.from_json(facts["origin"]),
        )


class SupervisedPolicy:
    """Implements ``policies.protocol.Policy``. Its state, where sides are kept for a while, is what it holds."""

    masks_actions = False

    def __init__(self, contract: SupervisedContract, models: FittedModels) -> None:
        self.contract, self.models = contract, models
        self._encode = ACTION_SCHEMES[contract.action_scheme].encode
        self._primary = contract.primary
        position = contract.settings.position
        self._holds = position.hold_bars > 1
        largest = position.max_fraction if position.rule == "edge" else position.fraction
        # With a size of its own a scheme multiplies the env's rule for sizes by what lies between 0 and 1.
        self._unit = largest if contract.action_scheme == "direction_size" else 1.0

    @property
    def policy_hash(self) -> str:
        """sha256 over the models."""
        return self.models.digest

    @property
    def contract_hash(self) -> str:
        """sha256 over the contract, with the hash of the models but without the run's id, so that equal fits have equal
        hashes."""
        return contract_hash(self._facts())

    def _facts(self) -> dict[str, Any]:
        return self.contract.to_json() | {"models": self.models.facts(), "policy_hash": self.policy_hash}

    def initial_state(self, num_envs: int) -> State:
        if not self._holds:
            return None
        shape = (num_envs, self.contract.layout.num_assets)
        return {"position": np.zeros(shape), "age": np.zeros(shape, dtype=np.int64)}

    def act(self, observation: NDArray[np.float32], state: State) -> tuple[NDArray[Any], State]:
        """Decide for each env.

        Parameters
        ----------
        observation : (E, D) float32. state : of `initial_state`, or of the decision before.

        Returns
        -------
        actions : (E, A) or (E, A, 2), as the action scheme of the contract has them. state : after this decision.
        """
        layout = self.contract.layout
        if observation.ndim != 2 or observation.shape[1] != layout.size:
            raise ValueError(
                f"the observation is {observation.shape} but the policy was trained on (E, {layout.size}); "
                "give it the observations of an env with the same symbols and features"
            )
        target = self._targets(observation)
        if self._holds:
            hold_bars = self.contract.settings.position.hold_bars
            target, age = held(target, state["position"], state["age"], hold_bars)
            state = {"position": target, "age": age}
        size = np.clip(target / self._unit, -1.0, 1.0)
        return self._encode(np.sign(target).astype(np.int64), size), state

    def outlook(self, observation: NDArray[np.float32], state: State) -> Outlook:
        """What lies behind the decision that `act` takes of the same: what the models say of each side."""
        strength, edge = self._predicted(observation)
        parameters = {f"{side}, strength": strength[..., place] for side, place in SIDES.items()}
        parameters |= {f"{side}, expected return": edge[..., place] for side, place in SIDES.items()}
        known = {name: np.where(np.isfinite(one), one, np.nan) for name, one in parameters.items()}
        value = np.full(len(observation), np.nan)
        return Outlook.of(known, value, self.contract.action_scheme)

    def _predicted(self, observation: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(E, A, S) strength of each side, and its expected return; with a primary rule, of the side that it takes."""
        layout, slices, rows = self.contract.layout, self.contract.layout.slices, len(observation)
        features = observation[:, slices["market"]].reshape(rows, layout.num_assets, -1)
        strength, edge = self.models.strength_and_edge(designed(features, observation[:, slices["clock"]]))
        if self._primary is not None:
            side = self._primary.side(features)
            strength, edge = on_side(strength, side), on_side(edge, side)
        return strength, edge

    def _targets(self, observation: NDArray[np.float32]) -> NDArray[np.float64]:
        """(E, A) signed notional over equity."""
        layout, slices, rows = self.contract.layout, self.contract.layout.slices, len(observation)
        position = observation[:, slices["position"]].reshape(rows, layout.num_assets, -1)
        strength, edge = self._predicted(observation)
        return target_positions(
            strength,
            edge,
            position[:, :, POSITION_NAMES.index("tradable")] > 0.5,
            self.contract.settings.position,
            bound=self.models.bound,
            allow_short=self.contract.allow_short,
            net=self.contract.settings.net_labels,
        )

    def save(self, directory: Path) -> None:
        """Write the models and the contract into ``directory``, which is made if need be; the contract last."""
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in self.models.texts.items():
            partial(directory / name).write_text(text)
            os.replace(partial(directory / name), directory / name)
        write_contract(directory, self._facts())

    @classmethod
    def load(
        cls, directory: Path, *, layout: ObservationLayout | None = None, feature_hash: str | None = None
    ) -> SupervisedPolicy:
        """Read a policy; runs no code from the files and opens no others.

        Parameters
        ----------
        directory : where :meth:`save` wrote it.
        layout, feature_hash : of the env it is to act in; None skips the check.

        Raises
        ------
        ValueError
            If a file is missing or damaged, its package is not installed, or it was trained on other observations.
        """
        if not (directory / CONTRACT_FILE).is_file():
            raise ValueError(f"{directory} holds no {CONTRACT_FILE}; it is not an exported policy")
        facts = read_contract(directory / CONTRACT_FILE)
        try:
            contract = SupervisedContract.from_json(facts)
            names = text_names(contract.settings, facts["models"])
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(damaged_file(directory / CONTRACT_FILE)) from error
        contract.check_fits(layout, feature_hash)
        require_package(contract.settings.model)
        damaged = f"the models in {directory} do not match their recorded hash; the export is damaged"
        if any(not (directory / name).is_file() for name in names):
            raise ValueError(damaged)
        texts = {name: (directory / name).read_text(errors="replace") for name in names}
        # Asked before the library that reads them is given them.
        if models_digest(facts["models"], texts) != facts["policy_hash"]:
            raise ValueError(damaged)
        return cls(contract, FittedModels.of_texts(contract.settings, facts["models"], texts))
