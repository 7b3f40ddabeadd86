"""Enters every trial of a sweep into the ledger, where the number of trials that the gate deflates for is counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.ledger import Ledger
from rayjobs.search.objective import FoldScore, trial_return
from rayjobs.search.trial_record import TrialRecord


class LedgerEntries:
    """A `TrialObserver` that may be told the same twice: each trial has one row, repeats of a failed one share it.

    Parameters
    ----------
    study : number of the study in the ledger.
    data_fingerprint, code_commit : of this sweep.
    seed : first training seed.
    first_bar : panel index of the first validation bar.
    """

    def __init__(
        self,
        ledger: Ledger,
        study: int,
        *,
        data_fingerprint: str,
        code_commit: str,
        seed: int,
        first_bar: int,
    ) -> None:
        self._ledger, self._study = ledger, study
        self._facts = {"data_fingerprint": data_fingerprint, "code_commit": code_commit, "seed": seed}
        self._first_bar = first_bar
        known = ledger.trials(study)
        self._rows = {int(trial.config["trial"]): trial.number for trial in known}
        self._open = {trial.number for trial in known if trial.status == "running"}

    def trial_began(self, number: int, overrides: Mapping[str, Any], repeat_of: int | None) -> None:
        key = number if repeat_of is None else repeat_of
        if key not in self._rows:
            config = {"trial": key, "overrides": dict(overrides)}
            self._rows[key] = self._ledger.start_trial(self._study, config=config, **self._facts)
            self._open.add(self._rows[key])

    def trial_ended(self, record: TrialRecord) -> None:
        row = self._rows[record.number if record.repeat_of is None else record.repeat_of]
        if row not in self._open or record.repeated:
            return
        if record.state == "failed":
            self._ledger.fail_trial(row, record.error or "unknown")
        else:
            self._record_folds(row, record.scores)
            self._ledger.finish_trial(
                row, score=record.values[0], net_return=trial_return(record.scores), first_bar=self._first_bar
            )
        self._open.remove(row)

    def _record_folds(self, row: int, scores: Sequence[FoldScore]) -> None:
        for one in scores:
            self._ledger.record_fold(
                row, fold=one.fold, seed=one.seed, net_return=one.net_return, policy_hash=one.policy_hash
            )
