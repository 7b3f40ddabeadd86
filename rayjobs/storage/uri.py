"""Where runs lie: a folder, or a URI (``s3://bucket/path``) with a folder of this machine in front of it.

A run is always written to a local folder. When ``run.directory`` is a URI, `rayjobs.storage.mirror` copies that folder
there while the job runs, and `fetch` brings a run back so that it can go on, on this machine or another.
Filesystems are pyarrow's: s3, gs, hdfs, file. An endpoint other than the vendor's stands in the URI
(``s3://bucket/path?endpoint_override=127.0.0.1:9000&scheme=http``) or in AWS_ENDPOINT_URL.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rayjobs.config.typed_config import ConfigError

CHECKPOINT_RECORD = "training.json"
"""Last file of a checkpoint to be written and the first to be dropped: a checkpoint without it is not whole."""

LEDGER = "ledger.sqlite"
"""The ledger's name, directly below ``run.directory``."""
LEDGERS = "ledgers"
"""Folder below a URI in which each machine has a ledger of its own: object storage has no file that two may write."""

CACHE_VARIABLE = "RAYFOLD_CACHE"


def is_uri(directory: str) -> bool:
    """Whether a ``run.directory`` or ``resume`` names storage beyond this machine's file system."""
    return "://" in directory


def join(directory: str, *parts: str) -> str:
    """A place below a directory or URI; a URI keeps its query at the end."""
    base, mark, query = directory.partition("?") if is_uri(directory) else (directory, "", "")
    return "/".join([base.rstrip("/"), *parts]) + mark + query


def local_directory(directory: str) -> Path:
    """The folder of this machine where what lies at ``directory`` is written and read."""
    if not is_uri(directory):
        return Path(directory).expanduser()
    cache = Path(os.environ.get(CACHE_VARIABLE, "~/.cache/rayfold")).expanduser()
    scheme, _, rest = directory.partition("?")[0].partition("://")
    return cache.absolute() / "storage" / scheme / rest.strip("/")


def uri_of(path: Path, directory: str) -> str | None:
    """Where a local path below ``local_directory(directory)`` belongs; None when ``directory`` is a folder."""
    if not is_uri(directory):
        return None
    return join(directory, *path.absolute().relative_to(local_directory(directory)).parts)


class Storage:
    """Files below one URI.

    Parameters
    ----------
    uri : of a folder; it need not exist.

    Raises
    ------
    ConfigError
        If pyarrow knows no such scheme, or the URI is malformed.
    """

    def __init__(self, uri: str) -> None:
        from pyarrow.fs import FileSystem  # slow, and most runs lie in a folder

        self.uri = uri
        try:
            self._files, self._base = FileSystem.from_uri(uri)
        except (ValueError, OSError) as error:  # ArrowInvalid is a ValueError
            raise ConfigError(f"cannot use the storage {uri}: {_first_line(error)}") from error
        self._base = self._base.rstrip("/")

    def upload(self, local: Path, name: str) -> None:
        """Put a file there under a name relative to the URI, whole or not at all."""
        target = f"{self._base}/{name}"
        if self._files.type_name == "local":
            self._files.create_dir(str(Path(target).parent), recursive=True)
        with local.open("rb") as source, self._files.open_output_stream(target) as stream:
            while piece := source.read(8 * 1024 * 1024):
                stream.write(piece)

    def download(self, name: str, local: Path) -> None:
        """Bring a file here; it appears in one step."""
        local.parent.mkdir(parents=True, exist_ok=True)
        partial = local.with_name(f".{local.name}.partial")
        with self._files.open_input_stream(f"{self._base}/{name}") as source, partial.open("wb") as stream:
            while piece := source.read(8 * 1024 * 1024):
                stream.write(piece)
        partial.replace(local)

    def delete(self, name: str) -> None:
        """Drop a file; nothing where there is none."""
        with contextlib.suppress(FileNotFoundError):
            self._files.delete_file(f"{self._base}/{name}")

    def names(self) -> list[str]:
        """Every file below the URI, relative to it, sorted; none where nothing is there yet."""
        from pyarrow.fs import FileSelector, FileType

        infos: list[Any] = self._files.get_file_info(
            FileSelector(self._base, recursive=True, allow_not_found=True)
        )
        return sorted(i.path[len(self._base) + 1 :] for i in infos if i.type == FileType.File)


