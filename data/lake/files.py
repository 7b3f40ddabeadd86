"""Files below the place of a lake, a folder or a URI; each is written in one step and never changed.

Filesystems are pyarrow's: s3, gs, hdfs, file. An endpoint other than the vendor's stands in the URI
(``s3://bucket/path?endpoint_override=127.0.0.1:9000&scheme=http``) or in AWS_ENDPOINT_URL; keys are taken from the
environment, as by every client of S3.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from data.errors import DataError, one_line

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_PARTIAL = ".partial-"
_OLD_SECONDS = 86_400.0
"""Age from which on a half-written file is one of a process that was killed."""


class LakeError(DataError):
    """A lake cannot be read or written, or a file of it is not what was written."""


class FileFact(NamedTuple):
    """A file: its name relative to the lake, and its size in bytes."""

    name: str
    size: int


class LakeFiles:
    """The files of a lake.

    Parameters
    ----------
    place : folder or URI; it need not exist. Only `place` travels when the object is sent to another process.
    """

    def __init__(self, place: str) -> None:
        self.place = place

    def __getstate__(self) -> dict[str, str]:
        return {"place": self.place}

    def __setstate__(self, state: dict[str, str]) -> None:
        self.__dict__.update(state)

    @cached_property
    def _opened(self) -> tuple[FileSystem, str]:
        from pyarrow.fs import FileSystem, LocalFileSystem  # slow

        if "://" not in self.place:
            return LocalFileSystem(), str(Path(self.place).expanduser().absolute())
        try:
            system, base = FileSystem.from_uri(self.place)
        except (ValueError, OSError) as error:  # ArrowInvalid is a ValueError
            raise LakeError(f"cannot use the lake {self.shown}: {one_line(error)}.") from error
        return system, base.rstrip("/")

    @property
    def system(self) -> FileSystem:
        """pyarrow's filesystem."""
        return self._opened[0]

    @property
    def shown(self) -> str:
        """The place as it may be printed: without the query of a URI, which may hold keys."""
        return self.place.partition("?")[0]

    def path(self, name: str) -> str:
        """The path of a file within the filesystem."""
        return f"{self._opened[1]}/{name}"

    def write_new(self, name: str, content: Any) -> bool:
        """Put a file there, whole or not at all; False where one of this name is there already, which stays.

        Raises
        ------
        LakeError
            If the storage cannot be written to.
        """
        try:
            if self.size(name) is not None:
                return False
            if self.system.type_name == "local":
                return _write_local(Path(self.path(name)), content)
            # One call: a process that is killed, or a line that breaks, leaves nothing under the name.
            stream = self.system.open_output_stream(self.path(name))
            stream.write(content)
            stream.close()
        except OSError as error:
            raise LakeError(f"cannot write to the lake {self.shown}: {one_line(error)}.") from error
        return True

    def read(self, name: str) -> Any:
        """Return the bytes of a file, a pyarrow buffer."""
        try:
            with self.system.open_input_file(self.path(name)) as source:
                return source.read_buffer()
        except OSError as error:
            raise LakeError(f"cannot read {name} of the lake {self.shown}: {one_line(error)}.") from error

    def open(self, name: str) -> Any:
        """Return a seekable file, to read a part of it."""
        try:
            return self.system.open_input_file(self.path(name))
        except OSError as error:
            raise LakeError(f"cannot read {name} of the lake {self.shown}: {one_line(error)}.") from error

    def size(self, name: str) -> int | None:
        """Bytes of a file; None where there is none."""
        from pyarrow.fs import FileType

        info = self.system.get_file_info(self.path(name))
        return int(info.size) if info.type == FileType.File else None

    def delete(self, name: str) -> None:
        """Drop a file; nothing where there is none."""
        with contextlib.suppress(FileNotFoundError):
            self.system.delete_file(self.path(name))

    def files_below(self, folder: str) -> list[FileFact]:
        """Every whole file below a folder, by name; none where nothing is there yet.

        Raises
        ------
        LakeError
            If the storage cannot be read.
        """
        from pyarrow.fs import FileSelector, FileType

        base = self._opened[1]
        try:
            infos = self.system.get_file_info(
                FileSelector(f"{base}/{folder}", recursive=True, allow_not_found=True)
            )
        except OSError as error:
            raise LakeError(f"cannot read the lake {self.shown}: {one_line(error)}.") from error
        return sorted(
            FileFact(info.path[len(base) + 1 :], int(info.size))
            for info in infos
            if info.type == FileType.File and not info.base_name.startswith(_PARTIAL)
        )

    def folders(self, folder: str) -> list[str]:
        """Names of the folders directly below one, sorted."""
        from pyarrow.fs import FileSelector, FileType

        try:
            infos = self.system.get_file_info(FileSelector(self.path(folder), allow_not_found=True))
        except OSError as error:
            raise LakeError(f"cannot read the lake {self.shown}: {one_line(error)}.") from error
        return sorted(info.base_name for info in infos if info.type == FileType.Directory)

    def sweep(self, folder: str) -> int:
        """Drop half-written files that processes left which were killed more than a day ago; return how many."""
        if self.system.type_name != "local":
            return 0
        dropped = 0
        for path in Path(self.path(folder)).rglob(f"{_PARTIAL}*"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _OLD_SECONDS:
                    path.unlink()
                    dropped += 1
        return dropped


def _write_local(path: Path, content: Any) -> bool:
    """Write beside the name, then take the name; what is under it survives a crash of the machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{_PARTIAL}{uuid.uuid4().hex}")
    try:
        with partial.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(partial, path)  # unlike a rename, it never replaces what another writer was first with
        except FileExistsError:
            return False
        except OSError:  # a filesystem without hard links
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    _sync_folder(path.parent)
    return True


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # not every filesystem can
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
