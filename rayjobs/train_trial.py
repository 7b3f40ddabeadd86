"""A training job as a trial of the ledger: entered before it runs, closed however it ends, counted by the gate.

The same configuration, seed, data and code again is the same trial; anything else that is tried on the same bars is
another, whatever its name.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from evaluation.ledger import Ledger
from evaluation.metrics import sharpe_ratio
from evaluation.walk_forward import WalkForwardResult, window_return
from rayjobs.build import TrainConfig
from rayjobs.fold_job import FoldOutcome, Study
from rayjobs.storage import ledger_file

LOG = logging.getLogger(__name__)
FloatArray = NDArray[np.float64]
CHANGES_NOTHING = (
    "run", "ledger", "cluster", "tracking", "resume", "gate", "seed", "trainer.num_seeds", "walk_forward.only_fold",
    "walk_forward.fold_order", "scoring",
)  # fmt: skip
"""Keys that change neither what is trained nor on what: where it runs, how it is judged, what is looked at."""


@dataclass(frozen=True, kw_only=True)
class TrialEvidence:
    """What the ledger says about the trials on the same data.

    Attributes
    ----------
    num_trials : all that were entered, failed ones and this one included.
    sharpe_variance : across trained trials on the same bars, per bar, and no less than trials without skill have; None
        when this one is alone.
    returns_TN : their returns, this trial's first.
    """

    num_trials: int
    sharpe_variance: float | None
    returns_TN: FloatArray


class TrainTrial:
    """The entry of one job."""

    def __init__(self, ledger: Ledger, number: int, data_fingerprint: str) -> None:
        self._ledger, self.number, self._data = ledger, number, data_fingerprint
        self.finished = False

    def finish(self, seeds: Mapping[int, Sequence[FoldOutcome]], result: WalkForwardResult) -> TrialEvidence:
        """Write the score and the folds of every seed, and count.

        Parameters
        ----------
        seeds : seed -> its folds. result : those of the first seed, chained.
        """
        for seed, outcomes in seeds.items():
            for outcome in outcomes:
                fold = outcome.result.fold
                self._ledger.record_fold(
                    self.number, fold=fold.index, seed=seed, policy_hash=outcome.result.policy_hash,
                    net_return=window_return(outcome.result.recording, fold.test),
                )  # fmt: skip
        own, first_bar = result.net_return, int(result.bar[0])
        score = sharpe_ratio(own, periods_per_year=result.panel.periods_per_year)
        try:
            self._ledger.finish_trial(self.number, score=score, net_return=own, first_bar=first_bar)
        except ValueError:  # the very same job ran beside this one and was done first
            LOG.warning("trial %d of the ledger was finished by another process", self.number)
        self.finished = True
        others = [
            trial
            for trial in self._ledger.finished_on_data(self._data, first_bar=first_bar, num_bars=len(own))
            if trial.number != self.number and not trial.config.get("script")
        ]
        returns = np.column_stack([own, *(trial.net_return for trial in others)])
        return TrialEvidence(
            num_trials=self._ledger.count_on_data(self._data),
            sharpe_variance=sharpe_variance(returns),
            returns_TN=returns,
        )


def sharpe_variance(returns_TN: FloatArray) -> float | None:
    """Variance (ddof=1) of the trials' Sharpe ratios; at least that of trials without skill, 1 / (T - 1)."""
    sharpes = np.array([sharpe_ratio(column) for column in returns_TN.T])
    sharpes = sharpes[np.isfinite(sharpes)]
    if sharpes.size < 2:
        return None
    return max(float(sharpes.var(ddof=1)), 1.0 / max(len(returns_TN) - 1, 1))


@contextmanager
def train_trial(study: Study, values: Mapping[str, Any], run: Path) -> Iterator[TrainTrial]:
    """Enter the job into the ledger; an exception closes it as failed, a kill leaves it open: both count.

    Parameters
    ----------
    values : the resolved configuration. run : the run directory, whose config.yaml names the code's commit.
    """
    config, data = study.config, study.panel.fingerprint
    provenance = yaml.safe_load((run / "config.yaml").read_text())["provenance"]
    ledger = Ledger(ledger_file(config.ledger))
    number = ledger.enter_once(
        ledger.study(config.run.experiment),
        config=identity(config, values),
        seed=config.seed,
        data_fingerprint=data,
        code_commit=code_version(provenance),
    )
    trial = TrainTrial(ledger, number, data)
    try:
        yield trial
    except Exception as error:
        if not trial.finished:
            ledger.fail_trial(number, str(error) or type(error).__name__)
        raise


def identity(config: TrainConfig, values: Mapping[str, Any]) -> dict[str, Any]:
    """What makes this trial another than the ones before it: all that decides its policy and its costs."""
    kept = {key: value for key, value in values.items() if key not in CHANGES_NOTHING}
    for key in CHANGES_NOTHING:
        group, _, name = key.partition(".")
        if name and group in kept:
            kept[group] = {inner: value for inner, value in kept[group].items() if inner != name}
    return {
        "job": "train", "script": config.script, "cost_factor": config.scoring.cost_factor, "config": kept
    }  # fmt: skip


def code_version(provenance: Mapping[str, Any]) -> str:
    """Commit of the source, marked where tracked files were changed; "unknown" outside a checkout."""
    commit = provenance.get("git_commit") or "unknown"
    return f"{commit}-changed" if provenance.get("git_dirty") else str(commit)
