"""The gate rejects noise and finds what is there, over hundreds of whole studies."""

from __future__ import annotations

import pytest

from evaluation.calibration import StudyLaw, calibrate, run_study
from evaluation.gate import GateConfig

GATE = GateConfig(
    enforced=(
        "sharpe", "max_drawdown", "deflated_sharpe", "beats_baselines", "beats_baselines_stressed", "num_trades",
        "track_record", "overfitting",
    ),
    min_sharpe=1.0, max_drawdown=-0.2, min_deflated_sharpe=0.95, min_trades=30, track_record_confidence=0.95,
    stress_cost_factor=2.0, max_overfitting=0.05, max_placebo_rate=0.05,
    min_cost_bps=None, max_plausible_sharpe=6.0,
)  # fmt: skip
NOISE = StudyLaw(num_bars=2500, num_trials=20, annual_sharpe=0.0)
EDGE = StudyLaw(num_bars=2500, num_trials=20, annual_sharpe=2.0)
SINGLE_NOISE = StudyLaw(num_bars=2500, num_trials=1, annual_sharpe=0.0, num_placebos=4)
SINGLE_EDGE = StudyLaw(num_bars=2500, num_trials=1, annual_sharpe=2.0, least_faithful=1.0, num_placebos=4)


@pytest.fixture(scope="module")
def env(signal_world):
    return signal_world.config


def test_a_study_gives_the_same_outcome_for_the_same_seed(env):
    short = StudyLaw(num_bars=300, num_trials=5, annual_sharpe=2.0, num_blocks=4)
    first, second = (run_study(short, 3, env, GATE) for _ in range(2))
    assert first.best_sharpe == second.best_sharpe
    assert first.verdict == second.verdict or str(first.verdict) == str(second.verdict)


def test_a_study_of_one_trial_is_judged_against_its_placebos(env):
    law = StudyLaw(
        num_bars=300, num_trials=1, annual_sharpe=20.0, num_blocks=4, num_placebos=4, least_faithful=1.0
    )
    outcome = run_study(law, 3, env, GATE)
    assert outcome.probability_of_loss == 0.0
    assert next(c for c in outcome.verdict.criteria if c.name == "overfitting").passed


@pytest.mark.slow
def test_of_200_noise_studies_at_most_one_per_cent_pass_the_gate(env):
    rates = calibrate(NOISE, range(200), env, GATE)
    assert rates.gate_rate <= 0.01
    assert rates.naive_rate > 0.5  # the naive rule lets most of them through
    assert rates.mean_overfitting == pytest.approx(0.5, abs=0.06)


@pytest.mark.slow
def test_of_200_studies_with_a_planted_edge_at_least_80_per_cent_pass_the_gate(env):
    rates = calibrate(EDGE, range(200), env, GATE)
    assert rates.gate_rate >= 0.80
    # PBO as published cannot tell these from noise; the probability of loss can.
    assert rates.mean_overfitting > 0.3
    assert rates.mean_probability_of_loss < 0.02


@pytest.mark.slow
def test_studies_of_a_single_trial_pass_the_gate_with_an_edge_and_not_without(env):
    assert calibrate(SINGLE_NOISE, range(200), env, GATE).gate_rate <= 0.01
    assert calibrate(SINGLE_EDGE, range(200), env, GATE).gate_rate >= 0.80
