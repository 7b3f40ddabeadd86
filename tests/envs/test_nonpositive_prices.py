"""Prices of zero and below: what a holder of crude oil lost on 2020-04-20, what is charged, and what is not known."""

from dataclasses import replace

import numpy as np
import pytest
from random_markets import PLAIN, random_features, with_parts
from test_by_hand import FLAT, LONG, hand_panel

from data.errors import DataError
from data.features import ClosedBar, FeatureSpec, FeatureStream, compute_features
from data.labels import horizon_returns
from envs.context import ContextConfig
from envs.episodes import Window
from envs.instruments import CATALOGUE
from envs.kernel import columns as c
from envs.market import Market
from envs.portfolio import PortfolioVectorEnv
from envs.recording import Recorder

QUIET = (18.0, 18.5, 17.5, 18.0)
BARS = [(17.73, 17.85, -40.32, -37.63), (-14.0, 13.86, -16.74, 10.01), (10.01, 10.5, 9.5, 10.0)]
"""WTI of May, 2020-04-20 and the day after, and a day of quiet."""
WTI = [QUIET] * 4 + BARS


def below_zero(bars=WTI):
    """The bars as a panel whose symbol may trade at zero and below."""
    shifted = hand_panel([tuple(price + 100.0 for price in bar) for bar in bars])
    prices = {name: np.round(getattr(shifted, name) - 100.0, 9) for name in ("open", "high", "low", "close")}
    return replace(shifted, **prices, nonpositive=("X",))


def played(actions, instrument=CATALOGUE["CL"], config=PLAIN, **parts):
    panel = below_zero()
    config = with_parts(
        config,
        initial_equity=100_000.0,
        sizing={"rule": "fixed_units", "units": 1.0},
        risk={"max_gross_exposure": 20.0},
        **parts,
    )
    market = Market.build(panel, random_features(panel), {"X": instrument})
    windows = [Window(start_bar=3, stop_bar=panel.num_bars)]
    env = PortfolioVectorEnv(market, config, num_envs=1, windows=windows, seed=0)
    recorder = Recorder(env)
    env.reset()
    masks = []
    for action in actions:
        masks.append(env.action_masks()[0, 0].tolist())
        env.step(np.array([[action]]))
    return recorder.recordings()[0], masks


def test_a_contract_that_is_held_loses_what_it_lost():
    recording, _ = played([LONG] * 4)
    a_side = 2.37 + 0.5 * 0.01 * 1_000.0
    marks = 100_000.0 - a_side + 1_000.0 * (np.array([18.0, -37.63, 10.01, 10.0]) - 18.0)
    np.testing.assert_allclose(recording.equity[1:4], marks[:3], rtol=1e-12)
    assert recording.equity[-1] == pytest.approx(marks[-1] - a_side, rel=1e-12)


def test_at_a_close_below_zero_a_position_may_be_closed_and_none_opened():
    recording, masks = played([LONG, LONG, FLAT, FLAT])
    assert recording.fills.price.tolist() == [18.0, -14.0]
    assert recording.units[:, 0].tolist() == [1.0, 1.0, 0.0, 0.0]
    opened, masks = played([FLAT, FLAT, LONG, LONG])
    assert opened.fills.price.tolist() == [
        10.01,
        10.0,
    ]  # in at the next close that has a price, out at the end
    assert masks[2] == [0, 1, 0]


def test_fees_by_notional_are_paid_on_its_size():
    venue = replace(CATALOGUE["CL"], taker_fee_bps=10.0, commission_per_unit=0.0, half_spread_ticks=0.0)
    recording, _ = played([LONG, LONG, FLAT, FLAT], venue)
    np.testing.assert_allclose(recording.fills.costs[:, 0], [18.0, 14.0])  # 10 bp of 18,000 and of 14,000
    np.testing.assert_allclose(recording.turnover[2] * recording.equity[2], 14_000.0)


