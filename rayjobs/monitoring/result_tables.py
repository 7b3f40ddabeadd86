"""The tables, facts, sentences and paths that a job ends with, on standard output or in the object of ``--json``.

No table is wider than the terminal: see `rayjobs.monitoring.fitted_table`. Where an object is asked for, it takes the
rows as they are, numbers unformatted and undefined ones null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rayjobs.config.terminal import output_console, speech
from rayjobs.monitoring.fitted_table import Column, fitted_tables

if TYPE_CHECKING:  # with what judges, which is slow to import
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
    console : to print on, whatever way of speaking was asked for.
    columns : key -> format of a number (``.2f``, ``+.1%``), in the order shown; None takes all keys of the first
        row as they are. Undefined numbers print as a dash.
    """
    if columns is None:
        columns = dict.fromkeys(rows[0], "") if rows else {}
    if console is None and speech().as_json:
        entry = {"title": title, "rows": [{key: row.get(key) for key in columns} for row in rows]}
        speech().tables.append(entry)
        return
    shown = [
        Column(
            heading=key.replace("_", " "),
            cells=tuple(_cell(row.get(key), form) for row in rows),
            is_text=form == "" and any(isinstance(row.get(key), str) for row in rows),
        )
        for key, form in columns.items()
    ]
    out = output_console() if console is None else console
    for table in fitted_tables(title, shown, out.width):
        out.print(table)


def print_facts(facts: Mapping[str, Any], *, formats: Mapping[str, str] | None = None) -> None:
    """Print what is known of one thing, a line each: the fact's name, then its value, over as many lines as it takes.

    Parameters
    ----------
    formats : name of a fact -> format of its number; the others are written as they are.
    """
    if speech().as_json:
        speech().tables.append({"title": "", "rows": [dict(facts)]})
        return
    lines = Table(box=None, show_header=False, pad_edge=False)
    lines.add_column(no_wrap=True)
    lines.add_column(overflow="fold")
    for name, value in facts.items():
        lines.add_row(Text(name.replace("_", " ")), Text(_cell(value, (formats or {}).get(name, ""))))
    output_console().print(lines)


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
    """Print one line as it is: a command or a path in it can be copied, which a fold would cut."""
    _print_line(text, speech().sentences, console)


def print_prose(text: str, *, console: Console | None = None) -> None:
    """Print sentences that nobody copies into a terminal, folded between words at the terminal's width."""
    if console is None and speech().as_json:
        speech().sentences.append(text)
        return
    out = output_console() if console is None else console
    out.print(Text(text), highlight=False)


def print_paths(paths: Sequence[Path], *, console: Console | None = None) -> None:
    """Print what was written, one path a line, the last as it would be opened."""
    for path in paths:
        _print_line(str(path), speech().paths, console)


def _print_line(line: str, told: list[str], console: Console | None) -> None:
    if console is None and speech().as_json:
        told.append(line)
        return
    out = output_console() if console is None else console
    out.print(line, markup=False, highlight=False, soft_wrap=True)


def number(value: Any, form: str) -> str:
    """A number in a format, or a dash where it is not defined."""
    if not isinstance(value, (int, float)) or value != value or value in (float("inf"), float("-inf")):
        return "-"
    return format(value, form)
