"""The tables and paths that a job ends with, on standard output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from evaluation.gate.verdict import Verdict


def print_table(
    title: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    columns: Mapping[str, str] | None = None,
    console: Console | None = None,
) -> None:
    """Print rows as a table on standard output.

    Parameters
    ----------
    columns : key -> format of a number (``.2f``, ``+.1%``), in the order shown; None takes all keys of the first
        row as they are. Undefined numbers print as a dash.
    """
    if columns is None:
        columns = dict.fromkeys(rows[0], "") if rows else {}
    table = Table(title=title, title_justify="left", header_style="bold")
    for position, key in enumerate(columns):
        is_text = bool(rows) and isinstance(rows[0].get(key), str) and columns[key] == ""
        table.add_column(key.replace("_", " "), justify="left" if position == 0 or is_text else "right")
    for row in rows:
        table.add_row(*(_cell(row.get(key), form) for key, form in columns.items()))
    _output(console).print(table)


def _cell(value: Any, form: str) -> str:
    if value is None or isinstance(value, float):
        return number(value, form or (",.0f" if value is not None and abs(value) >= 1e4 else ",.4g"))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return format(value, form) if isinstance(value, int) and form else str(value)


def print_verdict(verdict: Verdict, *, console: Console | None = None) -> None:
    """Print the gate's decision and, for each criterion, its value, threshold and reason."""
    rows = [
        {
            "criterion": criterion.label,
            "value": criterion.value,
            "": criterion.comparison,
            "threshold": criterion.threshold,
            "passed": {True: "yes", False: "NO", None: "-"}[criterion.passed],
            "decides": criterion.enforced,
            "why": criterion.reason,
        }
        for criterion in verdict.criteria
    ]
    print_table(f"Gate: {verdict.headline}", rows, console=console)


def print_sentence(text: str, *, console: Console | None = None) -> None:
    """Print one line as it is."""
    _output(console).print(text, markup=False, highlight=False, soft_wrap=True)


def print_paths(paths: Sequence[Path], *, console: Console | None = None) -> None:
    """Print what was written, one path a line, the last as it would be opened."""
    out = _output(console)
    for path in paths:
        out.print(str(path), markup=False, highlight=False, soft_wrap=True)


def _output(console: Console | None) -> Console:
    """Standard output; 140 columns when it is a file, so that tables are not broken."""
    if console is not None:
        return console
    out = Console()
    return out if out.is_terminal else Console(width=140)


def number(value: Any, form: str) -> str:
    """A number in a format, or a dash where it is not defined."""
    if not isinstance(value, (int, float)) or value != value or value in (float("inf"), float("-inf")):
        return "-"
    return format(value, form)
