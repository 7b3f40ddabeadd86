"""Every Python block and every configuration that the documentation shows runs as it stands there."""

from __future__ import annotations

import importlib
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pages import PAGES, ROOT, SECTIONS, Section, unfenced_python

from evaluation.gate.criteria import CRITERIA
from policies.cores import CORES
from rayjobs.config.compose import compose_command_line
from rayjobs.search.sweep.config import build_sweep_config
from rayjobs.study.config import build_train_config

RUN = [
    section for section in SECTIONS if any(block.language in ("python", "yaml") for block in section.blocks)
]
EDITS = [section for section in SECTIONS if any(block.language == "diff" for block in section.blocks)]
BUILDERS = {"train": build_train_config, "sweep": build_sweep_config}


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """A reader's folder: modules in it can be imported, and what a page registers is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    modules, tables = set(sys.modules), [(table, dict(table)) for table in (CORES, CRITERIA)]
    yield tmp_path
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]
    for table, entries in tables:
        table.clear()
        table.update(entries)


def write_files(section: Section, folder: Path) -> None:
    for block in section.blocks:
        if block.file is not None:
            (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.file).write_text(block.text)


def run_python(section: Section) -> None:
    """Run the blocks of a section one after the other, as one program; those that are modules are imported."""
    names: dict[str, object] = {"__name__": "page"}
    for block in section.blocks:
        if block.language != "python":
            continue
        if block.file is not None:
            importlib.import_module(block.file.removesuffix(".py"))
            continue
        # Blank lines before the code, so that a traceback names the line of the page.
        code = compile("\n" * block.line + block.text, str(section.page), "exec")
        exec(code, names)


def build(command: str) -> None:
    """Compose and build what a command of the page asks for; nothing is started."""
    words = shlex.split(command)
    job = words[2].removeprefix("rayjobs.")
    values = compose_command_line(job, words[3:])
    assert values is not None
    BUILDERS[job](values)


@pytest.mark.parametrize("section", RUN, ids=lambda section: section.name)
def test_what_a_section_shows_runs(section, reader):
    write_files(section, reader)
    run_python(section)
    for block in section.blocks:
        if block.language == "yaml":
            yaml.safe_load(block.text)
    for command in section.commands:
        build(command)


def test_python_stands_in_fenced_blocks_which_are_run():
    assert [line for page in PAGES for line in unfenced_python(page)] == []


@pytest.mark.parametrize("section", EDITS, ids=lambda section: section.name)
def test_the_edits_that_a_section_shows_fit_the_files_as_they_are(section):
    edits = "".join(block.text for block in section.blocks if block.language == "diff")
    done = subprocess.run(
        ["git", "apply", "--check", "-"], input=edits, text=True, capture_output=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr


AFTER_THE_EDITS = """
import numpy as np
from envs.kernel.columns import NET_RETURN
from rayjobs.study.training_env import training_env

small = ["+experiment=planted_signal", "data.num_bars=1400", "walk_forward.train_bars=500"]
small += ["walk_forward.test_bars=300", "env.episode.bars=48"]
env = training_env([*small, "reward.net_return=0", "reward.variance=2", "reward.scale=10"], num_envs=8)
env.reset(seed=0)
env.action_space.seed(0)
for _ in range(40):
    _, reward, *_ = env.step(env.action_space.sample())
    np.testing.assert_allclose(reward, -20.0 * env.rows.flow[:, NET_RETURN] ** 2, rtol=1e-12)
env = training_env([*small, "env=long_flat"], num_envs=8)
env.reset(seed=0)
env.action_space.seed(0)
assert env.single_action_space.nvec.tolist() == [2] * env.num_assets
for _ in range(20):
    action = env.action_space.sample()
    env.step(action)
    np.testing.assert_array_equal(env.rows.position[..., 0] > 0.0, action == 1)
"""


@pytest.mark.slow
def test_a_repository_with_the_edits_of_the_page_does_what_the_page_says(tmp_path):
    """A reward term and an action scheme are built in by the files that docs/extending.md lists, and by no other."""
    names = ["conf", "data", "envs", "policies", "evaluation", "rayjobs", "tests", "docs", "pyproject.toml"]
    for name in (*names, *(path.name for path in ROOT.glob("*.md"))):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    edits = "".join(block.text for section in EDITS for block in section.blocks if block.language == "diff")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}
    where = {"cwd": tmp_path, "env": environment, "text": True}
    subprocess.run(["git", "apply", "-"], input=edits, check=True, **where)
    subprocess.run([sys.executable, "-c", AFTER_THE_EDITS], check=True, **where)
    checks = ["tests/docs/test_places.py", "tests/rayjobs/bench/test_numpy_env.py", "-k", "no_place or books"]
    subprocess.run([sys.executable, "-m", "pytest", "-q", *checks], check=True, **where)
