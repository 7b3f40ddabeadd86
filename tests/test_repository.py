"""The repository's own promises: what is packaged, what is ignored, what is pinned, and what importing costs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from setuptools import find_namespace_packages

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = ("data", "envs", "policies", "evaluation", "rayjobs")
LOCK = (ROOT / "requirements.lock").read_text().splitlines()


def pins():
    lines = [line.split("#")[0].strip() for line in LOCK if line.split("#")[0].strip()]
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def test_the_lock_pins_every_requirement_of_every_extra_to_an_allowed_version():
    project = PYPROJECT["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(requirement for extra in extras for requirement in extra)]
    locked = pins()
    for text in wanted:
        requirement = Requirement(text)
        assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)]), text


def test_the_lock_names_no_package_index_no_file_and_no_local_build():
    assert pins()["torch"] == "2.13.0"
    for line in LOCK:
        assert "://" not in line
        assert not re.match(r"\s*(-|--)", line)
        assert "+" not in line.split("#")[0]


def test_git_ignores_exact_paths_only():
    # A bare name such as `data/` would make Ray's upload of the working tree drop the package of that name.
    patterns = [p for p in (ROOT / ".gitignore").read_text().splitlines() if p and not p.startswith("#")]
    assert {"/runs/", "/.cache/", "/.venv/", "/outputs/"} <= set(patterns)
    bare = [p for p in patterns if not p.startswith("/") and not p.startswith("*.") and p != "__pycache__/"]
    assert bare == []


def test_every_package_and_every_configuration_file_is_part_of_the_distribution():
    settings = PYPROJECT["tool"]["setuptools"]
    found = set(find_namespace_packages(str(ROOT), include=settings["packages"]["find"]["include"]))
    for package in PACKAGES:
        folders = {path.parent for path in (ROOT / package).rglob("*.py")}
        assert {".".join(folder.relative_to(ROOT).parts) for folder in folders} <= found
    packaged = {
        path for pattern in settings["package-data"]["conf"] for path in (ROOT / "conf").glob(pattern)
    }
    assert packaged == set((ROOT / "conf").rglob("*.yaml"))
    samples = {path for pattern in settings["package-data"]["data"] for path in (ROOT / "data").glob(pattern)}
    assert set((ROOT / "data" / "samples").rglob("*.parquet")) <= samples


def test_every_package_says_what_it_is_for():
    for package in PACKAGES:
        assert (ROOT / package / "__init__.py").read_text().startswith('"""')


@pytest.mark.parametrize("target", ["help", "setup", "quickstart", "test", "test-all", "check", "bench"])
def test_the_makefile_has_each_promised_target_with_a_line_of_help(target):
    assert re.search(rf"^{target}:.*## \S", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


def test_scripts_are_executable_and_stop_at_the_first_failure():
    for script in (ROOT / ".ci").iterdir():
        assert script.stat().st_mode & 0o111
        assert "set -euo pipefail" in script.read_text()


def test_importing_data_envs_and_the_entry_point_loads_neither_ray_nor_torch_nor_tracking():
    heavy = ["ray", "torch", "wandb"]
    program = (
        "import sys, json; import data.sources, data.features, envs.config, rayjobs.entry, rayjobs.study.config;"
        f"print(json.dumps([name for name in {heavy} if name in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=120
    )
    assert json.loads(done.stdout or "null") == [], done.stderr
