"""The manifest of a finished run: size and hash of every file, and one root hash over them.

    manifest.json   run, root, files: path, size, sha256

It is written when a run has ended well, and the root goes into the ledger, so that a file that is changed, added or
removed afterwards is named. What may change after that is left out (see `is_sealed`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evaluation.files import write_json

MANIFEST_FILE = "manifest.json"
FORMAT_VERSION = 1
AFTER_THE_SEAL = ("manifest.json", "status.json", "audit_report.json", "audit_report.md")
"""Files of the run directory itself that are written when everything else is there."""
LIVE_FOLDERS = ("wandb", "tensorboard")
"""Logs that their own programs go on writing."""
CHECKPOINT = "iteration_"
"""Start of the folders of RLlib's checkpoints: for going on with a training, never for judging it."""
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class SealedFile:
    """A file as it was when the run ended; ``path`` is relative, with slashes."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """All files of a run, sorted by path; ``run`` is the run's identity, which the root covers as well."""

    run: str
    files: tuple[SealedFile, ...]

    @property
    def root(self) -> str:
        """sha256 over the run's identity and every file's path, size and hash."""
        lines = [f"rayfold manifest {FORMAT_VERSION}", self.run]
        lines += [f"{file.sha256} {file.size} {file.path}" for file in self.files]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Changes:
    """Files that are not what a manifest says, by path."""

    changed: tuple[str, ...]
    added: tuple[str, ...]
    missing: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.changed or self.added or self.missing)

    def __str__(self) -> str:
        kinds = {"changed": self.changed, "added": self.added, "missing": self.missing}
        return "; ".join(f"{kind}: {', '.join(paths)}" for kind, paths in kinds.items() if paths)


def is_sealed(path: Path) -> bool:
    """Whether a file, relative to the run directory, belongs to what is sealed.

    Left out: what is written after the seal, the logs of W&B and TensorBoard, RLlib's checkpoints, and hidden files
    (what is being written). Exported policies are sealed.
    """
    parts = path.parts
    if any(part.startswith(".") for part in parts) or parts[0] in LIVE_FOLDERS:
        return False
    return path.as_posix() not in AFTER_THE_SEAL and not any(
        part.startswith(CHECKPOINT) for part in parts[:-1]
    )


def sealed_paths(directory: Path) -> list[str]:
    """Relative paths of the files to seal, sorted; links are not followed."""
    found = (path for path in directory.rglob("*") if path.is_file() and not path.is_symlink())
    relative = (path.relative_to(directory) for path in found)
    return sorted(
        path.as_posix() for path in relative if is_sealed(path) and not _below_link(directory, path)
    )


def build_manifest(directory: Path, run: str) -> Manifest:
    """Hash every file of a run directory."""
    return Manifest(run=run, files=tuple(_hashed(directory, path) for path in sealed_paths(directory)))


def write_manifest(directory: Path, run: str) -> Manifest:
    """Hash every file of a run directory that is complete, and write manifest.json."""
    manifest = build_manifest(directory, run)
    content = {
        "format_version": FORMAT_VERSION,
        "run": run,
        "root": manifest.root,
        "files": [asdict(file) for file in manifest.files],
    }
    write_json(directory / MANIFEST_FILE, content)
    return manifest


def read_manifest(directory: Path) -> Manifest | None:
    """The manifest of a run directory; None where there is none.

    Raises
    ------
    ValueError
        If it cannot be read, or its own root is not that of its files.
    """
    path = directory / MANIFEST_FILE
    if not path.is_file():
        return None
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        files = tuple(SealedFile(**file) for file in content["files"])
        manifest = Manifest(run=str(content["run"]), files=files)
        root, version = content["root"], content["format_version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    if version != FORMAT_VERSION:
        raise ValueError(f"{path} has format version {version}, this release reads {FORMAT_VERSION}")
    if manifest.root != root:
        raise ValueError(f"{path} was changed: its root is not that of the files that it lists")
    return manifest


def changes(directory: Path, manifest: Manifest, only: Iterable[str] | None = None) -> Changes:
    """Compare the files of a run directory with its manifest.

    Parameters
    ----------
    only : relative paths to look at; None looks at all, and for files that were added.
    """
    known = {file.path: file for file in manifest.files}
    present = set(sealed_paths(directory)) if only is None else {p for p in only if (directory / p).is_file()}
    wanted = set(known) if only is None else set(only) & (set(known) | present)
    return Changes(
        changed=tuple(p for p in sorted(wanted & present & set(known)) if _hashed(directory, p) != known[p]),
        added=tuple(sorted(present - set(known))),
        missing=tuple(sorted((wanted & set(known)) - present)),
    )


def _hashed(directory: Path, path: str) -> SealedFile:
    digest, size = hashlib.sha256(), 0
    with (directory / path).open("rb") as stream:
        while piece := stream.read(CHUNK_BYTES):
            digest.update(piece)
            size += len(piece)
    return SealedFile(path=path, size=size, sha256=digest.hexdigest())


def _below_link(directory: Path, path: Path) -> bool:
    return any((directory / parent).is_symlink() for parent in list(path.parents)[:-1])
