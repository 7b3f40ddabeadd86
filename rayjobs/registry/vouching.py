"""What vouches for a policy: the verdict of its run, the hash of every file, and the ledger's seal of just these files.

It is asked when a version is registered, at each promotion, and each time that one is about to trade. The registry
alone is not believed: whoever edits verdict, weights, configuration or manifest breaks the seal in the ledger.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from evaluation.artefacts.manifest import Changes, SealedFile, build_manifest, read_manifest
from evaluation.ledger.store import shown
from rayjobs.config.typed_config import ConfigError
from rayjobs.registry.registry import Registry
from rayjobs.registry.versions import PolicyFacts, Version
from rayjobs.replay.finished_run import FinishedRun, open_run
from rayjobs.replay.run_seal import existing_ledger, run_identity, unvouched

VERDICT_FILE = "verdict.json"


def policy_facts(run: FinishedRun, fold: int, registry: Registry, ledger: str | None) -> PolicyFacts:
    """Read what is registered of a run's policy.

    Parameters
    ----------
    ledger : a further place that may hold the run's seal.

    Raises
    ------
    ConfigError
        If nothing vouches for the run's files.
    """
    place = str(run.values["ledger"])
    places = dict.fromkeys([place, *([ledger] if ledger is not None else [])])
    warning = unvouched(run.path, places)
    if warning is not None:
        raise ConfigError(warning)
    manifest = read_manifest(run.path)
    assert manifest is not None  # `unvouched` asks for it
    verdict = read_verdict(run.path)
    by_path = {file.path: file for file in manifest.files}
    vouching = next(one for one in places if existing_ledger(one, run.path) is not None)
    return PolicyFacts(
        run=str(run.path.absolute()),
        run_id=run_identity(run.path),
        fold=fold,
        manifest=manifest.root,
        files=registry.keep_files(manifest.files),
        policy_hash=run.policy_hash(fold),
        contract_hash=run.contract_hash(fold),
        config_hash=by_path["config.yaml"].sha256,
        data_fingerprint=str(run.provenance.get("data_fingerprint") or ""),
        code_commit=str(run.provenance.get("git_commit") or run.provenance.get("commit") or ""),
        passed=verdict.get("pass") is True,
        headline=str(verdict.get("headline", "no verdict")),
        lowered=tuple(map(str, verdict.get("lowered", ()))),
        synthetic=bool(verdict.get("synthetic")),
        ledger=shown(vouching),
    )


def read_verdict(run: Path) -> Mapping[str, Any]:
    """A run's verdict; empty where there is none.

    Raises
    ------
    ConfigError
        If it cannot be read.
    """
    path = run / VERDICT_FILE
    try:
        verdict = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    return verdict if isinstance(verdict, dict) else {}


def shortfalls(lowered: Iterable[str], *, synthetic: bool) -> list[str]:
    """What a passed verdict lacks of the standard gate on recorded bars, in words."""
    return [*map(str, lowered), *(["a made market"] if synthetic else [])]


def refuse_short(what: str, short: Sequence[str]) -> None:
    """Refuse real money to a policy whose gate asked for less than the standard one.

    Raises
    ------
    ConfigError
        With what it lacks.
    """
    if short:
        raise ConfigError(
            f"{what} was approved under less than the standard gate asks for ({'; '.join(short)}), which is no leave "
            "to trade real money"
        )


def verify(version: Version, registry: Registry, *, needs_verdict: bool) -> FinishedRun:
    """Hold a version to what was registered and to the ledger, and return its run.

    Parameters
    ----------
    needs_verdict : also refuse one that the gate has not passed.

    Raises
    ------
    ConfigError
        In one sentence, with the files that differ.
    """
    facts, path = version.facts, Path(version.facts.run)
    if not path.is_dir():
        raise ConfigError(
            f"{version.reference}: its run {path} is gone; put it back there, or register it anew where it is"
        )
    registry.refuse_cut(version)
    differing = changed_files(path, registry.files(version), facts.run_id)
    if differing:
        raise ConfigError(
            f"{version.reference}: files of {path} are not those that were registered ({differing})"
        )
    run = open_run(path)
    warning = unvouched(path, dict.fromkeys((str(run.values["ledger"]), facts.ledger)))
    if warning is not None:
        raise ConfigError(f"{version.reference}: {warning}")
    manifest = read_manifest(path)
    if manifest is None or manifest.root != facts.manifest:
        raise ConfigError(f"{version.reference}: the manifest of {path} is not the one that was registered")
    if needs_verdict and read_verdict(path).get("pass") is not True:
        raise ConfigError(
            f"{version.reference} has not passed the gate ({facts.headline}); only what has may go on to a venue"
        )
    return run


def changed_files(path: Path, registered: tuple[SealedFile, ...], run: str) -> Changes:
    """How the files of a run differ from those that were registered."""
    now = {file.path: file for file in build_manifest(path, run).files}
    known = {file.path: file for file in registered}
    return Changes(
        changed=tuple(p for p in sorted(set(now) & set(known)) if now[p] != known[p]),
        added=tuple(sorted(set(now) - set(known))),
        missing=tuple(sorted(set(known) - set(now))),
    )
