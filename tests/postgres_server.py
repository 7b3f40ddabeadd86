"""A real PostgreSQL server on a free loopback port, for the tests of the ledger; fixture `postgres` gives its URL."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

USER, PASSWORD = "rayfold", "not-a-secret-of-anyone"


def programs() -> Path | None:
    """The folder of initdb and pg_ctl; None where PostgreSQL is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    there = shutil.which("initdb")
    return found[-1].parent if found else (Path(there).parent if there else None)


@contextmanager
def running_server() -> Iterator[str]:
    """Start a server with one user and a password, and stop it at the end; skips where it cannot be started."""
    place = programs()
    if place is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    pytest.importorskip("psycopg")
    as_user = []
    if getpass.getuser() == "root":  # PostgreSQL refuses to run as root
        if shutil.which("runuser") is None:
            pytest.skip("PostgreSQL cannot be started by root without runuser")
        as_user = ["runuser", "-u", "postgres", "--"]
    folder = Path(tempfile.mkdtemp(prefix="rayfold_pg_"))
    password = folder / "password"
    password.write_text(PASSWORD)
    if as_user:
        shutil.chown(folder, "postgres")
        shutil.chown(password, "postgres")
    data, port = folder / "data", free_port()
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}

    def call(program: str, *arguments: str) -> None:
        command = [*as_user, str(place / program), *arguments]
        subprocess.run(command, check=True, capture_output=True, env=environment, cwd=folder, timeout=120)

    try:
        call(
            "initdb", "-D", str(data), "-U", USER, "-A", "scram-sha-256", f"--pwfile={password}", "--no-sync"
        )
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        call("pg_ctl", "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{port}/postgres"
        finally:
            call("pg_ctl", "-D", str(data), "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
