"""Numbers as text: decimal commas or points, marks between thousands, currencies, 45.2M; decided by all cells at once.

A mark that may be either, as in 1,234, is refused unless another cell of the same file decides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

from data.array_types import FloatArray
from data.errors import DataError

MARKS = (".", ",")
_MULTIPLES = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
_INSIDE = re.compile(r"(?<=\d)['’\u00a0\u202f ](?=\d{3})")
_AROUND = re.compile(r"[$€£¥%\s\u00a0]")
_BARE = re.compile(r"^[-+]?(\d[\d.,]*|[.,]\d+)([eE][-+]?\d+)?$")
_UNKNOWN = ("", "nan", "null", "none", "na", "n/a", "#n/a", "n.a.")


class NotNumeric(ValueError):
    """A cell that is no number in any writing: `cell`, as written."""

    def __init__(self, column: str, cell: str, row: int) -> None:
        super().__init__(f"{cell!r} in row {row}")
        self.column, self.cell, self.row = column, cell, row


def decimal_mark(columns: Mapping[str, pd.Series], file: str) -> str:
    """Return the decimal mark of a file, "." or ",".

    Parameters
    ----------
    columns : name -> cells (N,) as text.
    file : for messages.

    Raises
    ------
    DataError
        If cells contradict each other, or none decides.
    """
    evidence: dict[str, str] = {}
    unclear: dict[str, str] = {}
    for cells in columns.values():
        text = _plain(cells)
        shapes = text.str.replace(r"(?<!^)\d|^[1-9]", "9", regex=True)
        for shape, cell in zip(*_firsts(shapes, cells), strict=True):
            mark, certain = _says(shape)
            if mark:
                (evidence if certain else unclear).setdefault(mark, cell)
    if len(evidence) == 2:
        raise DataError(
            f"{file}: {evidence['.']!r} has a decimal point and {evidence[',']!r} a decimal comma; write "
            "all numbers in "
            "one way."
        )
    if evidence:
        return next(iter(evidence))
    if "," in unclear:
        cell = unclear[","].strip()
        raise DataError(
            f"{file}: {cell!r} may be {cell.replace(',', '')} (a comma between thousands) or "
            f"{cell.replace(',', '.')} (a "
            "decimal comma), and no other number of the file decides; set data.decimal to '.' or ',', the mark before "
            "its decimals."
        )
    return "."


def numbers(cells: pd.Series, decimal: str, column: str) -> FloatArray:
    """Return cells (N,) of text as float64; NaN where a cell is empty or says that it is unknown.

    Raises
    ------
    NotNumeric
        If a cell is no number.
    """
    text = _plain(cells)
    unknown = text.str.lower().isin(_UNKNOWN).to_numpy()
    multiple = np.ones(len(text))
    last = text.str[-1:].str.upper()
    for letter, factor in _MULTIPLES.items():
        here = (last == letter).to_numpy() & ~unknown
        multiple[here] = factor
        text = text.mask(here, text.str[:-1])
    bare = text.str.match(_BARE.pattern).to_numpy(dtype=bool)
    wrong = ~bare & ~unknown
    other = "," if decimal == "." else "."
    written = text.str.replace(other, "", regex=False)
    if decimal == ",":
        written = written.str.replace(",", ".", regex=False)
    values = pd.to_numeric(written.mask(unknown), errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    wrong |= ~unknown & np.isnan(values)
    wrong |= ~unknown & ~_grouped(text, other)
    if wrong.any():
        row = int(wrong.argmax())
        raise NotNumeric(column, str(cells.iloc[row]), row + 1)
    return np.where(unknown, np.nan, values * multiple)


def _plain(cells: pd.Series) -> pd.Series:
    text = cells.astype("str").fillna("").str.replace(_AROUND, "", regex=True)
    return text.str.replace(_INSIDE, "", regex=True)


def _firsts(shapes: pd.Series, cells: pd.Series) -> tuple[list[str], list[str]]:
    """Return each shape once, with the first cell that has it."""
    first = ~shapes.duplicated().to_numpy()
    return shapes[first].tolist(), cells.astype("str")[first].tolist()


def _says(shape: str) -> tuple[str | None, bool]:
    """Return the mark that a shape (9 for each digit, a leading 0 kept) speaks for, and whether it is certain.

    9.999,99 and 99,9 have a decimal comma; 9,999,999 commas between thousands, hence a decimal point; 9,999 may have
    either.
    """
    body = shape.lstrip("+-").split("e")[0].split("E")[0].rstrip("KMBTkmbt")
    found = [mark for mark in MARKS if mark in body]
    if not found or not re.fullmatch(r"[09.,]+", body):
        return None, False
    if len(found) == 2:
        last = max(MARKS, key=body.rindex)
        return (last, True) if body.count(last) == 1 else (None, False)
    (mark,) = found
    other = "," if mark == "." else "."
    if body.count(mark) > 1:
        return (other, True) if re.fullmatch(rf"9{{1,3}}(\{mark}9{{3}})+", body) else (None, False)
    if re.fullmatch(rf"9{{1,3}}\{mark}9{{3}}", body):
        return mark, False
    return mark, True


def _grouped(text: pd.Series, mark: str) -> np.ndarray:
    """(N,) True where the marks between thousands, if there are any, stand between groups of three digits."""
    has = text.str.contains(mark, regex=False).to_numpy(dtype=bool)
    if not has.any():
        return np.ones(len(text), dtype=bool)
    escaped = re.escape(mark)
    fits = text.str.match(rf"^[-+]?\d{{1,3}}({escaped}\d{{3}})+(?!\d)").to_numpy(dtype=bool)
    return ~has | fits
