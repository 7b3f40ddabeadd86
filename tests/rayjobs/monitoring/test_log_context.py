"""Each log line of ours says which run, trial and fold it is about; other packages' lines are left alone."""

from __future__ import annotations

import logging

import pytest

from rayjobs.monitoring.log_context import log_as


@pytest.fixture(autouse=True)
def nothing_is_left():
    factory = logging.getLogRecordFactory()
    yield
    log_as(run=None, trial=None, fold=None)
    logging.setLogRecordFactory(factory)


def messages(caplog, name="rayjobs.training.policy_training"):
    caplog.clear()
    with caplog.at_level(logging.INFO, logger=name):
        logging.getLogger(name).info("after iteration %d", 3)
    return [record.getMessage() for record in caplog.records]


def test_a_line_names_run_trial_and_fold_in_that_order(caplog):
    log_as(fold=2, run="20261121T071500Z-ab12cd")
    assert messages(caplog) == ["[run 20261121T071500Z-ab12cd fold 2] after iteration 3"]
    log_as(trial=7)
    assert messages(caplog) == ["[run 20261121T071500Z-ab12cd trial 7 fold 2] after iteration 3"]


def test_a_name_that_is_taken_away_is_no_longer_told(caplog):
    log_as(run="r", fold=0)
    log_as(fold=None)
    assert messages(caplog) == ["[run r] after iteration 3"]
    log_as(run=None)
    assert messages(caplog) == ["after iteration 3"]


def test_lines_of_other_packages_stay_as_they_are(caplog):
    log_as(run="r")
    assert messages(caplog, "somewhere.else") == ["after iteration 3"]


def test_a_percent_sign_in_a_name_does_no_harm(caplog):
    log_as(run="100%d")
    assert messages(caplog) == ["[run 100%d] after iteration 3"]
