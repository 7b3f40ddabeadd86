"""A run read back from its directory: its configuration, its folds, its exported policies and its numbers.

Nothing here opens a checkpoint of RLlib: those are pickles. Policies are read from their weights-only export.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data.schema import Panel
from evaluation.windows.splits import Fold
from rayjobs.config.compose import compose
from rayjobs.config.typed_config import ConfigError
from rayjobs.storage.run_directory import latest_run, read_status
from rayjobs.storage.started_run import StartedRun
from rayjobs.storage.uri import local_copy
from rayjobs.study.config import TRAIN_KEYS

LOG = logging.getLogger(__name__)
WHERE_IT_RUNS = ("cluster", "tracking")
"""Groups that say where a job ran; nothing that is read back depends on them."""
FOLD_COLUMNS = (
    "fold", "policy_hash", "train_first_utc", "train_last_utc", "test_first_utc", "test_last_utc",
)  # fmt: skip
"""Columns of folds.csv that are read back."""
CHOSEN = ("data", "features", "instruments")
"""Groups whose keys depend on what was chosen: nothing of today's defaults may be added to them."""


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """What a run left behind.

    Parameters
    ----------
    path : its directory.
    values : the configuration it was started with, keys that did not exist yet at today's defaults.
    provenance : versions, commit, seed, data fingerprint.
    folds_table : ``walk_forward/folds.csv``.
    summary : ``backtest/summary.json``.
    evaluation : what was asked of `rayjobs.evaluate`; None for a run of its own.
    """

    path: Path
    values: dict[str, Any]
    provenance: dict[str, Any]
    folds_table: pd.DataFrame
    summary: dict[str, Any]
    evaluation: Mapping[str, Any] | None = None

    @property
    def fold_indices(self) -> list[int]:
        """Indices of the folds that were trained, in the order of folds.csv (a split has several rows there)."""
        return [int(index) for index in self.folds_table["fold"].unique()]

    def policy(self, fold: int) -> Path:
        """Directory of a fold's exported policy."""
        return self.path / "checkpoints" / f"fold_{fold:02d}" / "best"

    def policy_hash(self, fold: int) -> str:
        """Digest of the weights that were scored, as ``folds.csv`` has it."""
        return str(self._of_fold(fold)["policy_hash"])

    def contract_hash(self, fold: int) -> str:
        """Digest of the contract that was scored with, as ``folds.csv`` has it; "" where it names none."""
        return str(self._of_fold(fold)["contract_hash"]) if "contract_hash" in self.folds_table else ""

    def _of_fold(self, fold: int) -> pd.Series:
        return self.folds_table[self.folds_table["fold"] == fold].iloc[0]

    def folds(self, panel: Panel) -> list[Fold]:
        """The folds as they were trained and tested, as bars of a panel.

        Raises
        ------
        ConfigError
            If the panel lacks a bar that a window begins or ends with.
        """
        return [
            Fold(
                index=int(row["fold"]),
                train=_window(panel, row["train_first_utc"], row["train_last_utc"], row["fold"]),
                test=_window(panel, row["test_first_utc"], row["test_last_utc"], row["fold"]),
                validation=_window(
                    panel, row["validation_first_utc"], row["validation_last_utc"], row["fold"]
                )
                if "validation_first_utc" in row
                else None,
            )
            for row in self.folds_table.to_dict("records")
        ]

    def iterations(self, fold: int) -> tuple[dict[str, Any], ...]:
        """The fold's rows of ``progress.csv``; none where there is no such file."""
        path = self.path / "progress.csv"
        if not path.is_file() or path.stat().st_size < 2:
            return ()
        rows = pd.read_csv(path, keep_default_na=False, na_values=[""], dtype={"health": str, "nudges": str})
        rows = rows[rows["fold"] == fold].drop(columns="fold")
        text = {name: rows[name].fillna("") for name in ("health", "nudges") if name in rows}
        return tuple({str(k): v for k, v in row.items()} for row in rows.assign(**text).to_dict("records"))


def first_path(folds_table: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``folds.csv`` whose windows the run's other tables hold, in time order: of several paths the first's."""
    table = folds_table[folds_table["path"] == 0] if "path" in folds_table else folds_table
    return table.sort_values("test_first_utc", kind="stable", ignore_index=True)


def open_run(given: str | Path) -> FinishedRun:
    """Read a finished run: its directory or URI, or an experiment's folder for the newest one in it.

    Raises
    ------
    ConfigError
        If there is none, it is not finished, or one of its files cannot be read.
    """
    path = local_copy(str(given))
    if not path.is_dir():
        raise ConfigError(f"run={given}: there is no such directory")
    if not (path / "walk_forward" / "folds.csv").is_file():
        status = read_status(path)
        if status is not None:
            raise ConfigError(f"run={given}: it has no results (its status is {status['status']!r})")
        path = latest_run(path)
    try:
        started = StartedRun.read(path)
        table = pd.read_csv(path / "walk_forward" / "folds.csv")
        summary = json.loads((path / "backtest" / "summary.json").read_text())
        lacking = [name for name in FOLD_COLUMNS if name not in table]
        if lacking:
            raise ValueError(f"walk_forward/folds.csv has no column {lacking[0]}")
    except OSError as error:
        raise ConfigError(f"{error.filename}: {error.strerror}; the run directory is not complete") from error
    except ValueError as error:
        raise ConfigError(
            f"{path} holds a file that cannot be read: {' '.join(str(error).split())}"
        ) from error
    return FinishedRun(
        path=path,
        values=_completed(started.values, path),
        provenance=dict(started.provenance),
        evaluation=started.values.get("evaluation"),
        folds_table=table,
        summary=summary,
    )


@cache
def _todays_defaults() -> dict[str, Any]:
    return compose("train")


def _same_kind(group: str, today: Any, recorded: Any) -> bool:
    """Whether a recorded group of settings has the keys of today's default one, so that it can be completed from it."""
    if group in CHOSEN or not (isinstance(today, dict) and isinstance(recorded, dict)):
        return False
    return group != "walk_forward" or recorded.get("unit", today["unit"]) == today["unit"]


def _completed(values: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The run's values; what its release did not know takes today's default, and is named in a log line."""
    today = deepcopy(_todays_defaults())
    result: dict[str, Any] = {}
    added = []
    for key in TRAIN_KEYS:
        if key in WHERE_IT_RUNS:
            result[key] = today[key]
        elif key not in values:
            result[key] = today[key]
            added.append(key)
        elif _same_kind(key, today[key], values[key]):
            new = {name: value for name, value in today[key].items() if name not in values[key]}
            added += [f"{key}.{name}" for name in new]
            result[key] = {**values[key], **new}
        else:
            result[key] = values[key]
    if added:
        LOG.warning(
            "%s was written before these settings existed; they take their defaults: %s",
            path,
            ", ".join(sorted(added)),
        )
    return result


def _window(panel: Panel, first: str, last: str, fold: int) -> slice:
    ends = np.array(
        [pd.Timestamp(label).tz_localize(None) for label in (first, last)], dtype="datetime64[ns]"
    )
    at = np.searchsorted(panel.bar_utc, ends)
    if at[1] >= panel.num_bars or not np.array_equal(panel.bar_utc[at], ends):
        raise ConfigError(
            f"the data have no bar at {first} or {last}, where a window of fold {fold} begins or ends; "
            "they are not the data of the run"
        )
    return slice(int(at[0]), int(at[1]) + 1)
