"""Registers the policy of a finished run as a candidate, and stores it as an artefact where tracking is on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rayjobs.config.typed_config import ConfigError
from rayjobs.monitoring.tracking import TrackingConfig, tracker
from rayjobs.registry.registry import Registry, refuse_odd_name
from rayjobs.registry.settings import DeploySettings
from rayjobs.registry.versions import Version
from rayjobs.registry.vouching import policy_facts, verify
from rayjobs.replay.policy_of_run import run_and_fold


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
    if run.evaluation is not None:
        raise ConfigError(
            f"{settings.policy} is an evaluation and trained nothing; register the run that it is about"
        )
    facts = replace(policy_facts(run, fold, registry, settings.ledger), parent=parent)
    version = registry.register(settings.name, facts, settings.reason or "registered")
    verify(version, registry, needs_verdict=False)
    _store_artefact(version, settings.tracking)
    return version


def _store_artefact(version: Version, tracking: TrackingConfig) -> None:
    """Store the export in the W&B run of its training, under its name in the registry."""
    if tracking.backend == "none":
        return
    run = Path(version.facts.run)
    facts = {"registry": version.reference, "policy_hash": version.facts.policy_hash}
    with tracker(tracking, run_directory=run, experiment=run.parent.name, values=facts) as log:
        log.keep_policy(version.name, version.facts.export)
