"""Seals a run when it has ended well, and tells a reader whether a run is still what was sealed.

The manifest lies in the run directory, its root in the ledger: see `evaluation.artefacts.manifest`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from evaluation.artefacts.manifest import MANIFEST_FILE, changes, read_manifest, write_manifest
from evaluation.ledger.ledger import Ledger
from rayjobs.config.typed_config import ConfigError
from rayjobs.storage.ledger_place import open_ledger
from rayjobs.storage.started_run import CONFIG_FILE, WINNER_OF, StartedRun
from rayjobs.storage.uri import LEDGER, fetch, is_uri, local_directory, uri_of

if TYPE_CHECKING:  # the pages ask `unvouched` alone, and stay small
    from rayjobs.study.config import TrainConfig

LEVELS = 4
"""Folders from a search's winner up to where the ledger of all runs lies."""


def run_identity(directory: Path) -> str:
    """What the ledger calls a run: its id; that of the study and ``/winner`` for the winner of a search.

    Raises
    ------
    ValueError
        If config.yaml names no run.
    """
    try:
        provenance = StartedRun.read(directory).provenance
        return f"{provenance['run_id']}/winner" if WINNER_OF in provenance else str(provenance["run_id"])
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(f"{directory / CONFIG_FILE} names no run: {' '.join(str(error).split())}") from error


def seal_run(directory: Path, config: TrainConfig) -> None:
    """Write the manifest of a run whose results are complete, and its root into the ledger.

    Policies that other nodes exported to the run's URI are brought here first.
    """
    root = local_directory(config.run.directory).absolute()
    uri = uri_of(directory, config.run.directory) if root in directory.absolute().parents else None
    if uri is not None:
        fetch(uri, directory, lambda name: "/best/" in name and not (directory / name).exists())
    run = run_identity(directory)
    manifest = write_manifest(directory, run)
    ledger = existing_ledger(config.ledger, directory) or open_ledger(config.ledger)
    ledger.seal(run, manifest.root)


def refuse_sealed(directory: Path, ledger: Ledger) -> None:
    """Refuse to go on with a run whose results were sealed, whatever its status.json says.

    Raises
    ------
    ConfigError
        If a ledger that counts for this job holds a seal of the run.
    """
    run = run_identity(directory)
    if any(one.seals(run) for one in (ledger, *ledger.beside())):
        raise ConfigError(
            f"resume={directory}: the ledger {ledger.place} holds the seal of this run, so it has ended and was "
            "judged; start a new run, or score this one again with rayjobs.evaluate"
        )


def existing_ledger(place: str, run: Path) -> Ledger | None:
    """The ledger of a run: at the configured place, or in a folder above the run if the runs were moved with it.

    None where there is none, and none is made.
    """
    if is_uri(place):
        return open_ledger(place)
    places = [Path(place).expanduser(), *(parent / LEDGER for parent in run.absolute().parents[:LEVELS])]
    return next((Ledger(path) for path in places if path.is_file()), None)


def unvouched(directory: Path, places: Iterable[str], only: Iterable[str] | None = None) -> str | None:
    """A sentence where nothing vouches for a run's files: `seal_warning`, and the manifest's root in the ledger.

    Parameters
    ----------
    places : ledgers that may hold the run's seal; the first that does decides.
    only : relative paths of the files that are read; None for all.
    """
    warning = seal_warning(directory, only)
    if warning is not None:
        return warning
    run, manifest, asked = run_identity(directory), read_manifest(directory), list(dict.fromkeys(places))
    assert manifest is not None
    for place in asked:
        try:
            ledger = existing_ledger(place, directory)
        except ValueError:  # a file that is no ledger holds no seal
            continue
        roots = (
            [] if ledger is None else [root for one in (ledger, *ledger.beside()) for root in one.seals(run)]
        )
        if not roots or ledger is None:
            continue
        if {manifest.root} == set(roots) and manifest.run == run:
            return None
        return (
            f"files and manifest of {directory} are not those that the ledger {ledger.place} sealed when the run "
            f"ended: python -m rayjobs.audit run={directory}"
        )
    return f"no ledger holds the seal of {directory} (looked in {', '.join(asked)}), so nothing vouches for its files"


def seal_warning(directory: Path, only: Iterable[str] | None = None) -> str | None:
    """A sentence where a run's files are not those of its manifest, or there is none; None if all is well.

    Parameters
    ----------
    only : relative paths of the files that are read; None for all.
    """
    audit = f"python -m rayjobs.audit run={directory}"
    try:
        manifest = read_manifest(directory)
    except ValueError as error:
        return f"{error}; what is read from {directory} may not be what the run wrote: {audit}"
    if manifest is None:
        return f"{directory} has no {MANIFEST_FILE}: nothing says that its files are those that the run wrote"
    found = changes(directory, manifest, only)
    return f"files of {directory} are not those that the run wrote ({found}): {audit}" if found else None
