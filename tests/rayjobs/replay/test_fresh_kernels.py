"""Machine code that was put into Numba's cache decides a job's numbers, and not an audit's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import data
from rayjobs.replay.fresh_kernels import check_kernels, compiled_afresh

ROOT = Path(data.__file__).resolve().parents[1]
MEANS = """import numpy as np
from data.features.windows import trailing_mean
print(trailing_mean(np.ones((9, 1)), 4)[8, 0])"""
AUDITED = f"""
from rayjobs.replay.fresh_kernels import check_kernels, compiled_afresh
with compiled_afresh() as private:
    exec({MEANS!r})
    print(check_kernels(private)[0].outcome)
"""


def test_a_process_that_has_loaded_numba_says_that_it_cannot_compile_anew():
    import numba  # noqa: F401

    with compiled_afresh() as private:
        (check,) = check_kernels(private)
    assert check.outcome == "warn"
    assert "python -m rayjobs.audit run=DIR compiles everything anew" in check.detail


def said(code: str, sources: Path, cache: Path) -> list[str]:
    """The lines that a process of its own prints."""
    env = {**os.environ, "PYTHONPATH": str(sources), "NUMBA_CACHE_DIR": str(cache)}
    done = subprocess.run([sys.executable, "-c", code], cwd=cache, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.slow
def test_changed_machine_code_in_the_cache_moves_a_job_and_no_audit(tmp_path):
    honest, other, changed = (tmp_path / name for name in ("honest", "other", "changed"))
    honest.mkdir()
    other.mkdir()
    assert said(MEANS, ROOT, honest) == ["1.0"]
    shutil.copytree(ROOT / "data", changed / "data", ignore=shutil.ignore_patterns("samples", "__pycache__"))
    kernel = changed / "data" / "features" / "windows.py"
    kernel.write_text(kernel.read_text().replace("total[i] / count[i]", "total[i] / count[i] + 0.5"))
    assert said(MEANS, changed, other) == ["1.5"]
    name = "windows._trailing_mean*.nbc"
    (code,), (place,) = other.rglob(name), honest.rglob(name)
    shutil.copy(code, place)
    assert said(MEANS, ROOT, honest) == ["1.5"]  # no source differs
    assert said(AUDITED, ROOT, honest) == ["1.0", "pass"]
