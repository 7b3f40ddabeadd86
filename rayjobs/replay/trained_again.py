"""Trains the policies of a finished run again, from nothing: the weights that were scored must come out, to the bit.

What lies in a run directory can be written by anyone. That weights are the outcome of the recorded configuration, seed
and bars is shown by nothing but training again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import ray

from evaluation.audit.findings import Check, Section
from evaluation.windows.splits import Fold
from policies.exported_policy import PolicyContract, TrainedPolicy
from policies.supervised.policy import SupervisedContract
from rayjobs.replay.finished_run import FinishedRun
from rayjobs.storage.run_directory import RunDirectory
from rayjobs.storage.started_run import WINNER_OF
from rayjobs.study.fitted_fold import fit_policy
from rayjobs.study.fold import training_spec
from rayjobs.study.fold_market import fold_market
from rayjobs.study.fold_origin import start_of
from rayjobs.study.study import Study
from rayjobs.training.policy_training import train_policy

RETRAINING = Section(name="retraining")


def check_retraining(run: FinishedRun, study: Study, folds: Sequence[Fold]) -> list[Check]:
    """Train each fold again in a temporary folder, and compare the weights with those that were scored.

    Needs a Ray runtime, and the time of the first training. The run's first seed alone is trained.

    Parameters
    ----------
    study : on the bars of the run, loaded again. folds : those that were trained.
    """
    if study.config.script is not None:
        return [RETRAINING.skips("policies", "a scripted policy is not trained")]
    if _of_a_population(run):
        return [
            RETRAINING.skips(
                "policies", "the winner of a population was trained in segments of other members"
            )
        ]
    if study.panel.fingerprint != run.provenance.get("data_fingerprint"):
        return [RETRAINING.skips("policies", "the bars are not those of the run")]
    return [_check_fold(run, study, fold) for fold in folds]


def _of_a_population(run: FinishedRun) -> bool:
    """Whether the run is the winner of a population based search."""
    if WINNER_OF not in run.provenance:
        return False
    return bool(RunDirectory(run.path.parent).config()["search"]["scheduler"]["kind"] == "pbt")


def _check_fold(run: FinishedRun, study: Study, fold: Fold) -> Check:
    name = f"fold {fold.index}"
    if any(row.get("nudges") for row in run.iterations(fold.index)):
        return RETRAINING.skips(name, "its training was nudged, which no training can repeat")
    market, contract = fold_market(study, fold)
    recorded = run.policy_hash(fold.index)
    if isinstance(contract, SupervisedContract):
        found = fit_policy(study.config, study.panel, market, fold, contract).policy_hash
        return _compared(name, found, recorded)
    assert isinstance(contract, PolicyContract)
    with TemporaryDirectory(prefix="rayfold_retraining_") as folder:
        spec = training_spec(
            study.config, fold, ray.put(market), contract, Path(folder), start=start_of(study, fold)
        )
        found = TrainedPolicy.load(train_policy(spec, lambda row: None).policy).policy_hash
    return _compared(name, found, recorded)


def _compared(name: str, found: str, recorded: str) -> Check:
    return RETRAINING.judges(
        name,
        found == recorded,
        f"training again gives the weights that were scored ({recorded[:12]})",
        f"training again gives other weights ({found[:12]}) than those that were scored ({recorded[:12]}): they did "
        "not come out of this configuration, seed and code, or the processor is of another kind",
    )
