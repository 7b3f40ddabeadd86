"""What is kept of a trial beside Optuna's record: its score per fold and seed, and its out-of-sample returns."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.files import write_csv
from evaluation.statistics.trial_rows import TrialRows
from rayjobs.search.plan.objective import FoldScore, trial_return

State = Literal["complete", "pruned", "failed"]


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """A trial that ended.

    Attributes
    ----------
    number : of the trial, in the order in which trials began.
    state : how it ended.
    params : by label of the space; ``overrides`` the same by key of the configuration.
    values : one per objective, at the end or at the rung where it was pruned; empty for a failed one.
    scores : per fold and seed, at the last rung that it reached.
    env_steps : trained on, over all folds and seeds.
    seconds : from its start to its end.
    error : of a failed one.
    repeat_of : number of the failed trial that this one repeats.
    repeated : of a failed one: it will be tried again.
    """

    number: int
    state: State
    params: Mapping[str, Any]
    overrides: Mapping[str, Any]
    values: tuple[float, ...]
    scores: tuple[FoldScore, ...]
    env_steps: int
    seconds: float
    error: str | None
    repeat_of: int | None
    repeated: bool


class TrialObserver(Protocol):
    """Is told of every trial, before Optuna's study is: after a killed driver it may be told the same once more."""

    def trial_began(self, number: int, overrides: Mapping[str, Any], repeat_of: int | None) -> None: ...

    def trial_ended(self, record: TrialRecord) -> None: ...


def fold_rows(scores: Sequence[FoldScore]) -> list[dict[str, Any]]:
    """A plain row per fold and seed, for Optuna's database and for tables; nan becomes None."""
    return [
        {
            "fold": one.fold,
            "seed": one.seed,
            "env_steps": one.env_steps,
            "from_env_steps": one.from_env_steps,
            "train_seconds": round(one.seconds[0], 3),
            "scoring_seconds": round(one.seconds[1], 3),
            **{name: value if np.isfinite(value) else None for name, value in one.metrics.items()},
        }
        for one in scores
    ]


def returns_path(directory: Path, number: int) -> Path:
    return directory / "trials" / f"{number:05d}.npy"


def bars_path(directory: Path) -> Path:
    """Labels of the bars that a trial's returns are of."""
    return directory / "trials" / "bar_utc.npy"


def save_bars(directory: Path, bar_utc: NDArray[np.datetime64]) -> None:
    """Write the labels of the validation bars once per study."""
    bars_path(directory).parent.mkdir(exist_ok=True)
    np.save(bars_path(directory), bar_utc)


def save_return(directory: Path, number: int, scores: Sequence[FoldScore]) -> None:
    """Write the trial's column of the study's return matrix, whole or not at all."""
    path = returns_path(directory, number)
    path.parent.mkdir(exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as stream:
        np.save(stream, trial_return(scores))
    os.replace(partial, path)


def progress_path(directory: Path, number: int) -> Path:
    """A trial's learning curves: ``progress.csv`` of a run, with a column ``seed``."""
    return directory / "trials" / f"{number:05d}_progress.csv"


def progress_rows(scores: Sequence[FoldScore]) -> list[dict[str, Any]]:
    """A row per training iteration of every fold and seed."""
    return [{"fold": one.fold, "seed": one.seed, **row} for one in scores for row in one.iterations]


def save_progress(directory: Path, number: int, scores: Sequence[FoldScore]) -> None:
    """Write the learning curves, whole or not at all; nothing where a trial tells none."""
    rows = progress_rows(scores)
    if rows:
        path = progress_path(directory, number)
        path.parent.mkdir(exist_ok=True)
        write_csv(path, pd.DataFrame(rows))


def load_progress(directory: Path, number: int) -> list[dict[str, Any]]:
    """The rows that `save_progress` wrote; none where it wrote none."""
    path = progress_path(directory, number)
    if not path.is_file():
        return []
    return [{str(name): value for name, value in row.items()} for row in pd.read_csv(path).to_dict("records")]


class StoredReturns(TrialRows):
    """The matrix of `load_returns` where it lies, a row per trial: for what needs some of it at a time."""

    chunk_values = 2**18  # 2 MB

    def __init__(self, directory: Path, numbers: Sequence[int]) -> None:
        self._paths = [path for number in numbers if (path := returns_path(directory, number)).is_file()]
        self._bars = len(np.load(self._paths[0], mmap_mode="r")) if self._paths else 0

    @property
    def shape(self) -> tuple[int, int]:
        return len(self._paths), self._bars

    def take(self, places_n: NDArray[np.int64]) -> NDArray[np.float64]:
        rows = np.empty((len(places_n), self._bars))
        for row, place in zip(rows, places_n):
            row[:] = np.load(self._paths[place])
        return rows


def load_returns(directory: Path, numbers: Sequence[int]) -> tuple[list[int], NDArray[np.float64]]:
    """The study's return matrix.

    Returns
    -------
    Numbers of the trials that left returns, and (T, N) their per-bar returns over all validation windows.
    """
    found = [number for number in numbers if returns_path(directory, number).is_file()]
    returns = np.empty((0, 0))
    for n, number in enumerate(found):  # one at a time: the matrix may take a good part of the memory
        column = np.load(returns_path(directory, number))
        if n == 0:
            returns = np.empty((len(column), len(found)))
        returns[:, n] = column
    return found, returns
