"""The `rayfold` command: the same entry points, one screen of help, and sentences for what is no command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rayjobs.config.exit_codes import ExitCode
from rayjobs.shell import commands

ROOT = Path(__file__).parents[3]


def test_every_module_that_runs_is_a_command_with_a_sentence_of_its_own():
    found = commands.module_commands()
    runs = {
        p.stem for p in (ROOT / "rayjobs").glob("*.py") if '\nif __name__ == "__main__":' in p.read_text()
    }
    assert set(found) >= runs - {"__main__"}
    assert {"train", "sweep", "evaluate", "compare", "ingest", "bench", "features"} <= set(found)
    assert all(line.endswith(".") for line in found.values())


@pytest.mark.parametrize("width", [60, 80, 200])
def test_help_fits_the_terminal_and_one_screen(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    assert commands.main(["--help"]) == ExitCode.DONE
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= max(width, 80)
    assert sum("rayfold " in line for line in lines) >= 3


def test_what_is_no_command_is_one_sentence(capsys):
    assert commands.main(["trian"]) == ExitCode.BAD_INPUT
    assert "did you mean train?" in capsys.readouterr().err
    assert commands.main([]) == ExitCode.BAD_INPUT


def test_a_command_ends_as_its_module_does(tmp_path):
    words = ["train", "+experiment=nothing"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    ends = [
        subprocess.run(
            [sys.executable, "-m", *argv], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        for argv in (["rayjobs", *words], ["rayjobs.train", *words[1:]])
    ]
    assert [end.returncode for end in ends] == [2, 2]
    assert ends[0].stderr == ends[1].stderr
    assert "there is no experiment 'nothing'" in ends[0].stderr
