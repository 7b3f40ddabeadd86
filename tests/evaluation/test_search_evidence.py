"""The gate is told about every trial that the ledger knows."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.ledger import Ledger
from evaluation.search_evidence import search_evidence


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "ledger.sqlite")


def enter(ledger, study, returns=None):
    trial = ledger.start_trial(study, config={}, seed=0, data_fingerprint="d", code_commit="c")
    if returns is None:
        ledger.fail_trial(trial, "boom")
    else:
        ledger.finish_trial(trial, score=0.0, net_return=returns)


def test_failed_trials_count_and_copies_count_once_in_the_effective_number(ledger):
    study = ledger.study("s")
    random = np.random.default_rng(0)
    idea = random.normal(size=320)
    for _ in range(3):
        enter(ledger, study, idea + 1e-3 * random.normal(size=320))
    enter(ledger, study, random.normal(size=320))
    enter(ledger, study)
    evidence = search_evidence(ledger, study)
    assert evidence.num_trials == 5
    assert evidence.effective_trials == 3  # two ideas and the one that failed
    assert evidence.for_gate()["num_trials"] == 5


def test_a_search_with_skill_everywhere_has_a_high_published_pbo_but_no_loss(ledger):
    study = ledger.study("s")
    random = np.random.default_rng(1)
    for _ in range(10):
        enter(ledger, study, random.normal(0.3, 1.0, size=640))
    evidence = search_evidence(ledger, study, num_blocks=8)
    assert evidence.probability_of_loss == 0.0
    assert evidence.overfitting > 0.1


def test_a_study_without_trials_counts_the_one_being_judged(ledger):
    evidence = search_evidence(ledger, ledger.study("new"))
    assert evidence.num_trials == 1
    assert evidence.for_gate() == {"num_trials": 1, "trial_sharpe_variance": None, "overfitting": None}
