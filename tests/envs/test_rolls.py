"""A position is rolled as a trade at traded prices: two fills with their costs, the step neither gain nor loss."""

from dataclasses import replace

import numpy as np
import pytest
from random_markets import PLAIN, build_market, random_features, random_panel, with_parts, with_rolls
from test_by_hand import FLAT, LONG, SHORT, hand_panel

from data.traded_prices import OFFSET, ROLL, SCALE, as_traded
from envs.barriers import BarrierConfig
from envs.checks import leak_check
from envs.context import ContextConfig
from envs.episodes import Window
from envs.instruments import CATALOGUE
from envs.kernel import columns as c
from envs.market import Market
from envs.portfolio import PortfolioVectorEnv
from envs.recording import Recorder

NO_WINDOWS = ContextConfig(atr_bars=None, volatility_bars=None, adv_bars=None, until_full="no_entry")
OLD = [(5000.0, 5010.0, 4990.0, 5004.0), (5004.0, 5012.0, 5000.0, 5008.0), (5008.0, 5009.0, 4999.0, 5002.0)]
OLD_OPEN_AT_ROLL = 5006.0
NEW = [(5066.0, 5075.0, 5060.0, 5070.0), (5070.0, 5074.0, 5064.0, 5072.0)]
QUIET = (5000.0, 5001.0, 4999.0, 5000.0)
"""Three bars of ESH4 and two of ESM4, sixty points above it at the open of the roll."""
ROLL_AT, STEP = 6, 60.0


def contracts(adjust="difference"):
    """Bars as a source joins them; three quiet ones come first."""
    bars = np.array([QUIET] * 3 + OLD + NEW)
    new = np.arange(len(bars)) >= ROLL_AT
    left_at = np.where(np.arange(len(bars)) == ROLL_AT, OLD_OPEN_AT_ROLL, np.nan)[:, None]
    columns = {ROLL: left_at}
    if adjust == "difference":
        columns[OFFSET] = np.where(new, STEP, 0.0)[:, None]
        bars[new] -= STEP
    elif adjust == "ratio":
        scale = NEW[0][0] / OLD_OPEN_AT_ROLL
        columns[SCALE] = np.where(new, scale, 1.0)[:, None]
        bars[new] /= scale
    return replace(hand_panel(bars), exogenous=columns)


def played(panel, actions, config=None, units=2.0):
    config = config or PLAIN
    config = with_parts(
        config,
        initial_equity=100_000.0,
        sizing={"rule": "fixed_units", "units": units},
        risk={"max_gross_exposure": 20.0},
    )
    market = Market.build(panel, random_features(panel), {"X": CATALOGUE["ES"]}, NO_WINDOWS)
    windows = [Window(start_bar=3, stop_bar=panel.num_bars)]
    env = PortfolioVectorEnv(market, config, num_envs=1, windows=windows, seed=0)
    recorder = Recorder(env)
    env.reset()
    for action in actions:
        env.step(np.array([[action]]))
    return recorder.recordings()[0]


A_SIDE = 2.25 + 0.5 * 0.25 * 50.0
"""Of one ES contract: commission, and half a tick of spread at 50 USD a point."""


@pytest.mark.parametrize("adjust", ["difference", "ratio", "none"])
@pytest.mark.parametrize(("action", "side"), [(LONG, 1.0), (SHORT, -1.0)])
def test_a_position_that_is_held_over_a_roll_earns_what_the_two_contracts_earned(adjust, action, side):
    recording = played(contracts(adjust), [action] * 5)
    # In at the open of the first bar of March, 5000; out of it at 5006; in June at 5066, out at its last close 5072.
    points = side * ((5006.0 - 5000.0) + (5072.0 - 5066.0))
    assert recording.equity[-1] == pytest.approx(100_000.0 + 2 * 50.0 * points - 4 * 2 * A_SIDE, rel=1e-12)
    fills = recording.fills
    np.testing.assert_allclose(fills.price, [5000.0, 5006.0, 5066.0, 5072.0], rtol=1e-14)
    np.testing.assert_array_equal(fills.units, side * np.array([2.0, -2.0, 2.0, -2.0]))
    np.testing.assert_array_equal(fills.filled_bar, [3, 6, 6, 7])
    assert fills.reason.tolist() == ["signal", "roll", "roll", "window_end"]
    np.testing.assert_allclose(fills.costs[:, 0], 2 * 2.25)
    np.testing.assert_allclose(fills.costs[:, 1], 2 * 6.25)


def test_the_roll_itself_costs_two_sides_and_nothing_else():
    recording = played(contracts(), [LONG] * 5)
    # Bar of the roll, from the close of March at 5002 to that of June at 5070: 4 points in the one, 4 in the other.
    assert recording.equity[4] - recording.equity[3] == pytest.approx(2 * 50.0 * 8.0 - 2 * 2 * A_SIDE)
    notional = 2 * 50.0 * (5006.0 + 5066.0)
    assert recording.turnover[3] == pytest.approx(notional / recording.equity[3])
    assert recording.units[:, 0].tolist() == [2.0, 2.0, 2.0, 2.0, 0.0]


