"""`python -m rayjobs.screen`: what it prints, what it leaves, which bars it may see, and what it refuses."""

from __future__ import annotations

import pandas as pd
import pytest

from evaluation.ledger import Ledger
from rayjobs.entry import ExitCode, run_entry_point
from rayjobs.screen import screen

SMALL = (
    "data.num_bars=3000", "data.noise_features=2", "walk_forward.train_bars=2500", "walk_forward.test_bars=400",
    "screening.num_trees=5", "screening.embargo_bars=5", "screening.num_blocks=8",
)  # fmt: skip


def run_screen(tmp_path, *overrides: str) -> ExitCode:
    return run_entry_point(screen, "screen", [*SMALL, f"run.directory={tmp_path}", *overrides])


def test_the_planted_signal_comes_first_on_the_terminal_and_in_the_files(tmp_path, capsys):
    assert run_screen(tmp_path, "+experiment=planted_signal") is ExitCode.DONE
    assert "1 of 3 features stands out, best first: signal." in capsys.readouterr().out
    (run,) = (tmp_path / "planted_signal" / "screenings").iterdir()
    assert pd.read_csv(run / "screening.csv").loc[0, "feature"] == "signal"
    assert set(pd.read_csv(run / "importances.csv")["model"]) == {"ridge", "forest"}
    summary = (run / "summary.md").read_text()
    assert "| signal | yes |" in summary
    # Only the bars before the first test window: the walk-forward's training window.
    assert "2,500 bars, 2020-01-01T00:00 to 2020-02-22T01:30 UTC (before the first test window)" in summary


def test_on_noise_it_says_that_nothing_stands_out(tmp_path, capsys):
    assert run_screen(tmp_path, "+experiment=noise") is ExitCode.DONE
    assert (
        "Nothing stands out: none of 2 features helps every model beyond chance." in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["screening.models=[magic]"], "error: screening.models is ['magic']; choose of ridge, forest"),
        (["screening.num_fold=2"], "did you mean screening.num_folds?"),
        (
            ["screening.num_folds=400"],
            "leaves 6 bars to learn from after a lookback of 0 and 6 to test on; use fewer folds",
        ),
    ],
)
def test_bad_input_is_one_sentence_and_code_2(tmp_path, capsys, overrides, sentence):
    assert run_screen(tmp_path, "+experiment=noise", *overrides) is ExitCode.BAD_INPUT
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert sentence in line


def test_a_screening_is_a_look_at_the_bars_that_it_saw(tmp_path):
    assert run_screen(tmp_path, "+experiment=noise") is ExitCode.DONE
    ledger = Ledger(tmp_path / "ledger.sqlite")
    (look,) = ledger.state().looks
    assert look.kind == "screening"
    (coverage,) = ledger.coverages(look.coverages).values()
    assert str(coverage.span[1]) == "2020-02-22T02:00:00"  # the first test window is not among them
