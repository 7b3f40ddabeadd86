"""Contracts that a live source rolls late, or elsewhere than at first, are rolled once, at the step that they had."""

from dataclasses import replace

import numpy as np
import pytest
from random_markets import PLAIN, random_features, with_parts
from test_by_hand import LONG
from test_rolls import A_SIDE, NO_WINDOWS, ROLL_AT, STEP, contracts

from data.schema import PRICE_COLUMNS
from data.traded_prices import OFFSET, ROLL, without_rolls
from envs.episodes import Window
from envs.instruments import CATALOGUE
from envs.live.growing_market import ClosedBar
from envs.live.late_rolls import LateRolls
from envs.market import Market
from envs.portfolio import PortfolioVectorEnv
from envs.recording import Recorder

MARCH_ALONE = (5006.0, 5009.0, 5001.0, 5003.0)
"""The bar of the roll as March has it, before June's is there."""


def before_june_is_there():
    """The bars up to that of the roll, which shows March still."""
    part = contracts().slice_bars(0, ROLL_AT + 1)
    prices = {name: getattr(part, name).copy() for name in PRICE_COLUMNS}
    for name, price in zip(PRICE_COLUMNS, MARCH_ALONE, strict=True):
        prices[name][ROLL_AT] = price
    none = {ROLL: np.full(part.close.shape, np.nan), OFFSET: np.zeros(part.close.shape)}
    return replace(part, **prices, exogenous=none)


def handed_over(readings, first=3):
    """Bars as they are handed over, bar by bar from `first` on, each with the reading of its time."""
    rolls = LateRolls(readings[0], readings[0].bar_utc[first])
    return [rolls.settled(ClosedBar.of(one, first + n), one) for n, one in enumerate(readings)]


def left_at(bars):
    return [float(bar.exogenous[ROLL][0]) for bar in bars]


def test_a_roll_that_is_there_in_time_is_handed_over_as_it_is():
    whole = contracts()
    bars = handed_over([whole] * 5)
    np.testing.assert_array_equal(left_at(bars), whole.exogenous[ROLL][3:, 0])
    assert handed_over([without_rolls(whole)] * 5)[3].exogenous == {}


def test_a_roll_that_comes_late_is_handed_over_with_the_next_bar(caplog):
    bars = handed_over([before_june_is_there()] * 4 + [contracts()])
    # June opens at 5070 in it, sixty points above March.
    np.testing.assert_array_equal(left_at(bars), [np.nan] * 4 + [5010.0])
    assert "X: the source shows a roll of contracts at another time" in caplog.text


def test_a_roll_that_is_moved_is_not_handed_over_again(caplog):
    whole = contracts()
    moved = {
        ROLL: np.roll(whole.exogenous[ROLL], 1, axis=0),
        OFFSET: np.roll(whole.exogenous[OFFSET], 1, axis=0),
    }
    bars = handed_over([whole] * 4 + [replace(whole, exogenous=moved)])
    np.testing.assert_array_equal(left_at(bars), [np.nan] * 3 + [5006.0, np.nan])
    assert "nothing is rolled again" in caplog.text


def test_rolls_before_the_first_bar_that_is_handed_over_have_been():
    np.testing.assert_array_equal(left_at(handed_over([contracts()], first=7)), [np.nan])


def test_two_rolls_that_come_late_are_one_step():
    whole = contracts()
    twice = {name: values.copy() for name, values in whole.exogenous.items()}
    twice[ROLL][5], twice[OFFSET][5] = 5003.0, STEP  # one of five points already in bar 5
    reading = replace(whole, exogenous=twice)
    calm = replace(
        whole, exogenous={ROLL: np.full_like(whole.close, np.nan), OFFSET: np.zeros_like(whole.close)}
    )
    bars = handed_over([calm] * 4 + [reading])
    first, second = 5008.0 + STEP - 5003.0, 5066.0 - 5006.0
    assert left_at(bars)[-1] == pytest.approx(5070.0 - first - second)


def test_a_bar_that_cannot_be_traded_puts_the_roll_off():
    frozen = contracts()
    tradable = frozen.tradable.copy()
    tradable[ROLL_AT] = False
    bars = handed_over([replace(frozen, tradable=tradable)] * 5)
    assert left_at(bars)[-1] == 5010.0


def test_a_position_that_is_rolled_late_earns_what_it_would_have_earned():
    bars = handed_over([before_june_is_there()] * 4 + [contracts()])
    shown, seen = contracts(), before_june_is_there()
    prices = {name: getattr(shown, name).copy() for name in PRICE_COLUMNS}
    for name in PRICE_COLUMNS:
        prices[name][: ROLL_AT + 1] = getattr(seen, name)
    rolled = np.array([[np.nan]] * 3 + [bar.exogenous[ROLL] for bar in bars])
    columns = {ROLL: rolled, OFFSET: shown.exogenous[OFFSET].copy()}
    columns[OFFSET][ROLL_AT] = 0.0
    panel = replace(shown, **prices, exogenous=columns)
    config = with_parts(
        PLAIN,
        initial_equity=100_000.0,
        sizing={"rule": "fixed_units", "units": 2.0},
        risk={"max_gross_exposure": 20.0},
    )
    market = Market.build(panel, random_features(panel), {"X": CATALOGUE["ES"]}, NO_WINDOWS)
    windows = [Window(start_bar=3, stop_bar=8)]
    env = PortfolioVectorEnv(market, config, num_envs=1, windows=windows, seed=0)
    recorder = Recorder(env)
    env.reset()
    for _ in range(5):
        env.step(np.array([[LONG]]))
    recording = recorder.recordings()[0]
    # March from 5000 to 5010, where it would stand sixty points below June; June from 5070 to 5072.
    assert recording.equity[-1] == pytest.approx(100_000.0 + 2 * 50.0 * (10.0 + 2.0) - 8 * A_SIDE, rel=1e-12)
