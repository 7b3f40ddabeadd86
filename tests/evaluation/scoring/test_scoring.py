"""Scoring a fold: scripted policies, costs multiplied as a whole, placebo strategies and fitted baselines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hand_account import empty_features
from scoring_settings import FIT, scoring_config

from envs.instruments import CRYPTO_SPOT
from envs.market import Market
from evaluation.gate.evidence import GateEvidence, SupportingEvidence
from evaluation.gate.search_evidence import padded_overfitting
from evaluation.scoring.fold_scoring import score_fold
from evaluation.scoring.walk_forward import WalkForwardResult
from evaluation.windows.splits import Fold
from policies.baselines import SCRIPTED, Schedule

FOLD = Fold(index=0, train=slice(0, 1000), test=slice(1100, 1900))
PLAIN = {"momentum_bars": 20, "hold_bars": 1, "stress_cost_factor": 2.0, "in_sample": False}


def scored(world, policy, **asked):
    scoring = scoring_config(**PLAIN | asked)
    return score_fold(FOLD, policy, world.panel, world.market, world.config, scoring, seed=3)


def script(world, name):
    return SCRIPTED[name](world.panel)


@pytest.mark.parametrize("name", ["flat", "buy_and_hold", "equal_weight"])
def test_a_scripted_policy_earns_to_the_bit_what_the_baseline_of_its_name_earns(noise_world, name):
    result = scored(noise_world, script(noise_world, name), in_sample=True)
    np.testing.assert_array_equal(result.recording.net_return, result.baselines[name].net_return)


def test_momentum_sign_holds_the_side_of_the_last_return(noise_world):
    result = scored(noise_world, script(noise_world, "momentum_sign"))
    close = noise_world.panel.close
    bars = np.asarray(result.recording.bar)[:-1]  # the last bar closes everything
    # Held after bar t: decided at the close of t - 1, by the sign of its return.
    expected = np.sign(close[bars - 1] - close[bars - 2])
    np.testing.assert_array_equal(np.sign(result.recording.units[:-1]), expected)


def test_flip_turns_every_bar_and_pays_for_it(noise_world):
    result = scored(noise_world, script(noise_world, "flip"))
    sides = np.sign(result.recording.units[:-1, 0])
    assert (sides[1:] == -sides[:-1]).all()
    # Two assets at half of equity each turn over: 2 x 2 x 0.5 = 2 times equity a bar, at 2 bps: 4 bps a bar.
    assert np.asarray(result.recording.costs).sum() / 100_000 > 0.1


def test_costs_are_multiplied_for_policy_and_baselines_alike(noise_world):
    flip = script(noise_world, "flip")
    once, twice = scored(noise_world, flip), scored(noise_world, flip, cost_factor=2.0)
    np.testing.assert_array_equal(twice.recording.net_return, once.stressed.net_return)
    for name in ("momentum", "buy_and_hold"):
        np.testing.assert_array_equal(
            twice.baselines[name].net_return, once.stressed_baselines[name].net_return
        )
    assert twice.cost_factor == 2.0


def test_without_costs_the_record_says_so_to_the_gate(noise_world):
    free = scored(noise_world, script(noise_world, "flip"), cost_factor=0.0)
    assert np.asarray(free.recording.costs).sum() == 0.0
    evidence = GateEvidence.of(
        WalkForwardResult(panel=noise_world.panel, folds=(free,)), SupportingEvidence()
    )
    assert evidence.cost_factor == 0.0


def test_placebos_trade_as_much_as_the_policy_and_differ_from_one_another(noise_world):
    oracle_like = Schedule(
        target_TA=noise_world.oracle_direction * 0 + np.sign(np.sin(np.arange(2000) / 7))[:, None]
    )
    result = scored(noise_world, oracle_like, placebo_strategies=8)
    assert result.placebo_return.shape == (800, 8)
    assert len({column.tobytes() for column in result.placebo_return.T}) == 8
    again = scored(noise_world, oracle_like, placebo_strategies=8)
    np.testing.assert_array_equal(result.placebo_return, again.placebo_return)


@pytest.mark.slow
def test_among_placebos_skill_never_loses_after_selection_and_luck_often_does(signal_world, noise_world):
    skilled = scored(
        signal_world, Schedule(target_TA=signal_world.oracle_direction.astype(float)), placebo_strategies=19
    )
    found = padded_overfitting(np.asarray(skilled.recording.net_return)[:, None], skilled.placebo_return)
    assert found.probability_of_loss <= 0.01
    assert found.probability_of_overfitting <= 0.01
    # One noise matrix says little (its spread is near 0.2): the mean over several lies near a half.
    chances = []
    for seed in range(12):
        sides = np.random.default_rng(seed).choice([-1.0, 1.0], size=(2000, 1)).repeat(10, axis=0)[:2000]
        lucky = scored(noise_world, Schedule(target_TA=sides.repeat(2, axis=1)), placebo_strategies=19)
        chances.append(
            padded_overfitting(
                np.asarray(lucky.recording.net_return)[:, None], lucky.placebo_return
            ).probability_of_loss
        )
    assert np.mean(chances) > 0.4


def test_overfitting_is_not_defined_without_a_second_column():
    assert padded_overfitting(np.ones((100, 1)), np.zeros((100, 0))) is None


def test_fitted_baselines_run_beside_the_rules(signal_world):
    always = replace(FIT, trade_share=1.0)
    result = scored(
        signal_world, script(signal_world, "flat"), supervised=("ridge", "logistic"), supervised_fit=always
    )
    assert {"ridge", "logistic"} <= set(result.baselines)
    # The sign is a feature: a fitted model finds it at once, the rules with a delay.
    assert result.baselines["logistic"].net_return.sum() > result.baselines["momentum"].net_return.sum()
    assert {"ridge", "logistic"} <= set(result.stressed_baselines)


@pytest.mark.parametrize("name", ["buy_and_hold", "equal_weight"])
@pytest.mark.parametrize("scheme", ["orders", "direction_size", "weights"])
def test_a_scripted_allocation_is_its_baseline_under_every_scheme_and_stress(noise_world, name, scheme):
    config = replace(noise_world.config, action=replace(noise_world.config.action, scheme=scheme))
    world = replace(noise_world, config=config)
    result = scored(world, script(world, name), in_sample=True, placebo_strategies=2)
    np.testing.assert_array_equal(result.recording.net_return, result.baselines[name].net_return)
    np.testing.assert_allclose(result.recording.turnover, result.baselines[name].turnover, rtol=1e-12)
    np.testing.assert_array_equal(result.stressed.net_return, result.stressed_baselines[name].net_return)
    assert np.isfinite(result.in_sample_return).all()
    assert result.placebo_return.shape == (800, 2)


def test_a_script_that_cannot_buy_one_lot_is_refused_with_the_account_that_could(noise_world):
    lots = replace(CRYPTO_SPOT, lot_step=1.0, multiplier=10_000.0)
    panel = noise_world.panel
    market = Market.build(panel, empty_features(panel), dict.fromkeys(panel.symbols, lots))
    world = replace(noise_world, market=market)
    with pytest.raises(ValueError, match="does not pay for one lot of every asset"):
        scored(world, script(world, "buy_and_hold"))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"rebalance_sessions": 0}, "must be 1 session or more"),
        ({"target_volatility": 0.0}, "must be above 0"),
        ({"supervised": ("rigde",)}, "names 'rigde'"),
        ({"cost_factor": -1.0}, "must be 0 or more"),
        ({"placebo_strategies": -1}, "must be 0 or more"),
    ],
)
def test_settings_that_mean_nothing_are_refused(asked, message):
    with pytest.raises(ValueError, match=message):
        scoring_config(**PLAIN | asked)
