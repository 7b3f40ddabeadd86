"""Trains the policy class again, in short form, on markets of shuffled bars, and asks the same gate."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from data.features import compute_features
from data.schema import Panel
from envs.checks.leaks import LeakReport
from evaluation.gate.evidence import GateEvidence, SupportingEvidence
from evaluation.gate.placebo_markets import placebo_pass_rate
from evaluation.windows.splits import Fold
from rayjobs.monitoring.tracking import Tracker
from rayjobs.study.evidence import chained, completed
from rayjobs.study.fold_tasks import run_folds
from rayjobs.study.study import Study

LOG = logging.getLogger(__name__)


def with_placebos(
    evidence: SupportingEvidence,
    study: Study,
    folds: Sequence[Fold],
    leaks: LeakReport,
    run: Path,
    tracker: Tracker,
) -> SupportingEvidence:
    """Add the rate at which the gate passes placebo markets; unchanged where no run was asked for.

    Parameters
    ----------
    leaks : the study's own leak check, which holds for its features and env on any bars.
    run : the run directory; checkpoints of placebo trainings are removed when they are scored.
    """
    scoring = study.config.scoring
    if not scoring.placebo_runs:
        return evidence
    directory = run / "placebo"

    def score(panel: Panel, number: int) -> GateEvidence:
        LOG.info("placebo market %d of %d", number + 1, scoring.placebo_runs)
        short = placebo_study(study, panel)
        try:
            result = chained(short, run_folds(short, folds, directory, tracker))
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        return GateEvidence.of(result, completed(short, result, SupportingEvidence(leak_check=leaks)))

    rate = placebo_pass_rate(
        study.panel,
        score,
        replace(study.config.gate, unseen_symbols=False),  # a placebo market has no such symbols
        num_placebos=scoring.placebo_runs,
        block_bars=scoring.placebo_block_bars,
        seed=study.config.seed,
    )
    return replace(evidence, placebo_rate=rate, num_placebos=scoring.placebo_runs)


def placebo_study(study: Study, panel: Panel) -> Study:
    """The study on other bars, with a short training and nothing beside what the gate needs."""
    trainer = replace(study.config.trainer, total_env_steps=study.config.scoring.placebo_env_steps)
    config = replace(study.config, trainer=trainer, scoring=replace(study.config.scoring, in_sample=False))
    features = compute_features(panel, config.features.enabled)
    return replace(study, config=config, panel=panel, features=features, oracle_direction=None, unseen=None)
