"""The gate as it ships rejects noise and finds what is there, over hundreds of whole studies."""

from __future__ import annotations

from dataclasses import replace

import pytest
from gate_calibration import StudyLaw, calibrate, run_study

from evaluation.gate.verdict import Criterion
from rayjobs.config.compose import compose
from rayjobs.study.config import TRAIN_KEYS, build_train_config

SHIPPED = build_train_config({k: v for k, v in compose("train").items() if k in TRAIN_KEYS})
GATE = SHIPPED.gate
SCORING = replace(SHIPPED.scoring, supervised=(), in_sample=False)  # there are no features to fit models on
NOISE = StudyLaw(num_bars=2500, num_trials=20, annual_sharpe=0.0)
EDGE = StudyLaw(num_bars=2500, num_trials=20, annual_sharpe=2.0)
SINGLE_NOISE = StudyLaw(num_bars=2500, num_trials=1, annual_sharpe=0.0)
SINGLE_EDGE = StudyLaw(num_bars=2500, num_trials=1, annual_sharpe=2.0, least_faithful=1.0)
ABOUT_THE_RUN = ("unseen", "leak_check", "full_costs", "plausibility")
"""Criteria that no honest run fails, however good or bad it is."""


@pytest.fixture(scope="module")
def env(signal_world):
    """At 5 bps a side, the least of a market that never closes."""
    plain = signal_world.config
    return replace(plain, costs=replace(plain.costs, fee_bps=4.0))


def criteria(outcome) -> dict[str, Criterion]:
    return {criterion.name: criterion for criterion in outcome.verdict.criteria}


def test_a_study_gives_the_same_outcome_for_the_same_seed(env):
    short = StudyLaw(num_bars=300, num_trials=5, annual_sharpe=2.0)
    first, second = (run_study(short, 3, env, GATE, SCORING) for _ in range(2))
    assert first.best_sharpe == second.best_sharpe
    assert first.verdict == second.verdict or str(first.verdict) == str(second.verdict)


def test_a_study_of_one_trial_is_judged_against_its_placebos(env):
    law = StudyLaw(num_bars=300, num_trials=1, annual_sharpe=20.0, least_faithful=1.0)
    outcome = run_study(law, 3, env, GATE, SCORING)
    assert outcome.probability_of_loss == 0.0
    assert criteria(outcome)["overfitting"].passed


def test_every_criterion_that_ships_enforced_is_measured_and_the_market_is_taken_for_a_real_one(env):
    law = StudyLaw(num_bars=300, num_trials=5, annual_sharpe=2.0)
    found = criteria(run_study(law, 3, env, GATE, SCORING))
    assert all(found[name].passed is not None for name in GATE.enforced)
    assert "drawn from a law" not in found["plausibility"].reason
    assert "The cost charged is 5.00 bps of the notional traded; at least 5.00" in found["full_costs"].reason
    assert "5 looks at these bars (5 sweep trials" in found["deflated_sharpe"].reason


def test_a_study_that_is_charged_less_than_the_least_is_refused_for_it(signal_world):
    law = StudyLaw(num_bars=300, num_trials=1, annual_sharpe=2.0)
    found = criteria(run_study(law, 3, signal_world.config, GATE, SCORING))  # at 2 bps a side
    assert found["full_costs"].passed is False


@pytest.mark.slow
def test_of_200_noise_studies_at_most_one_per_cent_pass_the_gate(env):
    rates = calibrate(NOISE, range(200), env, GATE, SCORING)
    assert rates.gate_rate <= 0.01
    assert rates.naive_rate > 0.5  # the naive rule lets most of them through
    assert rates.mean_overfitting == pytest.approx(0.5, abs=0.06)
    assert all(rates.criteria_rates[name] > 0.99 for name in ABOUT_THE_RUN)


@pytest.mark.slow
def test_of_200_studies_with_a_planted_edge_at_least_80_per_cent_pass_the_gate(env):
    rates = calibrate(EDGE, range(200), env, GATE, SCORING)
    assert rates.gate_rate >= 0.80
    # PBO as published cannot tell these from noise; the probability of loss can.
    assert rates.mean_overfitting > 0.3
    assert rates.mean_probability_of_loss < 0.02
    assert all(rates.criteria_rates[name] > 0.99 for name in ABOUT_THE_RUN)


@pytest.mark.slow
@pytest.mark.parametrize(("law", "least", "most"), [(SINGLE_NOISE, 0.0, 0.01), (SINGLE_EDGE, 0.80, 1.0)])
def test_studies_of_a_single_trial_pass_the_gate_with_an_edge_and_not_without(env, law, least, most):
    rates = calibrate(law, range(200), env, GATE, SCORING)
    assert least <= rates.gate_rate <= most
    assert all(rates.criteria_rates[name] > 0.99 for name in ABOUT_THE_RUN)
