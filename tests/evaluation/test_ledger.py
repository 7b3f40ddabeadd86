"""The ledger counts every trial however it ended, and lets a holdout be opened once."""

from __future__ import annotations

import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from evaluation.holdout import SealedHoldout
from evaluation.ledger import HoldoutOpenedError, Ledger
from evaluation.metrics import sharpe_ratio


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "ledger.sqlite")


def start(ledger, study, seed=0, data="d1"):
    return ledger.start_trial(study, config={"lr": 0.1}, seed=seed, data_fingerprint=data, code_commit="c0")


def test_failed_and_abandoned_trials_count(ledger):
    study = ledger.study("crypto")
    done, broken, _abandoned = (start(ledger, study, seed) for seed in range(3))
    ledger.finish_trial(done, score=1.0, net_return=[0.01, -0.01, 0.02])
    ledger.fail_trial(broken, "out of memory")
    count = ledger.count(study)
    assert (count.all, count.finished, count.failed, count.running) == (3, 1, 1, 1)


def test_running_a_search_again_adds_to_the_count(tmp_path):
    for _ in range(2):
        ledger = Ledger(tmp_path / "ledger.sqlite")
        study = ledger.study("crypto")
        for seed in range(5):
            ledger.finish_trial(start(ledger, study, seed), score=0.0, net_return=[0.01, 0.02])
    assert Ledger(tmp_path / "ledger.sqlite").count(study).all == 10


def test_deleting_a_run_directory_takes_nothing_from_the_count(tmp_path):
    run = tmp_path / "runs" / "crypto" / "1"
    run.mkdir(parents=True)
    ledger = Ledger(tmp_path / "runs" / "ledger.sqlite")
    study = ledger.study("crypto")
    start(ledger, study)
    shutil.rmtree(run)
    assert ledger.count(study).all == 1


def test_a_search_under_a_new_name_still_counts_on_the_same_data(ledger):
    for name in ("first", "second"):
        start(ledger, ledger.study(name))
    start(ledger, ledger.study("second"), data="d2")
    assert ledger.count(ledger.study("second")).all == 2
    assert ledger.count_on_data("d1") == 2


def test_the_variance_of_sharpe_ratios_is_taken_across_finished_trials(ledger):
    study = ledger.study("s")
    series = [np.array([0.01, -0.01, 0.03]), np.array([0.02, 0.01, -0.02]), np.zeros(3)]
    for returns in series:
        ledger.finish_trial(start(ledger, study), score=0.0, net_return=returns)
    expected = np.var([sharpe_ratio(series[0]), sharpe_ratio(series[1])], ddof=1)
    assert ledger.sharpe_variance(study) == pytest.approx(expected)  # the flat one has no Sharpe ratio
    assert ledger.sharpe_variance(ledger.study("empty")) is None


def test_the_return_matrix_comes_back_to_the_bit(ledger):
    study = ledger.study("s")
    matrix = np.random.default_rng(0).normal(size=(50, 3))
    ledger.finish_trial(start(ledger, study), score=0.0, net_return=np.zeros(7), first_bar=3)  # other bars
    for column in matrix.T:
        ledger.finish_trial(start(ledger, study), score=0.0, net_return=column, first_bar=10)
    np.testing.assert_array_equal(ledger.returns(study), matrix)
    assert ledger.returns(ledger.study("empty")).shape == (0, 0)


def test_a_trial_is_closed_once(ledger):
    trial = start(ledger, ledger.study("s"))
    ledger.fail_trial(trial, "x")
    with pytest.raises(ValueError, match="not running"):
        ledger.finish_trial(trial, score=9.0, net_return=[0.1, 0.2])


def test_folds_are_recorded_per_seed(ledger, tmp_path):
    trial = start(ledger, ledger.study("s"))
    for seed in (1, 2):
        ledger.record_fold(trial, fold=0, seed=seed, net_return=[0.1, -0.1], policy_hash="beef")
    with sqlite3.connect(tmp_path / "ledger.sqlite") as connection:
        rows = connection.execute("SELECT fold, seed, num_bars, total_return FROM fold").fetchall()
    assert rows == [(0, 1, 2, pytest.approx(-0.01)), (0, 2, 2, pytest.approx(-0.01))]


def test_many_writers_lose_no_trial(ledger):
    study = ledger.study("s")
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda seed: start(ledger, study, seed), range(80)))
    assert len(set(numbers)) == 80
    assert ledger.count(study).all == 80


def test_the_file_is_in_write_ahead_mode(ledger, tmp_path):
    with sqlite3.connect(tmp_path / "ledger.sqlite") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_a_file_that_is_no_ledger_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("not a database, but long enough to be taken for one" * 10)
    with pytest.raises(ValueError, match="is not a ledger"):
        Ledger(tmp_path / "notes.txt")


def test_a_holdout_is_opened_once_per_study(ledger, noise_world):
    holdout = SealedHoldout(panel=noise_world.panel, holdout_bars=300, gap_bars=10)
    study = ledger.study("s")
    fold = holdout.open(ledger, study, code_commit="c0", purpose="final verdict")
    assert (fold.train, fold.test) == (slice(0, 1690), slice(1700, 2000))
    with pytest.raises(HoldoutOpenedError, match="opened once only"):
        holdout.open(ledger, study, code_commit="c1", purpose="one more look")
    holdout.open(ledger, ledger.study("another"), code_commit="c1", purpose="its own")


def test_a_search_does_not_get_the_sealed_bars(noise_world):
    holdout = SealedHoldout(panel=noise_world.panel, holdout_bars=300, gap_bars=10)
    assert holdout.search_panel.num_bars == 1690
    assert holdout.search_panel.bar_utc[-1] < noise_world.panel.bar_utc[1700]
    assert not np.shares_memory(holdout.search_panel.close, noise_world.panel.close[1690:])


@pytest.mark.parametrize(("bars", "gap"), [(0, 0), (10, -1), (1990, 10)])
def test_a_holdout_that_leaves_nothing_or_seals_nothing_is_refused(noise_world, bars, gap):
    with pytest.raises(ValueError, match=r"seal (one|fewer)"):
        SealedHoldout(panel=noise_world.panel, holdout_bars=bars, gap_bars=gap)
