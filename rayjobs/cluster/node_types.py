"""Which nodes a cluster could start: what its autoscaler was told, or what the ``cluster`` group says."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_OPTION = "--autoscaling-config="


@dataclass(frozen=True, kw_only=True)
class NodeType:
    """Nodes of one kind.

    Parameters
    ----------
    cpus, gpus : of one node.
    count : nodes of this kind at most.
    """

    cpus: int
    gpus: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        for name, least in (("cpus", 0), ("gpus", 0), ("count", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least {least}")


def node_types(declared: Sequence[NodeType] | None = None) -> tuple[NodeType, ...]:
    """Every kind of node that the cluster of this process has or could start; none where nothing starts nodes.

    An autoscaler says what it can start in the control service of the cluster (KubeRay), or in the file that its
    process on this machine was started with (``ray up``, ``ray start --autoscaling-config``).

    Parameters
    ----------
    declared : used instead of looking.
    """
    if declared is not None:
        return tuple(declared)
    return _reported() or next((types_of(config) for config in _autoscaler_files()), ())


def types_of(config: Mapping[str, Any]) -> tuple[NodeType, ...]:
    """The node types of an autoscaler's configuration, the head among them."""
    most = int(config.get("max_workers", 0))
    head = config.get("head_node_type")
    found = []
    for name, facts in config.get("available_node_types", {}).items():
        resources = facts.get("resources") or {}
        count = 1 if name == head else min(int(facts.get("max_workers", most)), most)
        if count > 0 and resources.get("CPU"):
            found.append(NodeType(cpus=int(resources["CPU"]), gpus=int(resources.get("GPU", 0)), count=count))
    return tuple(found)


def _reported() -> tuple[NodeType, ...]:
    from ray._private.state import state  # there is no public way to ask

    config = state.get_cluster_config()
    groups = [] if config is None else config.node_group_configs
    return tuple(
        NodeType(
            cpus=int(group.resources["CPU"]),
            gpus=int(group.resources.get("GPU", 0)),
            count=group.max_count if group.max_count > 0 else 1_000,  # -1 is any number
        )
        for group in groups
        if group.max_count != 0 and group.resources.get("CPU", 0)
    )


def _autoscaler_files() -> Iterator[Mapping[str, Any]]:
    """Configurations of the autoscalers on this machine that look after the cluster of this process."""
    import ray

    address = ray.get_runtime_context().gcs_address
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError, yaml.YAMLError):
            words = process.read_bytes().decode(errors="replace").split("\0")
            if any(word.endswith("monitor.py") for word in words) and f"--gcs-address={address}" in words:
                files = [word.removeprefix(_OPTION) for word in words if word.startswith(_OPTION)]
                for path in files:
                    yield yaml.safe_load(Path(path).read_text()) or {}
