"""Which dialect a file is in: by the names of its columns, or, without a header, by its first rows and its name."""

from __future__ import annotations

from collections.abc import Sequence

from data.errors import DataError
from data.sources.bar_file import BarFile
from data.sources.dialects import DIALECTS
from data.sources.dialects.definition import Dialect, Rows
from data.sources.text_layout import is_numeral, shown


def by_header(names: Sequence[str]) -> Dialect | None:
    """Return the dialect whose columns these are, names in `plain` form; None for a table of no particular maker."""
    held = set(names)
    return next((d for d in DIALECTS if d.requires and d.requires <= held and not d.lacks & held), None)


def by_rows(file: BarFile, rows: Rows) -> Dialect:
    """Return the dialect of a file without a header.

    Raises
    ------
    DataError
        If no dialect has such rows: what the columns are is not guessed.
    """
    folders = set(file.folders)
    for dialect in DIALECTS:
        if (
            dialect.order
            and dialect.folders <= folders
            and (dialect.file_name is None or named(file, dialect))
            and (dialect.fits is None or dialect.fits(rows))
        ):
            return dialect
    line = shown(",".join(rows[0]))
    raise DataError(
        f"{file} has no header: its first line is {line}, which is no row of a maker that is "
        f"known{_unlike(rows)}; put a "
        "line before it that names the columns, such as timestamp,open,high,low,close,volume."
    )


def named(file: BarFile, dialect: Dialect) -> str | None:
    """Return what the file's name says that it is of, "" if it fits without saying so, None if it does not fit."""
    if dialect.file_name is None:
        return None
    for stem in dict.fromkeys((file.stem, file.path.name.split(".")[0])):
        match = dialect.file_name.match(stem)
        if match:
            return next((value for value in match.groupdict().values() if value), "")
    return None


def _unlike(rows: Rows) -> str:
    """Say what speaks against open, high, low, close, where rows have four numbers in another order."""
    values = [row for row in rows if len(row) >= 6 and all(is_numeral(field) for field in row[1:6])]
    if len(values) < len(rows):
        return ""
    try:
        prices = [[float(field) for field in row[1:5]] for row in values]
    except ValueError:
        return ""
    highest = {at for at in range(4) if all(row[at] == max(row) for row in prices)}
    lowest = {at for at in range(4) if all(row[at] == min(row) for row in prices)}
    if len(highest) == 1 and len(lowest) == 1 and (highest, lowest) != ({1}, {2}):
        return (
            f" (of the four prices the highest is always number {min(highest) + 1} and the lowest number "
            f"{min(lowest) + 1}, so they are not open, high, low, close)"
        )
    return ""