def fetch(uri: str, local: Path, wanted: Callable[[str], bool] = lambda name: True) -> int:
    """Bring what lies below a URI to a local folder; checkpoints that are not whole are left out.

    Parameters
    ----------
    wanted : of a file's name relative to the URI.

    Returns
    -------
    Files that were there.

    Raises
    ------
    ConfigError
        If the storage cannot be read.
    """
    storage = Storage(uri)
    try:
        names = storage.names()
        whole = {Path(name).parent.as_posix() for name in names if Path(name).name == CHECKPOINT_RECORD}
        chosen = [name for name in names if wanted(name) and (checkpoint_of(name) or "") in whole | {""}]
        for name in chosen:
            storage.download(name, local / name)
    except OSError as error:
        raise ConfigError(f"cannot read {uri}: {_first_line(error)}") from error
    return len(chosen)


def local_copy(wanted: str) -> Path:
    """The local folder of a run that was named by path or URI, brought here where this machine does not have it.

    Raises
    ------
    ConfigError
        If the storage cannot be read, or nothing lies there.
    """
    local = local_directory(wanted)
    if is_uri(wanted) and not (local / "config.yaml").is_file() and not fetch(wanted, local):
        raise ConfigError(f"nothing lies at {wanted}; give the URI of a run: run.directory/EXPERIMENT/RUN_ID")
    return local


def newest_remote(directory: str, folder: str, wanted: Callable[[dict[str, Any]], bool]) -> str | None:
    """The URI of the newest run below ``directory/folder`` whose status is wanted; None where there is none."""
    place = join(directory, *Path(folder).parts)
    with tempfile.TemporaryDirectory() as scratch:
        fetch(place, Path(scratch), lambda name: name.count("/") == 1 and name.endswith("/status.json"))
        found = [
            path.parent.name
            for path in Path(scratch).glob("*/status.json")
            if wanted(json.loads(path.read_text()))
        ]
    return join(place, max(found)) if found else None


def split_uri(place: str) -> tuple[str, str]:
    """Folder and name of a file at a URI; also of ``${run.directory}/ledger.sqlite`` where the URI has a query."""
    base, mark, query = place.partition("?")
    if mark and "/" in query:  # the name was put after the query
        query, _, name = query.rpartition("/")
    else:
        base, _, name = base.rpartition("/")
    return base + mark + query, name


def ledger_of_machine(folder: str) -> Path:
    """The local file of this machine's own ledger below a URI; its name is drawn once and kept."""
    local = local_directory(folder)
    note = local / LEDGERS / ".this_machine"
    if not note.is_file():
        note.parent.mkdir(parents=True, exist_ok=True)
        drawn = note.with_name(f".{uuid.uuid4().hex}")
        drawn.write_text(f"{uuid.uuid4().hex}.sqlite")
        with contextlib.suppress(FileExistsError):  # another process was first
            os.link(drawn, note)
        drawn.unlink()
    return note.with_name(note.read_text())


def is_ledger(name: str) -> bool:
    """Whether a name below a root of runs is that of a ledger."""
    return name == LEDGER or (
        name.startswith(f"{LEDGERS}/") and name.endswith(".sqlite") and name.count("/") == 1
    )


def checkpoint_of(name: str) -> str | None:
    """The checkpoint folder that a file lies in, ``.../iteration_000010``; None outside of one."""
    parts = Path(name).parts
    for place, part in enumerate(parts[:-1]):
        if part.startswith("iteration_"):
            return "/".join(parts[: place + 1])
    return None


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
