"""A symbol that leaves the universe is sold at the next open, and none is bought outside of it."""

from dataclasses import replace

import numpy as np
from random_markets import free_instruments, random_features, with_parts
from test_by_hand import FLAT_BAR, FULL_SIZE, LONG, hand_panel

from data.universe import MEMBER
from envs.context import ContextConfig
from envs.episodes import Window
from envs.market import Market
from envs.portfolio import PortfolioVectorEnv
from envs.recording import Recorder
from policies.baselines import buy_and_hold, equal_weight

NO_WINDOWS = ContextConfig(atr_bars=None, volatility_bars=None, adv_bars=None, until_full="no_entry")


def member_panel(member):
    """Bars at 100, and at 110 from bar 6 on; `member` (T,): in the universe in that bar."""
    panel = hand_panel([FLAT_BAR] * 6 + [(110.0, 110.0, 110.0, 110.0)] * (len(member) - 6))
    ahead = np.array([*member[1:], member[-1]], dtype=float)[:, None]
    return replace(panel, exogenous={MEMBER: ahead})


def played(panel, num_steps):
    market = Market.build(panel, random_features(panel), free_instruments(panel), NO_WINDOWS)
    windows = [Window(start_bar=3, stop_bar=panel.num_bars)]
    env = PortfolioVectorEnv(market, with_parts(FULL_SIZE), num_envs=1, windows=windows, seed=0)
    recorder = Recorder(env)
    env.reset()
    masks = []
    for _ in range(num_steps):
        masks.append(env.action_masks()[0, 0].tolist())
        env.step(np.array([[LONG]]))
    return recorder.recordings()[0], masks


def test_it_is_bought_and_held_inside_only():
    #                      0  1  2  3  4  5  6  7  8  9
    panel = member_panel([1, 1, 1, 0, 1, 1, 0, 0, 1, 1])
    recording, masks = played(panel, 7)
    assert recording.units[:, 0].tolist() == [0.0, 100.0, 100.0, 0.0, 0.0, 100.0, 0.0]
    assert recording.fills.filled_bar.tolist() == [4, 6, 8, 9]
    assert recording.fills.reason.tolist() == ["signal", "universe", "signal", "window_end"]
    assert recording.fills.price.tolist() == [100.0, 110.0, 110.0, 110.0]
    assert recording.trades.exit_reason.tolist() == ["universe", "window_end"]
    assert [mask[2] for mask in masks] == [0, 1, 1, 0, 0, 1, 1]


def test_baselines_choose_among_members():
    panel = member_panel([1, 1, 0, 0, 1, 1, 1, 1])
    np.testing.assert_array_equal(buy_and_hold(panel)[:, 0], [1, 0, 0, 1, 1, 1, 1, 1])
    np.testing.assert_array_equal(equal_weight(panel)[:, 0], [1, 0, 0, 1, 1, 1, 1, 1])
