"""The working tree that a job takes with it: which files Ray would send, and a refusal where they are too much."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rayjobs.config.typed_config import ConfigError
from rayjobs.submission.ray_packing import packed_files

EXCLUDES = ("/tests/", "/docs/", "/.ci/", "/.git", "/.venv/", "venv", "__pycache__", "*.egg-info/")
"""Never sent, whatever `.gitignore` says; gitignore patterns relative to the working tree."""

NUM_CULPRITS = 5
MB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class UploadedFile:
    """A file that would be sent, relative to the working tree, and its size in bytes."""

    path: Path
    size_bytes: int


def files_to_upload(tree: Path) -> list[UploadedFile]:
    """The files that Ray would pack, by Ray's own walk: `.gitignore`, `.rayignore` and `EXCLUDES` are left out."""
    tree = tree.absolute()
    return [
        UploadedFile(path=path.relative_to(tree), size_bytes=path.stat().st_size)
        for path in packed_files(tree, EXCLUDES)
    ]


def check_upload(tree: Path, max_upload_mb: float) -> float:
    """The size of what would be sent, MB before compression.

    Raises
    ------
    ConfigError
        If it is more than allowed, with the largest files; if the tree holds no Rayfold.
    """
    if not (tree / "rayjobs").is_dir():
        raise ConfigError(
            f"submit.directory={tree} holds no rayjobs/; give the top of a Rayfold working tree"
        )
    files = files_to_upload(tree)
    total_mb = sum(file.size_bytes for file in files) / MB
    if total_mb <= max_upload_mb:
        return total_mb
    largest = sorted(files, key=lambda file: file.size_bytes, reverse=True)[:NUM_CULPRITS]
    culprits = ", ".join(f"{file.path} ({file.size_bytes / MB:.1f} MB)" for file in largest)
    raise ConfigError(
        f"the working tree {tree} would upload {total_mb:.1f} MB, above submit.max_upload_mb={max_upload_mb:g}; "
        f"largest: {culprits}; add what a job does not need to .gitignore or .rayignore, or put data on shared storage"
    )
