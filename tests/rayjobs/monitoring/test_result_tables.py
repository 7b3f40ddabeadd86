"""Closing tables show undefined numbers as dashes and never break a path."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from evaluation.gate.verdict import Criterion, Verdict
from rayjobs.monitoring.result_tables import (
    print_paths,
    print_prose,
    print_sentence,
    print_table,
    print_verdict,
)


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=160)


def test_a_table_formats_each_column_and_shows_what_is_undefined_as_a_dash(console):
    rows = [{"fold": 0, "sharpe": 1.234, "return": 0.05}, {"fold": 1, "sharpe": None, "return": float("nan")}]
    print_table("Folds", rows, columns={"fold": "", "sharpe": ".2f", "return": "+.1%"}, console=console)
    text = console.file.getvalue()
    assert "Folds" in text
    assert [cell.strip() for cell in text.splitlines()[4].strip("│").split("│")] == ["0", "1.23", "+5.0%"]
    assert [cell.strip() for cell in text.splitlines()[5].strip("│").split("│")] == ["1", "-", "-"]


def test_large_numbers_are_written_out(console):
    print_table("Counts", [{"what": "trades", "value": 10_623.0, "share": 0.1234567}], console=console)
    assert "10,623" in console.file.getvalue()
    assert "0.1235" in console.file.getvalue()


def test_the_verdict_names_each_criterion_with_value_threshold_and_reason(console):
    criterion = Criterion(
        name="sharpe",
        label="Sharpe ratio",
        value=0.4,
        threshold=1.0,
        comparison=">=",
        passed=False,
        enforced=True,
        first_bar_utc="2019-01-01",
        last_bar_utc="2019-02-01",
        num_bars=100,
        reason="below the threshold",
    )
    print_verdict(
        Verdict(passed=False, headline="No: 1 of 1 fails", criteria=(criterion,), num_trials=1),
        console=console,
    )
    text = console.file.getvalue()
    assert "Gate: No: 1 of 1 fails" in text
    for expected in ("Sharpe ratio", "0.4", ">=", "NO", "below the threshold"):
        assert expected in text


def test_a_long_path_stays_on_one_line(console):
    path = Path("/runs") / ("x" * 300) / "report.html"
    print_paths([path], console=console)
    assert console.file.getvalue() == f"{path}\n"


def test_prose_is_folded_between_words_and_a_sentence_with_a_command_is_not(console):
    text = "Score and turnover are means over folds [and seeds], of the score less a penalty on their spread."
    narrow = Console(file=io.StringIO(), width=40)
    print_prose(text, console=narrow)
    lines = narrow.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 40
    assert " ".join(lines).split() == text.split()
    command = f"go on with: python -m rayjobs.train resume=/runs/{'x' * 60}"
    print_sentence(command, console=narrow)
    assert narrow.file.getvalue().splitlines()[len(lines) :] == [command]
