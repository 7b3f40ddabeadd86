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


@pytest.fixture(scope="session")
def postgres():
    """URL of a real PostgreSQL server, password included; skips where none is installed."""
    sys.path.insert(0, str(Path(__file__).parent))
    from postgres_server import running_server

    with running_server() as url:
        yield url
