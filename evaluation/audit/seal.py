"""The seal: are the files those that the run left behind, and does the ledger know them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evaluation.artefacts.manifest import MANIFEST_FILE, Manifest, build_manifest, changes, read_manifest
from evaluation.audit.findings import Check, Section

SEAL = Section(name="manifest")


def check_seal(directory: Path, run: str, seals: Sequence[str] | None, ledger: str) -> list[Check]:
    """Every file against the manifest, and its root against the ledger.

    Parameters
    ----------
    run : identity of the run, as the ledger names it.
    seals : roots that the ledger holds for it, the latest last; None where there is no ledger.
    ledger : where the ledger is, for the sentences.
    """
    try:
        manifest = read_manifest(directory)
    except ValueError as error:
        return [SEAL.fails("files", str(error))]
    if manifest is None:
        return [_without(directory, run, seals, ledger)]
    checks = [_files(directory, manifest)]
    if manifest.run != run:
        checks.append(SEAL.fails("run", f"{MANIFEST_FILE} is that of the run {manifest.run}, not of {run}"))
    return [*checks, _root(manifest, run, seals, ledger)]


def _without(directory: Path, run: str, seals: Sequence[str] | None, ledger: str) -> Check:
    if not seals:
        where = (
            f"there is no ledger at {ledger}" if seals is None else f"the ledger at {ledger} holds no seal"
        )
        return SEAL.warns(
            "files",
            f"not derived: {MANIFEST_FILE} is missing and {where}: the run was made before runs were sealed, or both "
            "were removed; no file is vouched for",
        )
    same = build_manifest(directory, run).root == seals[-1]
    others = (
        "the other files are those that were sealed" if same else "other files are not what they were either"
    )
    return SEAL.fails(
        "files", f"{MANIFEST_FILE} is missing, though the ledger at {ledger} holds this run's seal; {others}"
    )


def _files(directory: Path, manifest: Manifest) -> Check:
    found = changes(directory, manifest)
    number = len(found.changed) + len(found.added) + len(found.missing)
    return SEAL.judges(
        "files",
        not found,
        f"{len(manifest.files):,} files are as they were when the run ended",
        f"{number} file{'s are' if number != 1 else ' is'} not what the run left behind ({found})",
    )


def _root(manifest: Manifest, run: str, seals: Sequence[str] | None, ledger: str) -> Check:
    if seals is None:
        return SEAL.warns(
            "ledger",
            f"not derived: there is no ledger at {ledger}, so nothing vouches for {MANIFEST_FILE} itself",
        )
    if not seals:
        return SEAL.fails(
            "ledger",
            f"the ledger at {ledger} holds no seal of the run {run}: it is not the ledger that the run was written "
            "with, or the seal was removed",
        )
    if manifest.root != seals[-1]:
        earlier = "an earlier seal" if manifest.root in seals else "none of them"
        return SEAL.fails(
            "ledger",
            f"{MANIFEST_FILE} has the root {manifest.root[:12]}, the ledger sealed {seals[-1][:12]} "
            f"({len(seals)} in all, {earlier} fits): files and manifest were changed after the run ended",
        )
    if len(set(seals)) > 1:
        return SEAL.warns(
            "ledger", f"the run was sealed {len(seals)} times with other files each time; the last seal fits"
        )
    return SEAL.passes("ledger", f"the root {manifest.root[:12]} is the one that the ledger sealed")
