"""The configuration of `rayjobs.submit`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rayjobs.cluster.settings import ClusterConfig
from rayjobs.config.typed_config import build_dataclass

_SOURCE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class SubmitConfig:
    """The ``submit`` group.

    Parameters
    ----------
    directory : top of the working tree that is sent; None for the one that this file lies in.
    max_upload_mb : MB before compression.
    follow : show the job's output until it ends.
    give_up_after_s : seconds that the job server may be out of reach while following.
    driver_cpus : CPUs that the job's own process holds on the head.
    """

    directory: str | None
    max_upload_mb: float
    follow: bool
    give_up_after_s: float
    driver_cpus: float

    def __post_init__(self) -> None:
        if not self.max_upload_mb > 0.0:
            raise ValueError(f"submit.max_upload_mb is {self.max_upload_mb}; it must be above 0 MB")
        if self.give_up_after_s < 0.0 or self.driver_cpus < 0.0:
            raise ValueError(
                f"submit.give_up_after_s is {self.give_up_after_s} and submit.driver_cpus {self.driver_cpus}; "
                "both must be 0 or more"
            )

    @property
    def tree(self) -> Path:
        """The working tree that is sent, absolute."""
        return _SOURCE if self.directory is None else Path(self.directory).expanduser().absolute()


def cluster_config(values: Mapping[str, Any]) -> ClusterConfig:
    """The ``cluster`` group of ``conf/submit.yaml``, with a relative storage of this machine made absolute."""
    group = dict(values["cluster"])
    if group.get("address") is None and group.get("storage") == ".":
        group["storage"] = str(Path.cwd())
    return build_dataclass(ClusterConfig, group, "cluster")
