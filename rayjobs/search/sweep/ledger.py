"""Enters every trial of a sweep into the ledger, where the looks that the gate deflates for are counted."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.ledger.ledger import Ledger, LookEntry, fold_facts
from evaluation.ledger.records import Record
from rayjobs.search.plan.objective import trial_return
from rayjobs.search.trial.record import TrialRecord


class LedgerEntries:
    """A `TrialObserver` that may be told the same twice: each trial is one look, repeats of a failed one share it.

    Parameters
    ----------
    entry : what all trials of the sweep have in common; each adds its number and its overrides to the identity.
    bar_utc, bar_seconds : labels of the validation bars, None where they are not known, and a bar's length.
    """

    def __init__(
        self, ledger: Ledger, entry: LookEntry, *, bar_utc: NDArray[np.datetime64] | None, bar_seconds: int
    ) -> None:
        self._ledger, self._entry = ledger, entry
        self._bar_utc, self._bar_seconds = bar_utc, bar_seconds
        self._looks: dict[int, int] = {}

    def trial_began(self, number: int, overrides: Mapping[str, Any], repeat_of: int | None) -> None:
        self._look(number if repeat_of is None else repeat_of, overrides)

    def trial_ended(self, record: TrialRecord) -> None:
        if record.repeated:
            return
        look = self._look(record.number if record.repeat_of is None else record.repeat_of, record.overrides)
        if record.state == "failed":
            self._ledger.fail(look, record.error or "unknown")
            return
        folds = [
            fold_facts(fold=one.fold, seed=one.seed, net_return=one.net_return, policy_hash=one.policy_hash)
            for one in record.scores
        ]
        earned = Record.of(trial_return(record.scores), self._bar_utc, self._bar_seconds)
        self._ledger.finish(look, score=record.values[0], record=earned, folds=folds)

    def _look(self, trial: int, overrides: Mapping[str, Any]) -> int:
        """Number of a trial's look; one that an earlier process of the sweep entered is found again."""
        if trial not in self._looks:
            identity = {**self._entry.identity, "trial": trial, "overrides": dict(overrides)}
            entry = dataclasses.replace(self._entry, identity=identity)
            self._looks[trial] = self._ledger.enter(entry, reopen=False)
        return self._looks[trial]
