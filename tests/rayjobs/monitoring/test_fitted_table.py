"""Tables fit every terminal, and lose nothing: each number stands whole somewhere, each text folded at worst."""

from __future__ import annotations

import io
import re
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from rich.console import Console

from rayjobs.monitoring.result_tables import print_table

WIDTHS = (60, 72, 80, 100, 140, 200)


def printed(rows, width, title="A table", columns=None) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_table(title, rows, columns=columns, console=console)
    return console.file.getvalue()


def folded_back(text: str) -> str:
    return re.sub(r"[\s│┃]", "", text)


VERDICT = [
    {"criterion": "Deflated Sharpe ratio", "value": 0.1234, "": ">=", "threshold": 0.95, "passed": "NO",
     "decides": True, "why": "The probability that the true Sharpe ratio is above zero is 12 % after 64 trials."},
    {"criterion": "Unseen bars", "value": None, "": "<=", "threshold": 0.0, "passed": "yes",
     "decides": False, "why": "No bar was looked at before."},
]  # fmt: skip


@pytest.mark.parametrize("width", WIDTHS)
def test_a_table_of_many_columns_stays_within_the_terminal_and_keeps_every_cell(width):
    wide = [{f"metric_{i}": 1000.0 * i + row for i in range(24)} for row in range(3)]
    text = printed(wide, width)
    assert max(map(len, text.splitlines())) <= width
    for row in wide:
        for value in row.values():
            assert re.search(
                rf"(?<![\d,.]){re.escape(f'{value:,.4g}' if value < 1e4 else f'{value:,.0f}')}(?!\d)", text
            )


@pytest.mark.parametrize("width", WIDTHS)
def test_sentences_are_folded_between_words_and_numbers_never(width):
    text = printed(VERDICT, width)
    assert max(map(len, text.splitlines())) <= width
    assert all(number in text for number in ("0.1234", "0.95", ">="))
    words = set(re.findall(r"[A-Za-z]+", text))
    assert {"probability", "that", "the", "true", "Sharpe", "above", "zero", "after", "trials"} <= words


def test_columns_that_find_no_room_stand_below_beside_what_their_row_is_about():
    text = printed(VERDICT, 60)
    assert text.count("Unseen bars") == 2
    assert printed(VERDICT, 200).count("Unseen bars") == 1


def test_a_single_row_that_does_not_fit_stands_upright():
    row = {f"a_long_name_of_a_number_{i}": float(i) for i in range(12)}
    lines = printed([row], 60).splitlines()
    assert sum("a long name of a number" in line for line in lines) == 12


def test_brackets_in_a_cell_are_text_and_no_markup():
    assert "symbols=[SPY,AAPL]" in printed([{"override": "symbols=[SPY,AAPL]", "n": 1}], 80)
    assert "[bold]" in printed([{"a": 1}], 80, title="[bold]")


@settings(max_examples=40, deadline=None)
@given(
    cells=st.lists(
        st.lists(st.one_of(st.floats(-1e9, 1e9), st.text("abc äµ-", max_size=70)), min_size=7, max_size=7),
        min_size=1, max_size=4,
    ),
    width=st.integers(20, 200),
)  # fmt: skip
def test_no_table_is_wider_than_the_terminal(cells, width):
    rows = [{f"column {i}": cell for i, cell in enumerate(row)} for row in cells]
    assert max(map(len, printed(rows, width).splitlines())) <= width


def test_a_file_takes_140_columns_and_columns_is_obeyed(monkeypatch, capsys):
    rows = [{"path": str(Path("/runs") / ("x " * 200))}]
    for given_width, expected in (("", 140), ("63", 63)):
        monkeypatch.setenv("COLUMNS", given_width)
        print_table("Paths", rows)
        assert max(map(len, capsys.readouterr().out.splitlines())) == expected
