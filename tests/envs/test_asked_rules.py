"""Rules that are off until asked for: limits in units and money, sizes by budget, borrow, sectors, portfolio risk."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_markets import (
    BARRIERS,
    CONTEXT,
    PLAIN,
    free_instruments,
    random_features,
    random_panel,
    with_parts,
)
from test_by_hand import FLAT_BAR, FULL_SIZE, LONG, SHORT, hand_panel, play

from envs.context import tail_loss
from envs.episodes import Window
from envs.market import Market
from envs.observations import CAPITAL_NAMES
from envs.portfolio import PortfolioVectorEnv
from envs.risk import by_symbol

FLAT = 1
WEIGHTS = with_parts(PLAIN, action={"scheme": "weights"}, risk={"max_gross_exposure": 4.0})


def flat_panel(num_assets, num_bars=8, price=100.0):
    """Assets that all stay at one price."""
    one = hand_panel([FLAT_BAR] * num_bars)
    same = {
        name: np.full((num_bars, num_assets), price, dtype=np.float64)
        for name in ("open", "high", "low", "close")
    }
    return replace(
        one,
        symbols=tuple(f"S{a}" for a in range(num_assets)),
        volume=np.full((num_bars, num_assets), 1e6),
        tradable=np.ones((num_bars, num_assets), bool),
        **same,
    )


def first_units(panel, action, config, instruments=None, context=None, start=3):
    """Units held after one decision at the close of the bar before `start`, from 10,000."""
    market = Market.build(panel, random_features(panel), instruments or free_instruments(panel), context)
    windows = [Window(start_bar=start, stop_bar=panel.num_bars)]
    env = PortfolioVectorEnv(market, config, num_envs=1, windows=windows, seed=0)
    env.reset()
    env.step(np.asarray(action, dtype=np.float32)[None])
    return env.rows.position[0, :, 0]


@pytest.mark.parametrize(
    ("limits", "units"),
    [
        ({"max_position_units": 7.5}, 7.5),  # of 100 that 10,000 buys at 100
        ({"max_position_units": {"X": 7.5}}, 7.5),
        ({"max_position_notional": 1_200.0}, 12.0),
        ({"max_gross_notional": 3_000.0}, 30.0),
        ({"max_position_units": 40.0, "max_position_notional": 900.0}, 9.0),
    ],
)
def test_limits_in_units_and_money_hold_whatever_the_equity(limits, units):
    recording = play(hand_panel([FLAT_BAR] * 5), [LONG] * 2, with_parts(FULL_SIZE, risk=limits))
    np.testing.assert_allclose(recording.units[0], [units])


def test_a_limit_by_symbol_binds_that_symbol_alone():
    config = with_parts(WEIGHTS, risk={"max_position_notional": {"S1": 500.0}})
    np.testing.assert_allclose(first_units(flat_panel(2), [0.4, -0.4], config), [40.0, -5.0])
    assert by_symbol({"B": 2.0}, ("A", "B")).tolist() == [np.inf, 2.0]
    assert by_symbol(None, ("A",)).tolist() == [np.inf]


def test_a_limit_of_a_symbol_that_is_not_traded_is_refused_and_the_nearest_is_named():
    config = with_parts(PLAIN, risk={"max_position_units": {"S11": 2.0}})
    with pytest.raises(ValueError, match=r"risk\.max_position_units names S11.*S1"):
        first_units(flat_panel(2), [FLAT, FLAT], config)


def test_losses_in_money_flatten_for_the_session_and_for_the_episode():
    # 100 units bought at 100; at the close of 97 the session has lost 300 and the limit is 250.
    falling = [FLAT_BAR] * 3 + [(100, 100, 97, 97), (97, 97, 97, 97), (97, 97, 97, 97)]
    for name in ("max_daily_loss_amount", "max_drawdown_amount"):
        config = with_parts(FULL_SIZE, risk={name: 250.0})
        recording = play(hand_panel(falling), [LONG] * 3, config)
        np.testing.assert_allclose(recording.units[:, 0], [100, 0, 0])
        assert recording.fills.reason[1] == ("daily_loss" if "daily" in name else "drawdown")
        spared = play(hand_panel(falling), [LONG] * 3, with_parts(FULL_SIZE, risk={name: 301.0}))
        np.testing.assert_allclose(spared.units[:, 0], [100, 100, 0])


def test_entries_are_counted_by_symbol_and_anew_in_each_session():
    # Two flips a session each; S0 may enter once, S1 as often as it wants.
    panel = replace(flat_panel(2, num_bars=12), session=np.repeat([0, 1], 6).astype(np.int32))
    config = with_parts(PLAIN, risk={"max_entries_per_symbol": {"S0": 1}})
    market = Market.build(panel, random_features(panel), free_instruments(panel))
    windows = [Window(start_bar=3, stop_bar=12)]
    env = PortfolioVectorEnv(market, config, num_envs=1, windows=windows, seed=0)
    env.reset()
    sides = []
    for action in (LONG, SHORT, LONG, LONG, SHORT):
        env.step(np.array([[action, action]]))
        sides.append(np.sign(env.rows.position[0, :, 0]).tolist())
    # The third decision fills in bar 5, the last of session 0; the fourth is the first of session 1.
    assert sides == [[1, 1], [0, -1], [0, 1], [1, 1], [0, -1]]


def test_a_symbol_whose_entries_are_spent_is_masked_and_one_that_cannot_be_borrowed_too():
    panel = flat_panel(2)
    instruments = free_instruments(panel)
    instruments["S1"] = replace(instruments["S1"], hard_to_borrow=True)
    market = Market.build(panel, random_features(panel), instruments)
    config = with_parts(PLAIN, risk={"max_entries_per_symbol": 1})
    env = PortfolioVectorEnv(market, config, num_envs=1, windows=[Window(start_bar=3, stop_bar=8)], seed=0)
    env.reset()
    assert env.action_masks()[0].tolist() == [[True, True, True], [False, True, True]]
    env.step(np.array([[LONG, LONG]]))
    assert env.action_masks()[0].tolist() == [[False, True, True], [False, True, True]]


@pytest.mark.parametrize(("hard", "units"), [(False, -40.0), (None, -30.0), (True, 0.0)])
def test_a_short_of_unknown_borrow_is_cut_and_one_that_is_hard_to_borrow_is_not_opened(hard, units):
    panel = flat_panel(1)
    borrowed = {"S0": replace(free_instruments(panel)["S0"], hard_to_borrow=hard)}
    limits = {"unknown_borrow_haircut": 0.25}
    weights = with_parts(WEIGHTS, risk=limits)
    np.testing.assert_allclose(first_units(panel, [-0.4], weights, borrowed), [units])
    np.testing.assert_allclose(first_units(panel, [0.4], weights, borrowed), [40.0])
    sized = with_parts(PLAIN, sizing={"fraction": 0.4}, risk=limits)
    np.testing.assert_allclose(first_units(panel, [SHORT], sized, borrowed), [units])


@pytest.mark.parametrize("facts", [{"hard_to_borrow": True}, {"hard_to_borrow": None}])
@pytest.mark.parametrize("action", [FLAT, SHORT])
def test_a_short_that_cannot_be_borrowed_is_flat_and_no_new_order_where_flat_is_decided(facts, action):
    # One bar of latency, 10 % of the volume, remainders dropped: of 100 units 30 are bought in bar 4, and of the close
    # decided at close 4 bar 6 lets 10 through. At close 5 flat is decided already, so that bar 7 leaves the other 20;
    # at close 6 it is not, and bar 8 closes them.
    panel = hand_panel([FLAT_BAR] * 9, volume=[300.0] * 6 + [100.0] + [300.0] * 2)
    costs = {"latency_bars": 1, "max_participation": 0.1, "remainder": "drop"}
    config = with_parts(
        FULL_SIZE,
        costs=costs,
        risk={"unknown_borrow_haircut": 1.0},
        episode={"liquidate_at_end": False},
    )
    instruments = {"X": replace(free_instruments(panel)["X"], **facts)}
    recording = play(panel, [LONG, LONG, FLAT, action, action, action], config, instruments=instruments)
    np.testing.assert_allclose(recording.units[:, 0], [0, 30, 30, 20, 20, 0])


def test_linear_impact_grows_with_the_square_of_the_notional():
    # 10,000 of notional at 0.5 bps for each 1,000: 5 bps = 5.00 on each side.
    config = with_parts(FULL_SIZE, costs={"linear_impact_bps": 0.5})
    recording = play(hand_panel([FLAT_BAR] * 5), [LONG, LONG], config)
    np.testing.assert_allclose(recording.costs.sum(axis=0), [0, 0, 0, 10.0, 0, 0, 0])


@pytest.mark.parametrize(
    ("levels", "sizing", "units"),
    [
        # 1 % of 10,000 = 100 to be lost at a stop 2 % of 100 = 2 away.
        ({"stop_loss": 2.0}, {"risk_fraction": 0.01}, 50.0),
        ({"stop_loss": 2.0}, {"risk_budget": 30.0}, 15.0),
        ({"stop_loss": 2.0, "trailing_stop": 0.5}, {"risk_budget": 30.0}, 60.0),  # the nearer one binds
        ({"stop_loss": None, "trailing_stop": 4.0}, {"risk_budget": 30.0}, 7.5),
        ({"stop_loss": 2.0}, {"risk_budget": 30.0, "max_units": 6.0}, 6.0),
        ({"stop_loss": 200.0, "unit": "ticks"}, {"risk_budget": 0.01}, 0.5),  # ticks of 0.0001
        ({"stop_loss": 2.0}, {"risk_fraction": 0.05, "max_fraction": 0.8}, 80.0),
    ],
)
def test_a_position_is_sized_so_that_its_stop_loses_the_budget(levels, sizing, units):
    config = with_parts(
        PLAIN,
        sizing={"rule": "stop_distance", "max_fraction": 5.0, **sizing},
        barriers=replace(BARRIERS, profit_target=None, **levels),
        risk={"max_gross_exposure": 4.0},
    )
    np.testing.assert_allclose(first_units(flat_panel(1), [LONG], config), [units])


def test_a_money_budget_buys_so_much_notional_up_to_its_cap_in_units():
    config = with_parts(PLAIN, sizing={"rule": "money_budget", "money_budget": 2_500.0})
    np.testing.assert_allclose(first_units(flat_panel(1), [LONG], config), [25.0])
    capped = with_parts(config, sizing={"max_units": 20.0})
    np.testing.assert_allclose(first_units(flat_panel(1), [LONG], capped), [20.0])


def test_a_size_without_its_number_or_its_stop_is_refused():
    with pytest.raises(ValueError, match=r"sizing\.money_budget is null"):
        with_parts(PLAIN, sizing={"rule": "money_budget", "money_budget": None})
    with pytest.raises(ValueError, match=r"sizing\.target_loss is null"):
        with_parts(PLAIN, sizing={"rule": "var_target", "target_loss": None})
    with pytest.raises(ValueError, match="there is no stop"):
        with_parts(PLAIN, sizing={"rule": "stop_distance"})
    with pytest.raises(ValueError, match=r"risk\.volatility_bars is null"):
        with_parts(PLAIN, risk={"target_volatility": 0.1})


def sectors_of(panel, names):
    return {
        symbol: replace(one, sector=name)
        for (symbol, one), name in zip(free_instruments(panel).items(), names, strict=True)
    }


def test_a_sector_is_scaled_under_its_caps_and_the_others_are_left_alone():
    panel = flat_panel(3)
    instruments = sectors_of(panel, ["tech", "tech", "oil"])
    # Tech asks for 0.6 + 0.2 gross and 0.4 net of 10,000; at 100 a unit is 1 % of it.
    gross = with_parts(WEIGHTS, risk={"max_sector_exposure": 0.4})
    np.testing.assert_allclose(first_units(panel, [0.6, -0.2, 0.4], gross, instruments), [30, -10, 40])
    net = with_parts(WEIGHTS, risk={"max_sector_net_exposure": 0.1})
    np.testing.assert_allclose(first_units(panel, [0.6, -0.2, 0.1], net, instruments), [15, -5, 10])


def test_a_sector_cap_without_sectors_is_refused():
    config = with_parts(WEIGHTS, risk={"max_sector_exposure": 0.4})
    panel = flat_panel(2)
    with pytest.raises(ValueError, match=r"no sector is given for S1; set instruments\.symbols\.S1\.sector"):
        first_units(panel, [0.1, 0.1], config, sectors_of(panel, ["tech", None]))


def test_concentration_is_the_sum_of_squared_weights():
    # 0.6^2 + 0.8^2 = 1 is to be 0.25: both are halved.
    config = with_parts(WEIGHTS, risk={"max_concentration": 0.25})
    np.testing.assert_allclose(first_units(flat_panel(2), [0.6, -0.8], config), [30, -40])


def test_where_kept_positions_fill_the_concentration_rounding_leaves_no_room_for_another():
    # 0.3 of equity is cut to the root of 0.02; of what rounding leaves of that the root is some 1e-8.
    config = with_parts(PLAIN, risk={"max_concentration": 0.02})
    for price in np.linspace(0.37, 91.0, 40):
        recording = play(flat_panel(2, 7, price), [[LONG, FLAT], [LONG, LONG], [LONG, LONG]], config)
        np.testing.assert_allclose(recording.units[-1], [np.sqrt(0.02) * 10_000 / price, 0.0], rtol=1e-12)
        assert len(recording.fills.units) == 1


def twins(num_bars=40, opposite=False):
    """Two assets of which the second moves by the same returns as the first, or by their opposite."""
    panel = random_panel(3, num_bars=num_bars, num_assets=1, holes=0.0, exogenous=False)
    change = np.diff(np.log(panel.close[:, 0]), prepend=np.log(100.0))
    simple = np.expm1(change) * (-1.0 if opposite else 1.0)
    second = 100.0 * np.cumprod(1.0 + simple)
    close = np.column_stack([100.0 * np.exp(np.cumsum(change)), second])
    flat = {name: close.copy() for name in ("open", "high", "low", "close")}
    pair = {"volume": np.full_like(close, 1e6), "tradable": np.ones(close.shape, bool)}
    return replace(panel, symbols=("S0", "S1"), **flat, **pair)


def test_the_volatility_target_knows_correlations():
    # Of two that move as one, equal weights have the volatility of their sum; of two opposites none at all.
    wanted = with_parts(WEIGHTS, risk={"target_volatility": 0.05, "volatility_bars": 20})
    panel = twins()
    units = first_units(panel, [0.5, 0.5], wanted, start=30)
    returns = panel.close[10:30, 0] / panel.close[9:29, 0] - 1.0  # the 20 returns up to the close of bar 29
    annual = returns.std() * np.sqrt(panel.periods_per_year)
    np.testing.assert_allclose(units * panel.close[29] / 10_000, [0.025 / annual] * 2, rtol=1e-9)
    free = first_units(twins(opposite=True), [0.5, 0.5], wanted, start=30)
    np.testing.assert_allclose(free, 5_000 / twins(opposite=True).close[29], rtol=1e-6)


def test_a_symbol_without_the_whole_window_is_not_entered_under_a_volatility_target():
    wanted = with_parts(WEIGHTS, risk={"target_volatility": 9.0, "volatility_bars": 20})
    assert (first_units(twins(), [0.5, 0.5], wanted, start=20) == 0.0).all()  # 19 returns are known
    assert (first_units(twins(), [0.5, 0.5], wanted, start=21) > 0.0).all()


def test_nothing_after_the_decision_moves_the_volatility_target():
    wanted = with_parts(WEIGHTS, risk={"target_volatility": 0.05, "volatility_bars": 20})
    panel = twins()
    changed = {name: getattr(panel, name).copy() for name in ("open", "high", "low", "close")}
    for values in changed.values():
        values[31:] *= 3.0
    later = replace(panel, **changed)
    one, two = (first_units(p, [0.5, -0.2], wanted, start=30) for p in (panel, later))
    np.testing.assert_array_equal(one, two)


def test_the_tail_of_ten_returns_is_counted_by_hand():
    changes = np.array([0.01, -0.05, 0.02, -0.03, 0.04, -0.01, 0.0, 0.03, -0.02, 0.06])
    close = 100.0 * np.cumprod(np.append(1.0, 1.0 + changes))[:, None]
    # Of 10 at 80 % the 3 worst: a long loses 5, 3, 2 %, a short 6, 4, 3 %; the larger side counts.
    var = tail_loss(close, bars=10, level=0.8, kind="var", whole=True)
    cvar = tail_loss(close, bars=10, level=0.8, kind="cvar", whole=True)
    np.testing.assert_allclose([var[-1, 0], cvar[-1, 0]], [0.03, 0.13 / 3])
    assert np.isnan(var[:-1]).all()
    assert np.isfinite(tail_loss(close, bars=10, level=0.8, kind="var", whole=False)[2:]).all()


@given(st.integers(0, 10_000), st.integers(2, 12), st.sampled_from([0.5, 0.8, 0.95]))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_cvar_is_never_below_var_and_both_follow_their_window_alone(seed, bars, level):
    close = 100.0 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.02, (40, 2)), axis=0))
    var, cvar = (tail_loss(close, bars=bars, level=level, kind=kind, whole=True) for kind in ("var", "cvar"))
    assert (cvar[bars:] >= var[bars:] - 1e-15).all()
    shifted = tail_loss(close[7:], bars=bars, level=level, kind="var", whole=True)
    np.testing.assert_array_equal(shifted[bars:], var[7 + bars :])


@pytest.mark.parametrize("kind", ["var", "cvar"])
def test_a_size_by_its_tail_loses_the_target_in_that_bar(kind):
    panel = random_panel(8, num_assets=1, holes=0.0, exogenous=False)
    config = with_parts(PLAIN, sizing={"rule": f"{kind}_target", "target_loss": 0.002, "max_fraction": 5.0})
    units = first_units(panel, [LONG], config, context=replace(CONTEXT, tail=kind), start=30)
    loss = tail_loss(panel.close, bars=7, level=0.8, kind=kind, whole=True)[29, 0]
    np.testing.assert_allclose(units * panel.close[29, 0] * loss, [0.002 * 10_000])


def test_the_account_block_goes_on_with_what_of_the_capital_is_asked_for():
    panel, price = flat_panel(2), 100.0
    shown = with_parts(WEIGHTS, observation=dict.fromkeys(CAPITAL_NAMES, True), costs={"fee_bps": 0.0})
    market = Market.build(panel, random_features(panel), free_instruments(panel))
    windows = [Window(start_bar=3, stop_bar=8)]
    plain, env = (
        PortfolioVectorEnv(market, config, num_envs=1, windows=windows, seed=0) for config in (WEIGHTS, shown)
    )
    assert env.layout.schema_hash != plain.layout.schema_hash
    assert env.layout.names[-5:-2] == CAPITAL_NAMES  # before the two of the clock
    for one in (plain, env):
        one.reset()
    action = np.array([[0.8, -0.4]], dtype=np.float32)
    seen, without = env.step(action)[0][0], plain.step(action)[0][0]
    # 8,000 long, 4,000 short of 10,000: cash 10,000 - 8,000 + 4,000 = 6,000, assets 14,000; margin is 100 % of 12,000.
    np.testing.assert_allclose(seen[-5:-2], [10_000 / 14_000, 0.5, 1.0], rtol=1e-6)
    np.testing.assert_array_equal(np.delete(seen, np.s_[-5:-2]), without)
    assert price * env.rows.position[0, 0, 0] == pytest.approx(8_000)