def test_weights_hold_what_they_have_or_let_it_go():
    weights = {"action": {"scheme": "weights", "rebalance_band": 0.0}}
    panel = below_zero()
    config = with_parts(PLAIN, initial_equity=100_000.0, **weights)
    market = Market.build(panel, random_features(panel), {"X": replace(CATALOGUE["CL"], lot_step=0.0)})
    windows = [Window(start_bar=3, stop_bar=panel.num_bars)]
    for second, expected in ((0.05, 0.05 / 0.18), (-0.05, 0.0), (0.0, 0.0)):
        env = PortfolioVectorEnv(market, config, num_envs=1, windows=windows, seed=0)
        recorder = Recorder(env)
        env.reset()
        for weight in (0.05, 0.05, second, second):
            env.step(np.array([[weight]], dtype=np.float32))
        assert recorder.recordings()[0].units[2, 0] == pytest.approx(expected, rel=1e-3)


def test_an_order_to_close_is_placed_again_where_the_one_before_was_not_filled_whole():
    # Half of a volume of 0.4 a bar, what is left is dropped, orders one bar late: 0.05 / 0.18 are had in two bars.
    panel = below_zero([QUIET] * 6 + [(-1.0, -0.5, -1.5, -1.0)] * 5)
    panel = replace(panel, volume=np.full_like(panel.close, 0.4))
    config = with_parts(
        PLAIN,
        initial_equity=100_000.0,
        action={"scheme": "weights", "rebalance_band": 0.0},
        costs={"max_participation": 0.5, "remainder": "drop", "latency_bars": 1},
    )
    market = Market.build(panel, random_features(panel), {"X": replace(CATALOGUE["CL"], lot_step=0.0)})
    windows = [Window(start_bar=3, stop_bar=panel.num_bars)]
    env = PortfolioVectorEnv(market, config, num_envs=1, windows=windows, seed=0)
    held = []
    env.reset()
    for weight in (0.05,) * 4 + (
        0.0,
    ) * 3:  # decided at the closes of bars 2 to 8; the last three are below zero
        env.step(np.array([[weight]], dtype=np.float32))
        held.append(env.rows.position[0, 0, c.UNITS])
    np.testing.assert_allclose(held, [0.0, 0.2, 0.278, 0.278, 0.278, 0.078, 0.0], atol=0.001)


def test_returns_from_and_to_such_prices_are_unknown_and_not_infinite():
    panel = below_zero([QUIET] * 6 + BARS[:1] + [QUIET] * 6)
    specs = [FeatureSpec(name="log_return", params={"horizon_bars": 1})]
    features = compute_features(panel, specs)
    known = np.isfinite(features.asset[:, 0, 0])
    assert known.tolist() == [False] + [True] * 5 + [False] * 2 + [True] * 5
    stream = FeatureStream(specs, panel)
    for t in range(panel.num_bars):
        pushed = stream.push(ClosedBar.of(panel, t))
        np.testing.assert_array_equal(pushed.asset[0, 0], features.asset[t, 0, 0])
    labels = horizon_returns(panel, horizon_bars=1)
    assert np.isnan(labels.net_return[5, 0])
    assert not np.isinf(labels.net_return).any()


def test_sigma_is_unknown_while_such_a_return_is_in_its_window():
    panel = below_zero(
        [QUIET, (18.0, 19.0, 18.0, 19.0)] * 3 + BARS[:1] + [QUIET, (18.0, 19.0, 18.0, 19.0)] * 3
    )
    context = ContextConfig(atr_bars=2, volatility_bars=2, adv_bars=None, until_full="no_entry")
    bars = Market.build(panel, random_features(panel), {"X": CATALOGUE["CL"]}, context).bars
    unknown = np.isnan(bars[:, 0, c.VOLATILITY])
    # Row t holds what is known before it opens: returns 6 and 7 touch bar 6, windows of two those of bars 6 to 8.
    assert np.flatnonzero(unknown).tolist() == [0, 1, 2, 7, 8, 9]
    assert bars[7, 0, c.ATR] == pytest.approx((1.0 + (19.0 + 40.32)) / 2)


def test_a_panel_refuses_them_for_other_symbols():
    with pytest.raises(DataError, match="zero or negative"):
        replace(below_zero(), nonpositive=())
