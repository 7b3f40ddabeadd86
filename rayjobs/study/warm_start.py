"""A training that begins with the weights of another run (``trainer.start_from``): whose, what fits, what it has seen.

Weights are carried over, statistics are not: features are standardised anew on the training window of each fold.
Whatever bars the other policy had seen, this one has seen: they go into its contract, and a score on them counts as in
sample.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.schema import Panel
from policies.actor_groups import SHARED, groups_in_words
from policies.actor_network import ActorNetworkConfig
from policies.exported_policy import CONTRACT_FILE, PolicyContract, TrainedPolicy
from policies.networks import NetworkConfig
from policies.origin import UNSEEN, SeenBars
from rayjobs.config.typed_config import ConfigError
from rayjobs.storage.run_directory import latest_run
from rayjobs.storage.uri import local_copy

Float32Array = NDArray[np.float32]
LOG = logging.getLogger(__name__)
OF_SYMBOLS = "symbols"
"""Parameter with a vector for each symbol, which other symbols have no use for."""
ENCODER = ("encode_asset.", "encode_context.")
"""Parameters that ``trainer.freeze=encoder`` leaves as they were, of a network that all symbols share."""


def encoders_of(network: NetworkConfig) -> tuple[str, ...]:
    """How the names of these parameters begin, with each actor's where there are several."""
    return tuple(f"{actor}{name}" for actor in _prefixes(network) for name in ENCODER)


def _prefixes(network: NetworkConfig) -> tuple[str, ...]:
    """How the names of each actor's parameters begin; nothing where all symbols share them."""
    if not isinstance(network, ActorNetworkConfig):
        return ("",)
    return tuple(f"actors.{number}." for number in range(len(network.placed)))


@dataclass(frozen=True, kw_only=True)
class StartPolicy:
    """An exported policy as plain arrays, so that it travels between processes.

    Attributes
    ----------
    place : its directory. policy_hash : of its weights. weights : parameter name -> values.
    """

    place: str
    policy_hash: str
    contract: PolicyContract
    weights: Mapping[str, Float32Array]

    def seen(self) -> tuple[SeenBars, ...]:
        """Every stretch of bars that it had seen, in the role of a warm start."""
        assert self.contract.origin is not None
        return tuple(replace(entry, role="warm_start") for entry in self.contract.origin.seen)

    def carried(self, contract: PolicyContract) -> dict[str, Float32Array]:
        """The weights that a policy of this contract begins with: all but the vectors of symbols.

        Each of several actors begins with weights that all symbols shared, or with those of an actor for its symbols.

        Raises
        ------
        ValueError
            If the policies read other inputs, decide otherwise, are networks of another make, or have actors for other
            symbols.
        """
        told = f"trainer.start_from: the policy in {self.place}"
        ours, theirs = contract.layout, self.contract.layout
        if contract.feature_hash != self.contract.feature_hash or _inputs(ours) != _inputs(theirs):
            differ = sorted(set(_inputs(ours)) ^ set(_inputs(theirs)))[:5]
            raise ValueError(
                f"{told} reads other inputs than this training gives"
                f"{f' ({differ} are not in both)' if differ else ''}; use the features of its run"
            )
        if contract.action_scheme != self.contract.action_scheme or contract.actions != replace(
            self.contract.actions, num_assets=contract.actions.num_assets
        ):
            raise ValueError(
                f"{told} decides by env.action.scheme={self.contract.action_scheme}, this training by "
                f"{contract.action_scheme}; use the actions of its run"
            )
        for name in ("core", "encoder_units", "core_units", "value_units", "attention"):
            asked, given = getattr(contract.network, name), getattr(self.contract.network, name)
            if asked != given:
                raise ValueError(f"{told} has policy.{name}={given}, this training {asked}; use its network")
        return {
            f"{ours}{name}": values
            for ours, theirs in self._actors_for(contract.network, told)
            for name, values in self._weights_of(theirs).items()
        }

    def _actors_for(self, network: NetworkConfig, told: str) -> list[tuple[str, str]]:
        """How the names of an actor's parameters begin in a network, and in this policy."""
        own = self.contract.network
        if own.actors == SHARED:
            return [(prefix, "") for prefix in _prefixes(network)]
        assert isinstance(own, ActorNetworkConfig)
        known = {_traded(own, actor.slots): prefix for actor, prefix in zip(own.placed, _prefixes(own))}
        wanted: list[frozenset[str]] = []
        if isinstance(network, ActorNetworkConfig):
            wanted = [_traded(network, actor.slots) for actor in network.placed]
        if not wanted or not set(wanted) <= set(known):
            raise ValueError(
                f"{told} has policy.actors={groups_in_words(own.actors)} on {', '.join(own.symbols)}, and an actor's "
                "weights are for its symbols alone; train these symbols with the same policy.actors, or begin with a "
                "policy of policy.actors=shared"
            )
        return [(ours, known[symbols]) for ours, symbols in zip(_prefixes(network), wanted)]

    def _weights_of(self, prefix: str) -> dict[str, Float32Array]:
        """Name within the actor's network -> values, without the vectors of symbols."""
        own = {n.removeprefix(prefix): v for n, v in self.weights.items() if n.startswith(prefix)}
        own.pop(OF_SYMBOLS, None)
        return own


