"""Registers the policy of a finished run as a candidate, and stores it as an artefact where tracking is on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from policies.exported_policy import CONTRACT_FILE
from rayjobs.config.typed_config import ConfigError
from rayjobs.monitoring.tracking import TrackingConfig, tracker
from rayjobs.registry.registry import Registry, refuse_odd_name
from rayjobs.registry.settings import DeploySettings
from rayjobs.registry.versions import Version
from rayjobs.registry.vouching import policy_facts, verify
from rayjobs.replay.finished_run import FinishedRun, open_run
from rayjobs.storage.uri import local_copy


def register(registry: Registry, settings: DeploySettings, *, parent: int | None = None) -> Version:
    """Take in a policy whose run is sealed; the same one again is the version that it is.

    Parameters
    ----------
    parent : version that it was retrained from.

    Raises
    ------
    ConfigError
        If name or policy is missing, or nothing vouches for the run.
    """
    if settings.name is None:
        raise ConfigError("name: missing; give it as name=crypto, the policy's name in the registry")
    if settings.policy is None:
        raise ConfigError("policy: missing; give a run, an experiment's folder or an export inside a run")
    refuse_odd_name(settings.name)
    run, fold = run_and_fold(settings.policy, settings.fold)
    facts = replace(policy_facts(run, fold, registry, settings.ledger), parent=parent)
    version = registry.register(settings.name, facts, settings.reason or "registered")
    verify(version, registry, needs_verdict=False)
    _store_artefact(version, settings.tracking)
    return version


def run_and_fold(given: str, fold: int | None) -> tuple[FinishedRun, int]:
    """The run that a path names, and the fold whose policy is meant.

    Raises
    ------
    ConfigError
        If there is none, or the export does not lie in the run that trained it.
    """
    path = local_copy(given)
    if (path / CONTRACT_FILE).is_file():
        path, exported = _run_of_export(path.absolute())
        if fold not in (None, exported):
            raise ConfigError(f"fold={fold}, but {given} is the export of fold {exported}; leave fold out")
        fold = exported
    try:
        run = open_run(path)
    except ConfigError as error:
        raise ConfigError(str(error).replace("run=", "policy=", 1)) from error
    if run.evaluation is not None:
        raise ConfigError(f"{given} is an evaluation and trained nothing; register the run that it is about")
    if run.values["policy"].get("script") is not None:
        raise ConfigError(f"{given}: this run scored a script and trained no policy")
    if fold is not None and fold not in run.fold_indices:
        raise ConfigError(f"fold={fold}: the run has the folds {', '.join(map(str, run.fold_indices))}")
    return run, run.fold_indices[-1] if fold is None else fold


def _run_of_export(export: Path) -> tuple[Path, int]:
    for run in export.parents:
        if (run / "walk_forward" / "folds.csv").is_file():
            parts = export.relative_to(run).parts
            if len(parts) == 3 and parts[0] == "checkpoints" and parts[2] == "best":
                return run, int(parts[1].removeprefix("fold_"))
            raise ConfigError(
                f"{export} is no policy that the run's verdict is about; give RUN/checkpoints/fold_NN/best"
            )
    raise ConfigError(f"{export}: an export alone has no verdict; name its run, or the export inside of it")


def _store_artefact(version: Version, tracking: TrackingConfig) -> None:
    """Store the export in the W&B run of its training, under its name in the registry."""
    if tracking.backend == "none":
        return
    run = Path(version.facts.run)
    facts = {"registry": version.reference, "policy_hash": version.facts.policy_hash}
    with tracker(tracking, run_directory=run, experiment=run.parent.name, values=facts) as log:
        log.keep_policy(version.name, version.facts.export)
