"""Benchmarks: run one suite, print its table, write it as JSON.

Run: python -m rayjobs.bench suite=train
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rayjobs.config.exit_codes import ExitCode
from rayjobs.config.typed_config import ConfigError, did_you_mean
from rayjobs.entry import run_entry_point
from rayjobs.monitoring.result_tables import print_paths, print_table
from rayjobs.storage.provenance import git_commit
from rayjobs.storage.run_directory import write_atomically

SUITES = ("env", "train", "scoring", "sweep", "features", "data", "gpu", "agents", "page")
SAVES_EACH_ROW = ("gpu",)
"""Suites whose table is written after every row, so that a cut-off keeps what was measured."""
PACKAGES = (
    "rayfold", "ray", "torch", "numpy", "numba", "gymnasium", "optuna", "stable-baselines3", "sb3-contrib",
    "pandas", "TA-Lib",
)  # fmt: skip


def bench(values: dict[str, Any]) -> ExitCode:
    """Run the suite that ``suite`` names; ``values`` is the resolved ``conf/bench.yaml``."""
    suite = values["suite"]
    if suite not in SUITES:
        raise ConfigError(f"suite is {suite!r}; {did_you_mean(str(suite), list(SUITES))}")
    # Before numpy's and torch's threads start.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
    folder = Path(values["directory"]).expanduser() / "bench"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"cannot write to {folder.absolute()}: {error.strerror}; choose another directory="
        ) from error
    load_before = os.getloadavg()[0]
    path = folder / f"{suite}.json"

    def save(rows: list[dict[str, Any]]) -> dict[str, Any]:
        machine = _machine(load_before)
        write_atomically(
            path, json.dumps({"suite": suite, "machine": machine, "rows": rows}, indent=2) + "\n"
        )
        return machine

    module = importlib.import_module(f"rayjobs.bench.{suite}_suite")
    rows = module.run(values[suite], save) if suite in SAVES_EACH_ROW else module.run(values[suite])
    machine = save(rows)
    print_table(
        f"suite {suite}, one thread, load {load_before:.1f} to {machine['load_after']:.1f}",
        [_flat(r) for r in rows],
    )
    print_paths([path])
    return ExitCode.DONE


def _machine(load_before: float) -> dict[str, Any]:
    return {
        "threads": 1,
        "cpus": os.cpu_count(),
        "load_before": load_before,
        "load_after": os.getloadavg()[0],
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "git_commit": git_commit()[0],
        "measured_utc": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    ratio = row["ratio_to"]
    value = row["value"]
    reason = row["settings"].get("reason", "")
    return {
        "name": row["name"],
        "value": "-" if value is None else f"{value:,.4g}" if value < 1000 else f"{value:,.0f}",
        "unit": row["unit"],
        "ratio": f"{ratio['ratio']:.2f} x {ratio['name']}" if ratio else reason,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(run_entry_point(bench, "bench"))
