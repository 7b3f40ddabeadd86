"""How a text file is laid out: its encoding, what parts its fields, and which of its first lines are no rows.

Everything here looks at the first lines of a file only. R is the number of rows looked at.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass

from data.errors import DataError
from data.sources.bar_file import BarFile

SEPARATORS = {"\t": "tabs", ";": "semicolons", "|": "bars", ",": "commas"}
"""In the order in which they are believed: decimal commas stand between semicolons, never the other way round."""
FEWEST_FIELDS = 5
LOOKED_AT = 40
"""Lines."""
MOST_HEADERS, MOST_TITLES = 4, 6
SHOWN = 60
"""Characters of a line that a message quotes."""
_NUMERAL = re.compile(r"^[-+]?[$€£¥]?\s*\d[\d.,'\u00a0\u202f ]*([eE][-+]?\d+)?\s*[KMBTkmbt%]?$|^[-+]?\.\d+$")


@dataclass(frozen=True, kw_only=True)
class TextLayout:
    """What the first lines of a text file show.

    Parameters
    ----------
    encoding, separator : to read it with.
    titles : lines before the header that are no table.
    headers : lines that name columns, as fields; none, one, or several (yfinance).
    first_rows : fields of the first rows, at most `LOOKED_AT`.
    skip : lines of the file, blank ones included, before the first row.
    """

    encoding: str
    separator: str
    titles: tuple[str, ...]
    headers: tuple[tuple[str, ...], ...]
    first_rows: tuple[tuple[str, ...], ...]
    skip: int

    @property
    def width(self) -> int:
        """The commonest number of fields of a row."""
        widths = [len(row) for row in self.first_rows]
        return max(set(widths), key=widths.count) if widths else 0


def layout_of(file: BarFile) -> TextLayout:
    """Look at the first lines of a text file.

    Raises
    ------
    DataError
        If it is empty, damaged, no text, or has no rows of at least five fields.
    """
    start = file.start()
    encoding = _encoding(start)
    text = start.decode(encoding, errors="ignore")
    if "\x00" in text:
        raise DataError(f"{file} is no text, though it is named so; give a CSV, or name it as what it is.")
    placed = [(at, line) for at, line in enumerate(text.splitlines()) if line.strip()]
    if len(start) == 1 << 16 and len(placed) > 1:
        placed.pop()  # cut where the reading stopped
    placed = placed[: MOST_TITLES + MOST_HEADERS + LOOKED_AT]
    lines = [line for _, line in placed]
    if not lines:
        raise DataError(f"{file} is empty; give a file with a header and rows.")
    separator = _separator(lines)
    if separator is None:
        raise DataError(
            f"{file}: its first line is {shown(lines[0])}, which does not part into at least {FEWEST_FIELDS} fields by "
            f"{', '.join(SEPARATORS.values())}; write a table with the columns timestamp, open, high, low, "
            "close, volume."
        )
    rows = [tuple(fields(line, separator)) for line in lines]
    width = max(len(row) for row in rows)
    titles = 0
    while titles < min(MOST_TITLES, len(rows) - 1) and len(rows[titles]) < min(FEWEST_FIELDS, width):
        titles += 1
    _refuse_header_apart(lines[:titles], file)
    headers = titles
    while headers < len(rows) and headers - titles < MOST_HEADERS and _is_header(rows[headers]):
        headers += 1
    return TextLayout(
        encoding=encoding,
        separator=separator,
        titles=tuple(lines[:titles]),
        headers=tuple(rows[titles:headers]),
        first_rows=tuple(rows[headers:]),
        skip=placed[headers][0] if headers < len(placed) else placed[-1][0] + 1,
    )


def _refuse_header_apart(titles: list[str], file: BarFile) -> None:
    """Refuse a header whose fields are parted by another mark than the rows'; it must not pass for a title."""
    for line in titles:
        words = {word.lower() for word in re.split(r"\W+", line)}
        if len(words & {"open", "high", "low", "close", "o", "h", "l", "c"}) >= 3:
            raise DataError(
                f"{file}: its line {shown(line)} names columns, but is not parted as the rows are; write both with one "
                "separator."
            )


def looks_like_bars(file: BarFile) -> bool:
    """True if a text file of a general name (`.txt`) holds rows of numbers."""
    try:
        layout = layout_of(file)
    except DataError:
        return False
    return bool(layout.first_rows) and sum(is_numeral(field) for field in layout.first_rows[0]) >= 4


def fields(line: str, separator: str) -> list[str]:
    """Return the fields of a line, without spaces around them."""
    return [field.strip() for field in next(csv.reader([line], delimiter=separator), [])]


def is_numeral(field: str) -> bool:
    """True if a field is a number in some country's writing."""
    return _NUMERAL.match(field.strip()) is not None


def shown(line: str) -> str:
    """Return a line as a message quotes it."""
    line = line.strip()
    return repr(line if len(line) <= SHOWN else line[:SHOWN] + "...")


def _encoding(start: bytes) -> str:
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    if start[:3] == b"\xef\xbb\xbf":
        return "utf-8-sig"
    if len(start) >= 8 and not start[1:40:2].strip(b"\x00") and start[:40:2].strip(b"\x00"):
        return "utf-16-le"
    if len(start) >= 8 and not start[:40:2].strip(b"\x00") and start[1:40:2].strip(b"\x00"):
        return "utf-16-be"
    try:
        start[: len(start) - 4 if len(start) > 4 else None].decode("utf-8")
    except UnicodeDecodeError as error:
        # A letter of several bytes may be cut where the reading stopped; anything before it is another encoding.
        return "utf-8" if error.start >= len(start) - 8 else "cp1252"
    return "utf-8"


def _separator(lines: list[str]) -> str | None:
    """Return what parts most of the lines into one number of fields, at least `FEWEST_FIELDS`."""
    for mark in SEPARATORS:
        widths = [len(fields(line, mark)) for line in lines]
        wide = [width for width in widths if width >= FEWEST_FIELDS]
        if not wide:
            continue
        commonest = max(set(wide), key=wide.count)
        if wide.count(commonest) >= 0.6 * max(len(lines) - MOST_TITLES, 1) or len(lines) <= MOST_TITLES:
            return mark
    return None


def _is_header(row: tuple[str, ...]) -> bool:
    """True if a line names columns: hardly any number, and no time at its beginning."""
    numerals = sum(is_numeral(field) for field in row)
    begins_with_time = bool(row[0][:1].isdigit()) and sum(c.isdigit() for c in row[0]) >= 4
    return numerals < 3 and not begins_with_time and any(field for field in row)
