"""A Ray cluster on this machine that grows and shrinks by Ray's own autoscaler, whose nodes are processes.

It is `ray.cluster_utils.AutoscalingCluster` without the file that Ray's wheel lacks, and ends only its own processes.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

import yaml
from one_machine_cluster import ROOT, TOKEN, descendants, free_port
from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID
from ray.util import get_node_ip_address

HEAD = "ray.head.default"
STORE_BYTES = 150 * 1024 * 1024


class GrowingCluster:
    """A head, and nodes that come when something waits for them and go when they are idle.

    Parameters
    ----------
    head_cpus : of the head.
    node_types : name -> resources of one node, and how many there may be.
    idle_s : an idle node is given back after this.

    Attributes
    ----------
    address : of the head's control service, ``host:port``.
    environment : of a process that uses the cluster.
    """

    def __init__(
        self, *, head_cpus: int, node_types: dict[str, tuple[dict[str, int], int]], idle_s: float = 15.0
    ) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="rg", dir="/tmp"))  # short: sockets lie in it
        port = free_port()
        self.address = f"{get_node_ip_address()}:{port}"
        config = self._directory / "autoscaler.yaml"
        config.write_text(yaml.safe_dump(self._config(head_cpus, node_types, idle_s)))
        self.environment = os.environ | {
            "RAY_TMPDIR": str(self._directory),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": TOKEN,
            "RAY_USAGE_STATS_ENABLED": "0",
            "OMP_NUM_THREADS": "1",
            "RAY_FAKE_CLUSTER": "1",
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        }
        self.environment.pop("RAY_ADDRESS", None)
        command = [
            str(Path(sys.executable).parent / "ray"), "start", "--block", "--head", f"--port={port}",
            f"--num-cpus={head_cpus}", f"--autoscaling-config={config}", "--include-dashboard=false",
            f"--object-store-memory={STORE_BYTES}", f"--ray-client-server-port={free_port()}",
            "--dashboard-agent-listen-port=0",
        ]  # fmt: skip
        self._process = subprocess.Popen(
            command,
            env=self.environment,
            cwd=ROOT,
            stdout=(self._directory / "head.log").open("w"),
            stderr=subprocess.STDOUT,
        )
        self._wait_for_head()

    def _config(
        self, head_cpus: int, node_types: dict[str, tuple[dict[str, int], int]], idle_s: float
    ) -> dict:
        types = {
            name: {
                "resources": resources | {"object_store_memory": STORE_BYTES},
                "node_config": {},
                "min_workers": 0,
                "max_workers": count,
            }
            for name, (resources, count) in node_types.items()
        }
        head = {"resources": {"CPU": head_cpus}, "node_config": {}, "max_workers": 0}
        return {
            "cluster_name": "growing",
            "max_workers": sum(count for _, count in node_types.values()),
            "upscaling_speed": 100.0,
            "idle_timeout_minutes": idle_s / 60,
            "provider": {
                "type": "fake_multinode",
                "head_node_id": FAKE_HEAD_NODE_ID,
                "launch_multiple": True,
                "use_node_id_as_ip": True,  # all nodes have the address of this machine
                "disable_node_updaters": True,
                "disable_launch_config_check": True,
                "gcs_address": self.address,
            },
            "available_node_types": types | {HEAD: head},
            "head_node_type": HEAD,
            "docker": {}, "auth": {}, "file_mounts": {}, "cluster_synced_files": [],
            "file_mounts_sync_continuously": False, "rsync_exclude": [], "rsync_filter": [],
            "initialization_commands": [], "setup_commands": [], "head_setup_commands": [],
            "worker_setup_commands": [], "head_start_ray_commands": [], "worker_start_ray_commands": [],
            "head_node": {}, "worker_nodes": {},
        }  # fmt: skip

    def _wait_for_head(self) -> None:
        host, port = self.address.split(":")
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection((host, int(port)), timeout=1).close()
                return
            except OSError:
                time.sleep(0.5)
        raise RuntimeError(f"the head did not start: {(self._directory / 'head.log').read_text()[-3000:]}")

    def __enter__(self) -> GrowingCluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        processes = descendants(self._process.pid)
        self._process.send_signal(signal.SIGTERM)
        for process in processes:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._process.wait(timeout=60)
        shutil.rmtree(self._directory, ignore_errors=True)
