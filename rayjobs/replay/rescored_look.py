"""A re-scoring as a look of the ledger: whatever is shown of a finished run again is counted, before it is shown."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evaluation.gate.evidence import SupportingEvidence
from evaluation.ledger.ledger import Ledger, LookEntry
from evaluation.ledger.looks import Looks
from evaluation.ledger.records import LookKind
from rayjobs.replay.finished_run import FinishedRun
from rayjobs.replay.rescoring import EvaluateConfig, Rescoring, deflation, rescore_seeds
from rayjobs.replay.start_seal import start_doubts
from rayjobs.storage.run_directory import RunDirectory
from rayjobs.storage.started_run import WINNER_OF
from rayjobs.study.evidence import chained, with_overfitting
from rayjobs.study.fold import FoldOutcome
from rayjobs.study.looks.counted import at_least
from rayjobs.study.looks.entered import (
    EnteredLook,
    code_version,
    entered,
    identity,
)
from rayjobs.study.looks.on_disk import WINNER

SETTINGS = ("cost_factor", "extra_latency_bars", "windows", "fold")
"""Settings of an evaluation that decide what it shows."""


@contextmanager
def rescored_look(
    plan: Rescoring,
    run: FinishedRun,
    values: Mapping[str, Any],
    settings: EvaluateConfig,
    directory: RunDirectory,
    ledger: Ledger,
) -> Iterator[EnteredLook]:
    """Enter an evaluation of a finished run in the ledger.

    Parameters
    ----------
    values : the run's configuration, perhaps with other data or costs.
    directory : the evaluation's own.
    """
    study = plan.study
    facts = identity(study.config, values)
    kind: LookKind = "re-scoring" if settings.fold is None else "single fold"
    entry = LookEntry(
        kind=kind,
        study=study.config.run.experiment,
        identity={
            **facts,
            "job": "evaluate",
            "policies": {fold: policy.policy_hash for fold, policy in plan.policies.items()},
            "settings": {name: dataclasses.asdict(settings)[name] for name in SETTINGS},
        },
        seed=study.config.seed,
        data_fingerprint=study.panel.fingerprint,
        code_commit=code_version(directory.started.provenance),
    )
    with entered(
        ledger,
        entry,
        study,
        directory.path,
        plan.folds,
        of_search=plan.same_bars and WINNER_OF in run.provenance,
        trained_by=run.path if plan.same_bars else None,
        weights_of=run.path,
        roots=roots_of(run.path, directory.path),
    ) as look:
        yield look


def rescored_evidence(
    plan: Rescoring, run: FinishedRun, outcomes: Sequence[FoldOutcome], look: EnteredLook
) -> SupportingEvidence:
    """Close the look; what the gate is told: the ledger's count now, and no less than the run was deflated for."""
    result = chained(plan.study, outcomes)
    seeds = {plan.study.config.seed: outcomes, **rescore_seeds(plan, run)}
    found = look.finish(seeds, result)
    recorded = deflation(run)
    looks = found.looks
    if plan.same_bars:
        looks = at_least(looks, recorded.looks or _of_earlier_release(recorded))
    evidence = SupportingEvidence(
        **looks.for_gate(),
        seeds={seed: chained(plan.study, scored).net_return for seed, scored in seeds.items()},
        other_jobs_seeds=found.other_seeds,
        doubted_weights=(*found.doubts, *start_doubts(plan.study.config)),
    )
    return with_overfitting(evidence, result, found.rivals_TN)


def _of_earlier_release(recorded: SupportingEvidence) -> Looks:
    """What a run recorded that knew a number of trials only."""
    number = round(recorded.num_trials)
    return Looks(kinds={"training": number}, effective=number, sharpe_variance=recorded.trial_sharpe_variance)


def roots_of(*directories: Path) -> tuple[Path, ...]:
    """Folders of experiments' folders that these run directories lie in."""
    return tuple(path.absolute().parents[3 if path.name == WINNER else 1] for path in directories)
