"""What a training asks of the cluster, and where its processes go.

A training is one process that learns, its env runners and its remote learners: one CPU each, reserved together, so
that trainings that start side by side cannot each hold what the other waits for. They go to one node where one is
large enough (STRICT_PACK: weights and fragments stay in one object store), else to as few as possible (PACK).
Trainings of one process each are spread over the nodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Strategy = Literal["STRICT_PACK", "PACK", "SPREAD"]


class _Sizes(Protocol):
    """The part of the algorithm's settings that counts processes."""

    @property
    def num_env_runners(self) -> int: ...
    @property
    def num_learners(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What one training asks for.

    Parameters
    ----------
    num_env_runners, num_learners : processes beside its own, with one CPU each.
    """

    num_env_runners: int
    num_learners: int

    @classmethod
    def of(cls, algo: _Sizes) -> Demand:
        """The demand of a training with these settings."""
        return cls(num_env_runners=algo.num_env_runners, num_learners=algo.num_learners)

    @classmethod
    def one_process(cls) -> Demand:
        """The demand of a fold that trains nothing."""
        return cls(num_env_runners=0, num_learners=0)

    @property
    def cpus(self) -> int:
        """CPUs of one training."""
        return 1 + self.num_env_runners + self.num_learners

    def strategy(self, node_cpus: Sequence[int]) -> Strategy:
        """How to place it on nodes with so many CPUs each."""
        if self.cpus == 1:
            return "SPREAD"
        return "STRICT_PACK" if max(node_cpus, default=0) >= self.cpus else "PACK"

    def fits(self, node_cpus: Sequence[int]) -> int:
        """Trainings that run side by side on nodes with so many CPUs each."""
        if self.strategy(node_cpus) == "PACK":
            return sum(node_cpus) // self.cpus
        return sum(cpus // self.cpus for cpus in node_cpus)

    def require_room(self, node_cpus: Sequence[int], what: str) -> int:
        """`fits`, where it must be at least one.

        Raises
        ------
        ValueError
            If there is no room for one.
        """
        room = self.fits(node_cpus)
        if room < 1:
            raise ValueError(
                f"{what} needs {self.cpus} CPUs (1 + {self.num_env_runners} env runners + {self.num_learners} "
                f"learners) but the cluster has {sum(node_cpus)}; lower algo.num_env_runners or algo.num_learners"
            )
        return room


def node_cpus() -> list[int]:
    """CPUs of each live node of the cluster."""
    import ray

    nodes: list[Mapping[str, Any]] = ray.nodes()
    return [int(node["Resources"].get("CPU", 0)) for node in nodes if node["Alive"]]


class Reservation:
    """Room for one training, asked for at once and given back with `release`.

    Parameters
    ----------
    demand : of the training.
    """

    def __init__(self, demand: Demand) -> None:
        from ray.util.placement_group import placement_group
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        strategy = demand.strategy(node_cpus())
        self._group = None
        self.options: dict[str, Any] = {"num_cpus": 1, "scheduling_strategy": "SPREAD"}
        if strategy != "SPREAD":
            self._group = placement_group([{"CPU": 1}] * demand.cpus, strategy=strategy)
            self.options["scheduling_strategy"] = PlacementGroupSchedulingStrategy(
                placement_group=self._group,
                placement_group_bundle_index=0,
                placement_group_capture_child_tasks=True,
            )

    def release(self) -> None:
        """Give the room back; what still runs in it ends."""
        from ray.util.placement_group import remove_placement_group

        if self._group is not None:
            with suppress(Exception):  # the cluster may be ending
                remove_placement_group(self._group)
            self._group = None
