"""The winner of a sweep meets the sealed holdout: retrained walking into it, and judged by the gate, once."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import ray
import yaml
from numpy.typing import NDArray
from optuna.trial import FrozenTrial

from data.checks.hygiene import HygieneReport
from evaluation.gate.evidence import SupportingEvidence
from evaluation.gate.search_significance import StudySignificance
from evaluation.gate.verdict import Verdict
from evaluation.ledger.ledger import HoldoutOpenedError, Ledger, LookEntry
from evaluation.scoring.walk_forward import WalkForwardResult
from evaluation.windows.search_windows import SearchWindows
from evaluation.windows.splits import Fold
from policies.exported_policy import PolicyContract
from rayjobs.config.dotted_keys import with_values
from rayjobs.monitoring.tracking import RunLabel, Tracker, short_id, tracker
from rayjobs.replay.run_seal import seal_run
from rayjobs.search.sweep.config import SweepConfig
from rayjobs.storage.run_directory import write_atomically
from rayjobs.storage.started_run import WINNER_OF
from rayjobs.study.config import build_train_config
from rayjobs.study.evidence import chained
from rayjobs.study.fold import FoldOutcome, training_spec
from rayjobs.study.fold_market import fold_market
from rayjobs.study.fold_origin import with_origin
from rayjobs.study.fold_tasks import run_folds
from rayjobs.study.looks.entered import EnteredLook, code_version, identity
from rayjobs.study.report import report_study
from rayjobs.study.study import Study
from rayjobs.training.policy_training import PolicyTraining

LOG = logging.getLogger(__name__)


def open_for_winner(ledger: Ledger, entry: LookEntry, directory: Path, trial: int) -> bool:
    """Open the holdout for one trial, before a bar of it is read; False if it was opened for another one.

    A sweep that was killed while its winner was being judged goes on with the same winner: what the holdout was opened
    for stands in the ledger.

    Parameters
    ----------
    entry : what the ledger records of the opening.
    """
    purpose = f"the winner of {directory.name}, trial {trial}"
    try:
        ledger.open_holdout(entry, purpose=purpose)
    except HoldoutOpenedError as error:
        if error.purpose != purpose:
            LOG.warning("the winner is not judged: %s", error)
        return error.purpose == purpose
    return True


def judge_winner(
    config: SweepConfig,
    trials: Sequence[FrozenTrial],
    study: Study,
    hygiene: HygieneReport,
    windows: SearchWindows,
    significance: StudySignificance,
    directory: Path,
    provenance: Mapping[str, Any],
    look: EnteredLook,
) -> Verdict:
    """Retrain the winner's configuration for the holdout, write its run directory and ask the gate.

    It is tracked as a run of its own beside the trials.

    Parameters
    ----------
    trials : the winner; of a population the trials whose segments led to it, itself last.
    study : all bars, the holdout included.
    significance : the spread of the trials that the winner was chosen from, and their overfitting.
    directory : where the winner's artefacts go.
    look : the opening of the holdout, in the ledger.
    """
    values, name = _values(config, trials[-1]), directory.parent.name
    tracking = replace(config.train.tracking, group=config.train.tracking.group or name)
    label = RunLabel(
        run_id=f"{name}-winner", name=f"{short_id(name)}-winner", job_type="winner", side_by_side=True
    )
    facts = {"trial": {"study": name, "number": trials[-1].number, "params": dict(trials[-1].params)}}
    # Beside the study's own run, so that two places are all that `wandb sync` has to be told.
    place = directory.parent if tracking.backend == "wandb" else directory
    with tracker(
        tracking,
        run_directory=place,
        experiment=config.train.run.experiment,
        values={**values, **facts},
        label=label,
    ) as log:
        return _judge(
            config, trials, study, hygiene, windows, significance, directory, provenance, log, look, values
        )


def _judge(
    config: SweepConfig,
    trials: Sequence[FrozenTrial],
    study: Study,
    hygiene: HygieneReport,
    windows: SearchWindows,
    significance: StudySignificance,
    directory: Path,
    provenance: Mapping[str, Any],
    tracker: Tracker,
    look: EnteredLook,
    values: Mapping[str, Any],
) -> Verdict:
    directory.mkdir(parents=True, exist_ok=True)
    origin = {**provenance, WINNER_OF: {"study": provenance["run_id"], "trial": trials[-1].number}}
    text = yaml.safe_dump({**values, "provenance": origin}, sort_keys=False, allow_unicode=True)
    write_atomically(directory / "config.yaml", text)
    study = replace(study, selection=tuple(fold.test for fold in windows.folds))
    chosen = replace(study, config=build_train_config(values))
    _replay(config, trials, study, windows, directory / "checkpoints")
    note = (
        partial(look.note_weights, entry=_trained(chosen, values, provenance)) if len(trials) == 1 else None
    )
    outcomes = run_folds(chosen, windows.holdout_folds, directory, tracker, note)
    seeds = {config.search.seeds[0]: _net_return(study, outcomes)}
    for seed in config.search.seeds[1:] if len(trials) == 1 else ():
        other = replace(chosen, config=replace(chosen.config, seed=seed))
        place = directory / f"seed_{seed}"
        seeds[seed] = _net_return(study, run_folds(other, windows.holdout_folds, place, tracker, note))
    for outcome in outcomes:
        if outcome.policy is not None:
            tracker.keep_policy(f"winner_fold_{outcome.result.fold.index}", outcome.policy)
    result = chained(study, outcomes)
    found = look.finish({config.search.seeds[0]: outcomes}, result)
    looks = found.looks
    variances = [v for v in (looks.sharpe_variance, significance.sharpe_variance) if v is not None]
    looks = replace(looks, sharpe_variance=max(variances, default=None))
    verdict = report_study(
        chosen,
        hygiene,
        outcomes,
        directory,
        tracker,
        SupportingEvidence(
            **looks.for_gate(),
            doubted_weights=found.doubts,
            overfitting=significance.probability_of_loss,
            # The first seed is the headline; the others show the spread, and never replace it.
            seeds=seeds if len(seeds) > 1 else None,
        ),
    )
    seal_run(directory, chosen.config)
    return verdict


def _trained(study: Study, values: Mapping[str, Any], provenance: Mapping[str, Any]) -> LookEntry:
    """What every training of the winner's configuration up to the holdout has in common."""
    return LookEntry(
        kind="holdout opening",
        study=study.config.run.experiment,
        identity={**identity(study.config, values), "job": "winner"},
        seed=study.config.seed,
        data_fingerprint=study.panel.fingerprint,
        code_commit=code_version(provenance),
    )


