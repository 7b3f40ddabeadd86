"""What a training asks of the cluster, and where its processes go.

A training is one process that learns, its env runners and its remote learners: one CPU each, reserved together, so
that trainings that start side by side cannot each hold what the other waits for. They go to one node where one is
large enough (STRICT_PACK: weights and fragments stay in one object store), else to as few as possible (PACK).
Trainings of one process each are spread over the nodes. What no living node can hold but one that the cluster could
start is asked for all the same: the autoscaler sees the reservation and starts the node.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import ray
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from rayjobs.cluster.node_types import NodeType, node_types
from rayjobs.config.typed_config import ConfigError

LOG = logging.getLogger(__name__)
POLL_SECONDS = 1.0

Strategy = Literal["STRICT_PACK", "PACK", "SPREAD"]


@dataclass(frozen=True, kw_only=True)
class Node:
    """What a node has: CPUs, GPUs, and bytes of object store."""

    cpus: int
    gpus: int
    store_bytes: int


class _Sizes(Protocol):
    """The part of the algorithm's settings that counts processes."""

    @property
    def num_env_runners(self) -> int: ...
    @property
    def num_learners(self) -> int: ...
    @property
    def learner_gpus(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What one training asks for.

    Parameters
    ----------
    num_env_runners, num_learners : processes beside its own, with one CPU each.
    learner_gpus : GPUs of each learner.
    """

    num_env_runners: int
    num_learners: int
    learner_gpus: int

    @classmethod
    def of(cls, algo: _Sizes) -> Demand:
        """The demand of a training with these settings."""
        return cls(
            num_env_runners=algo.num_env_runners,
            num_learners=algo.num_learners,
            learner_gpus=algo.learner_gpus,
        )

    @classmethod
    def one_process(cls) -> Demand:
        """The demand of a fold that trains nothing."""
        return cls(num_env_runners=0, num_learners=0, learner_gpus=0)

    @property
    def cpus(self) -> int:
        """CPUs of one training."""
        return 1 + self.num_env_runners + self.num_learners

    @property
    def gpus(self) -> int:
        """GPUs of one training."""
        return self.num_learners * self.learner_gpus

    @property
    def bundles(self) -> list[dict[str, float]]:
        """One per process: the training's own first, then its learners, then its env runners."""
        one: dict[str, float] = {"CPU": 1}
        learner = one | ({"GPU": self.learner_gpus} if self.learner_gpus else {})
        return [one, *[learner] * self.num_learners, *[one] * self.num_env_runners]

    def strategy(self, nodes: Sequence[Node]) -> Strategy:
        """How to place it on these nodes."""
        if self.cpus == 1:
            return "SPREAD"
        return "STRICT_PACK" if any(self._times(node.cpus, node.gpus) for node in nodes) else "PACK"

    def fits(self, nodes: Sequence[Node]) -> int:
        """Trainings that run side by side on these nodes."""
        if self.strategy(nodes) == "PACK":
            return self._times(sum(node.cpus for node in nodes), sum(node.gpus for node in nodes))
        return sum(self._times(node.cpus, node.gpus) for node in nodes)

    def _times(self, cpus: int, gpus: int) -> int:
        return min(cpus // self.cpus, gpus // self.gpus if self.gpus else cpus)

    def require_room(self, nodes: Sequence[Node], what: str) -> int:
        """`fits`, where it must be at least one.

        Raises
        ------
        ValueError
            If there is no room for one.
        """
        room = self.fits(nodes)
        if room < 1:
            has_gpus = f" and {sum(node.gpus for node in nodes)} GPUs" if self.gpus else ""
            has = f"{sum(node.cpus for node in nodes)}{has_gpus}"
            raise ValueError(
                f"{what} needs {self.describe()} but the cluster has {has}; lower algo.num_env_runners or "
                "algo.num_learners"
            )
        return room

    def describe(self) -> str:
        """In words."""
        and_gpus = f" and {self.gpus} GPUs" if self.gpus else ""
        return f"{self.cpus} CPUs (1 + {self.num_env_runners} env runners + {self.num_learners} learners){and_gpus}"


@dataclass(frozen=True, kw_only=True)
class Room:
    """Where trainings could go.

    Parameters
    ----------
    living : nodes of the cluster now.
    possible : nodes that it could have at most, the living ones among them.
    """

    living: tuple[Node, ...]
    possible: tuple[Node, ...]

    @classmethod
    def of_cluster(cls, declared: Sequence[NodeType] | None = None) -> Room:
        """That of the cluster that this process is connected to.

        Parameters
        ----------
        declared : ``cluster.node_types``; None asks the cluster's autoscaler.
        """
        living = tuple(live_nodes())
        types = node_types(declared)
        store = max((node.store_bytes for node in living), default=0)
        started = [Node(cpus=t.cpus, gpus=t.gpus, store_bytes=store) for t in types for _ in range(t.count)]
        return cls(living=living, possible=tuple(started) if types else living)

    def require(self, demand: Demand, what: str) -> int:
        """Trainings that run side by side on the living nodes; 0 where one has to wait for a node.

        Raises
        ------
        ConfigError
            If nothing could ever hold one.
        """
        room = demand.fits(self.living)
        if room < 1 and demand.fits(self.possible) < 1:
            try:
                demand.require_room(max(self.living, self.possible, key=_cpus_and_gpus), what)
            except ValueError as error:
                raise ConfigError(str(error)) from error
        return room

    def strategy(self, demand: Demand) -> Strategy:
        """How to place a training, on nodes that are there or will be."""
        return demand.strategy([*self.living, *self.possible])


def _cpus_and_gpus(nodes: Sequence[Node]) -> tuple[int, int]:
    return sum(node.gpus for node in nodes), sum(node.cpus for node in nodes)


class NoNodeCame(RuntimeError):
    """The cluster did not start the node that was waited for."""


class Waiting:
    """The wait for a node that holds a training; says what for, once.

    Parameters
    ----------
    what : is to start there.
    wait_s : seconds at most (``cluster.wait_s``).
    """

    def __init__(self, demand: Demand, what: str, wait_s: float) -> None:
        self._demand, self._what, self._wait_s = demand, what, wait_s
        self._since: float | None = None

    def is_over(self) -> bool:
        """Whether a living node holds it now.

        Raises
        ------
        NoNodeCame
            If none does after ``wait_s``.
        """
        if self._demand.fits(live_nodes()) >= 1:
            return True
        now = time.monotonic()
        if self._since is None:
            self._since = now
            LOG.info(
                "%s needs %s, which no living node has room for; waiting up to %.0f s (cluster.wait_s) for the cluster "
                "to start one",
                self._what, self._demand.describe(), self._wait_s,
            )  # fmt: skip
        if now - self._since > self._wait_s:
            raise NoNodeCame(
                f"{self._what} needs {self._demand.describe()} and the cluster has not started a node for it within "
                f"cluster.wait_s={self._wait_s:g} seconds; see `ray status`, raise cluster.wait_s, or ask for less"
            )
        return False

    def until_over(self) -> None:
        """Return when a living node holds it."""
        while not self.is_over():
            time.sleep(POLL_SECONDS)


def live_nodes() -> list[Node]:
    """The nodes of the cluster that this process is connected to."""
    found: list[Mapping[str, Any]] = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [
        Node(
            cpus=int(has.get("CPU", 0)),
            gpus=int(has.get("GPU", 0)),
            store_bytes=int(has.get("object_store_memory", 0)),
        )
        for has in found
    ]


class Reservation:
    """Room for one training, asked for at once and given back with `release`.

    Parameters
    ----------
    demand : of the training.
    strategy : how to place it, see `Room.strategy`.
    """

    def __init__(self, demand: Demand, strategy: Strategy) -> None:
        self._group = None
        self.options: dict[str, Any] = {"num_cpus": 1, "scheduling_strategy": "SPREAD"}
        if strategy != "SPREAD":
            self._group = placement_group(demand.bundles, strategy=strategy)
            self.options["scheduling_strategy"] = PlacementGroupSchedulingStrategy(
                placement_group=self._group,
                placement_group_bundle_index=0,
                placement_group_capture_child_tasks=True,
            )

    def release(self) -> None:
        """Give the room back; what still runs in it ends."""
        if self._group is not None:
            with suppress(Exception):  # the cluster may be ending
                remove_placement_group(self._group)
            self._group = None
