"""Every test runs with one thread per process, no network tracking and Ray's quiet settings."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

# Set before numpy, torch or Ray are imported.
os.environ.update(
    OMP_NUM_THREADS="1",
    OPENBLAS_NUM_THREADS="1",
    MKL_NUM_THREADS="1",
    WANDB_MODE="offline",
    WANDB_SILENT="true",
    RAY_USAGE_STATS_ENABLED="0",
    RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0",
    RAY_DEDUP_LOGS="1",
)
sys.path.insert(0, str(Path(__file__).parent))  # lets tests of every folder import what stands here


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session):
    """Let each worker of a parallel run of many tests compile another part of what all of them wait for."""
    from first_kernels import MANY_TESTS, compile_part

    worker = getattr(session.config, "workerinput", None)
    if worker is not None and len(session.items) >= MANY_TESTS:
        compile_part(int(worker["workerid"].removeprefix("gw")))


@pytest.fixture(scope="session")
def postgres():
    """URL of a real PostgreSQL server, password included; skips where none is installed."""
    from postgres_server import running_server

    with running_server() as url:
        yield url


@pytest.fixture
def tws():
    """A TWS on loopback that speaks the wire format (tests/tws); fails where it was sent what it cannot read."""
    from tws.server import TwsDouble

    with TwsDouble() as double:
        yield double
    assert not double.problems, "\n".join(double.problems)


@pytest.fixture
def ib_client(tws):
    """Return connect(client_id=1, **options) -> the real client, connected to `tws`; decode errors in its log fail."""
    from tws.clients import clean_client_logs, event_loop

    ib_insync = pytest.importorskip("ib_insync")
    clients = []

    def connect(client_id=1, **options):
        ib = ib_insync.IB()
        ib.client.MaxRequests = 0
        ib.connect("127.0.0.1", tws.port, clientId=client_id, **options)
        clients.append(ib)
        return ib

    with clean_client_logs(), event_loop():
        yield connect
        for ib in clients:
            ib.disconnect()
