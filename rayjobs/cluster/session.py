"""Where a job runs: Ray on this machine for the length of the job, or a cluster that is already running."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import ray

from rayjobs.cluster.settings import ClusterConfig
from rayjobs.config.typed_config import ConfigError

CONNECT_SECONDS = 10.0

_NO_ANSWER = (
    "no Ray cluster answers at cluster.address={}; start one with `ray start --head`, or use cluster=local"
)

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # do not hide GPUs from CPU actors, and do not warn about it
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # trials of a sweep find files where the job was started
    "OMP_NUM_THREADS": "1",  # workers inherit it: one thread per process, Ray runs the processes
}

_OF_WORKERS = {name: _QUIET[name] for name in ("RAY_CHDIR_TO_TRIAL_DIR", "OMP_NUM_THREADS")}


class RayNotStarted(RuntimeError):
    """Ray did not come up on this machine in the time that it gives itself."""


@contextmanager
def ray_session(config: ClusterConfig) -> Iterator[None]:
    """Ray for the length of the block. A runtime that was already there is used and left alone.

    Raises
    ------
    ConfigError
        If the cluster of ``config.address`` cannot be reached.
    RayNotStarted
        If Ray's processes do not start on this machine.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
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
    store = None if config.object_store_mb is None else config.object_store_mb * 1024 * 1024
    with _busy_machine_told():
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
    if config.address is not None:
        _require_answer(config.address)
    common = {"logging_level": logging.ERROR, "log_to_driver": False, "ignore_reinit_error": True}
    if config.address is not None:
        try:
            ray.init(address=config.address, runtime_env={"env_vars": _OF_WORKERS}, **common)
        except (ConnectionError, TimeoutError) as error:
            raise ConfigError(_NO_ANSWER.format(config.address)) from error
        return
    store = None if config.object_store_mb is None else config.object_store_mb * 1024 * 1024
    with _busy_machine_told():
        ray.init(
            address="local",
            num_cpus=config.num_cpus,
            num_gpus=config.num_gpus,
            object_store_memory=store,
            include_dashboard=False,
            **common,
        )


@contextmanager
def _busy_machine_told() -> Iterator[None]:
    """Say what to do where Ray gives its own processes up: it waits 30 s for them, which cannot be set.

    Raises
    ------
    RayNotStarted
        In place of the bare Exception that Ray raises then.
    """
    try:
        yield
    except Exception as error:
        if "timed out during startup" not in str(error):
            raise
        load = f"a load of {os.getloadavg()[0]:.0f} on " if hasattr(os, "getloadavg") else ""
        raise RayNotStarted(
            f"Ray's processes did not start within its 30 s; this machine has {load}{usable_cpus()} CPUs. "
            "Start the job again once other programs leave it a CPU"
        ) from error


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
