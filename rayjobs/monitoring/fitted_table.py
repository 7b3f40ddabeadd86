"""A table that fits a width: numbers whole, texts folded, columns that find no room in tables below.

Nothing is cut off. A single row that does not fit stands upright, a line for each of its columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

LEAST_TEXT, LONGEST_WORD = 18, 24
"""Columns that a text keeps at least, unless it is shorter, and up to which a word is kept whole."""
FRAME_OF_COLUMN, FRAME = 3, 1
"""A column's two spaces and its line, and the last line of a row."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column as it will be shown: heading, a cell for each row, and whether its cells are texts."""

    heading: str
    cells: tuple[str, ...]
    is_text: bool

    @property
    def natural(self) -> int:
        """Width at which no cell and no word of the heading is folded."""
        words = [len(word) for word in self.heading.split()]
        lines = [cell_len(line) for cell in self.cells for line in cell.splitlines()]
        return max([1, *words, *lines])

    @property
    def whole(self) -> int:
        """Width at which the heading stands in one line too."""
        return max(self.natural, cell_len(self.heading))

    @property
    def least(self) -> int:
        """Width below which it cannot be read: that of a number, or some words of a text."""
        if not self.is_text:
            return self.natural
        words = [cell_len(word) for text in (self.heading, *self.cells) for word in text.split()]
        return min(self.natural, max([LEAST_TEXT, *(word for word in words if word <= LONGEST_WORD)]))


def fitted_tables(title: str, columns: Sequence[Column], width: int) -> Iterator[Table | Text]:
    """The title and the tables, from top to bottom, that show all of the columns at a width in terminal columns."""
    if title:
        yield Text(title, style="table.title", overflow="fold")
    if _room(columns, width) < 0 and columns and len(columns[0].cells) == 1:
        columns = _upright(columns)
    for group in _groups(columns, width):
        yield _table(group, width)


def _upright(columns: Sequence[Column]) -> tuple[Column, Column]:
    return (
        Column(heading="", cells=tuple(column.heading for column in columns), is_text=True),
        Column(heading="", cells=tuple(column.cells[0] for column in columns), is_text=True),
    )


def _room(columns: Sequence[Column], width: int) -> int:
    """What is left beside the least widths; negative where they do not fit."""
    return width - FRAME - sum(column.least + FRAME_OF_COLUMN for column in columns)


def _groups(columns: Sequence[Column], width: int) -> Iterator[list[Column]]:
    """As many columns as fit, then the others, each time behind the first, which says what a row is about."""
    group: list[Column] = []
    for column in columns:
        if len(group) > 1 and _room([*group, column], width) < 0:
            yield group
            group = [columns[0]]
        group.append(column)
    yield group


def _table(columns: Sequence[Column], width: int) -> Table:
    table = Table(header_style="bold", show_header=any(column.heading for column in columns))
    for position, (column, room) in enumerate(zip(columns, _widths(columns, width))):
        table.add_column(
            Text(column.heading),
            justify="left" if position == 0 or column.is_text else "right",
            width=room,
            overflow="fold",
        )
    for row in zip(*(column.cells for column in columns)):
        table.add_row(*(Text(cell) for cell in row))
    return table


def _widths(columns: Sequence[Column], width: int) -> list[int]:
    """Each column's least width, and of what is left as much as it has use for; those that want little come first."""
    given = [column.least for column in columns]
    room = _room(columns, width)
    while (
        room < 0 and max(given) > 1
    ):  # two columns on a very narrow terminal: even a number is folded, not cut
        given[given.index(max(given))] -= 1
        room += 1
    for wanted in ([column.natural for column in columns], [column.whole for column in columns]):
        waiting = sorted(range(len(columns)), key=lambda index: wanted[index] - given[index])
        for position, index in enumerate(waiting):
            more = max(0, min(wanted[index] - given[index], room // (len(waiting) - position)))
            given[index] += more
            room -= more
    return given
