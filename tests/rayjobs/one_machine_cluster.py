"""A Ray cluster of several nodes on this machine, with token authentication, in a process of its own.

`OneMachineCluster` is what tests use; run as a program this file is that process. It takes ``add`` and ``remove`` on
standard input, answers each with one line, and ends its nodes, and no others, when standard input closes.
"""

from __future__ import annotations

import contextlib
import itertools
import json
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
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "a-token-of-the-test-and-of-nothing-else"


class OneMachineCluster:
    """A head that runs nothing but drivers, and workers with one CPU each.

    Parameters
    ----------
    num_workers : nodes of one CPU at the start.

    Attributes
    ----------
    address : of the head's control service, ``host:port``.
    dashboard : URL of the job server.
    environment : of a process that may use the cluster; `stranger` is that of one that has no token.
    """

    def __init__(self, num_workers: int) -> None:
        # Short, since a socket's path may have 107 characters.
        self._directory = Path(tempfile.mkdtemp(prefix="rf", dir="/tmp"))
        self.environment = os.environ | {
            "HOME": str(self._directory),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "RAY_TMPDIR": str(self._directory),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": TOKEN,
            "RAY_USAGE_STATS_ENABLED": "0",
            "OMP_NUM_THREADS": "1",
            "RAY_worker_niceness": "0",  # a busy machine would leave nothing to workers that give way
        }
        for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
            self.environment.pop(name, None)
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(num_workers)],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(self._directory / "cluster.log").open("w"),
            text=True,
            cwd=ROOT,
        )
        facts = self._answer()
        self.address, self.dashboard = facts["address"], facts["dashboard"]

    @property
    def stranger(self) -> dict[str, str]:
        """The environment of a process without the token."""
        home = self._directory / "stranger"
        home.mkdir(exist_ok=True)
        return {k: v for k, v in self.environment.items() if k != "RAY_AUTH_TOKEN"} | {"HOME": str(home)}

    def __enter__(self) -> OneMachineCluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
        shutil.rmtree(self._directory, ignore_errors=True)

    def add_worker(self) -> None:
        """One more node of one CPU."""
        self._ask("add")

    def remove_worker(self) -> None:
        """Take away the oldest worker node with everything on it, as a cloud takes away a spot instance."""
        self._ask("remove")

    def kill(self, title: str, *, within_s: float = 900.0) -> int:
        """End one process of this cluster, as soon as there is one, without a word of warning; gives its id.

        Parameters
        ----------
        title : start of its command line; Ray's workers carry the name of their actor and method there.
        """
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            for process in self.processes():
                with contextlib.suppress(OSError):
                    command = Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode()
                    if command.startswith(title):
                        os.kill(process, signal.SIGKILL)
                        return process
            time.sleep(0.2)
        raise TimeoutError(f"no process of the cluster is called {title!r}")

    def processes(self) -> list[int]:
        """Ids of every process below the cluster's own, oldest first."""
        return descendants(self._process.pid)

    def logs(self) -> str:
        """What the cluster's own process has written."""
        return (self._directory / "cluster.log").read_text()

    def _ask(self, request: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(request + "\n")
        self._process.stdin.flush()
        self._answer()

    def _answer(self) -> dict[str, str]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError(f"the cluster's process ended: {self.logs()[-3000:]}")


def descendants(process: int) -> list[int]:
    """Ids of every process below one, oldest first."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    found = {process}
    while fresh := {child for child, parent in parents.items() if parent in found} - found:
        found |= fresh
    return sorted(found - {process})


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def main() -> None:
    from ray.cluster_utils import Cluster

    dashboard = free_port()
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 0,
            "include_dashboard": True,
            "dashboard_host": "127.0.0.1",
            "dashboard_port": dashboard,
            "gcs_server_port": free_port(),
            "ray_client_server_port": free_port(),
            "dashboard_agent_listen_port": free_port(),
        },
    )
    numbers = itertools.count(1)

    def add() -> Any:
        # A folder for unpacked working trees of its own: nodes of one machine would drop each other's.
        return cluster.add_node(num_cpus=1, runtime_env_dir_name=f"runtime_resources_{next(numbers)}")

    workers = [add() for _ in range(int(sys.argv[1]))]
    facts = {"address": cluster.address, "dashboard": f"http://{cluster.webui_url}"}
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()
    for line in sys.stdin:
        if line.strip() == "add":
            workers.append(add())
        else:
            cluster.remove_node(workers.pop(0), allow_graceful=False)
        sys.stdout.write("{}\n")
        sys.stdout.flush()
    cluster.shutdown()


if __name__ == "__main__":
    main()
