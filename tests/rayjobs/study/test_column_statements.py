"""`data.columns` on a command line: names that no file of conf/ can hold, and what is said of wrong ones."""

from __future__ import annotations

import pytest
from exported_market import noise, write_files

from rayjobs.config.compose import compose_command_line
from rayjobs.config.exit_codes import ExitCode
from rayjobs.entry import run_entry_point
from rayjobs.study.config import build_train_config
from rayjobs.train import train

FILES = ["data=files", "data.path=/nowhere"]


@pytest.mark.parametrize(
    "argument",
    [
        "data.columns.vendor_score.known_after=2 bars",
        "+data.columns.vendor_score.known_after=2 bars",
        "data.columns={vendor_score: {known_after: 2 bars}}",
    ],
)
def test_a_statement_is_read_with_and_without_a_plus(argument):
    columns = build_train_config(compose_command_line("train", [*FILES, argument])).data.columns
    assert columns["vendor_score"].bars == 2


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("data.columns.vendor_score.known_after=1", "write how many bars after the close of its own bar"),
        ("data.columns.vendor_score.know_after=1 bar", "unknown key; did you mean known_after?"),
        ("data.columns.noise_01.known_after=0 bars", "there is no column or feature of this name (did you"),
        ("data.columns.noise_01.known_after=1 bar", "the data have no column 'noise_01' (did you mean 'noise_00'"),
    ],
)  # fmt: skip
def test_a_wrong_statement_is_one_sentence_and_code_2(tmp_path, capsys, argument, sentence):
    bars = write_files(noise(), tmp_path / "bars")
    arguments = [
        *bars,
        "features=exogenous",
        "walk_forward.train_bars=700",
        "walk_forward.test_bars=300",
        f"run.directory={tmp_path}",
        argument,
    ]
    assert run_entry_point(train, "train", arguments) is ExitCode.BAD_INPUT
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert sentence in line
