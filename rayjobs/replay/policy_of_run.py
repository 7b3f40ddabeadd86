"""Whose policy a path means: of a run directory, of an experiment's newest run, or of an export inside a run."""

from __future__ import annotations

from pathlib import Path

from policies.contract import CONTRACT_FILE
from rayjobs.config.typed_config import ConfigError
from rayjobs.replay.finished_run import FinishedRun, open_run
from rayjobs.storage.uri import local_copy


def run_and_fold(given: str, fold: int | None) -> tuple[FinishedRun, int]:
    """The run that a path names, and the fold whose policy is meant: the last, where neither path nor `fold` says.

    Raises
    ------
    ConfigError
        If there is none, or the export does not lie in the run that trained it.
    """
    path = local_copy(given)
    if (path / CONTRACT_FILE).is_file():
        path, exported = _run_of_export(path.absolute())
        if fold not in (None, exported):
            raise ConfigError(
                f"fold={fold}, but policy={given} is the export of fold {exported}; leave fold out"
            )
        fold = exported
    try:
        run = open_run(path)
    except ConfigError as error:
        raise ConfigError(str(error).replace("run=", "policy=", 1)) from error
    if run.values["policy"].get("script") is not None:
        raise ConfigError(f"policy={given}: its run scored a script and trained no policy")
    if fold is not None and fold not in run.fold_indices:
        raise ConfigError(f"fold={fold}: the run has the folds {', '.join(map(str, run.fold_indices))}")
    return run, run.fold_indices[-1] if fold is None else fold


def _run_of_export(export: Path) -> tuple[Path, int]:
    """The run that an export lies in, and its fold."""
    for run in export.parents:
        if (run / "walk_forward" / "folds.csv").is_file():
            parts = export.relative_to(run).parts
            if len(parts) == 3 and parts[0] == "checkpoints" and parts[2] == "best":
                return run, int(parts[1].removeprefix("fold_"))
            raise ConfigError(
                f"policy={export}: this is no policy that the run's verdict is about; give RUN/checkpoints/fold_NN/best"
            )
    raise ConfigError(
        f"policy={export}: an export alone says nothing of sizes, limits and verdict; name its run, or the export "
        "inside of it"
    )
