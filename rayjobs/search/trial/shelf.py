"""Where trials leave what they need to go on after a loss: checkpoints of their trainings, scores at their rungs.

The shelf is an actor on the driver's node that writes into the study's folder. So a trial goes on on another node
without storage that all nodes share, and after the driver itself was lost.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from rayjobs.search.plan.objective import FoldScore

_RUNG = "rung_{:03d}.pickle"


class TrialShelf:
    """What trials of one study have left, below one directory; processes reach it through `handle`.

    Parameters
    ----------
    directory : ``<directory>/<trial>/<training>/<checkpoint>`` are the checkpoints.
    """

    def __init__(self, directory: Path) -> None:
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        options = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1, "scheduling_strategy": here}
        self.handle = ray.remote(_Shelf).options(**options).remote(directory)

    def put_checkpoint(self, trial: int, training: str, checkpoint: Path) -> None:
        """Leave a checkpoint folder; it takes the place of the earlier ones of this training."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(checkpoint, arcname=checkpoint.name)
        self._ask("put", trial, training, checkpoint.name, packed.getvalue())

    def take_checkpoint(self, trial: int, training: str, into: Path) -> Path | None:
        """Unpack the newest checkpoint of a training into a folder; None if there is none."""
        packed = self._ask("newest", trial, training)
        if packed is None:
            return None
        into.mkdir(parents=True, exist_ok=True)
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(into, filter="data")
            return into / archive.getnames()[0]

    def put_scores(self, trial: int, rung: int, scores: Sequence[FoldScore]) -> None:
        """Leave what a trial scored at a rung, so that another attempt need not score it again."""
        self._ask("put_scores", trial, rung, pickle.dumps(list(scores)))

    def scores(self, trial: int, rung: int) -> list[FoldScore] | None:
        """What an earlier attempt scored at a rung; None if none came so far."""
        packed = self._ask("scores", trial, rung)
        return None if packed is None else pickle.loads(packed)

    def drop(self, trial: int) -> None:
        """Remove everything that a trial left; does not wait."""
        self.handle.drop.remote(trial)

    def close(self) -> None:
        """End the actor once it has done what it was told; what lies in the directory stays."""
        with contextlib.suppress(Exception):  # the cluster may be ending
            self._ask("finish")
            ray.kill(self.handle)

    def _ask(self, method: str, *arguments: Any) -> Any:
        return ray.get(getattr(self.handle, method).remote(*arguments))


class _Shelf:
    """The actor; each thing appears under its name in one step, whenever a process is killed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def put(self, trial: int, training: str, name: str, packed: bytes) -> None:
        folder = self._folder(trial) / training
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f".{name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(partial, filter="data")
        earlier = _checkpoints(folder)
        if folder / name not in earlier:
            (partial / name).rename(folder / name)
        shutil.rmtree(partial, ignore_errors=True)
        for path in earlier:
            if path.name < name:
                shutil.rmtree(path, ignore_errors=True)

    def newest(self, trial: int, training: str) -> bytes | None:
        found = _checkpoints(self._folder(trial) / training)
        if not found:
            return None
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(found[-1], arcname=found[-1].name)
        return packed.getvalue()

    def put_scores(self, trial: int, rung: int, packed: bytes) -> None:
        path = self._folder(trial) / _RUNG.format(rung)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_bytes(packed)
        os.replace(partial, path)

    def scores(self, trial: int, rung: int) -> bytes | None:
        path = self._folder(trial) / _RUNG.format(rung)
        return path.read_bytes() if path.is_file() else None

    def drop(self, trial: int) -> None:
        shutil.rmtree(self._folder(trial), ignore_errors=True)

    def finish(self) -> None:
        """Answers when everything before it is done; an empty directory goes."""
        with contextlib.suppress(OSError):
            self._directory.rmdir()

    def _folder(self, trial: int) -> Path:
        return self._directory / f"{trial:05d}"


def _checkpoints(folder: Path) -> list[Path]:
    """Checkpoints of a training, the newest last."""
    return sorted(path for path in folder.glob("iteration_*") if path.is_dir() and not path.is_symlink())
