"""What rests, and what limits and sizes look back on, where a contract is rolled or its price is below zero."""

from dataclasses import replace

import numpy as np
import pytest
from random_markets import PLAIN, random_features, with_parts
from test_by_hand import FLAT, LONG, hand_panel
from test_nonpositive_prices import played as played_below_zero
from test_rolls import NEW, NO_WINDOWS, OLD, QUIET, contracts, played

from data.traded_prices import COLUMNS, without_rolls
from envs.context import ContextConfig, num_bar_columns, simple_returns
from envs.episodes import Window
from envs.instruments import CATALOGUE
from envs.kernel import columns as c
from envs.market import Market
from envs.portfolio import PortfolioVectorEnv

# One offset of 40 ticks = 10 points and one of 8 = 2 points; orders rest for five bars.
HOLD, BUY, SELL, CLOSE = range(4)
SELL_LIMIT_FAR, BUY_STOP_FAR, BUY_STOP_NEAR = 5, 6, 10
RESTS = with_parts(
    PLAIN, action={"scheme": "order_entry", "entry_offsets": (40.0, 8.0), "time_in_force_bars": 5}
)
UNROLLED = replace(hand_panel([QUIET] * 3 + OLD + NEW))
"""The same bars as one instrument: what passes for a rise of sixty points."""


@pytest.mark.parametrize("decided", [1, 3])
def test_an_entry_that_rests_is_cancelled_by_a_roll(decided):
    # Buy stop ten points above the close of bar 3 (5014), or of bar 5, the last of March (5012); June opens at 5066.
    actions = [HOLD] * 5
    actions[decided] = BUY_STOP_FAR
    assert played(UNROLLED, actions, RESTS).fills.price[0] == 5066.0
    recording = played(contracts(), actions, RESTS)
    assert not len(recording.fills)
    assert recording.target_units[decided, 0] == 2.0
    assert recording.target_units[4, 0] == 0.0


def test_an_entry_is_placed_anew_in_the_next_contract():
    # Two points above June's first close of 5070.
    recording = played(contracts(), [HOLD, BUY_STOP_FAR, HOLD, HOLD, BUY_STOP_NEAR], RESTS)
    assert recording.fills.reason.tolist() == ["stop_entry", "window_end"]
    assert recording.fills.price.tolist() == [5072.0, 5072.0]


def test_a_position_is_rolled_and_the_order_against_it_is_gone():
    # Long of two; the sale at 5014 would be had at June's open of 5066, which is no better a price.
    recording = played(contracts(), [BUY, SELL_LIMIT_FAR, HOLD, HOLD, HOLD], RESTS)
    assert recording.fills.reason.tolist() == ["signal", "roll", "roll", "window_end"]
    assert recording.units[:4, 0].tolist() == [2.0] * 4
    assert recording.target_units[4, 0] == 2.0


def volatility_target(panel, context=NO_WINDOWS):
    """Units of a weight of 0.9 under a portfolio's volatility of 1 % a year, decided at the close of bar 6."""
    config = with_parts(
        PLAIN,
        initial_equity=100_000.0,
        action={"scheme": "weights", "rebalance_band": 0.0},
        risk={"target_volatility": 0.01, "volatility_bars": 3},
    )
    market = Market.build(
        panel, random_features(panel), {"X": replace(CATALOGUE["ES"], lot_step=0.0)}, context
    )
    window = Window(start_bar=7, stop_bar=panel.num_bars)
    env = PortfolioVectorEnv(market, config, num_envs=1, windows=[window], seed=0)
    env.set_logging(True)
    env.reset()
    env.step(np.array([[0.9]], dtype=np.float32))
    return env.decision_log[0, 0, c.LOG_TARGET], market.periods_per_year


@pytest.mark.parametrize("adjust", ["difference", "ratio", "none"])
def test_the_volatility_target_takes_no_roll_for_a_return(adjust):
    # Of bars 4 to 6; the close before June's first, 5002, is 5062 in June, sixty points above March at the open.
    returns = np.array([5008.0 / 5004.0, 5002.0 / 5008.0, 5070.0 / 5062.0]) - 1.0
    units, bars_a_year = volatility_target(contracts(adjust))
    weight = 0.01 / (returns.std() * np.sqrt(bars_a_year))
    assert weight < 0.9
    assert units * 5070.0 * 50.0 / 100_000.0 == pytest.approx(weight, rel=1e-9)
    passed_for_a_return, _ = volatility_target(UNROLLED)
    assert passed_for_a_return < 0.5 * units


@pytest.mark.parametrize("adjust", ["difference", "ratio"])
def test_the_tail_takes_no_roll_for_a_return(adjust):
    context = ContextConfig(
        atr_bars=None,
        volatility_bars=None,
        adv_bars=None,
        until_full="no_entry",
        tail_bars=2,
        tail_level=0.8,
        tail="var",
    )
    panel = contracts(adjust)
    bars = Market.build(panel, random_features(panel), {"X": CATALOGUE["ES"]}, context).bars
    before = 5002.0 + 60.0 if adjust == "difference" else 5002.0 * 5066.0 / 5006.0
    assert bars[7, 0, c.TAIL] == pytest.approx(5070.0 / before - 1.0)


def test_a_return_from_below_zero_is_what_a_long_gains_over_what_it_holds():
    close = np.array([10.0, -40.0, -20.0, 0.0, 5.0])[:, None]
    returns = simple_returns(close)[:, 0]
    np.testing.assert_allclose(returns[:4], [0.0, -5.0, 0.5, 1.0])
    assert np.isnan(returns[4])


def test_limits_in_units_and_money_let_a_position_be_closed_at_a_price_below_zero():
    limited = with_parts(PLAIN, risk={"max_position_notional": 60_000.0, "max_position_units": 3.0})
    recording, _ = played_below_zero([LONG, LONG, FLAT, FLAT], config=limited)
    assert recording.fills.price.tolist() == [18.0, -14.0]
    assert recording.units[:, 0].tolist() == [1.0, 1.0, 0.0, 0.0]


def test_bars_are_as_wide_as_the_last_column_that_the_market_has():
    panel = contracts()
    tail = replace(NO_WINDOWS, tail_bars=2, tail="var")
    assert num_bar_columns(panel, None) == c.NUM_PRICE_COLUMNS
    assert num_bar_columns(panel, NO_WINDOWS) == c.ROLL + 1
    plain = without_rolls(panel)
    assert not set(COLUMNS) & set(plain.exogenous)
    assert num_bar_columns(plain, NO_WINDOWS) == c.NUM_CONTEXT_COLUMNS
    assert num_bar_columns(plain, tail) == c.TAIL + 1
    member = replace(plain, exogenous={"in_universe": np.ones(plain.close.shape)})
    assert num_bar_columns(member, tail) == c.MEMBER + 1
    paid = replace(plain, exogenous={"dividend": np.zeros(plain.close.shape)})
    assert num_bar_columns(paid, NO_WINDOWS) == c.NUM_BAR_COLUMNS
    bars = Market.build(paid, random_features(paid), {"X": CATALOGUE["ES"]}, NO_WINDOWS).bars
    assert (bars[..., c.MEMBER] == 1.0).all()
    assert (bars[..., c.ROLL] == c.NO_ROLL).all()
