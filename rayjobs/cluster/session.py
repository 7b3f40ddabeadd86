"""Where a job runs: Ray on this machine for the length of the job, or a cluster that is already running."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from rayjobs.config.compose import CONF
from rayjobs.config.typed_config import ConfigError, build_dataclass

MINIMUM_OBJECT_STORE_MB = 100
CONNECT_SECONDS = 10.0

_NO_ANSWER = (
    "no Ray cluster answers at cluster.address={}; start one with `ray start --head`, or use cluster=local"
)

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # do not hide GPUs from CPU actors, and do not warn about it
    "RAY_AIR_NEW_OUTPUT": "0",
    "OMP_NUM_THREADS": "1",  # workers inherit it: one thread per process, Ray runs the processes
}


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
    dry_run : only say what the job would ask for.
    """

    address: str | None
    num_cpus: int | None
    num_gpus: int | None
    object_store_mb: int | None
    dashboard: str | None
    storage: str | None
    storage_patience_s: float
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


@contextmanager
def ray_session(config: ClusterConfig) -> Iterator[None]:
    """Ray for the length of the block. A runtime that was already there is used and left alone.

    Raises
    ------
    ConfigError
        If the cluster of ``config.address`` cannot be reached.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():
        yield
        return
    _start(config)
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def local_job_server(config: ClusterConfig) -> Iterator[str]:
    """Ray on this machine with a job server, for the length of the block; gives the server's URL."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    # A job is started as `python`: let that be this interpreter, whether or not its environment is activated.
    os.environ["PATH"] = os.pathsep.join(
        [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    )
    import ray

    store = None if config.object_store_mb is None else config.object_store_mb * 1024 * 1024
    context = ray.init(
        address="local",
        num_cpus=config.num_cpus,
        num_gpus=config.num_gpus,
        object_store_memory=store,
        include_dashboard=True,
        dashboard_host="127.0.0.1",
        logging_level=logging.ERROR,
        log_to_driver=False,
    )
    try:
        yield f"http://{context.dashboard_url}"
    finally:
        ray.shutdown()


def _start(config: ClusterConfig) -> None:
    import ray

    if config.address is not None:
        _require_answer(config.address)
    common = {"logging_level": logging.ERROR, "log_to_driver": False, "ignore_reinit_error": True}
    if config.address is not None:
        try:
            ray.init(address=config.address, runtime_env={"env_vars": {"OMP_NUM_THREADS": "1"}}, **common)
        except (ConnectionError, TimeoutError) as error:
            raise ConfigError(_NO_ANSWER.format(config.address)) from error
        return
    store = None if config.object_store_mb is None else config.object_store_mb * 1024 * 1024
    ray.init(
        address="local",
        num_cpus=config.num_cpus,
        num_gpus=config.num_gpus,
        object_store_memory=store,
        include_dashboard=False,
        **common,
    )


def _require_answer(address: str) -> None:
    """Raise ConfigError unless something listens at ``host:port``: Ray itself goes on trying for many minutes."""
    parts = urlsplit(address if "//" in address else f"//{address}")
    if parts.hostname is None or parts.port is None:
        return  # "auto": Ray looks for a cluster on this machine, and answers at once
    try:
        socket.create_connection((parts.hostname, parts.port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise ConfigError(_NO_ANSWER.format(address)) from error


def usable_cpus() -> int:
    """CPUs that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
