"""Rows of the list of runs: filtered and sorted by any number, word or setting."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rayjobs.config.typed_config import did_you_mean
from rayjobs.pages.catalogue import LIVE, METRICS, PROGRESS, Catalogue, RunEntry
from rayjobs.pages.notes import Note, Notes

WORDS = ("run", "experiment", "kind", "status", "verdict", "started", "ended", "tags", "note")
NUMBERS = (*METRICS, *LIVE, *PROGRESS)
_TERM = re.compile(r"([A-Za-z_][\w.-]*)\s*(==|!=|<=|>=|=|<|>|~)\s*(.+)", re.DOTALL)
_NUMERIC: Mapping[str, Callable[[float, float], bool]] = {
    "<": lambda a, b: a < b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
}  # fmt: skip


class BadQuestion(ValueError):
    """A filter or a column that is not understood; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What to list.

    Parameters
    ----------
    filter : terms with `and` between: ``sharpe > 1 and algo.gamma = 0.99 and crypto``. A word alone is looked for in
        name, tags and note; ``~`` looks for a part of a text.
    sort : column, with a minus for the largest first; empty for the newest first.
    columns : settings to show beside the usual columns.
    limit : rows that are sent, at most.
    """

    filter: str = ""
    sort: str = ""
    columns: tuple[str, ...] = ()
    limit: int = 200


def listed(catalogue: Catalogue, notes: Notes, question: Question) -> dict[str, Any]:
    """Rows that meet a question, how many there are, and how many of each status.

    Raises
    ------
    BadQuestion
        For a term or a column that is not understood.
    """
    written = notes.all()
    rows = [_row(entry, written.get(entry.name)) for entry in catalogue.entries()]
    total, states = len(rows), _counts(rows)
    for term in filter(None, (part.strip() for part in re.split(r"\band\b", question.filter))):
        keep = _term(catalogue, term)
        rows = [row for row in rows if keep(row)]
    if question.sort:
        rows = _sorted(catalogue, rows, question.sort)
    found, rows = len(rows), rows[: question.limit]
    for key in question.columns:
        values = _column(catalogue, key)
        for row in rows:
            row[key] = values(row)
    return {"rows": rows, "found": found, "total": total, "states": states, "version": catalogue.version}


def _row(entry: RunEntry, note: Note | None) -> dict[str, Any]:
    note = note or Note()
    return {**entry.row(), "tags": list(note.tags), "note": note.text}


def _counts(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    states = [str(row["status"]) for row in rows]
    return {state: states.count(state) for state in sorted(set(states))}


def _column(catalogue: Catalogue, key: str) -> Callable[[Mapping[str, Any]], Any]:
    """What a column says of a row; of settings it reads the configurations."""
    if key in WORDS:
        return lambda row: ", ".join(row["tags"]) if key == "tags" else row.get(key)
    if key in NUMBERS:
        return lambda row: row.get(key)
    values = catalogue.column(key)
    if not values:
        raise BadQuestion(
            f"{key} is no column and no setting of any run; "
            f"{did_you_mean(key, [*WORDS, *NUMBERS, *catalogue.keys()])}"
        )
    return lambda row: values.get(row["run"])


def _term(catalogue: Catalogue, term: str) -> Callable[[Mapping[str, Any]], bool]:
    match = _TERM.fullmatch(term)
    if match is None:
        wanted = term.lower()
        return lambda row: wanted in f"{row['run']} {' '.join(row['tags'])} {row['note']}".lower()
    key, sign, text = match[1], match[2], match[3].strip().strip("\"'")
    value_of = _column(catalogue, key)
    if sign in _NUMERIC:
        try:
            bound = float(text)
        except ValueError:
            raise BadQuestion(f"{term}: {text!r} is no number, and {sign} compares numbers") from None
        return lambda row: _is_number(value_of(row)) and _NUMERIC[sign](float(value_of(row)), bound)
    if sign == "~":
        return lambda row: text.lower() in str(value_of(row)).lower()
    return lambda row: _equal(value_of(row), text) != (sign == "!=")


def _equal(value: Any, text: str) -> bool:
    if isinstance(value, bool) or value is None:
        return text.lower() in ({None: "null", True: "true", False: "false"}[value], str(value).lower())
    if _is_number(value):
        try:
            return float(value) == float(text)
        except ValueError:
            return False
    return str(value) == text


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _sorted(catalogue: Catalogue, rows: list[dict[str, Any]], sort: str) -> list[dict[str, Any]]:
    """Numbers before texts before what is not known, which stays at the end either way."""
    value_of = _column(catalogue, sort.removeprefix("-"))
    known = [row for row in rows if value_of(row) not in (None, "")]
    unknown = [row for row in rows if value_of(row) in (None, "")]

    def key(row: Mapping[str, Any]) -> tuple[int, float, str]:
        value = value_of(row)
        return (0, float(value), "") if _is_number(value) else (1, 0.0, str(value))

    return sorted(known, key=key, reverse=sort.startswith("-")) + unknown
