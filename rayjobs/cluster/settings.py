"""The ``cluster`` group: Ray on this machine for the length of a job, or a cluster that is already running."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from rayjobs.cluster.node_types import NodeType
from rayjobs.config.compose import CONF
from rayjobs.config.typed_config import build_dataclass

MINIMUM_OBJECT_STORE_MB = 100


@dataclass(frozen=True, kw_only=True)
class ClusterConfig:
    """The ``cluster`` group.

    Parameters
    ----------
    address : None starts Ray here; ``auto`` or ``ray://host:port`` joins a running cluster.
    num_cpus, num_gpus : of this machine that Ray may use; None for all.
    object_store_mb : shared memory for arrays, MB; None lets Ray choose.
    dashboard : URL of the job server, for `rayjobs.submit`; None starts one for the job.
    storage : where the cluster keeps runs, for `rayjobs.submit`: a folder that all nodes share, or a URI; None must
        be given on the command line.
    storage_patience_s : seconds that storage behind a URI may fail before the job stops.
    wait_s : seconds to wait for a node that the cluster could start, where no living one has the room.
    node_types : what the cluster could start; None asks its autoscaler.
    dry_run : only say what the job would ask for.
    """

    address: str | None
    num_cpus: int | None
    num_gpus: int | None
    object_store_mb: int | None
    dashboard: str | None
    storage: str | None
    storage_patience_s: float
    wait_s: float
    node_types: tuple[NodeType, ...] | None
    dry_run: bool

    @classmethod
    def here(cls, **changes: Any) -> ClusterConfig:
        """Ray on this machine: ``conf/cluster/local.yaml`` with some of its values changed."""
        local = yaml.safe_load((CONF / "cluster" / "local.yaml").read_text())
        return build_dataclass(cls, {**local, **changes}, "cluster")

    def __post_init__(self) -> None:
        if not self.storage_patience_s > 0.0:
            raise ValueError(
                f"cluster.storage_patience_s is {self.storage_patience_s}; it must be above 0 seconds"
            )
        if not self.wait_s > 0.0:
            raise ValueError(f"cluster.wait_s is {self.wait_s}; it must be above 0 seconds")
        own = {name: getattr(self, name) for name in ("num_cpus", "num_gpus", "object_store_mb")}
        given = [name for name, value in own.items() if value is not None]
        if self.address is not None and given:
            raise ValueError(
                f"cluster.{given[0]} is {own[given[0]]} but cluster.address is {self.address!r}; "
                "a running cluster has its own resources, set it to null"
            )
        if self.num_cpus is not None and self.num_cpus < 1:
            raise ValueError(f"cluster.num_cpus is {self.num_cpus}; it must be at least 1")
        if self.num_gpus is not None and self.num_gpus < 0:
            raise ValueError(f"cluster.num_gpus is {self.num_gpus}; it must be 0 or more")
        if self.object_store_mb is not None and self.object_store_mb < MINIMUM_OBJECT_STORE_MB:
            raise ValueError(
                f"cluster.object_store_mb is {self.object_store_mb}; it must be at least {MINIMUM_OBJECT_STORE_MB}"
            )
