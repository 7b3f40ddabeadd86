"""What is said of the reading of files: what they were taken for, what was not read, where the config differs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from data.sources.bar_folders import BarFiles, listed, unread_words
from data.sources.tables import Table

SHOWN = 3
"""Names of files that a remark lists."""


def contradictions(table: Table, stem: str, labels: str | None, timezone: str | None) -> list[str]:
    """Say where the config reads a file otherwise than its maker writes such files."""
    said = []
    if labels and table.labels and labels != table.labels:
        said.append(
            f"{stem}: labels were read as those of the bar's {labels}, as data.labels says, though "
            "such files are "
            f"labelled by its {table.labels}"
        )
    if timezone and table.zone and timezone != table.zone:
        said.append(
            f"{stem}: times without an offset were read as those of {timezone}, as data.timezone "
            "says, though such "
            f"files hold those of {table.zone}"
        )
    return said


def unread(found: BarFiles, path: Path) -> list[str]:
    if not found.unread:
        return []
    return [
        f"{unread_words(found.unread, path)}: only {listed()} files of the directory itself are; convert or unpack them"
    ]


def hint(found: BarFiles, path: Path) -> str:
    return f" ({unread_words(found.unread, path)})" if found.unread else ""


def taken_for(tables: Mapping[str, Table], found: BarFiles) -> list[str]:
    """Say in one line per kind what the files were taken for."""
    kinds: dict[str, list[str]] = {}
    for stem, table in tables.items():
        if table.taken_for is not None:
            zone = f"; times without an offset are those of {table.zone}" if table.zone else ""
            closes = "; labels are closing instants" if table.labels == "close" else ""
            kinds.setdefault(f"{table.taken_for}{zone}{closes}", []).append(found.files[stem].path.name)
    said = []
    for kind, names in kinds.items():
        names = list(dict.fromkeys(names))
        more = f" and {len(names) - SHOWN:,} more files" if len(names) > SHOWN else ""
        said.append(f"{', '.join(names[:SHOWN])}{more} read as {kind}")
    return said