def _net_return(study: Study, outcomes: Sequence[FoldOutcome]) -> NDArray[np.float64]:
    """(N,) returns over the holdout."""
    return WalkForwardResult(
        panel=study.panel, folds=tuple(outcome.result for outcome in outcomes)
    ).net_return


def _values(config: SweepConfig, trial: FrozenTrial) -> dict[str, Any]:
    overrides = config.space.overrides(trial.params) | {"seed": config.search.seeds[0]}
    return with_values(config.values, overrides)


def _replay(
    config: SweepConfig,
    trials: Sequence[FrozenTrial],
    study: Study,
    windows: SearchWindows,
    checkpoints: Path,
) -> None:
    """Train the segments before the winner's own, each with its parameters; the last training goes on from there."""
    segments = [
        (_values(config, trial), config.search.scheduler.fractions[place])
        for place, trial in enumerate(trials)
    ]
    if len(segments) > 1:
        shared = ray.put(study)
        ray.get(
            [
                _train_segments.remote(
                    shared, fold, segments[:-1], checkpoints.absolute() / f"fold_{fold.index:02d}"
                )
                for fold in windows.holdout_folds
            ]
        )


@ray.remote(max_retries=0)
def _train_segments(
    study: Study, fold: Fold, segments: Sequence[tuple[dict[str, Any], float]], directory: Path
) -> None:
    for values, fraction in segments:
        chosen = replace(study, config=build_train_config(values))
        market, contract = fold_market(chosen, fold)
        assert isinstance(contract, PolicyContract)  # a supervised fit has no segments
        contract = with_origin(contract, chosen, fold, market.first_bar, directory)
        spec = training_spec(chosen.config, fold, ray.put(market), contract, directory)
        with PolicyTraining(spec) as training:
            training.advance(fraction, lambda row: None)
            training.checkpoint()
