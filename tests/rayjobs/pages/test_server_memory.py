"""The server stays small: what is large is imported and read by the process beside it, which gives memory back."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

LARGE = (
    "pandas",
    "pyarrow",
    "scipy",
    "numba",
    "sqlalchemy",
    "optuna",
    "torch",
    "ray",
    "gymnasium",
    "sklearn",
)


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_server_imports_nothing_large():
    # Another hundred megabytes came with the kill switch once, through the registry and the kernels.
    names = run("import sys, rayjobs.dashboard, rayjobs.pages.server; print(*sys.modules)").split()
    assert sorted({name.split(".")[0] for name in names} & set(LARGE)) == []


def test_the_process_beside_it_imports_no_compiler_and_no_simulator_before_a_market_is_asked_for():
    names = run("import sys; from rayjobs.pages import reading; reading.warm(); print(*sys.modules)").split()
    unneeded = {"numba", "torch", "ray", "gymnasium", "sklearn", "envs", "policies"}
    assert sorted({name.split(".")[0] for name in names} & unneeded) == []


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").is_file(), reason="this system tells no such number")
def test_memory_that_was_freed_goes_back():
    program = """
import re, threading
from rayjobs.pages.memory import give_back, keep_little
def megabytes():
    return int(re.search(r"Pss:\\s+(\\d+)", open("/proc/self/smaps_rollup").read())[1]) // 1024
keep_little()
def work():
    kept = []
    many = [bytearray(60_000) for _ in range(1000)]
    kept.append(bytearray(100))
    del many
before = megabytes()
thread = threading.Thread(target=work); thread.start(); thread.join()
give_back()
print(megabytes() - before)
"""
    assert int(run(program)) < 20
    assert re.fullmatch(r"-?\d+", run("from rayjobs.pages.memory import give_back; give_back(); print(0)"))
