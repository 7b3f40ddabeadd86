"""`python -m rayjobs.screen`: what it prints, what it leaves, which bars it may see, and what it refuses."""

from __future__ import annotations

import pandas as pd
import pytest
from exported_market import next_return, noise, write_files

from data.synthetic import make_market
from evaluation.ledger.ledger import Ledger
from rayjobs.config.exit_codes import ExitCode
from rayjobs.entry import run_entry_point
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


@pytest.mark.parametrize("stated", [False, True])
def test_a_feature_that_knows_the_next_bar_is_named_unless_it_is_stated(tmp_path, capsys, stated):
    law = noise(num_bars=3000)
    bars = write_files(law, tmp_path / "bars", vendor_score=next_return(make_market(law).panel))
    small = [override for override in SMALL if not override.startswith("data.")]
    statement = ["data.columns.vendor_score.known_after=0 bars"] if stated else []
    arguments = [
        *small,
        "features=exogenous",
        f"run.directory={tmp_path}",
        "run.experiment=own",
        *bars,
        *statement,
    ]
    assert run_entry_point(screen, "screen", arguments) is ExitCode.DONE
    said = "column 'vendor_score' (SYN0) ranks the next bar's return with |t| of"
    (run,) = (tmp_path / "own" / "screenings").iterdir()
    assert (said in " ".join(capsys.readouterr().out.split())) is not stated
    assert (said in (run / "summary.md").read_text()) is not stated


def test_a_screening_is_a_look_at_the_bars_that_it_saw(tmp_path):
    assert run_screen(tmp_path, "+experiment=noise") is ExitCode.DONE
    ledger = Ledger(tmp_path / "ledger.sqlite")
    (look,) = ledger.state().looks
    assert look.kind == "screening"
    (coverage,) = ledger.coverages(look.coverages).values()
    assert str(coverage.span[1]) == "2020-02-22T02:00:00"  # the first test window is not among them


def test_a_ledger_that_cannot_be_used_is_refused_before_anything_starts(tmp_path, capsys):
    pytest.importorskip("psycopg")
    place = "ledger=postgresql://me:geheim@127.0.0.1:1/looks"
    assert run_screen(tmp_path, "+experiment=noise", place) is ExitCode.BAD_INPUT
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert "the ledger postgresql://me@127.0.0.1:1/looks cannot be used" in line
    assert "geheim" not in line
    assert list(tmp_path.iterdir()) == []


def test_labels_of_barriers_and_of_a_primary_rule_are_screened_by_configuration(tmp_path, capsys):
    # Three bars hold the drift of one beside the noise of three, so that the sign still stands out.
    barriers = ["labels=triple_barrier", "labels.horizon_bars=3", "labels.volatility_bars=20"]
    assert run_screen(tmp_path, "+experiment=planted_signal", *barriers) is ExitCode.DONE
    assert "best first: signal." in capsys.readouterr().out
    (run,) = (tmp_path / "planted_signal" / "screenings").iterdir()
    words = "until a target of 1 or a stop of 1 volatilities of 20 bars, at most 3 bars from the next open"
    assert words in (run / "summary.md").read_text()


def test_a_primary_rule_is_a_feature_of_the_experiment(tmp_path, capsys):
    meta = ["+experiment=planted_signal", "labels.primary=noise_00"]
    assert run_screen(tmp_path, *meta) is ExitCode.DONE
    # Whether a coin's side pays depends on coin times sign: a forest may see it, a line does not.
    assert "Nothing stands out" in capsys.readouterr().out
    assert run_screen(tmp_path, *meta[:1], "labels.primary=signa") is ExitCode.BAD_INPUT
    assert "did you mean 'signal'" in capsys.readouterr().err


def test_a_number_in_screening_takes_the_place_of_the_horizon_of_the_labels(tmp_path):
    assert run_screen(tmp_path, "+experiment=noise", "screening.horizon_bars=4") is ExitCode.DONE
    (run,) = (tmp_path / "noise" / "screenings").iterdir()
    assert "net return over 4 bars from the next open" in (run / "summary.md").read_text()
