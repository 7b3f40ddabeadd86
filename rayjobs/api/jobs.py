"""The jobs of the command line as functions that return what the job left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from rayjobs.api.results import Run, Study
from rayjobs.config.arguments import is_flag
from rayjobs.config.compose import compose_command_line
from rayjobs.config.exit_codes import JobOutcome
from rayjobs.config.run_overrides import split_overrides
from rayjobs.config.typed_config import ConfigError


def train(experiment: str | None = None, *overrides: str) -> Run:
    """Train on each walk-forward fold, score on the next, unseen bars, ask the gate: `rayjobs.train`.

    Parameters
    ----------
    experiment : name of a file in ``conf/experiment``; None trains what ``conf/train.yaml`` says.
    overrides : as on the command line, such as ``"trainer.total_env_steps=50000"``.

    Raises
    ------
    ConfigError, DataError
        With the sentence that the command would end with.
    JobFailed
        If the job had begun; its directory keeps what was done.
    """
    from rayjobs.train import run_training

    return Run(_directory(run_training(_composed("train", experiment, overrides)), "train"))


def sweep(experiment: str | None = None, *overrides: str) -> Study:
    """Search hyperparameters and judge the winner on the sealed holdout: `rayjobs.sweep`. As `train` otherwise."""
    from rayjobs.sweep import run_search

    return Study(_directory(run_search(_composed("sweep", experiment, overrides)), "sweep"))


def evaluate(run: Run | str | Path, *overrides: str) -> Run:
    """Score the policies of a finished run again, on its own bars or on others: `rayjobs.evaluate`."""
    from rayjobs.evaluate import run_evaluation

    changes, own = split_overrides([f"run={_place(run)}", *overrides])
    values = compose_command_line("evaluate", own)
    assert values is not None  # only flags print instead of composing, and `_place` is none
    return Run(_directory(run_evaluation(values, changes), "evaluate"))


def compare(*results: Run | Study | str | Path, ledger: str | None = None) -> pd.DataFrame:
    """A row per run, or per trial of one study, with its numbers and verdict, as `rayjobs.compare` prints them.

    Parameters
    ----------
    results : runs, studies, or folders of an experiment, which stand for all finished runs in them.
    ledger : in which runs are counted that it lacks, for whoever compares picks one; None takes each run's own.

    Raises
    ------
    ConfigError
        If nothing is named, or one of them holds no result.
    """
    from rayjobs.search.comparison.compared_looks import enter_compared
    from rayjobs.search.comparison.run_view import find_results, run_rows, view_run
    from rayjobs.search.page.study_view import view_study

    if not results:
        raise ConfigError("nothing to compare; name runs, studies, or folders of them")
    studies, runs = find_results([_place(result) for result in results])
    enter_compared([*studies, *runs], ledger)
    if studies and runs:
        raise ConfigError("studies and runs have other columns; compare one kind at a time")
    if studies:
        tables = [view_study(study).trials.assign(study=study.name) for study in studies]
        return pd.concat(tables, ignore_index=True)
    return pd.DataFrame(run_rows([view_run(run) for run in runs]))


def load(path: str | Path) -> Run | Study:
    """Read a run or a study back: its directory or URI, or a folder of runs or of studies for the newest in it.

    Raises
    ------
    ConfigError
        If there is none, it is not finished, or a file of it cannot be read.
    """
    from rayjobs.search.page.study_view import is_study
    from rayjobs.storage.run_directory import SWEEPS, latest_run
    from rayjobs.storage.uri import local_copy

    place = local_copy(str(path))
    if not is_study(place) and place.name == SWEEPS:
        place = latest_run(place)
    return Study(place) if is_study(place) else Run(path)


def _composed(root: str, experiment: str | None, overrides: Sequence[str]) -> dict[str, Any]:
    flags = [override for override in overrides if is_flag(override)]
    if flags:
        raise ConfigError(f"{flags[0]} is an option of the command line; give settings as key=value")
    chosen = [] if experiment is None else [f"+experiment={experiment}"]
    values = compose_command_line(root, [*chosen, *overrides])
    assert values is not None  # only flags print instead of composing
    return values


def _directory(outcome: JobOutcome, job: str) -> Path:
    if outcome.directory is None:
        raise ConfigError(f"{job} left no results to return, as cluster.dry_run=true asks for")
    return outcome.directory


def _place(result: Run | Study | str | Path) -> Path:
    return result.path if isinstance(result, (Run, Study)) else Path(result).expanduser()
