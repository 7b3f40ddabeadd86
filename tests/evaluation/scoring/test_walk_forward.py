"""Folds in any order, or alone, give the same numbers; what does not fit together is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scoring_settings import scoring_config

from evaluation.artefacts.summary import summarise
from evaluation.scoring.fold_scoring import in_sample_windows, score_fold
from evaluation.scoring.walk_forward import (
    WalkForwardResult,
    ordered_folds,
    refuse_overlap,
    window_return,
)
from evaluation.windows.splits import Fold, WalkForward

FOLDS = WalkForward(400, 300, horizon_bars=1, embargo_bars=9).folds(2000)
SCORING = scoring_config(momentum_bars=20, hold_bars=1, stress_cost_factor=2.0, in_sample=True)


class FollowSignal:
    """Reads the visible sign: column 1 of each asset (after one noise column)."""

    def initial_state(self, num_envs):
        return None

    def act(self, observation, state):
        return (np.sign(observation[:, [1, 3]]) + 1).astype(int), None


@pytest.fixture(scope="module")
def study(signal_world):
    return chained(signal_world, FOLDS)


def chained(world, folds):
    scored = [
        score_fold(
            fold,
            FollowSignal(),
            world.panel,
            world.market,
            world.config,
            SCORING,
            seed=7,
            oracle_direction=world.oracle_direction,
        )
        for fold in folds
    ]
    return WalkForwardResult(panel=world.panel, folds=tuple(scored))


def test_folds_in_reverse_order_give_the_same_numbers(study, signal_world):
    again = chained(signal_world, ordered_folds(FOLDS, fold_order=[f.index for f in reversed(FOLDS)]))
    np.testing.assert_array_equal(again.net_return, study.net_return)
    for name in study.baseline_names:
        np.testing.assert_array_equal(again.baseline_return(name), study.baseline_return(name))


def test_a_fold_alone_equals_the_fold_in_sequence(study, signal_world):
    alone = chained(signal_world, ordered_folds(FOLDS, only_fold=2))
    part = study.fold_index == 2
    np.testing.assert_array_equal(alone.net_return, study.net_return[part])
    np.testing.assert_array_equal(alone.baseline_return("random"), study.baseline_return("random")[part])


def test_the_policy_that_reads_the_planted_sign_earns_what_the_oracle_earns(study):
    assert summarise(study)["oracle_fraction"] == pytest.approx(1.0)
    assert study.net_return.sum() > 0.5 * 5e-4 * len(study.bar)


def test_the_test_windows_are_chained_in_time_order(study):
    assert study.bar.tolist() == [b for f in FOLDS for b in range(f.test.start, f.test.stop)]
    assert (np.diff(study.bar) > 0).all()


def test_costs_are_in_the_stressed_returns_twice(study):
    assert study.stressed_return().sum() < study.net_return.sum()


def test_in_sample_windows_stay_inside_the_training_window(signal_world):
    for fold in FOLDS:
        windows = in_sample_windows(fold, signal_world.market, signal_world.config)
        assert windows[-1].stop_bar == fold.train.stop
        assert all(fold.train.start <= w.start_bar and w.stop_bar <= fold.train.stop for w in windows)


def test_an_account_that_is_ruined_keeps_its_loss_and_earns_nothing_after(study):
    recording = study.folds[0].recording
    window = study.folds[0].fold.test
    short = replace(recording, bar=recording.bar[:5], net_return=np.array([0.0, 0.0, 0.0, 0.0, -0.9]))
    returns = window_return(short, window)
    assert len(returns) == 300
    assert returns[4] == -0.9
    assert (returns[5:] == 0).all()


def test_a_recording_of_other_bars_is_refused(study):
    recording = study.folds[0].recording
    with pytest.raises(ValueError, match="roll the policy out over exactly that window"):
        window_return(replace(recording, bar=recording.bar + 1), study.folds[0].fold.test)


def test_a_bar_may_be_scored_once_only(study):
    first = study.folds[0]
    shifted = Fold(
        index=9, train=first.fold.train, test=slice(first.fold.test.start + 1, first.fold.test.stop + 1)
    )
    with pytest.raises(ValueError, match="overlap"):
        WalkForwardResult(panel=study.panel, folds=(first, replace(first, fold=shifted)))


def test_orders_that_name_no_fold_or_one_twice_are_refused():
    with pytest.raises(ValueError, match="no fold 9"):
        ordered_folds(FOLDS, only_fold=9)
    with pytest.raises(ValueError, match="twice"):
        ordered_folds(FOLDS, fold_order=[0, 0])
    with pytest.raises(ValueError, match="leaves out fold 0 of"):
        ordered_folds(FOLDS, fold_order=[fold.index for fold in FOLDS[1:]])


def test_a_choice_of_folds_is_no_order():
    with pytest.raises(ValueError, match=r"leaves out fold 1 of"):
        ordered_folds(FOLDS, fold_order=[f.index for f in FOLDS if f.index != 1])
    assert len(ordered_folds(FOLDS, only_fold=1)) == 1


def test_test_windows_that_overlap_are_refused_before_anything_is_trained():
    folds = WalkForward(
        train_bars=100, test_bars=50, step_bars=10, horizon_bars=1, embargo_bars=0, anchored=False
    ).folds(400)
    with pytest.raises(ValueError, match="folds 0 and 1 overlap"):
        refuse_overlap(ordered_folds(folds))
    refuse_overlap(ordered_folds(folds, only_fold=3))
