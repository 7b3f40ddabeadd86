"""What was charged: costs per unit of turnover, symbol by symbol, and the stress that multiplies the least."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from good_evidence import CONFIG, good_evidence
from scoring_settings import scoring_config

from envs.instruments import CATALOGUE, CRYPTO_SPOT, MINIMUM_COST_BPS, instrument_columns
from envs.market import Market
from evaluation.gate.verdict import judge
from evaluation.scoring.charged_costs import ChargedCost, charged_costs, dearer, in_total
from evaluation.scoring.fold_scoring import score_fold
from evaluation.scoring.rollout import evaluation_config
from evaluation.windows.splits import Fold
from policies.baselines import SCRIPTED, Schedule

FOLD = Fold(index=0, train=slice(0, 1000), test=slice(1100, 1400))
SCORING = scoring_config(momentum_bars=20, hold_bars=1, stress_cost_factor=2.0, in_sample=False)
ONE_BP = {"SYN0": 1.0, "SYN1": 1.0}
POINT = {"SYN0": 1.0, "SYN1": 1.0}


def scored(world, policy=None, *, least=None, market=None, **costs):
    config = replace(world.config, costs=replace(world.config.costs, **costs))
    policy = policy or SCRIPTED["momentum_sign"](world.panel)
    return score_fold(
        FOLD, policy, world.panel, market or world.market, config, SCORING, seed=0, least_cost_bps=least
    )


def criterion(charged, **config):
    verdict = judge(replace(CONFIG, **config), replace(good_evidence(), charged=tuple(charged)))
    return next(c for c in verdict.criteria if c.name == "full_costs")


def one(symbol: str, notional: float, cost: float, minimum: float) -> ChargedCost:
    return ChargedCost(symbol=symbol, notional=notional, cost=cost, minimum_bps=minimum)


def test_flat_costs_of_two_basis_points_are_charged_as_two_basis_points(noise_world):
    charged = charged_costs([scored(noise_world).recording], ("SYN0", "SYN1"), POINT, ONE_BP)
    for symbol in charged:
        assert symbol.notional > 0.0
        assert symbol.bps == pytest.approx(2.0, rel=1e-12)


def test_turnover_counts_the_contract_multiplier(noise_world):
    # 50 a point: a contract at 100 is 5,000 of notional; 1 bp of it and 0.5 a contract are 1 + 1 bps.
    future = replace(
        CATALOGUE["ES"], commission_per_unit=0.5, half_spread_ticks=0.0, half_spread_bps=1.0, lot_step=0.0
    )
    market = replace(noise_world.market, instrument=_matrix(noise_world, future))
    recording = scored(noise_world, market=market, half_spread_bps=None, fee_bps=None).recording
    charged = charged_costs([recording], ("SYN0", "SYN1"), {"SYN0": 50.0, "SYN1": 50.0}, ONE_BP)
    fills, mark = recording.fills, recording.fills.price
    expected = 1.0 + 1e4 * 0.5 * np.abs(fills.units).sum() / (np.abs(fills.units) * mark * 50.0).sum()
    assert in_total(charged).bps == pytest.approx(expected, rel=1e-12)


def _matrix(world, *instruments):
    given = instruments * 2 if len(instruments) == 1 else instruments
    return instrument_columns(dict(zip(world.panel.symbols, given)), world.panel.symbols)


def test_financing_is_no_trading_cost():
    # Six parts in COST_NAMES order; commission to impact are 1 + 2 + 3 + 4, funding and borrow 1,000 each.
    class Fills:
        asset, units, price = np.array([0]), np.array([-2.0]), np.array([50.0])
        costs = np.array([[1.0, 2.0, 3.0, 4.0, 1000.0, 1000.0]])

    recording = type("R", (), {"symbols": np.array([0]), "fills": Fills})
    (charged,) = charged_costs([recording], ("X",), {"X": 10.0}, {"X": 1.0})
    assert (charged.notional, charged.cost) == (1000.0, 10.0)
    assert charged.bps == pytest.approx(100.0)


def test_zero_costs_are_refused():
    found = criterion([one("A", 1e6, 0.0, 1.0)])
    assert found.passed is False
    assert found.value == 0.0
    assert "is 0.00 bps of the notional traded; at least 1.00 bps is required" in found.reason


def test_one_free_symbol_that_carries_the_turnover_is_refused_by_name():
    # B pays 100 bps on a tenth of the turnover: 9.1 bps over all, and nothing on A.
    found = criterion([one("A", 1e6, 0.0, 1.0), one("B", 1e5, 1e3, 1.0)])
    assert found.passed is False
    assert "charged on A is 0.00 bps" in found.reason
    assert "(9.09 bps over all symbols, where 1.00 is)" in found.reason


def test_the_minimum_of_a_mixed_portfolio_is_weighted_by_what_was_traded():
    total = in_total([one("BTC", 3e6, 1500.0, 5.0), one("SPY", 1e6, 100.0, 1.0)])
    assert total.minimum_bps == pytest.approx(4.0)
    assert total.bps == pytest.approx(4.0)
    assert criterion([one("BTC", 3e6, 1500.0, 5.0), one("SPY", 1e6, 100.0, 1.0)]).passed


def test_a_fee_at_the_minimum_itself_is_enough_in_whatever_last_bit():
    assert criterion([one("A", 3.0, 3.0 * 5e-4 * (1 - 1e-14), 5.0)]).passed


def test_a_rebate_of_makers_lowers_what_was_charged():
    assert criterion([one("A", 1e6, -50.0, 5.0)]).value == pytest.approx(-0.1)


def test_a_policy_that_never_trades_owes_nothing_and_crashes_nothing(noise_world):
    nothing = Schedule(target_TA=np.zeros((2000, 2)))
    result = scored(noise_world, nothing, least=ONE_BP, fee_bps=0.0, half_spread_bps=0.0)
    charged = charged_costs([result.recording], ("SYN0", "SYN1"), POINT, ONE_BP)
    found = criterion(charged)
    assert found.passed
    assert "Nothing was traded" in found.reason


def test_a_minimum_of_the_users_own_is_said_to_be_one():
    assert "by gate.min_cost_bps" in criterion([one("A", 1e6, 10.0, 0.05)], min_cost_bps=0.05).reason


def test_every_kind_of_the_catalogue_has_a_minimum():
    assert MINIMUM_COST_BPS.keys() == CATALOGUE.keys()


def test_free_trading_is_stressed_at_the_minimum_for_policy_and_baselines(noise_world):
    free = scored(noise_world, least=ONE_BP, fee_bps=0.0, half_spread_bps=0.0)
    honest = scored(noise_world, fee_bps=1.0, half_spread_bps=0.0)  # 1 bp x 2
    np.testing.assert_allclose(free.stressed.net_return, honest.stressed.net_return, atol=1e-15)
    for name in ("momentum", "buy_and_hold", "equal_weight"):
        np.testing.assert_allclose(
            free.stressed_baselines[name].net_return, honest.stressed_baselines[name].net_return, atol=1e-15
        )
    # What is shown as "costs x2" is the configured costs, twice nothing.
    np.testing.assert_array_equal(free.stress["costs x2"].net_return, free.recording.net_return)


def test_costs_above_the_minimum_are_stressed_as_they_are_to_the_bit(noise_world):
    plain, told = scored(noise_world), scored(noise_world, least=ONE_BP)
    np.testing.assert_array_equal(plain.stressed.net_return, told.stressed.net_return)
    for name, track in plain.stressed_baselines.items():
        np.testing.assert_array_equal(track.net_return, told.stressed_baselines[name].net_return)


def test_only_the_free_symbol_is_raised(noise_world):
    free = replace(CRYPTO_SPOT, taker_fee_bps=0.0, maker_fee_bps=0.0, half_spread_bps=0.0)
    market = replace(noise_world.market, instrument=_matrix(noise_world, free, CRYPTO_SPOT))
    assert isinstance(market, Market)
    config = replace(
        noise_world.config, costs=replace(noise_world.config.costs, half_spread_bps=None, fee_bps=None)
    )
    recording = scored(noise_world, market=market, half_spread_bps=None, fee_bps=None).recording
    raised, _ = dearer(
        market, evaluation_config(config), recording, {"SYN0": 5.0, "SYN1": 5.0}, cost_factor=1.0
    )
    np.testing.assert_allclose(
        raised.instrument[:, 4], [5.0, 5.0]
    )  # taker fee: raised by 5; 5 + 1 spread is enough
    np.testing.assert_array_equal(raised.instrument[1], market.instrument[1])
