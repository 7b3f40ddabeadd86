"""Where a table of bars lies: a file, plain or packed, or a member of a zip, and what its name says of it."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from data.errors import DataError, one_line

TEXTS = (".csv", ".tsv", ".txt")
PACKERS: Mapping[str, Callable[..., IO[bytes]]] = {
    ".gz": gzip.open,  # type: ignore[dict-item]
    ".xz": lzma.open,  # type: ignore[dict-item]
    ".bz2": bz2.open,  # type: ignore[dict-item]
}
PARQUET = (".parquet", ".parq", ".pq")
FEATHER = (".feather", ".arrow")
SUFFIXES = (*TEXTS, *(text + packed for text in TEXTS for packed in PACKERS), *PARQUET, *FEATHER)
"""Endings of files that are read, beside zips of them."""
ZIP = ".zip"
BROKEN = (
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    UnicodeError,
    NotImplementedError,
)
"""What reading a damaged file raises, beside errors of values."""


@dataclass(frozen=True, kw_only=True)
class BarFile:
    """One table of bars.

    Parameters
    ----------
    path : the file, or the zip that holds it.
    member : name within the zip.
    partitions : what folders called ``key=value`` say of every row, such as symbol -> BTC.
    """

    path: Path
    member: str | None = None
    partitions: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return str(self.path) if self.member is None else f"{self.path} ({self.member})"

    @property
    def name(self) -> str:
        """File name with its endings; of a member, its own."""
        return self.path.name if self.member is None else Path(self.member).name

    @property
    def suffix(self) -> str:
        """The ending that says how it is read."""
        return suffix_of(self.name) or ""

    @property
    def stem(self) -> str:
        """Name without endings, spaces around it cut off."""
        return (self.name[: len(self.name) - len(self.suffix)] if self.suffix else self.path.stem).strip()

    @property
    def folders(self) -> tuple[str, ...]:
        """Names of the folders that it lies in, outermost first, in lower case."""
        return tuple(part.lower() for part in self.path.absolute().parent.parts)

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """Open the bytes of the table, unpacked."""
        if self.member is not None:
            with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as stream:
                packed = PACKERS.get(Path(self.member).suffix.lower())
                yield packed(stream) if packed else stream
            return
        unpack = PACKERS.get(self.path.suffix.lower())
        with unpack(self.path, "rb") if unpack else self.path.open("rb") as stream:
            yield stream

    def start(self, size: int = 1 << 16) -> bytes:
        """Return the first bytes.

        Raises
        ------
        DataError
            If it is damaged.
        """
        try:
            with self.opened() as stream:
                return stream.read(size)
        except (*BROKEN, ValueError, RuntimeError) as error:
            raise unreadable(self, error) from error


def unreadable(file: BarFile, error: BaseException) -> DataError:
    """The error for a file that cannot be read at all."""
    return DataError(
        f"{file} cannot be read ({one_line(error)}); check that it is the kind of file it is named as."
    )


def suffix_of(name: str) -> str | None:
    """Return the ending of a file that can be read, as long as possible, or None."""
    lower = name.lower()
    return max((s for s in SUFFIXES if lower.endswith(s)), key=len, default=None)


def members_of(path: Path) -> list[BarFile]:
    """Return the tables in a zip; those that a Mac adds (`__MACOSX`, `._BTC.csv`) are none.

    Raises
    ------
    DataError
        If the zip is damaged, locked or holds no table.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except BROKEN as error:
        raise DataError(
            f"{path} cannot be read ({one_line(error)}); check that it is a whole zip."
        ) from error
    locked = [entry.filename for entry in entries if entry.flag_bits & 1]
    if locked:
        raise DataError(f"{path}: {locked[0]} is locked by a password; unpack it.")
    names = [
        entry.filename
        for entry in entries
        if suffix_of(entry.filename)
        and not Path(entry.filename).name.startswith(".")
        and "__MACOSX" not in Path(entry.filename).parts
    ]
    if not names:
        held = ", ".join(entry.filename for entry in entries[:3]) or "nothing"
        raise DataError(
            f"{path} holds {held}, and no table of bars; put one of {', '.join(TEXTS)} or Parquet in it."
        )
    return [BarFile(path=path, member=name) for name in sorted(names)]