def test_each_contract_is_a_trade_of_its_own():
    trades = played(contracts(), [LONG] * 5).trades
    assert trades.exit_reason.tolist() == ["roll", "window_end"]
    np.testing.assert_allclose(trades.entry_price, [5000.0, 5066.0])
    np.testing.assert_allclose(trades.exit_price, [5006.0, 5072.0])
    np.testing.assert_allclose(trades.pnl, [600.0 - 4 * A_SIDE, 600.0 - 4 * A_SIDE])
    np.testing.assert_allclose(trades.mfe, [1_200.0, 900.0])  # 5012 against 5000, 5075 against 5066
    np.testing.assert_allclose(trades.mae, [-1_000.0, -600.0])


def test_without_a_position_nothing_is_rolled():
    recording = played(contracts(), [FLAT] * 5)
    assert not len(recording.fills)
    assert recording.equity[-1] == 100_000.0


def test_an_order_in_the_bar_of_the_roll_trades_the_new_contract_after_it():
    recording = played(contracts(), [LONG, LONG, LONG, FLAT, FLAT])
    assert recording.fills.reason.tolist() == ["signal", "roll", "roll", "signal"]
    np.testing.assert_allclose(recording.fills.price, [5000.0, 5006.0, 5066.0, 5066.0])
    expected = 100_000.0 + 2 * 50.0 * 6.0 - 4 * 2 * A_SIDE
    assert recording.equity[-1] == pytest.approx(expected, rel=1e-12)
    assert recording.trades.exit_reason.tolist() == ["roll", "signal"]


def test_a_stop_moves_with_the_contract():
    # Stop 32 ticks under the entry at 5000: at 4992, and sixty points higher in June, at 5052; touched by 5050 only.
    barriers = BarrierConfig(
        unit="ticks", profit_target=None, stop_loss=32.0, trailing_stop=None, time_limit_bars=None
    )
    panel = contracts()
    low = panel.low.copy()
    low[3:6] = np.maximum(low[3:6], 4993.0)
    calm = replace(panel, low=low)
    assert (
        played(calm, [LONG] * 5, with_parts(PLAIN, barriers=barriers)).fills.reason.tolist()[-1]
        == "window_end"
    )
    low[7] = 5050.0 - STEP
    recording = played(replace(panel, low=low), [LONG] * 5, with_parts(PLAIN, barriers=barriers))
    assert recording.fills.reason.tolist() == ["signal", "roll", "roll", "stop_loss"]
    assert recording.fills.price[-1] == 5052.0


def test_the_adjustment_changes_no_fill_and_no_return():
    actions = [LONG, LONG, SHORT, SHORT, LONG]
    recordings = [played(contracts(adjust), actions) for adjust in ("difference", "ratio", "none")]
    for other in recordings[1:]:
        np.testing.assert_allclose(other.equity, recordings[0].equity, rtol=1e-14)
        np.testing.assert_allclose(other.fills.price, recordings[0].fills.price, rtol=1e-14)


def test_ranges_and_volatility_know_no_step():
    panel = contracts()
    context = ContextConfig(atr_bars=2, volatility_bars=2, adv_bars=None, until_full="shorter_window")
    market = Market.build(panel, random_features(panel), {"X": CATALOGUE["ES"]}, context)
    # Known before bar 7: ranges of bars 5 and 6. Of 5: 5009 - 4999; of 6: 5075 - 5060, the close before at 5062.
    assert market.bars[7, 0, c.ATR] == pytest.approx((10.0 + 15.0) / 2)
    returns = np.log([5002.0 / 5008.0, 5070.0 / 5062.0])
    assert market.bars[7, 0, c.VOLATILITY] == pytest.approx(returns.std())
    by_ratio = Market.build(contracts("ratio"), random_features(panel), {"X": CATALOGUE["ES"]}, context)
    before = 5002.0 * 5066.0 / 5006.0
    assert by_ratio.bars[7, 0, c.ATR] == pytest.approx((10.0 + 15.0) / 2)
    assert by_ratio.bars[7, 0, c.VOLATILITY] == pytest.approx(
        np.log([5002.0 / 5008.0, 5070.0 / before]).std()
    )


def test_the_market_is_at_traded_prices():
    panel = contracts()
    market = Market.build(panel, random_features(panel), {"X": CATALOGUE["ES"]}, NO_WINDOWS)
    np.testing.assert_array_equal(market.mark[3:, 0], [5004.0, 5008.0, 5002.0, 5070.0, 5072.0])
    np.testing.assert_array_equal(as_traded(panel).open[3:, 0], [5000.0, 5004.0, 5008.0, 5066.0, 5070.0])
    assert market.bars[ROLL_AT, 0, c.ROLL] == OLD_OPEN_AT_ROLL
    assert (np.delete(market.bars[:, 0, c.ROLL], ROLL_AT) == c.NO_ROLL).all()


@pytest.mark.parametrize("ratio", [False, True])
def test_the_leak_check_is_clean_on_joined_contracts(ratio):
    panel = with_rolls(random_panel(5, num_bars=120, num_assets=3), 1, 5, ratio=ratio)
    config = with_parts(
        PLAIN,
        sizing={"rule": "atr_risk"},
        risk={"max_gross_exposure": 4.0},
        costs={"impact_coefficient": 1.0},
    )

    def build(bars):
        window = Window(start_bar=14, stop_bar=bars.num_bars)
        return PortfolioVectorEnv(build_market(bars), config, num_envs=1, windows=[window], seed=0)

    report = leak_check(build, panel, num_cuts=10, num_steps=100)
    assert report.clean
