"""Audit of the exported contracts: are they those that were scored, and do they name every bar that had a say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from data.own_objects import own_code
from evaluation.audit.findings import Check, Section
from evaluation.windows.splits import Fold
from policies.exports import load_export
from policies.origin import Origin
from rayjobs.replay.finished_run import FinishedRun
from rayjobs.study.fold_market import lookback_bars
from rayjobs.study.fold_origin import with_origin
from rayjobs.study.study import Study

CONTRACT = Section(name="contract")


def check_contracts(run: FinishedRun, study: Study, folds: Sequence[Fold], *, searched: bool) -> list[Check]:
    """Two checks for each fold: its contract has the recorded hash, and says what its windows and settings give.

    Parameters
    ----------
    study : on the bars of the run, loaded again.
    searched : the run is the winner of a search, so that bars of a selection must be named too.
    """
    if study.config.script is not None:
        return [CONTRACT.skips("policies", "a scripted policy has no contract")]
    if study.panel.fingerprint != run.provenance.get("data_fingerprint"):
        return [CONTRACT.skips("policies", "the bars are not those of the run")]
    checks = []
    for fold in folds:
        try:
            policy = load_export(run.policy(fold.index))
        except ValueError as error:
            checks.append(CONTRACT.skips(f"fold {fold.index}", str(error)))
            continue
        checks.append(
            CONTRACT.judges(
                f"recorded, fold {fold.index}",
                policy.contract_hash == run.contract_hash(fold.index),
                "the contract is the one that folds.csv records",
                "the contract is not the one that folds.csv records: it was changed, or comes from another run",
            )
        )
        expected = with_origin(
            policy.contract, study, fold, lookback_bars(study), run.policy(fold.index)
        ).origin
        assert expected is not None
        wrong = _difference(policy.contract.origin, expected, searched)
        checks.append(
            CONTRACT.judges(
                f"seen bars, fold {fold.index}",
                wrong is None,
                "it names the bars of its training, validation and statistics, as windows and settings give them",
                f"{wrong}",
            )
        )
    return checks


def check_own_code(run: FinishedRun) -> list[Check]:
    """Whether the modules of the user's own that the configuration names are those that the run was started with."""
    now = own_code(run.values)
    return [
        CONTRACT.judges(
            f"code of your own, {name}",
            now.get(name) == digest,
            f"its file is the one that the run was started with ({digest[:12]}); no check reads what it does",
            f"its file is not the one that the run was started with ({digest[:12]})",
        )
        for name, digest in (run.provenance.get("own_code") or {}).items()
    ]


def _difference(found: Origin | None, expected: Origin, searched: bool) -> str | None:
    """What the contract says otherwise than it should; None if nothing."""
    if found is None:
        return "the contract does not say what the policy has seen"
    for name in ("symbols", "bar_seconds", "data_fingerprint"):
        if getattr(found, name) != getattr(expected, name):
            return f"its {name} is {getattr(found, name)}, the run's {getattr(expected, name)}"
    for role in dict.fromkeys(entry.role for entry in expected.seen):
        # A file may have been moved since: where it lay is not compared.
        named, wanted = (
            [replace(e.coverage, source="") for e in o.seen if e.role == role] for o in (found, expected)
        )
        if role != "selection" and named != wanted:
            return f"its {role} bars are not those of the fold's windows and the run's settings"
    if searched and not any(entry.role == "selection" for entry in found.seen):
        return "the policy is the winner of a search, but the bars that it was chosen on are not named"
    return None