def start_policies(place: str | None) -> tuple[StartPolicy, ...]:
    """The exported policies of a run, in the order of their folds; those of one export; none where none is asked for.

    Parameters
    ----------
    place : a run directory or URI, an experiment's folder for its newest run, or the directory of one exported policy.

    Raises
    ------
    ConfigError
        If there is none, or one does not say what it has seen.
    """
    if place is None:
        return ()
    found = export_places(place)
    if not found:
        raise ConfigError(f"trainer.start_from={place}: the run has exported no policy")
    return tuple(_read(one) for one in found)


def export_places(place: str) -> list[Path]:
    """Directories of the exported policies that ``trainer.start_from`` names.

    Raises
    ------
    ConfigError
        If there is no such directory.
    """
    path = local_copy(place)
    if not path.is_dir():
        raise ConfigError(f"trainer.start_from={place}: there is no such directory")
    if not (path / CONTRACT_FILE).is_file() and not (path / "checkpoints").is_dir():
        path = latest_run(path)
    return [path] if (path / CONTRACT_FILE).is_file() else sorted(path.glob("checkpoints/fold_*/best"))


def _read(place: Path) -> StartPolicy:
    policy = TrainedPolicy.load(place)
    if policy.contract.origin is None:
        raise ConfigError(
            f"trainer.start_from: the policy in {place} does not say which bars it has seen, so nothing that is "
            "trained on from it could be judged"
        )
    weights = {name: np.array(value.numpy()) for name, value in policy.network.state_dict().items()}
    return StartPolicy(
        place=str(place), policy_hash=policy.policy_hash, contract=policy.contract, weights=weights
    )


def choose(starts: Sequence[StartPolicy], scored: Panel, source: str, fold: int) -> StartPolicy | None:
    """The latest of the policies that has seen nothing of the bars to be scored, nor of later ones; else the last.

    Parameters
    ----------
    scored : the bars of the fold's test window. source : where they come from, as `data.sources.describe` has it.
    """
    if not starts:
        return None
    for start in reversed(starts):
        assert start.contract.origin is not None
        if (start.contract.origin.exposure(scored, source=source) == UNSEEN).all():
            return start
    LOG.warning(
        "fold %d: every policy of trainer.start_from has seen bars of its test window, or later ones, so what is "
        "trained on from it cannot be approved on them; start from a run that was trained on earlier bars",
        fold,
    )
    return starts[-1]


def _traded(network: ActorNetworkConfig, slots: Sequence[int]) -> frozenset[str]:
    return frozenset(network.symbols[slot] for slot in slots)


def _inputs(layout: object) -> tuple[str, ...]:
    """Names of the entries of one asset, of the account and of the clock."""
    names: tuple[str, ...] = layout.names  # type: ignore[attr-defined]
    return tuple(name for name in names if "@" not in name or name.endswith("@0"))
