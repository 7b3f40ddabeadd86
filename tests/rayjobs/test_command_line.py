"""What a user sees who types a wrong command: exit code 2, one sentence, and nothing left behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run_train(*arguments: str, directory: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rayjobs.train", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=directory, timeout=300)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["+experiment=spy_intrady"], "error: there is no experiment 'spy_intrady'; did you mean spy_intraday?"),
        (["data=files", "data.path=bars.csv"], "error: bars.csv does not exist"),
    ],
)  # fmt: skip
def test_bad_input_ends_with_code_2_one_sentence_and_no_trace(arguments, sentence, tmp_path):
    # A folder named like one of our packages must not hide it.
    (tmp_path / "data").mkdir()
    done = run_train(*arguments, directory=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(sentence)
    assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.rglob("*")] == ["data"]
