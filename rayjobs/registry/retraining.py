"""Trains the configuration of a version again, on the data as they are now, and registers what the gate passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

from rayjobs.config.exit_codes import ExitCode
from rayjobs.config.run_overrides import changed_values
from rayjobs.config.typed_config import ConfigError
from rayjobs.registry.registration import register
from rayjobs.registry.registry import Registry
from rayjobs.registry.settings import DeploySettings
from rayjobs.registry.versions import Version
from rayjobs.registry.vouching import read_verdict, verify
from rayjobs.storage.run_directory import list_runs
from rayjobs.storage.uri import join, local_directory

Train = Callable[[dict[str, Any]], ExitCode]


def retrain(
    registry: Registry, reference: str, settings: DeploySettings, changes: Sequence[str], train: Train
) -> Version | None:
    """Train again; returns the new candidate, or None where the gate did not pass it: then nothing is registered.

    Parameters
    ----------
    changes : overrides of the version's configuration, such as ``data.stop_utc=null``.
    train : the training job.

    Raises
    ------
    ConfigError
        If the version is not what was registered, or the training left no run.
    """
    version = registry.version(reference)
    run = verify(version, registry, needs_verdict=False)
    values = changed_values(retraining_values(run.values), changes)
    folder = local_directory(join(str(values["run"]["directory"]), str(values["run"]["experiment"])))
    before = set(list_runs(folder, None)) if folder.is_dir() else set()
    train(values)
    new = [path for path in list_runs(folder, "done") if path not in before]
    if len(new) != 1:
        raise ConfigError(
            f"{folder} has {len(new)} new finished runs in place of one; register the right one by hand"
        )
    if read_verdict(new[0]).get("pass") is not True:
        return None
    wanted = replace(
        settings,
        name=version.name,
        policy=str(new[0]),
        fold=None,
        reason=settings.reason or f"retrained from {version.reference}",
    )
    return register(registry, wanted, parent=version.number)


def retraining_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a run as that of a new one."""
    return deepcopy(dict(values)) | {"resume": None}
