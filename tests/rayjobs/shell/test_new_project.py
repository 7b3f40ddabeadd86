"""A new project passes its own tests, leaves what is there alone, and is known to every command run in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rayjobs.config.compose import compose_command_line
from rayjobs.config.exit_codes import ExitCode
from rayjobs.config.project import project_conf
from rayjobs.config.typed_config import ConfigError
from rayjobs.shell.commands import main

ROOT = Path(__file__).parents[3]


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    assert main(["new", "fresh_ideas"]) == ExitCode.DONE
    return tmp_path / "fresh_ideas"


def test_commands_in_a_project_know_its_experiments(project, monkeypatch):
    with pytest.raises(ConfigError, match="no experiment"):
        compose_command_line("train", ["+experiment=fresh_ideas"])
    monkeypatch.chdir(project)
    values = compose_command_line("train", ["+experiment=fresh_ideas", "seed=4"])
    assert values["features"]["specs"]["gap"]["name"] == "fresh_ideas.features:GAP"
    assert "rsi" in values["features"]["specs"]
    assert (values["seed"], values["run"]["experiment"]) == (4, "fresh_ideas")
    with pytest.raises(ConfigError, match="fresh_ideas"):  # among what is known
        compose_command_line("train", ["+experiment=fresh_idea"])


def test_its_own_tests_pass(project):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=project, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "2 passed" in done.stdout, done.stdout[-2000:]


def test_nothing_is_written_over(project, capsys):
    before = (project / "README.md").read_text()
    assert main(["new", "fresh_ideas"]) == ExitCode.BAD_INPUT
    assert "is there already" in capsys.readouterr().err
    assert (project / "README.md").read_text() == before


@pytest.mark.parametrize("name", ["My-Project", "data", "class", "json", "1st", "a b"])
def test_names_that_cannot_be_a_package_are_refused(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["new", name]) == ExitCode.BAD_INPUT
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("mark", "words"),
    [("conf: nowhere\n", "not there"), ("- a\n", "must hold"), ("conf: [\n", "cannot be read")],
)
def test_a_mark_that_cannot_be_used_is_one_sentence(mark, words, tmp_path):
    (tmp_path / "rayfold.yaml").write_text(mark)
    with pytest.raises(ConfigError, match=words):
        project_conf(tmp_path)
