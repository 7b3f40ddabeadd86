"""Which tables of bars a path holds: files, members of zips, folders of parts, folders called key=value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from data.errors import DataError
from data.sources.bar_file import SUFFIXES, ZIP, BarFile, members_of, suffix_of
from data.sources.part_files import Group, group_parts
from data.sources.text_layout import looks_like_bars

OTHER_BARS = (
    ".xlsx", ".xls", ".h5", ".hdf5", ".json", ".jsonl", ".pkl", ".pickle", ".zst", ".7z", ".tar", ".tgz", ".orc",
    ".avro", ".dbn", ".db", ".sqlite", ".dat", ".gz", ".xz", ".bz2",
)  # fmt: skip
"""Suffixes of files that may hold bars and are not read."""
_PARTITION = re.compile(r"^(?P<key>[^=]+)=(?P<value>.*)$")
_NOT_NAMED = ".txt"
"""A suffix of files that may be no tables at all."""


@dataclass(frozen=True, kw_only=True)
class BarFiles:
    """The tables that a path holds.

    Parameters
    ----------
    files : key -> file; the key is the file's name without endings.
    groups : the instruments that they seem to be of, by their names.
    pooled : True if the rows, not the files, say what they are of (folders called key=value).
    unread : names of what may hold bars and was not read.
    """

    files: Mapping[str, BarFile]
    groups: tuple[Group, ...]
    pooled: bool
    unread: tuple[str, ...]


def files_of(path: Path) -> BarFiles:
    """List the tables of a folder, a zip or a file.

    Raises
    ------
    DataError
        If there are none, or two cannot be told apart.
    """
    if path.is_dir():
        return _folder(path)
    if path.suffix.lower() == ZIP:
        members = members_of(path)
        files = {path.stem: members[0]} if len(members) == 1 else _keyed(members, path)
        return BarFiles(files=files, groups=_groups(files, path), pooled=False, unread=())
    if suffix_of(path.name) is None:
        raise DataError(f"{path} is not a {listed()} file; convert it to one of these.")
    file = BarFile(path=path)
    return BarFiles(files={file.stem: file}, groups=_groups({file.stem: file}, path), pooled=False, unread=())


def listed() -> str:
    """The endings that are read, in words."""
    return f"{', '.join(SUFFIXES)} or {ZIP}"


def _folder(path: Path) -> BarFiles:
    partitioned = [f for f in sorted(path.iterdir()) if f.is_dir() and _PARTITION.match(f.name)]
    plain_files = _keyed(list(_direct(path)), path)
    if partitioned and not plain_files:
        files = _keyed_by_path(list(_partitions(path, {})), path)
        if not files:
            raise DataError(f"{path} holds folders such as {partitioned[0].name} but no bars in them.")
        return BarFiles(files=files, groups=(), pooled=True, unread=())
    others = tuple(_others(path))
    if plain_files:
        return BarFiles(files=plain_files, groups=_groups(plain_files, path), pooled=False, unread=others)
    files, groups, rest = _folders_of_parts(path)
    others = tuple(name for name in others if name in rest or not (path / name).is_dir())
    if not files:
        hint = f" ({unread_words(others, path)}: convert or unpack)" if others else ""
        raise DataError(f"{path} holds no bars; put one {listed()} file per symbol there{hint}.")
    return BarFiles(files=files, groups=tuple(groups), pooled=False, unread=others)


def unread_words(others: tuple[str, ...], path: Path) -> str:
    """Say that these were not read."""
    return f"{', '.join(others)} in {path} {'was' if len(others) == 1 else 'were'} not read"


def _direct(path: Path) -> Iterator[BarFile]:
    """Yield the tables that lie in a folder itself; files that begin with a dot (`._BTC.csv` of a Mac) hold no bars."""
    for file in sorted(path.iterdir()):
        if file.name.startswith(".") or file.is_dir():
            continue
        if file.suffix.lower() == ZIP:
            try:
                yield from members_of(file)
            except DataError:
                yield BarFile(path=file)  # refused when it is read, if it is
        elif (suffix := suffix_of(file.name)) is not None:
            table = BarFile(path=file)
            if not suffix.startswith(_NOT_NAMED) or looks_like_bars(table):
                yield table


def _keyed(tables: list[BarFile], path: Path) -> dict[str, BarFile]:
    """Return stem -> file; a zip of one table goes by its own name."""
    alone = {table.path for table in tables if sum(other.path == table.path for other in tables) == 1}
    found: dict[str, BarFile] = {}
    by_case: dict[str, str] = {}
    for table in tables:
        stem = table.path.stem.strip() if table.member and table.path in alone else table.stem
        other = by_case.setdefault(stem.casefold(), stem)
        if other != stem:
            raise DataError(
                f"{path} has {found[other].name} and {table.name}, which differ in case only; keep one, or rename."
            )
        if stem in found:
            raise DataError(
                f"{path} has two files for {stem}: {_shown(found[stem])} and {_shown(table)}; keep one."
            )
        found[stem] = table
    return found


def _shown(table: BarFile) -> str:
    return table.path.name if table.member is None else f"{table.path.name} ({table.member})"


def _keyed_by_path(tables: list[BarFile], path: Path) -> dict[str, BarFile]:
    return {
        str(table.path.relative_to(path)) + (f"/{table.member}" if table.member else ""): table
        for table in tables
    }


def _partitions(path: Path, held: Mapping[str, str]) -> Iterator[BarFile]:
    for table in _direct(path):
        yield BarFile(path=table.path, member=table.member, partitions=dict(held))
    for folder in sorted(path.iterdir()):
        match = _PARTITION.match(folder.name)
        if folder.is_dir() and match:
            yield from _partitions(folder, {**held, match["key"]: match["value"]})


def _groups(files: Mapping[str, BarFile], path: Path) -> tuple[Group, ...]:
    return tuple(group_parts(list(files), path.resolve().name))


def _folders_of_parts(path: Path) -> tuple[dict[str, BarFile], list[Group], list[str]]:
    """Return the files of folders that hold the dated parts of one instrument each, and the names of other folders."""
    files: dict[str, BarFile] = {}
    groups, rest = [], []
    for folder in sorted(path.iterdir()):
        if not folder.is_dir() or folder.name.startswith("."):
            continue
        parts = _keyed(list(_direct(folder)), folder)
        found = _groups(parts, folder)
        if len(found) != 1 or not (found[0].dated or found[0].name == folder.name):
            rest.append(folder.name)
            continue
        stems = {stem: f"{folder.name}/{stem}" for stem in found[0].stems}
        files.update({stems[stem]: parts[stem] for stem in stems})
        groups.append(Group(folder.name, tuple(stems.values()), True))
    return files, groups, rest


def _others(path: Path) -> Iterator[str]:
    for file in sorted(path.iterdir()):
        if file.name.startswith(".") or file.name == "__MACOSX":
            continue
        packed = file.suffix.lower() in OTHER_BARS and suffix_of(file.name) is None
        if file.is_dir() or packed:
            yield file.name
