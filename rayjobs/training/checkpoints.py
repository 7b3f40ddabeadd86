"""Checkpoints of one policy's training: RLlib's own, with what the loop around it needs to go on.

Each lies in a folder of its own, ``iteration_000010``, that appears in one step: whenever a job is killed, the newest
folder is whole. Beside RLlib's files, which are written by ``get_state`` of our sampler, learner and algorithm in
`policies`, it holds ``training.json`` and the best policy exported so far.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ray.rllib.algorithms.algorithm import Algorithm

from policies.exported_policy import TrainedPolicy
from rayjobs.storage.uri import CHECKPOINT_RECORD

BEST, LATEST = "best", "latest"
_NAME = re.compile(r"iteration_\d{6,}")


class CheckpointNotWritten(RuntimeError):
    """The disk is full or the directory is not writable; the message says which and how to go on."""


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """What the training loop knows after an iteration.

    Parameters
    ----------
    rows : one per iteration so far, for ``progress.csv``.
    best_score : best validation score so far; None before the first.
    validations_since_best : validations since then.
    validations_since_cut : validations since the best one or the last cut of the learning rate on a plateau.
    finished : nothing is left to train.
    origin : digest of the bars that it was trained on (`policies.origin`); "" when they are not known.
    best : digest of the weights in ``best``; "" before there are any, and in checkpoints of earlier releases.
    """

    rows: tuple[dict[str, Any], ...]
    best_score: float | None
    validations_since_best: int
    validations_since_cut: int
    finished: bool
    origin: str = ""
    best: str = ""


class CheckpointFolder:
    """The checkpoints below one directory; only the newest is kept.

    Parameters
    ----------
    directory : of one policy's training; ``best`` in it is the best policy exported so far.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def best(self) -> Path:
        return self.directory / BEST

    def newest(self) -> Path | None:
        """The newest whole checkpoint; None before the first."""
        found = [path for path in self.directory.glob("iteration_*") if _NAME.fullmatch(path.name)]
        return max(found, key=lambda path: int(path.name.removeprefix("iteration_")), default=None)

    def save(
        self, algorithm: Algorithm, record: TrainingRecord, tell: Callable[[str], None] | None = None
    ) -> Path:
        """Write a checkpoint, then drop the older ones.

        Parameters
        ----------
        tell : called with the checkpoint's digest (`checkpoint_digest`) before it appears; a job that is killed in
            between goes on from the one before.

        Raises
        ------
        CheckpointNotWritten
            If the disk is full or the directory is not writable.
        """
        checkpoint = self.directory / f"iteration_{len(record.rows):06d}"
        partial = self.directory / f".{checkpoint.name}.partial"
        try:
            shutil.rmtree(partial, ignore_errors=True)
            algorithm.save_to_path(partial)
            (partial / CHECKPOINT_RECORD).write_text(json.dumps(asdict(record)))
            if self.best.is_dir():
                shutil.copytree(self.best, partial / BEST)
            if tell is not None:
                tell(checkpoint_digest(partial))
            partial.rename(checkpoint)
            self._point_at(checkpoint)
            for path in self.directory.glob("*iteration_*"):
                if path != checkpoint:
                    shutil.rmtree(path, ignore_errors=True)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise CheckpointNotWritten(unwritable(self.directory, error, self.newest())) from error
        return checkpoint

    def _point_at(self, checkpoint: Path) -> None:
        link = self.directory / f".{LATEST}"
        link.unlink(missing_ok=True)
        link.symlink_to(checkpoint.name)
        os.replace(link, self.directory / LATEST)

    def read_record(self, checkpoint: Path) -> TrainingRecord:
        """What the loop knew at a checkpoint."""
        facts = json.loads((checkpoint / CHECKPOINT_RECORD).read_text())
        return TrainingRecord(**facts | {"rows": tuple(facts["rows"])})

    def restore_best(self, checkpoint: Path) -> None:
        """Put ``best`` back to where it was at a checkpoint.

        Raises
        ------
        ValueError
            If the checkpoint's copy is not the policy that the training exported.
        """
        record, copy = self.read_record(checkpoint), checkpoint / BEST
        if record.best and TrainedPolicy.load(copy).policy_hash != record.best:
            raise ValueError(
                f"the policy in {copy} is not the one that this training exported; remove {self.directory} to "
                "train anew"
            )
        if copy.is_dir() or not record.finished:
            shutil.rmtree(self.best, ignore_errors=True)
        if copy.is_dir():
            shutil.copytree(copy, self.best)


def checkpoint_digest(checkpoint: Path) -> str:
    """Hash over the names and contents of all files of a checkpoint."""
    found = hashlib.sha256()
    for path in sorted(path for path in checkpoint.rglob("*") if path.is_file()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        found.update(f"{path.relative_to(checkpoint).as_posix()}\0{content}\n".encode())
    return found.hexdigest()


def unwritable(directory: Path, error: OSError, newest: Path | None) -> str:
    """One sentence for a checkpoint or a policy that could not be written."""
    reason = error.strerror or str(error)
    return (
        f"cannot write to {directory}: {reason}; last good checkpoint: {newest or 'none yet'}; "
        "make room or fix the permissions, then continue with resume=DIR"
    )
