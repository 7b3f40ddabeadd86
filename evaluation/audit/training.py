"""PPO settings, callbacks and warnings: was the training what was asked for, and who interfered with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from evaluation.audit.findings import Check, Section
from evaluation.audit.recorded_run import RecordedRun
from evaluation.report.training_health import health_sentence, is_healthy

PPO = Section(name="PPO settings")
CALLBACKS = Section(name="callbacks")
WARNINGS = Section(name="warnings")
USUAL = {
    "gamma": (0.8, 0.9999),
    "gae_lambda": (0.5, 1.0),
    "clip_range": (0.05, 0.4),
    "learning_rate": (1e-6, 3e-3),
    "epochs": (1, 20),
    "max_grad_norm": (0.05, 100.0),
}
"""What is usual for PPO (Schulman et al. 2017; Andrychowicz et al. 2021); outside of it is worth a look."""
FINITE = ("total_loss", "policy_loss", "entropy", "approx_kl", "gradient_norm")


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """What the configuration asked for.

    Attributes
    ----------
    settings : PPO's numbers by name, None where one is switched off; see `USUAL`.
    early_stop : whether a training may end before its time.
    total_env_steps, batch_steps : of each fold's training. validation_every : iterations; 0 for no validation.
    """

    settings: Mapping[str, float | None]
    early_stop: bool
    total_env_steps: int
    batch_steps: int
    validation_every: int


def check_training(run: RecordedRun, plan: TrainingPlan) -> list[Check]:
    """PPO settings and what progress.csv says of the updates."""
    checks = [_ranges(plan.settings)]
    if run.progress.empty:
        return [*checks, PPO.skips("updates", "progress.csv holds no row")]
    for fold, rows in run.progress.groupby("fold"):
        broken = [name for name in FINITE if name in rows and not np.isfinite(rows[name]).all()]
        if broken:
            checks.append(PPO.fails(f"updates of fold {fold}", f"{broken[0]} is not finite in some update"))
            continue
        records = rows.to_dict("records")
        make = PPO.passes if is_healthy(records) else PPO.warns
        checks.append(make(f"updates of fold {fold}", f"{len(rows)} updates: {health_sentence(records)}"))
    return checks


def _ranges(settings: Mapping[str, float | None]) -> Check:
    unusual = [
        f"{name} {value:g} is outside {USUAL[name][0]:g} to {USUAL[name][1]:g}"
        for name, value in settings.items()
        if value is not None and not USUAL[name][0] <= value <= USUAL[name][1]
    ]
    if unusual:
        return PPO.warns("settings", "; ".join(unusual))
    return PPO.passes(
        "settings", "discount, clipping, learning rate, epochs and gradient norm are in their usual ranges"
    )


def check_callbacks(run: RecordedRun, plan: TrainingPlan) -> list[Check]:
    """Length of the training, validations, and changes from outside."""
    if run.progress.empty:
        return [CALLBACKS.skips("training", "progress.csv holds no row")]
    checks = []
    needed = max(plan.batch_steps, plan.total_env_steps // plan.batch_steps * plan.batch_steps)
    last = run.progress.groupby("fold")["env_steps"].max()
    missing = sorted(set(run.folds["fold"]) - set(last.index))
    if missing:
        checks.append(CALLBACKS.fails("length", f"progress.csv has no row of fold {missing[0]}"))
    elif last.min() >= needed:
        checks.append(
            CALLBACKS.passes("length", f"every fold trained for {int(last.min()):,} env steps, as asked")
        )
    else:
        say = CALLBACKS.warns if plan.early_stop else CALLBACKS.fails
        why = "early stopping is on" if plan.early_stop else "early stopping is off"
        checks.append(
            say("length", f"fold {last.idxmin()} trained {int(last.min()):,} of {needed:,} env steps; {why}")
        )
    checks.append(_validations(run.progress, plan))
    nudged = (
        run.progress[run.progress.get("nudges", pd.Series(dtype=str)).notna()]
        if "nudges" in run.progress
        else []
    )
    checks.append(
        CALLBACKS.warns("nudges", f"the learning rate was changed by hand in {len(nudged)} iterations")
        if len(nudged)
        else CALLBACKS.passes("nudges", "nobody changed the learning rate while it ran")
    )
    return checks


def _validations(progress: pd.DataFrame, plan: TrainingPlan) -> Check:
    if not plan.validation_every:
        return CALLBACKS.warns(
            "validation", "the last policy was kept, not the best on bars kept from training"
        )
    done = progress.groupby("fold")["validation_sharpe"].count()
    return CALLBACKS.judges(
        "validation",
        done.min() > 0,
        f"each fold chose its checkpoint by {int(done.min())} or more validations on bars kept from training",
        f"fold {done.idxmin()} has no validation, although one was asked for every {plan.validation_every} iterations",
    )


def warnings_of(
    run: RecordedRun, provenance: Mapping[str, Any], status: str | None, hygiene: Sequence[Mapping[str, Any]]
) -> list[Check]:
    """What is not wrong but should be known.

    Parameters
    ----------
    provenance : of the run. status : of the run directory. hygiene : a row per symbol, counts of what was wrong.
    """
    found = []
    if status not in (None, "done"):
        found.append(WARNINGS.warns("status", f"the run's status is {status!r}"))
    if provenance.get("git_dirty"):
        found.append(WARNINGS.warns("code", "the code had changes that were not committed"))
    if len(run.trades) < 30:
        found.append(
            WARNINGS.warns("trades", f"{len(run.trades)} closed trades are too few to conclude anything")
        )
    inside, outside = run.folds["in_sample_sharpe"].mean(), run.folds["sharpe"].mean()
    if inside > 0 and outside < 0.5 * inside:
        found.append(
            WARNINGS.warns(
                "overfit", f"the mean Sharpe ratio is {inside:.2f} in and {outside:.2f} out of sample"
            )
        )
    for row in hygiene:
        faults = {k: v for k, v in row.items() if k != "rows" and isinstance(v, (int, np.integer)) and v}
        if faults:
            words = ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in faults.items())
            found.append(WARNINGS.warns(f"bars of {row.get('symbol')}", words))
    return found or [WARNINGS.passes("none", "nothing that should be known beside the checks")]
